// For candidate c of row r, the ids of its centroids one centroid behind the other:
//
//   ids[r, c] = ordering[top[r, c / PER] * PER + c % PER];   logits[r, c] = dot(E[ids[r, c]], x[r])
//
// A centroid head: of a whole vocabulary only the ids near the chosen centroids get logits.
//
// E: the rows FIRST .. FIRST + N of the tied head, [N, K] in layout "{{ layout }}"; candidates that lie elsewhere
// are left alone (another shard's dispatch writes them). ordering: [vocabulary] u32. top: [rows, TOP] u32.
// x: [rows, K] float32. ids: [rows, TOP * PER] u32. logits: [rows, TOP * PER] float32.
// Grid: x = ceil(TOP * PER / 128), y = rows. Twin: devices/twins/draft.py.
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

{% set each = 4 %}
const LANES = 8u;
// Candidates that a workgroup computes at once; each of its lanes takes part in EACH of them.
const AT_ONCE = 256u / LANES;
const EACH = {{ each }}u;

var<workgroup> partial: array<f32, {{ 256 * each }}>;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let lane = thread % LANES;
  let first = group.x * AT_ONCE * EACH + thread / LANES;
  let blocks = K / 32u;
  var candidate_ids: array<u32, EACH>;
{% for m in range(each) %}
  {
    let candidate = min(first + {{ m }}u * AT_ONCE, TOP * PER - 1u);
    candidate_ids[{{ m }}] = ordering[top[group.y * TOP + candidate / PER] * PER + candidate % PER];
  }
{% endfor %}
{% for m in range(each) %}
  let row_{{ m }} = min(max(candidate_ids[{{ m }}], FIRST) - FIRST, N - 1u);
  var sum_{{ m }} = 0.0;
{% endfor %}
  for (var block = lane; block < blocks; block += LANES) {
{% for j in range(8) %}
    let x_{{ j }} = x[group.y * (K / 4u) + block * 8u + {{ j }}u];
{% endfor %}
{% for m in range(each) %}
{{ load_block("row_" ~ m ~ " * blocks + block", "w" ~ m) }}
{% endfor %}
{% for m in range(each) %}
{% for j in range(8) %}
    sum_{{ m }} += dot({{ quad("w" ~ m, j) }}, x_{{ j }});
{% endfor %}
{% endfor %}
  }
{% for m in range(each) %}
  partial[{{ 256 * m }}u + thread] = sum_{{ m }};
{% endfor %}
  workgroupBarrier();
  if (lane < EACH) {
    let candidate = first + lane * AT_ONCE;
    let id = candidate_ids[lane];
    if (candidate < TOP * PER && id >= FIRST && id - FIRST < N) {
      let start = 256u * lane + thread - lane;
      var total = partial[start];
      for (var l = 1u; l < LANES; l++) {
        total += partial[start + l];
      }
      let out = group.y * TOP * PER + candidate;
      ids[out] = id;
      logits[out] = total;
    }
  }
}
