// q[r, h] = rope(rms_norm(x[r, h]) * weight), for layers that read another layer's keys and values.
//
// rope turns the pair (x[i], x[i + D/2]) by the angle position * inv_freq[i].
//
// x, q: [rows, HEADS, D] float32. rows: the row table. weight: [D]. inv_freq: [D / 2]. D a multiple of 8.
// Grid: x = HEADS, y = rows.

override HEADS: u32;
override D: u32;
override EPS: f32;

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> inv_freq: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> q: array<vec4<f32>>;

{% include "shared/sum64.wgsl" %}
{% include "shared/rope.wgsl" %}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let quads = D / 4u;
  let row = rows[group.y];
  let start = (group.y * HEADS + group.x) * quads;
  var squares = 0.0;
  for (var i = thread; i < quads; i += 64u) {
    squares += dot(x[start + i], x[start + i]);
  }
  let scale = inverseSqrt(sum64(thread, squares) / f32(D) + EPS);
  for (var i = thread; i < quads / 2u; i += 64u) {
    let j = i + quads / 2u;
    let low = x[start + i] * scale * weight[i];
    let high = x[start + j] * scale * weight[j];
    let result = turned(low, high, f32(row.y) * inv_freq[i]);
    q[start + i] = result.low;
    q[start + j] = result.high;
  }
}
