// The experts of row r: with p = softmax(scores[r]) and the TOP largest of p, the largest first,
//
//   chosen[r, i] = the expert;   weights[r, i] = p / (sum of the chosen p) * per_expert_scale[expert]
//
// Of equal scores, the lower expert goes first. An expert's place is the number of experts before it, so
// that nothing is sorted.
//
// scores: [rows, EXPERTS] float32, EXPERTS at most MAX_EXPERTS. per_expert_scale: [EXPERTS] float32.
// chosen: [rows, TOP] u32. weights: [rows, TOP] float32, TOP at most MAX_TOP.
// Grid: x = rows.

override EXPERTS: u32;
override TOP: u32;

@group(0) @binding(0) var<storage, read> scores: array<f32>;
@group(0) @binding(1) var<storage, read> per_expert_scale: array<f32>;
@group(0) @binding(2) var<storage, read_write> chosen: array<u32>;
@group(0) @binding(3) var<storage, read_write> weights: array<f32>;

const THREADS = 256u;
const SHARE = 2u;  // threads that count for one expert
// Keep in step with pyapp/leadout/config/checks.py.
const MAX_EXPERTS = 512u;
const MAX_TOP = 64u;

var<workgroup> staged: array<vec4<f32>, MAX_EXPERTS / 4u>;
var<workgroup> places: array<atomic<u32>, MAX_EXPERTS>;
var<workgroup> top_experts: array<u32, MAX_TOP>;
var<workgroup> top_scores: array<f32, MAX_TOP>;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let quads = (EXPERTS + 3u) / 4u;
  for (var i = thread; i < quads; i += THREADS) {
    var four = vec4<f32>(-3.0e38);  // behind the last expert, where nothing is before anything
    for (var c = 0u; c < 4u; c++) {
      if (4u * i + c < EXPERTS) {
        four[c] = scores[group.x * EXPERTS + 4u * i + c];
      }
    }
    staged[i] = four;
  }
  workgroupBarrier();
  for (var i = thread; i < EXPERTS * SHARE; i += THREADS) {
    let e = i / SHARE;
    let score = vec4<f32>(staged[e / 4u][e % 4u]);
    var before = vec4<u32>(0u);
    for (var q = i % SHARE; q < quads; q += SHARE) {
      let others = staged[q];
      let lower = vec4<u32>(4u * q) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(e);
      before += select(vec4<u32>(0u), vec4<u32>(1u), (others > score) | ((others == score) & lower));
    }
    atomicAdd(&places[e], before.x + before.y + before.z + before.w);
  }
  workgroupBarrier();
  for (var e = thread; e < EXPERTS; e += THREADS) {
    let place = atomicLoad(&places[e]);
    if (place < TOP) {
      top_experts[place] = e;
      top_scores[place] = staged[e / 4u][e % 4u];
    }
  }
  workgroupBarrier();
  if (thread < TOP) {
    // Shares of the largest; the softmax's own sum cancels when the chosen ones are renormalised.
    var total = 0.0;
    for (var i = 0u; i < TOP; i++) {
      total += exp(top_scores[i] - top_scores[0]);
    }
    let expert = top_experts[thread];
    let share = exp(top_scores[thread] - top_scores[0]) / total;
    chosen[group.x * TOP + thread] = expert;
    weights[group.x * TOP + thread] = share * per_expert_scale[expert];
  }
}
