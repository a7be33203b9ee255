// Put the next draft of every lane into the rows of the verify pass, and into the drafter's own rows.
//
//   lane_rows[group] = (lane, position of its last known token, the draft), which stands `ahead` tokens behind it
//   rows[group, ahead] = (lane, that position + ahead, the draft)
//
// valid where the lane is and the draft's position lies below CAPACITY. See pyapp/leadout/state.py for `ahead`.
//
// choices: [groups] u32, the drafts. lane_rows: [groups] rows. rows: [rows] rows, 1 + drafts of each group.
// Grid: one workgroup of one thread.

override CAPACITY: u32;

@group(0) @binding(0) var<storage, read> choices: array<u32>;
@group(0) @binding(1) var<storage, read_write> lane_rows: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> rows: array<vec4<u32>>;
@group(0) @binding(3) var<uniform> cycle: Cycle;

{% include "shared/row.wgsl" %}
{% include "shared/cycle.wgsl" %}

@compute @workgroup_size(1)
fn main() {
  for (var group = 0u; group < cycle.groups; group++) {
    let row = lane_rows[group];
    let ahead = row_ahead(row) + 1u;
    let position = row.y + ahead;
    let draft = choices[group];
    lane_rows[group] = vec4<u32>(row.x, row.y, draft, (row.w & 3u) | (ahead << 8u));
    let is_valid = row_is_valid(row) && position < CAPACITY;
    rows[group * (1u + cycle.drafts) + ahead] = vec4<u32>(row.x, position, draft, select(0u, 1u, is_valid));
  }
}
