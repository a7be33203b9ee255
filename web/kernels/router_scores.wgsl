{% set outputs = 4 if rows > 1 else 2 %}
{% set threads = 64 if rows > 1 else 256 %}
// What a mixture of experts reads of the residual stream, x[r] being normed without a weight:
//
//   scores[r, FIRST + n] = SCALE * sum over k of W[n, k] * (x[r, k] * router_scale[k])
//   normed[r, k] = x[r, k] * norm_weight[k]
//
// A workgroup computes {{ outputs }} scores of {{ rows }} row{{ "s" if rows > 1 }}, the last one in x the normed row{{ "s" if rows > 1 }}; each finds the norm by itself.
// With one row a workgroup, its result does not depend on the rows beside it.
//
// W: [N, K] in layout "{{ layout.name }}", K a multiple of 32, rows FIRST .. FIRST + N of the router. x, normed: [rows, K]
// float32, rows a multiple of {{ rows }}. router_scale, norm_weight: [K] float32. scores: [rows, STRIDE] float32.
// Grid: x = ceil(N / {{ outputs }}) + 1, y = rows / {{ rows }}.
{% from "shared/weights.wgsl" import weight, column, num_planes, unit_columns, num_steps, step_quads, has_scale with context %}

override K: u32;
override N: u32;
override FIRST: u32 = 0u;
override STRIDE: u32;
override EPS: f32;
override SCALE: f32 = 1.0;

{% include "shared/weights.wgsl" %}

@group(0) @binding({{ num_planes }}) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding({{ num_planes + 1 }}) var<storage, read> router_scale: array<vec4<f32>>;
@group(0) @binding({{ num_planes + 2 }}) var<storage, read> norm_weight: array<vec4<f32>>;
@group(0) @binding({{ num_planes + 3 }}) var<storage, read_write> scores: array<f32>;
@group(0) @binding({{ num_planes + 4 }}) var<storage, read_write> normed: array<vec4<f32>>;

const THREADS = {{ threads }}u;
const OUTPUTS = {{ outputs }}u;
const UNIT_QUADS = {{ unit_columns // 4 }}u;

// [row][its scores, then its sum of squares][thread]
var<workgroup> parts: array<array<array<f32, THREADS>, OUTPUTS + 1u>, {{ rows }}>;

@compute @workgroup_size({{ threads }})
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let units = K / (4u * UNIT_QUADS);
  let first = workgroup.x * OUTPUTS;
  let first_row = workgroup.y * {{ rows }}u;
  let is_norm = workgroup.x == workgroups.x - 1u;
{% for r in range(rows) %}
  let x_{{ r }} = (first_row + {{ r }}u) * (K / 4u);
  var squares_{{ r }} = 0.0;
{% for o in range(outputs) %}
  var sum_{{ o }}_{{ r }} = 0.0;
{% endfor %}
{% endfor %}
  if (is_norm) {
    for (var i = thread; i < K / 4u; i += THREADS) {
{% for r in range(rows) %}
      squares_{{ r }} += dot(x[x_{{ r }} + i], x[x_{{ r }} + i]);
{% endfor %}
    }
  } else {
    for (var u = thread; u < units; u += THREADS) {
{% for o in range(outputs) %}
      let u_{{ o }} = min(first + {{ o }}u, N - 1u) * units + u;
      let w_{{ o }} = quants[u_{{ o }}];
{% if has_scale %}
      let scale_{{ o }} = scale_of(scale_bits(u_{{ o }}));
{% endif %}
{% endfor %}
{% for p in range(num_steps) %}
{% for i in range(step_quads) %}
      {
        let at = u * UNIT_QUADS + {{ column(p ~ "u", i) }};
{% for o in range(outputs) %}
        let q{{ o }} = {{ weight("w_" ~ o, "scale_" ~ o, p ~ "u", i) }} * router_scale[at];
{% endfor %}
{% for r in range(rows) %}
        let v{{ r }} = x[x_{{ r }} + at];
        squares_{{ r }} += dot(v{{ r }}, v{{ r }});
{% for o in range(outputs) %}
        sum_{{ o }}_{{ r }} += dot(q{{ o }}, v{{ r }});
{% endfor %}
{% endfor %}
      }
{% endfor %}
{% endfor %}
    }
  }
{% for r in range(rows) %}
{% for o in range(outputs) %}
  parts[{{ r }}][{{ o }}][thread] = sum_{{ o }}_{{ r }};
{% endfor %}
  parts[{{ r }}][OUTPUTS][thread] = squares_{{ r }};
{% endfor %}
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (thread < half) {
{% for r in range(rows) %}
      for (var o = 0u; o <= OUTPUTS; o++) {
        parts[{{ r }}][o][thread] += parts[{{ r }}][o][thread + half];
      }
{% endfor %}
    }
  }
  workgroupBarrier();
  if (is_norm) {
    for (var i = thread; i < K / 4u; i += THREADS) {
{% for r in range(rows) %}
      let scale_{{ r }} = inverseSqrt(parts[{{ r }}][OUTPUTS][0] / f32(K) + EPS);
      normed[x_{{ r }} + i] = x[x_{{ r }} + i] * scale_{{ r }} * norm_weight[i];
{% endfor %}
    }
  } else if (thread < OUTPUTS * {{ rows }}u) {
    let r = thread / OUTPUTS;
    let o = thread % OUTPUTS;
    if (first + o < N) {
      let scale = inverseSqrt(parts[r][OUTPUTS][0] / f32(K) + EPS) * SCALE;
      scores[(first_row + r) * STRIDE + FIRST + first + o] = parts[r][o][0] * scale;
    }
  }
}
