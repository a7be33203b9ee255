// The experts of row r: with p = softmax(scores[r]) and the TOP largest of p, the largest first,
//
//   chosen[r, i] = the expert;   weights[r, i] = p / (sum of the chosen p) * per_expert_scale[expert]
//
// Of equal scores, the lower expert goes first. An expert's place is the number of experts before it, so
// that nothing is sorted.
//
// scores: [rows, EXPERTS] float32, EXPERTS at most 512. per_expert_scale: [EXPERTS] float32.
// chosen: [rows, TOP] u32. weights: [rows, TOP] float32, TOP at most 64.
// Grid: x = rows.

override EXPERTS: u32;
override TOP: u32;

@group(0) @binding(0) var<storage, read> scores: array<f32>;
@group(0) @binding(1) var<storage, read> per_expert_scale: array<f32>;
@group(0) @binding(2) var<storage, read_write> chosen: array<u32>;
@group(0) @binding(3) var<storage, read_write> weights: array<f32>;

var<workgroup> staged: array<f32, 512>;
var<workgroup> top_experts: array<u32, 64>;
var<workgroup> top_shares: array<f32, 64>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  for (var e = thread; e < EXPERTS; e += 64u) {
    staged[e] = scores[group.x * EXPERTS + e];
  }
  workgroupBarrier();
  for (var e = thread; e < EXPERTS; e += 64u) {
    let score = staged[e];
    var place = 0u;
    for (var other = 0u; other < EXPERTS; other++) {
      let is_before = staged[other] > score || (staged[other] == score && other < e);
      place += select(0u, 1u, is_before);
    }
    if (place < TOP) {
      top_experts[place] = e;
    }
  }
  workgroupBarrier();
  if (thread < TOP) {
    // Shares of the largest; the softmax's own sum cancels when the chosen ones are renormalised.
    top_shares[thread] = exp(staged[top_experts[thread]] - staged[top_experts[0]]);
  }
  workgroupBarrier();
  if (thread < TOP) {
    var total = 0.0;
    for (var i = 0u; i < TOP; i++) {
      total += top_shares[i];
    }
    let expert = top_experts[thread];
    chosen[group.x * TOP + thread] = expert;
    weights[group.x * TOP + thread] = top_shares[thread] / total * per_expert_scale[expert];
  }
}
