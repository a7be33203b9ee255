// y[r] = sum over i of weights[r, i] * x[r, i], i ascending
//
// x: [rows, TOP, D] float32. weights: [rows, TOP] float32. y: [rows, D] float32, D a multiple of 4.
// Grid: x = ceil(D / 256), y = rows.

override D: u32;
override TOP: u32;

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> weights: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let quads = D / 4u;
  if (id.x >= quads) {
    return;
  }
  var sum = vec4<f32>(0.0);
  for (var i = 0u; i < TOP; i++) {
    let place = id.y * TOP + i;
    sum += weights[place] * x[place * quads + id.x];
  }
  y[id.y * quads + id.x] = sum;
}
