// h_out[r] = (h[r] + rms_norm(x[r]) * post_weight) * scalar    (without scalar where it is "plain")
// y[r] = rms_norm(h_out[r]) * next_weight                      (only where what follows is a "norm")
//
// The end of one half of a layer and the beginning of the next, in one kernel: the norm behind
// attention or MLP, the residual, and the norm before what follows.
//
// x, h, h_out, y: [rows, D] float32, weights: [D] float32, scalar: [1] float32, D a multiple of 4.
// Grid: x = rows.
{% set has_scalar = scaling == "scaled" %}

override D: u32;
override EPS: f32;

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> post_weight: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> h: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> h_out: array<vec4<f32>>;
{% if has_scalar %}
@group(0) @binding(4) var<storage, read> scalar: array<f32>;
{% endif %}
{% if following == "norm" %}
@group(0) @binding({{ 5 if has_scalar else 4 }}) var<storage, read> next_weight: array<vec4<f32>>;
@group(0) @binding({{ 6 if has_scalar else 5 }}) var<storage, read_write> y: array<vec4<f32>>;
{% endif %}

{% include "shared/sum64.wgsl" %}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let quads = D / 4u;
  let row = group.x * quads;
  var squares = 0.0;
  for (var i = thread; i < quads; i += 64u) {
    squares += dot(x[row + i], x[row + i]);
  }
  let post_scale = inverseSqrt(sum64(thread, squares) / f32(D) + EPS);
{% if following == "norm" %}
  var sums = 0.0;
{% endif %}
  for (var i = thread; i < quads; i += 64u) {
    // Each thread reads back only what it wrote itself, so no barrier is needed in between.
    let sum = (h[row + i] + x[row + i] * post_scale * post_weight[i]){{ " * scalar[0]" if has_scalar }};
    h_out[row + i] = sum;
{% if following == "norm" %}
    sums += dot(sum, sum);
{% endif %}
  }
{% if following == "norm" %}
  let next_scale = inverseSqrt(sum64(thread, sums) / f32(D) + EPS);
  for (var i = thread; i < quads; i += 64u) {
    y[row + i] = h_out[row + i] * next_scale * next_weight[i];
  }
{% endif %}
}
