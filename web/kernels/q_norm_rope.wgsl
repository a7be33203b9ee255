// q[r, h] = rope(rms_norm(x[r, h]) * weight): the queries alone.
//
// rope turns the pair (x[i], x[i + D/2]) by the angle position * inv_freq[i].
//
// x: [rows, IN_HEADS, D] float32, the queries first. rows: the row table. weight: [D]. inv_freq: [D / 2].
// q: [rows, HEADS, D] float32; its bits are those that attention_segments computes for itself. D a multiple of 8.
// Grid: x = HEADS, y = rows.

override HEADS: u32;
override IN_HEADS: u32 = HEADS;
override D: u32;
override EPS: f32;

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> inv_freq: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> q: array<vec4<f32>>;

override QUADS: u32 = D / 4u;

{% include "shared/head_norm_rope.wgsl" %}
{% include "shared/squares_of_head.wgsl" %}

@compute @workgroup_size({{ threads }})
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let start = (group.y * IN_HEADS + group.x) * QUADS;
  let factor = norm_factor(squares_of_head(thread, start), EPS);
  let out = (group.y * HEADS + group.x) * QUADS;
  for (var i = thread; i < QUADS / 2u; i += {{ threads }}u) {
    let result = normed_and_turned(start, i, factor, rows[group.y].y);
    q[out + i] = result.low;
    q[out + i + QUADS / 2u] = result.high;
  }
}
