// For candidate c of row r, the ids of its centroids one centroid behind the other:
//
//   ids[r, c] = ordering[top[r, c / PER] * PER + c % PER];   logits[r, c] = dot(E[ids[r, c]], x[r])
//
// A centroid head: of a whole vocabulary only the ids near the chosen centroids get logits.
//
// E: the rows FIRST .. FIRST + N of the tied head, [N, K] in layout "{{ layout.name }}"; candidates that lie elsewhere
// are left alone (another shard's dispatch writes them). ordering: [vocabulary] u32. top: [rows, TOP] u32.
// x: [rows, K] float32. ids: [rows, TOP * PER] u32. logits: [rows, TOP * PER] float32.
// Grid: x = ceil(TOP * PER / 8), y = rows.
{% from "shared/weights.wgsl" import load_block, quad, num_planes with context %}

override K: u32;
override FIRST: u32 = 0u;
override N: u32;
override PER: u32;
override TOP: u32;

{% include "shared/weights.wgsl" %}

@group(0) @binding({{ num_planes }}) var<storage, read> ordering: array<u32>;
@group(0) @binding({{ num_planes + 1 }}) var<storage, read> top: array<u32>;
@group(0) @binding({{ num_planes + 2 }}) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding({{ num_planes + 3 }}) var<storage, read_write> ids: array<u32>;
@group(0) @binding({{ num_planes + 4 }}) var<storage, read_write> logits: array<f32>;

const LANES = 8u;
const WORKGROUP_CANDIDATES = 8u;

var<workgroup> partial: array<f32, 64>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let lane = thread % LANES;
  let candidate = group.x * WORKGROUP_CANDIDATES + thread / LANES;
  let blocks = K / 32u;
  var sum = 0.0;
  var id = 0u;
  var is_here = candidate < TOP * PER;
  if (is_here) {
    id = ordering[top[group.y * TOP + candidate / PER] * PER + candidate % PER];
    is_here = id >= FIRST && id - FIRST < N;
  }
  if (is_here) {
    for (var block = lane; block < blocks; block += LANES) {
{{ load_block("(id - FIRST) * blocks + block", "w") }}
{% for j in range(8) %}
      sum += dot({{ quad("w", j) }}, x[group.y * (K / 4u) + block * 8u + {{ j }}u]);
{% endfor %}
    }
  }
  partial[thread] = sum;
  workgroupBarrier();
  if (lane == 0u && is_here) {
    var total = partial[thread];
    for (var l = 1u; l < LANES; l++) {
      total += partial[thread + l];
    }
    let out = group.y * TOP * PER + candidate;
    ids[out] = id;
    logits[out] = total;
  }
}
