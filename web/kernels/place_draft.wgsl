// Put draft number STEP of every lane into the rows of the verify pass, and into the drafter's own rows.
//
//   rows[lane, STEP] = (lane, position of its last token + STEP, the draft);   draft_rows[lane].token = the draft
//
// valid while that position lies below CAPACITY. STEP 0 puts the lane's last known token there instead of a
// draft, and makes the rows that pad the pass not valid.
//
// choices: [lanes] u32, the drafts. lane_rows, draft_rows: [lanes] rows. rows: [ROWS] rows, 1 + DRAFTS a lane.
// Grid: one workgroup of one thread. Twin: devices/twins/draft.py.

override LANES: u32;
override DRAFTS: u32;
override STEP: u32;
override ROWS: u32;
override CAPACITY: u32;

@group(0) @binding(0) var<storage, read> choices: array<u32>;
@group(0) @binding(1) var<storage, read> lane_rows: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> draft_rows: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> rows: array<vec4<u32>>;

@compute @workgroup_size(1)
fn main() {
  for (var lane = 0u; lane < LANES; lane++) {
    var row = lane_rows[lane];
    if (STEP > 0u) {
      row.z = choices[lane];
    }
    draft_rows[lane] = row;
    row.y += STEP;
    if (row.y >= CAPACITY) {
      row.w = 0u;
    }
    rows[lane * (1u + DRAFTS) + STEP] = row;
  }
  if (STEP == 0u) {
    for (var i = LANES * (1u + DRAFTS); i < ROWS; i++) {
      rows[i] = vec4<u32>(0u);
    }
  }
}
