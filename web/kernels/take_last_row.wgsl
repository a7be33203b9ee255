// y[0] = the last row of x
//
// x: [rows, D] float32, as many rows as the binding has, y: [1, D] float32, D a multiple of 4.
// Grid: x = ceil(D / 256).

override D: u32;

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= D / 4u) {
    return;
  }
  y[id.x] = x[arrayLength(&x) - D / 4u + id.x];
}
