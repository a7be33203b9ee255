// Put the next draft of every lane into the rows of the verify pass, and into the drafter's own rows.
//
//   lane_rows[lane] = (lane, position of its last known token, the draft), which stands `ahead` tokens behind it
//   rows[lane, ahead] = (lane, that position + ahead, the draft)
//
// valid where the lane is and the draft's position lies below CAPACITY. See pyapp/leadout/state.py for `ahead`.
//
// choices: [lanes] u32, the drafts. lane_rows: [lanes] rows. rows: [rows] rows, 1 + DRAFTS of each lane.
// Grid: one workgroup of one thread.

override LANES: u32;
override DRAFTS: u32;
override CAPACITY: u32;

@group(0) @binding(0) var<storage, read> choices: array<u32>;
@group(0) @binding(1) var<storage, read_write> lane_rows: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> rows: array<vec4<u32>>;

@compute @workgroup_size(1)
fn main() {
  for (var lane = 0u; lane < LANES; lane++) {
    let row = lane_rows[lane];
    let ahead = (row.w >> 8u) + 1u;
    let position = row.y + ahead;
    let draft = choices[lane];
    lane_rows[lane] = vec4<u32>(row.x, row.y, draft, (row.w & 1u) | (ahead << 8u));
    let is_valid = (row.w & 1u) == 1u && position < CAPACITY;
    rows[lane * (1u + DRAFTS) + ahead] = vec4<u32>(row.x, position, draft, select(0u, 1u, is_valid));
  }
}
