// Drafts that the host gives go behind each lane's first row, as far as there are rows and CAPACITY has room.
//
// lane_rows: [groups] rows. given: [lanes, GIVEN_WORDS], a lane's being (how many, ids). rows: [rows] rows, 1 + drafts of each group.
// Grid: one workgroup of one thread. Layouts: pyapp/leadout/state.py.

override CAPACITY: u32;
override GIVEN_WORDS: u32;

@group(0) @binding(0) var<storage, read> lane_rows: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> given: array<u32>;
@group(0) @binding(2) var<storage, read_write> rows: array<vec4<u32>>;
@group(0) @binding(3) var<uniform> cycle: Cycle;

{% include "shared/row.wgsl" %}
{% include "shared/cycle.wgsl" %}

@compute @workgroup_size(1)
fn main() {
  for (var group = 0u; group < cycle.groups; group++) {
    let row = lane_rows[group];
    if (!row_is_valid(row)) {
      continue;
    }
    let first = row.x * GIVEN_WORDS;
    let num = min(min(given[first], cycle.drafts), CAPACITY - 1u - row.y);
    for (var i = 0u; i < num; i++) {
      rows[group * (1u + cycle.drafts) + 1u + i] = vec4<u32>(row.x, row.y + 1u + i, given[first + 1u + i], 1u);
    }
  }
}
