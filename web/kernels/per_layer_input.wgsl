// y[r, l] = (rms_norm(SCALE * projected[r, l]) * weight + embedded[r, l]) / sqrt(2)
//
// Gemma 4's per-layer inputs: what the context says (the projected embedding) and what the token itself
// says (a row of the per-layer table), for every layer l.
//
// projected, embedded, y: [rows, layers, D] float32, weight: [D] float32, D a multiple of 4.
// Grid: x = layers, y = rows.

override D: u32;
override EPS: f32;
override SCALE: f32;

@group(0) @binding(0) var<storage, read> projected: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> embedded: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;

{% include "shared/sum_threads.wgsl" %}

const HALF_ROOT = 0.7071067811865476;

@compute @workgroup_size({{ threads }})
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let quads = D / 4u;
  let start = (group.y * groups.x + group.x) * quads;
  var squares = 0.0;
  for (var i = thread; i < quads; i += {{ threads }}u) {
    let value = SCALE * projected[start + i];
    squares += dot(value, value);
  }
  let scale = inverseSqrt(sum_threads(thread, squares) / f32(D) + EPS);
  for (var i = thread; i < quads; i += {{ threads }}u) {
    let normed = SCALE * projected[start + i] * scale * weight[i];
    y[start + i] = (normed + embedded[start + i]) * HALF_ROOT;
  }
}
