// y[r] = SCALE * x[r] / sqrt(mean(x[r]^2) + EPS) * weight
//
// y is written as float32 ("norm"), packed as packed_matvec takes it ("packed", see shared/packed.wgsl), or "both".
//
// x, y: [rows, D] float32, packed: [rows, D] packed, weight: [D] float32, D a multiple of 4, of 32 where it is packed.
// Grid: x = rows.
{% set has_packed = output in ("both", "packed") %}
{% set has_plain = output != "packed" %}
{% from "shared/packed.wgsl" import pack_quads with context %}

override D: u32;
override EPS: f32;
override INVERSE_D: f32 = 1.0 / f32(D);
override SCALE: f32 = 1.0;

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> weight: array<vec4<f32>>;
{% if has_plain %}
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;
{% endif %}
{% if has_packed %}
@group(0) @binding({{ 3 if has_plain else 2 }}) var<storage, read_write> packed: array<u32>;

{% include "shared/pack_quads.wgsl" %}
{% endif %}

{% include "shared/sum256.wgsl" %}

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let quads = D / 4u;
  let row = group.x * quads;
  var squares = 0.0;
  for (var i = thread; i < quads; i += 256u) {
    squares = add_squares(squares, x[row + i]);
  }
  let row_scale = inverseSqrt(fma(sum256(thread, squares), INVERSE_D, EPS)) * SCALE;
{% if has_plain %}
  for (var i = thread; i < quads; i += 256u) {
    y[row + i] = x[row + i] * row_scale * weight[i];
  }
{% endif %}
{% if has_packed %}
{{ pack_quads("(x[row + i] * row_scale * weight[i])", "quads", "row", "0u", "D") }}
{% endif %}
}
