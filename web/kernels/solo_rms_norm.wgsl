{#- For adapters that compute on the CPU, where a barrier between many threads costs more than the sum. -#}
// y[r] = scale * x[r] / sqrt(mean(x[r]^2) + eps) * weight, a thread a row
//
// x, y: [rows, columns] float32, weight: [columns] float32. columns, eps and scale are in the shape, see
// shared/norm_shape.wgsl. Grid: x = rows.

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(3) var<uniform> shape: NormShape;

{% include "shared/norm_shape.wgsl" %}

@compute @workgroup_size(1)
fn main(@builtin(workgroup_id) group: vec3<u32>) {
  let quads = shape.columns / 4u;
  let row = group.x * quads;
  var squares = vec4<f32>(0.0);
  for (var i = 0u; i < quads; i++) {
    squares = fma(x[row + i], x[row + i], squares);
  }
  let row_scale = inverseSqrt(dot(squares, vec4<f32>(1.0)) / f32(shape.columns) + shape.eps) * shape.scale;
  for (var i = 0u; i < quads; i++) {
    y[row + i] = x[row + i] * row_scale * weight[i];
  }
}
