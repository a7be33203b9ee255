// h_out[r] = (h[r] + rms_norm(x[r]) * post_weight) * scalar    (without scalar where it is "plain")
// y[r] = rms_norm(h_out[r]) * next_weight                      (unless what follows is "none")
//
// The end of one half of a layer and the beginning of the next, in one kernel: the norm behind
// attention or MLP, the residual, and the norm before what follows. y is written as float32, and packed
// as packed_matvec takes it where that is wanted too ("both", see shared/packed.wgsl).
//
// x, h, h_out, y: [rows, D] float32, packed: [rows, D] packed, weights: [D] float32, scalar: [1] float32, D a
// multiple of 4, of 32 where it is packed. Grid: x = rows.
{% set has_scalar = scaling == "scaled" %}
{% set has_packed = following == "both" %}
{% set next = 5 if has_scalar else 4 %}
{% from "shared/packed.wgsl" import quantize, store_packed with context %}

override D: u32;
override EPS: f32;

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
{% if following != "none" %}
@group(0) @binding({{ next + 1 }}) var<storage, read_write> y: array<vec4<f32>>;
{% endif %}
{% if has_packed %}
@group(0) @binding({{ next + 2 }}) var<storage, read_write> packed: array<vec2<u32>>;
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
    squares += dot(x[row + i], x[row + i]);
  }
  let post_scale = inverseSqrt(sum256(thread, squares) / f32(D) + EPS);
{% if following != "none" %}
  var sums = 0.0;
{% endif %}
  for (var i = thread; i < quads; i += 256u) {
    let sum = (h[row + i] + x[row + i] * post_scale * post_weight[i]){{ " * scalar[0]" if has_scalar }};
    h_out[row + i] = sum;
{% if following != "none" %}
    sums += dot(sum, sum);
{% endif %}
  }
{% if following != "none" %}
{% if has_packed %}
  storageBarrier();  // a thread packs what others wrote
{% endif %}
  let next_scale = inverseSqrt(sum256(thread, sums) / f32(D) + EPS);
  for (var i = thread; i < quads; i += 256u) {
    // Each thread reads back only what it wrote itself, so no barrier is needed in between.
    y[row + i] = h_out[row + i] * next_scale * next_weight[i];
  }
{% if has_packed %}
  for (var block = thread; block < D / 32u; block += 256u) {
{% for c in range(8) %}
    let v{{ c }} = h_out[row + block * 8u + {{ c }}u] * next_scale * next_weight[block * 8u + {{ c }}u];
{% endfor %}
{{ quantize() }}
{{ store_packed("row", "(D / 32u)", "block") }}
  }
{% endif %}
{% endif %}
}
