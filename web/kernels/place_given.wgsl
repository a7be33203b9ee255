// Drafts that the host gives go behind each lane's first row, as far as there are rows and CAPACITY has room. Then
// the drafts that a group's rows have, these or a drafter's, are listed for the host: how many, and their ids.
//
// lane_rows: [groups] rows. given: [lanes] of (how many, 7 ids). rows: [rows] rows, 1 + drafts of each group.
// results: from FIRST_DRAFT on [groups] of (how many, 7 ids).
// Grid: one workgroup of one thread. Layouts: pyapp/leadout/state.py.

override CAPACITY: u32;
override FIRST_DRAFT: u32;

@group(0) @binding(0) var<storage, read> lane_rows: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> given: array<u32>;
@group(0) @binding(2) var<storage, read_write> rows: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> results: array<u32>;
@group(0) @binding(4) var<uniform> cycle: Cycle;

{% include "shared/cycle.wgsl" %}

const GIVEN_WORDS = 8u;
const DRAFT_WORDS = 8u;

@compute @workgroup_size(1)
fn main() {
  for (var group = 0u; group < cycle.groups; group++) {
    let row = lane_rows[group];
    let first = group * (1u + cycle.drafts) + 1u;
    if ((row.w & 1u) != 0u) {
      let taken = row.x * GIVEN_WORDS;
      let num = min(min(given[taken], cycle.drafts), CAPACITY - 1u - row.y);
      for (var i = 0u; i < num; i++) {
        rows[first + i] = vec4<u32>(row.x, row.y + 1u + i, given[taken + 1u + i], 1u);
      }
    }
    let list = FIRST_DRAFT + group * DRAFT_WORDS;
    var count = 0u;
    while (count < cycle.drafts && (rows[first + count].w & 1u) != 0u) {
      results[list + 1u + count] = rows[first + count].z;
      count++;
    }
    results[list] = count;
  }
}
