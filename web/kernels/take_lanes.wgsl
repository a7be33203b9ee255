// y[g] = x[the lane of group g]
//
// rows: a row a group. x: [lanes, D], y: [groups, D] float32, D a multiple of 4.
// Grid: x = ceil(D / 256), y = groups.

override D: u32;

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < D / 4u) {
    y[id.y * (D / 4u) + id.x] = x[rows[id.y].x * (D / 4u) + id.x];
  }
}
