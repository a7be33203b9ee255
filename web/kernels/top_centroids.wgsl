// top[r, i] = the index of the i-th largest of scores[r]; of equals, the lower index goes first
//
// A score's place is the number of scores before it, so that nothing is sorted: each thread counts for one.
//
// scores: [rows, N] float32, N being what the binding has for each row of the grid. top: [rows, TOP] u32.
// Grid: x = ceil(N / 64), y = rows.

override TOP: u32;

@group(0) @binding(0) var<storage, read> scores: array<f32>;
@group(0) @binding(1) var<storage, read_write> top: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let N = arrayLength(&scores) / groups.y;
  if (id.x >= N) {
    return;
  }
  let first = id.y * N;
  let score = scores[first + id.x];
  var place = 0u;
  for (var other = 0u; other < N; other++) {
    // All threads read the same score at the same time.
    let value = scores[first + other];
    place += select(0u, 1u, value > score || (value == score && other < id.x));
  }
  if (place < TOP) {
    top[id.y * TOP + place] = id.x;
  }
}
