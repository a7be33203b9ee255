// y[r] = rms_norm(x[r]) * x_weight + rms_norm(z[r]) * z_weight
//
// The dense MLP and the experts beside it, each behind a norm of its own.
//
// x, z, y: [rows, D] float32, weights: [D] float32, D a multiple of 4.
// Grid: x = rows.

override D: u32;
override EPS: f32;

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> x_weight: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> z: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> z_weight: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;

{% include "shared/sum256.wgsl" %}

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let quads = D / 4u;
  let row = group.x * quads;
  var x_squares = 0.0;
  var z_squares = 0.0;
  for (var i = thread; i < quads; i += 256u) {
    x_squares += dot(x[row + i], x[row + i]);
    z_squares += dot(z[row + i], z[row + i]);
  }
  let x_scale = inverseSqrt(sum256(thread, x_squares) / f32(D) + EPS);
  let z_scale = inverseSqrt(sum256(thread, z_squares) / f32(D) + EPS);
  for (var i = thread; i < quads; i += 256u) {
    y[row + i] = x[row + i] * x_scale * x_weight[i] + z[row + i] * z_scale * z_weight[i];
  }
}
