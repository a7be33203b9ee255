// y[r, n] = softcap(sum over s of part[s, r, n]), s ascending: what matmul left of a layer whose columns it split.
//
// N, the stride and offset of y and the cap are in the shape, see shared/shape.wgsl.
// part: [SPLITS, rows, N] float32. y: [rows, stride] float32, written from column `offset`.
// Grid: x = ceil(N / 64), y = rows.

override SPLITS: u32;

@group(0) @binding(0) var<storage, read> part: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> shape: Shape;

{% include "shared/shape.wgsl" %}

{% include "shared/softcap.wgsl" %}

@compute @workgroup_size(64)
fn main(
  @builtin(global_invocation_id) id: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
) {
  if (id.x >= shape.outputs) {
    return;
  }
  var sum = part[id.y * shape.outputs + id.x];
  for (var s = 1u; s < SPLITS; s++) {
    sum += part[(s * groups.y + id.y) * shape.outputs + id.x];
  }
  y[id.y * shape.stride + shape.offset + id.x] = softcap(sum, shape.cap);
}
