{#- For adapters that compute on the CPU, where a barrier between many threads costs more than the sum. -#}
// h_out[r] = (h[r] + rms_norm(x[r]) * post_weight) * scalar    (without scalar where it is "plain")
// y[r] = rms_norm(h_out[r]) * next_weight                      (unless what follows is "none")
//
// As add_rms_norm, a thread a row.
//
// x, h, h_out, y: [rows, columns] float32, weights: [columns] float32, scalar: [1] float32. columns and eps are in the
// shape, see shared/norm_shape.wgsl. Grid: x = rows.
{% set has_scalar = scaling == "scaled" %}
{% set next = 5 if has_scalar else 4 %}

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> post_weight: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> h: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> h_out: array<vec4<f32>>;
{% if has_scalar %}
@group(0) @binding(4) var<storage, read> scalar: array<f32>;
{% endif %}
{% if following == "norm" %}
@group(0) @binding({{ next }}) var<storage, read> next_weight: array<vec4<f32>>;
@group(0) @binding({{ next + 1 }}) var<storage, read_write> y: array<vec4<f32>>;
{% endif %}
@group(0) @binding({{ next + 2 if following == "norm" else next }}) var<uniform> shape: NormShape;

{% include "shared/norm_shape.wgsl" %}

fn norm_factor(squares: vec4<f32>) -> f32 {
  return inverseSqrt(dot(squares, vec4<f32>(1.0)) / f32(shape.columns) + shape.eps);
}

@compute @workgroup_size(1)
fn main(@builtin(workgroup_id) group: vec3<u32>) {
  let quads = shape.columns / 4u;
  let row = group.x * quads;
  var squares = vec4<f32>(0.0);
  for (var i = 0u; i < quads; i++) {
    squares = fma(x[row + i], x[row + i], squares);
  }
  let post_scale = norm_factor(squares);
  squares = vec4<f32>(0.0);
  for (var i = 0u; i < quads; i++) {
    let sum = fma(x[row + i] * post_scale, post_weight[i], h[row + i]){{ " * scalar[0]" if has_scalar }};
    h_out[row + i] = sum;
    squares = fma(sum, sum, squares);
  }
{% if following == "norm" %}
  let next_scale = norm_factor(squares);
  for (var i = 0u; i < quads; i++) {
    y[row + i] = h_out[row + i] * next_scale * next_weight[i];
  }
{% endif %}
}
