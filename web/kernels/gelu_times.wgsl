// y[r, n] = gelu(x[r, n]) * factors[r, OFFSET + n]
//
// x, y: [rows, N] float32. factors: [rows, STRIDE] float32. Grid: x = ceil(N / 64), y = rows.

override N: u32;
override STRIDE: u32;
override OFFSET: u32 = 0u;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> factors: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

{% include "shared/gelu.wgsl" %}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= N) {
    return;
  }
  let i = id.y * N + id.x;
  y[i] = gelu(x[i]) * factors[id.y * STRIDE + OFFSET + id.x];
}
