// top_centroids for adapters that compute on the CPU: a thread a score, without workgroup memory and barriers, which
// take such an adapter over a second to compile.
//
// top[r, i] = the index of the i-th largest of scores[r]; of equals, the lower index goes first. A score's place is the
// number of scores before it.
//
// scores: [rows, N] float32, N being what the binding has for each row of the grid. top: [rows, TOP] u32, TOP ≤ N.
// Grid: x = N / 4, rounded up, y = rows.

override TOP: u32;

@group(0) @binding(0) var<storage, read> scores: array<f32>;
@group(0) @binding(1) var<storage, read_write> top: array<u32>;

{% include "shared/key.wgsl" %}
{% include "shared/entry.wgsl" %}

@compute @workgroup_size(4)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let N = arrayLength(&scores) / groups.y;
  if (id.x >= N) {
    return;
  }
  let first = id.y * N;
  let one = entry(scores[first + id.x], id.x);
  var place = 0u;
  for (var other = 0u; other < N && place < TOP; other++) {
    place += select(0u, 1u, is_before(entry(scores[first + other], other), one));
  }
  if (place < TOP) {
    top[id.y * TOP + place] = id.x;
  }
}
