// y[r, i] = gelu(gate_up[r, i]) * gate_up[r, N + i]
//
// gate_up: [rows, 2 N] float32. y: [rows, N] float32.
// Grid: x = ceil(N / 64), y = rows.

override N: u32;

@group(0) @binding(0) var<storage, read> gate_up: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

{% include "shared/gelu.wgsl" %}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= N) {
    return;
  }
  let gate = gate_up[id.y * 2u * N + id.x];
  let up = gate_up[id.y * 2u * N + N + id.x];
  y[id.y * N + id.x] = gelu(gate) * up;
}
