// For every row and head of x = [queries | keys | values], or [queries | keys] where keys are values too:
//
//   q = rope(rms_norm(query) * q_weight)        -> q
//   k = rope(rms_norm(key) * k_weight)          -> key cache, at the row's lane and position
//   v = value, or rms_norm(value)               -> value cache
//
// rope turns the pair (x[i], x[i + D/2]) by the angle position * inv_freq[i].
//
// x: [rows, IN_HEADS * D] float32; its values begin with head FIRST_VALUE, and NORM_VALUES is 1 where they
// get a norm (without weight). rows: the row table. q_weight, k_weight: [D]. inv_freq: [D / 2].
// q: [rows, HEADS, D] float32. Caches: see shared/kv.wgsl. D a multiple of 8.
// Rows that are not valid write nothing to the caches.
// Grid: x = HEADS + 2 KV_HEADS, y = rows.

override HEADS: u32;
override KV_HEADS: u32;
override IN_HEADS: u32;
override FIRST_VALUE: u32;
override NORM_VALUES: u32 = 0u;
override D: u32;
override EPS: f32;
override CAPACITY: u32;

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> q_weight: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> k_weight: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> inv_freq: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> q: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> keys: array<KvQuad>;
@group(0) @binding(7) var<storage, read_write> values: array<KvQuad>;

{% include "shared/row.wgsl" %}
{% include "shared/kv.wgsl" %}
{% include "shared/sum_threads.wgsl" %}
{% include "shared/rope.wgsl" %}

@compute @workgroup_size({{ threads }})
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let quads = D / 4u;
  let head = group.x;
  let row = rows[group.y];
  let is_valid = row_is_valid(row);
  let is_value = head >= HEADS + KV_HEADS;
  let in_head = select(head, head - HEADS - KV_HEADS + FIRST_VALUE, is_value);
  let start = (group.y * IN_HEADS + in_head) * quads;

  var squares = 0.0;
  for (var i = thread; i < quads; i += {{ threads }}u) {
    squares += dot(x[start + i], x[start + i]);
  }
  let scale = inverseSqrt(sum_threads(thread, squares) / f32(D) + EPS);

  if (is_value) {
    if (is_valid) {
      let kv_head = head - HEADS - KV_HEADS;
      let tile = tile_base(row.x, kv_head, row.y, KV_HEADS, quads, CAPACITY);
      let base = tile + (row.y % TILE) * quads;
      for (var i = thread; i < quads; i += {{ threads }}u) {
        values[base + i] = kv_pack(x[start + i] * select(1.0, scale, NORM_VALUES == 1u));
      }
    }
    return;
  }

  let is_query = head < HEADS;
  for (var i = thread; i < quads / 2u; i += {{ threads }}u) {
    let j = i + quads / 2u;
    let low = x[start + i] * scale * select(k_weight[i], q_weight[i], is_query);
    let high = x[start + j] * scale * select(k_weight[j], q_weight[j], is_query);
    let result = turned(low, high, f32(row.y) * inv_freq[i]);
    if (is_query) {
      let out = (group.y * HEADS + head) * quads;
      q[out + i] = result.low;
      q[out + j] = result.high;
    } else if (is_valid) {
      let tile = tile_base(row.x, head - HEADS, row.y, KV_HEADS, quads, CAPACITY);
      let base = tile + row.y % TILE;
      keys[base + i * TILE] = kv_pack(result.low);
      keys[base + j * TILE] = kv_pack(result.high);
    }
  }
}
