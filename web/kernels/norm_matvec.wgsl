{% set y = "packed" if form == "gated" else "y" %}
// h_out = (h + rms_norm(delta) * post_weight) * scalar    (without scalar where it is "plain")
// y[n] = softcap(sum over k of W[n, k] * (rms_norm(h_out) * next_weight)[k]), or gated, as in packed_matvec
//
// The end of half a layer and the layer that reads it, for one row: every workgroup norms the row for itself and packs
// it, and all of them together write h_out. The same bits as add_rms_norm and packed_matvec give for more rows.
//
// W: [N, K] in layout "{{ layout }}", K a multiple of 32, at most MAX_COLUMNS{{ ", N of 64" if form == "gated" }}. delta, h, h_out: [K]
// float32. vectors: all of the model's vectors, of which the shape says where the three are. {{ y }}: as packed_matvec's.
// Grid: ceil(N / WORKGROUP_OUTPUTS) workgroups over x and y.
{% set rows = 1 %}
{% set pack_threads = 128 %}
{% set is_packed = true %}
{% set is_staged = true %}
{% set is_adding = true %}
{% set two_lanes = true %}
{% from "shared/weights.wgsl" import num_planes, unit_columns, has_scale with context %}
{% from "shared/packed_unit.wgsl" import add_unit with context %}
{% from "shared/packed.wgsl" import find_top, pack_quad, pack_totals with context %}

{% include "shared/weights.wgsl" %}

@group(0) @binding({{ num_planes }}) var<storage, read> delta: array<vec4<f32>>;
@group(0) @binding({{ num_planes + 1 }}) var<storage, read> h: array<vec4<f32>>;
@group(0) @binding({{ num_planes + 2 }}) var<storage, read> vectors: array<vec4<f32>>;
@group(0) @binding({{ num_planes + 3 }}) var<storage, read_write> h_out: array<vec4<f32>>;
@group(0) @binding({{ num_planes + 4 }}) var<storage, read_write> {{ y }}: array<{{ "vec2<u32>" if form == "gated" else "f32" }}>;
@group(0) @binding({{ num_planes + 5 }}) var<uniform> shape: Shape;

{% set max_columns = 2816 %}
{% set most = (max_columns // 4 + 127) // 128 %}
const MAX_COLUMNS = {{ max_columns }}u;
const D = MAX_COLUMNS;
{% include "shared/pack_quads.wgsl" %}

{% include "shared/sum256.wgsl" %}

// The row, normed and packed.
var<workgroup> x: array<vec4<u32>, 9u * MAX_COLUMNS / 64u>;

fn norm_rows(thread: u32, quads: u32, first: u32, threads: u32) {
  // Each thread holds its quads: thread, thread + 128, and so on.
{% for k in range(most) %}
  let at_{{ k }} = thread + {{ 128 * k }}u;
  var delta_{{ k }} = vec4<f32>();
  var sum_{{ k }} = vec4<f32>();
  if (at_{{ k }} < quads) {
    delta_{{ k }} = delta[at_{{ k }}];
    sum_{{ k }} = h[at_{{ k }}];
  }
{% endfor %}
  var lower = 0.0;
  var upper = 0.0;
{% for k in range(most) %}
  if (at_{{ k }} < quads) {
    {{ "upper" if k % 2 else "lower" }} = add_squares({{ "upper" if k % 2 else "lower" }}, delta_{{ k }});
  }
{% endfor %}
  let post_scale = inverseSqrt(fma(sum256(thread, lower, upper), shape.inverse_columns, shape.eps));
  lower = 0.0;
  upper = 0.0;
{% for k in range(most) %}
  if (at_{{ k }} < quads) {
    sum_{{ k }} = fma(delta_{{ k }} * post_scale, vectors[shape.post_weight + at_{{ k }}], sum_{{ k }}){{ " * vectors[shape.scalar].x" if scaling == "scaled" }};
    {{ "upper" if k % 2 else "lower" }} = add_squares({{ "upper" if k % 2 else "lower" }}, sum_{{ k }});
  }
{% endfor %}
  let next_scale = inverseSqrt(fma(sum256(thread, lower, upper), shape.inverse_columns, shape.eps));
  // Of h_out, this workgroup writes what its threads would if all workgroups' stood in a line.
  let workgroup = first / THREADS;
  let workgroups = threads / THREADS;
{% for k in range(most) %}
  if (at_{{ k }} < quads) {
    if ({{ k }}u % workgroups == workgroup) {
      h_out[at_{{ k }}] = sum_{{ k }};
    }
    sum_{{ k }} = sum_{{ k }} * next_scale * vectors[shape.next_weight + at_{{ k }}];
{{ find_top("at_" ~ k, "sum_" ~ k) }}
  }
{% endfor %}
  workgroupBarrier();
  let packed_blocks = quads / 8u;
{% for k in range(most) %}
  if (at_{{ k }} < quads) {
{{ pack_quad("at_" ~ k, "sum_" ~ k, "0u", "0u", "packed_blocks") }}
  }
{% endfor %}
  workgroupBarrier();
{{ pack_totals("quads", "0u", "0u", "packed_blocks") }}
  workgroupBarrier();
}

{% include "shared/matvec.wgsl" %}
