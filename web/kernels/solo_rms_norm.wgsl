{#- For adapters that compute on the CPU, where a barrier between many threads costs more than the sum. -#}
// y[r] = SCALE * x[r] / sqrt(mean(x[r]^2) + EPS) * weight, a thread a row
//
// x, y: [rows, D] float32, weight: [D] float32, D a multiple of 4. Grid: x = rows.

override D: u32;
override EPS: f32;
override SCALE: f32 = 1.0;

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(1)
fn main(@builtin(workgroup_id) group: vec3<u32>) {
  let quads = D / 4u;
  let row = group.x * quads;
  var squares = vec4<f32>(0.0);
  for (var i = 0u; i < quads; i++) {
    squares = fma(x[row + i], x[row + i], squares);
  }
  let row_scale = inverseSqrt(dot(squares, vec4<f32>(1.0)) / f32(D) + EPS) * SCALE;
  for (var i = 0u; i < quads; i++) {
    y[row + i] = x[row + i] * row_scale * weight[i];
  }
}
