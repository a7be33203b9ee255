// h_out[r] = (h[r] + rms_norm(x[r]) * post_weight) * scalar    (without scalar where it is "plain")
// y[r] = rms_norm(h_out[r]) * next_weight                      (unless what follows is "none")
//
// The end of one half of a layer and the beginning of the next, in one kernel: the norm behind
// attention or MLP, the residual, and the norm before what follows. y is written as float32 ("norm"), packed as
// packed_matvec takes it ("packed", see shared/packed.wgsl), or "both".
//
// x, h, h_out, y: [rows, D] float32, packed: [rows, D] packed, weights: [D] float32, scalar: [1] float32, D a
// multiple of 4, of 32 where it is packed, at most MAX_COLUMNS. Grid: x = rows.
{% set has_scalar = scaling == "scaled" %}
{% set has_packed = following in ("both", "packed") %}
{% set has_plain = following in ("norm", "both") %}
{% set next = 5 if has_scalar else 4 %}
{% set max_columns = 8192 %}
{% set held = max_columns // 1024 %}
{% from "shared/packed.wgsl" import find_top, pack_quad, pack_totals with context %}

const MAX_COLUMNS = {{ max_columns }}u;
override D: u32;
override QUADS: u32 = D / 4u;
override EPS: f32;
override INVERSE_D: f32 = 1.0 / f32(D);

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> post_weight: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> h: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> h_out: array<vec4<f32>>;
{% if has_scalar %}
@group(0) @binding(4) var<storage, read> scalar: array<f32>;
{% endif %}
{% if following != "none" %}
@group(0) @binding({{ next }}) var<storage, read> next_weight: array<vec4<f32>>;
{% endif %}
{% if has_plain %}
@group(0) @binding({{ next + 1 }}) var<storage, read_write> y: array<vec4<f32>>;
{% endif %}
{% if has_packed %}
@group(0) @binding({{ next + (2 if has_plain else 1) }}) var<storage, read_write> packed: array<u32>;

{% include "shared/pack_quads.wgsl" %}
{% endif %}

{% include "shared/sum256.wgsl" %}

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = group.x * QUADS;
  // Each thread holds its quads: thread, thread + 256, and so on. All that memory has is asked for at once; past the
  // end it is what the last quad has, times zero. Where no thread has a quad, nothing is left when D is known.
{% for k in range(held) %}
  let is_in_{{ k }} = {{ 256 * k }}u < QUADS && thread + {{ 256 * k }}u < QUADS;
  let at_{{ k }} = min(thread + {{ 256 * k }}u, QUADS - 1u);
  let x_{{ k }} = select(vec4<f32>(), x[row + at_{{ k }}], is_in_{{ k }});
  let h_{{ k }} = select(vec4<f32>(), h[row + at_{{ k }}], is_in_{{ k }});
  let post_{{ k }} = select(vec4<f32>(), post_weight[at_{{ k }}], is_in_{{ k }});
{% if following != "none" %}
  let next_{{ k }} = select(vec4<f32>(), next_weight[at_{{ k }}], is_in_{{ k }});
{% endif %}
{% endfor %}
  var sum = 0.0;
{% for k in range(held) %}
  sum = add_squares(sum, x_{{ k }});
{% endfor %}
  let post_scale = inverseSqrt(fma(sum256(thread, sum), INVERSE_D, EPS));
  sum = 0.0;
{% for k in range(held) %}
  let sum_{{ k }} = fma(x_{{ k }} * post_scale, post_{{ k }}, h_{{ k }}){{ " * scalar[0]" if has_scalar }};
  if (is_in_{{ k }}) {
    h_out[row + at_{{ k }}] = sum_{{ k }};
  }
{% if following != "none" %}
  sum = add_squares(sum, sum_{{ k }});
{% endif %}
{% endfor %}
{% if following != "none" %}
  let next_scale = inverseSqrt(fma(sum256(thread, sum), INVERSE_D, EPS));
{% for k in range(held) %}
  let y_{{ k }} = sum_{{ k }} * next_scale * next_{{ k }};
  if (is_in_{{ k }}) {
{% if has_plain %}
    y[row + at_{{ k }}] = y_{{ k }};
{% endif %}
{% if has_packed %}
{{ find_top("at_" ~ k, "y_" ~ k) }}
{% endif %}
  }
{% endfor %}
{% if has_packed %}
  workgroupBarrier();
{% for k in range(held) %}
  if (is_in_{{ k }}) {
{{ pack_quad("at_" ~ k, "y_" ~ k, "row", "0u", "(D / 32u)") }}
  }
{% endfor %}
  workgroupBarrier();
{{ pack_totals("QUADS", "row", "0u", "(D / 32u)") }}
{% endif %}
{% endif %}
}
