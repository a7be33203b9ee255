// top[r, i] = the index of the i-th largest of scores[r]; of equals, the lower index goes first
//
// A score's place is the number of scores before it, so that nothing is sorted: a workgroup finds the places
// of 64 scores, with all N of them in workgroup memory.
//
// scores: [rows, N] float32, N at most 4096, as many as the binding has for each row of the grid. top: [rows, TOP] u32.
// Grid: x = ceil(N / 64), y = rows. Twin: devices/twins/draft.py.

override TOP: u32;

@group(0) @binding(0) var<storage, read> scores: array<f32>;
@group(0) @binding(1) var<storage, read_write> top: array<u32>;

var<workgroup> staged: array<f32, 4096>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let N = arrayLength(&scores) / groups.y;
  for (var i = thread; i < N; i += 64u) {
    staged[i] = scores[group.y * N + i];
  }
  workgroupBarrier();
  let mine = group.x * 64u + thread;
  if (mine >= N) {
    return;
  }
  let score = staged[mine];
  var place = 0u;
  for (var other = 0u; other < N; other++) {
    let is_before = staged[other] > score || (staged[other] == score && other < mine);
    place += select(0u, 1u, is_before);
  }
  if (place < TOP) {
    top[group.y * TOP + place] = mine;
  }
}
