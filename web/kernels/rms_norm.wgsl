// y[r] = SCALE * x[r] / sqrt(mean(x[r]^2) + EPS) * weight
//
// x, y: [rows, D] float32, weight: [D] float32, D a multiple of 4.
// Grid: x = rows.

override D: u32;
override EPS: f32;
override SCALE: f32 = 1.0;

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

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
  let scale = inverseSqrt(sum64(thread, squares) / f32(D) + EPS) * SCALE;
  for (var i = thread; i < quads; i += 64u) {
    y[row + i] = x[row + i] * scale * weight[i];
  }
}
