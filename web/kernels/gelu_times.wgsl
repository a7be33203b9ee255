// y[r, n] = gelu(x[r, n]) * factors[r, offset + n]
//
// x, y: [rows, outputs] float32. factors: [rows, factor_stride] float32. Numbers are in the shape, see
// shared/shape.wgsl. Grid: x = ceil(outputs / 64), y = rows.

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> factors: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> shape: Shape;

{% include "shared/gelu.wgsl" %}
{% include "shared/shape.wgsl" %}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= shape.outputs) {
    return;
  }
  let i = id.y * shape.outputs + id.x;
  y[i] = gelu(x[i]) * factors[id.y * shape.factor_stride + shape.offset + id.x];
}
