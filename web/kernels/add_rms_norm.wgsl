// h_out[r] = (h[r] + rms_norm(x[r]) * post_weight) * scalar    (without scalar where it is "plain")
// y[r] = rms_norm(h_out[r]) * next_weight                      (unless what follows is "none")
//
// The end of one half of a layer and the beginning of the next, in one kernel: the norm behind
// attention or MLP, the residual, and the norm before what follows. y is written as float32 ("norm"), packed as
// packed_matvec takes it ("packed", see shared/packed.wgsl), or "both".
//
// x, h, h_out, y: [rows, D] float32, packed: [rows, D] packed, weights: [D] float32, scalar: [1] float32, D a
// multiple of 4, of 32 where it is packed. Grid: x = rows.
{% set has_scalar = scaling == "scaled" %}
{% set has_packed = following in ("both", "packed") %}
{% set has_plain = following in ("norm", "both") %}
{% set next = 5 if has_scalar else 4 %}
{% from "shared/packed.wgsl" import pack_quads with context %}

override D: u32;
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
  let quads = D / 4u;
  let row = group.x * quads;
  var squares = 0.0;
  for (var i = thread; i < quads; i += 256u) {
    squares = add_squares(squares, x[row + i]);
  }
  let post_scale = inverseSqrt(fma(sum256(thread, squares), INVERSE_D, EPS));
{% if following != "none" %}
  var sums = 0.0;
{% endif %}
  for (var i = thread; i < quads; i += 256u) {
    let sum = fma(x[row + i] * post_scale, post_weight[i], h[row + i]){{ " * scalar[0]" if has_scalar }};
    h_out[row + i] = sum;
{% if following != "none" %}
    sums = add_squares(sums, sum);
{% endif %}
  }
{% if following != "none" %}
  let next_scale = inverseSqrt(fma(sum256(thread, sums), INVERSE_D, EPS));
  // Each thread reads back only what it wrote itself, so no barrier is needed in between.
{% if has_plain %}
  for (var i = thread; i < quads; i += 256u) {
    y[row + i] = h_out[row + i] * next_scale * next_weight[i];
  }
{% endif %}
{% if has_packed %}
{{ pack_quads("(h_out[row + i] * next_scale * next_weight[i])", "quads", "row", "0u", "D") }}
{% endif %}
{% endif %}
}
