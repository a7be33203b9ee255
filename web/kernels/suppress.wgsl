// logits[r, ids[i]] = the most negative float32, so that these ids are never chosen
//
// ids: [COUNT] u32, below V. logits: [rows, V] float32. Grid: x = ceil(COUNT / 64), y = rows.

override V: u32;
override COUNT: u32;

@group(0) @binding(0) var<storage, read> ids: array<u32>;
@group(0) @binding(1) var<storage, read_write> logits: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < COUNT) {
    logits[id.y * V + ids[id.x]] = -3.4028234e38;
  }
}
