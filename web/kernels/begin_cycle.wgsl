// The rows that a cycle begins with, from the state of the lanes that take part:
//
//   rows[group, 0] = lane_rows[group] = (lane, position of its last known token, that token)
//
// the latter marked as a drafter's. They are valid while the group has a lane, which is active, and that position lies
// below CAPACITY. All other rows, where drafts may go and what pads the pass, are not valid.
//
// state: [lanes] of (length, last token, is active, 0). turns: the lane of each group, or NO_LANE.
// lane_rows: [groups] rows. rows: [cycle.rows] rows, 1 + drafts of each group, and padding. Grid: one workgroup of one thread.
// Layouts: pyapp/leadout/state.py.

override CAPACITY: u32;

@group(0) @binding(0) var<storage, read> state: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> turns: array<u32>;
@group(0) @binding(2) var<storage, read_write> lane_rows: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> rows: array<vec4<u32>>;
@group(0) @binding(4) var<uniform> cycle: Cycle;

{% include "shared/cycle.wgsl" %}

const NO_LANE = 0xffffffffu;
const OF_DRAFTER = 2u;

@compute @workgroup_size(1)
fn main() {
  for (var i = 0u; i < cycle.rows; i++) {
    rows[i] = vec4<u32>(0u);
  }
  for (var group = 0u; group < cycle.groups; group++) {
    let lane = turns[group];
    if (lane == NO_LANE) {
      lane_rows[group] = vec4<u32>(0u);
      continue;
    }
    let now = state[lane];
    let position = now.x - 1u;  // wraps for an empty lane, which is not active
    let is_valid = now.z == 1u && position < CAPACITY;
    let row = vec4<u32>(lane, position, now.y, select(0u, 1u, is_valid));
    lane_rows[group] = row | vec4<u32>(0u, 0u, 0u, OF_DRAFTER);
    rows[group * (1u + cycle.drafts)] = row;
  }
}
