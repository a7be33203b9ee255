// Drafts from the lane's own text: where its last tokens stood before, what came behind them then.
//
//   1. Of all earlier positions, the one behind which the longest run (SHORTEST to LONGEST tokens) equals
//      the lane's last tokens; of equally long ones, the latest.
//   2. The tokens behind it become the drafts; where they reach the present, they repeat from there.
//
// They go behind the lane's first row; without a match, and at or past CAPACITY, rows stay as they are.
//
// lane_rows: [groups] rows. history: [lanes, CAPACITY] u32. rows: [rows] rows, 1 + drafts of each group.
// Grid: x = groups.

override CAPACITY: u32;
override LONGEST: u32;
override SHORTEST: u32;

@group(0) @binding(0) var<storage, read> lane_rows: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> history: array<u32>;
@group(0) @binding(2) var<storage, read_write> rows: array<vec4<u32>>;
@group(0) @binding(3) var<uniform> cycle: Cycle;

{% include "shared/row.wgsl" %}
{% include "shared/cycle.wgsl" %}

const POSITION_BITS = 24u;  // no context is longer; keep in step with pyapp/leadout/state.py

var<workgroup> best: array<u32, 256>;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = lane_rows[group.x];
  let lane = row.x;
  let is_valid = row_is_valid(row);
  let start = lane * CAPACITY;
  let last = row.y;

  // (length of the run, where it ends), the longest and latest of this thread's.
  var found = 0u;
  if (is_valid) {
    for (var end = thread; end < last; end += 256u) {
      var length = 0u;
      while (length < LONGEST && length <= end
             && history[start + end - length] == history[start + last - length]) {
        length++;
      }
      found = max(found, (length << POSITION_BITS) | end);
    }
  }
  best[thread] = found;
  workgroupBarrier();
  if (thread > 0u) {
    return;
  }
  for (var i = 1u; i < 256u; i++) {
    found = max(found, best[i]);
  }
  if (!is_valid || (found >> POSITION_BITS) < SHORTEST) {
    return;
  }
  let end = found & ((1u << POSITION_BITS) - 1u);
  for (var i = 0u; i < min(cycle.drafts, CAPACITY - 1u - last); i++) {
    let draft = history[start + end + 1u + i % (last - end)];
    rows[group.x * (1u + cycle.drafts) + 1u + i] = vec4<u32>(lane, last + 1u + i, draft, 1u);
  }
}
