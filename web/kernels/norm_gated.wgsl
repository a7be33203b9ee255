// h_out = h + rms_norm(delta) * post_weight
// y[n] = gelu(W[n] x) * W[n + N/2] x, packed, where x = rms_norm(h_out) * next_weight, packed
//
// The end of attention's half of a layer and the gated layer behind it, for one row: every workgroup norms and packs
// the row for itself, and all of them together write h_out. The same bits as add_rms_norm and packed_matvec give for
// more rows. It is kept short: where a step's kernels follow one another, each is fetched anew, and that takes time.
//
// W: [N, K] in layout "{{ layout.name }}", K a multiple of 32, at most MAX_COLUMNS, N of 64. delta, h, h_out: [K] float32.
// vectors: all of the model's vectors, of which the shape says where the two weights are. y: as packed_matvec's
// "gated". Grid: ceil(N / WORKGROUP_OUTPUTS) workgroups over x and y.
{% set form = "gated" %}
{% set rows = 1 %}
{% set ahead = 3 %}
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
@group(0) @binding({{ num_planes + 4 }}) var<storage, read_write> packed: array<vec2<u32>>;
@group(0) @binding({{ num_planes + 5 }}) var<uniform> shape: Shape;

override WITH_LOW: bool = true;

{% set max_columns = 1536 %}
{% set held = max_columns // 512 %}
const MAX_COLUMNS = {{ max_columns }}u;
const D = MAX_COLUMNS;
{% include "shared/pack_quads.wgsl" %}

{% include "shared/sum256.wgsl" %}

// The row, normed and packed.
var<workgroup> x: array<vec4<u32>, 9u * MAX_COLUMNS / 64u>;

fn norm_row(thread: u32, row: u32, quads: u32, workgroup: u32, workgroups: u32) {
  // Each thread holds its quads: thread, thread + 128, and so on. All that memory has is asked for at once; past the
  // end it is what the last quad has, times zero.
{% for k in range(held) %}
  let at_{{ k }} = min(thread + {{ 128 * k }}u, quads - 1u);
  let is_in_{{ k }} = thread + {{ 128 * k }}u < quads;
  let delta_{{ k }} = select(vec4<f32>(), delta[at_{{ k }}], is_in_{{ k }});
  let h_{{ k }} = select(vec4<f32>(), h[at_{{ k }}], is_in_{{ k }});
  let post_{{ k }} = vectors[shape.post_weight + at_{{ k }}];
  let next_{{ k }} = vectors[shape.next_weight + at_{{ k }}];
{% endfor %}
{% macro sum_of(name) %}
{% for parity in (0, 1) %}
{%- set ns = namespace(sum="0.0") -%}
{% for k in range(parity, held, 2) %}{% set ns.sum = "add_squares(" ~ ns.sum ~ ", " ~ name ~ "_" ~ k ~ ")" %}{% endfor %}
{{- ", " if parity }}{{ ns.sum -}}
{% endfor %}
{% endmacro %}
  let post_scale = inverseSqrt(fma(sum256(thread, {{ sum_of("delta") }}), shape.inverse_columns, shape.eps));
{% for k in range(held) %}
  let sum_{{ k }} = fma(delta_{{ k }} * post_scale, post_{{ k }}, h_{{ k }});
{% endfor %}
  let next_scale = inverseSqrt(fma(sum256(thread, {{ sum_of("sum") }}), shape.inverse_columns, shape.eps));
  // Of h_out, this workgroup writes what its threads would if all workgroups' stood in a line.
{% for k in range(held) %}
  let y_{{ k }} = sum_{{ k }} * next_scale * next_{{ k }};
  if (is_in_{{ k }}) {
    if ({{ k }}u % workgroups == workgroup) {
      h_out[at_{{ k }}] = sum_{{ k }};
    }
{{ find_top("at_" ~ k, "y_" ~ k) }}
  }
{% endfor %}
  workgroupBarrier();
  let packed_blocks = quads / 8u;
{% for k in range(held) %}
  if (is_in_{{ k }}) {
{{ pack_quad("at_" ~ k, "y_" ~ k, "0u", "0u", "packed_blocks") }}
  }
{% endfor %}
  workgroupBarrier();
{{ pack_totals("quads", "0u", "0u", "packed_blocks") }}
  workgroupBarrier();
}

{% include "shared/matvec.wgsl" %}
