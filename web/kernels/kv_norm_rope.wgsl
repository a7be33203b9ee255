// The keys and values of every row of x = [queries | keys | values], or [queries | keys] where keys are values too:
//
//   k = rope(rms_norm(key) * weight)   -> key cache, at the row's lane and position
//   v = value, or rms_norm(value)      -> value cache
//
// rope turns the pair (x[i], x[i + D/2]) by the angle position * inv_freq[i]. The queries are
// attention_segments' own business, or q_norm_rope's.
//
// x: [rows, IN_HEADS * D] float32; its keys begin with head FIRST_KEY, its values with head FIRST_VALUE, and
// NORM_VALUES is 1 where they get a norm (without weight). rows: the row table. weight: [D], of the keys' norm.
// inv_freq: [D / 2]. Caches: see shared/kv.wgsl. D a multiple of 8.
// Rows that are not valid write nothing.
// Grid: x = 2 KV_HEADS, y = rows.

override KV_HEADS: u32;
override IN_HEADS: u32;
override FIRST_KEY: u32;
override FIRST_VALUE: u32;
override NORM_VALUES: u32 = 0u;
override D: u32;
override EPS: f32;
override CAPACITY: u32;

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> inv_freq: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> keys: array<KvQuad>;
@group(0) @binding(5) var<storage, read_write> values: array<KvQuad>;

override QUADS: u32 = D / 4u;

{% include "shared/row.wgsl" %}
{% include "shared/kv.wgsl" %}
{% include "shared/head_norm_rope.wgsl" %}
{% include "shared/squares_of_head.wgsl" %}

@compute @workgroup_size({{ threads }})
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = rows[group.y];
  let is_value = group.x >= KV_HEADS;
  let kv_head = group.x % KV_HEADS;
  let start = (group.y * IN_HEADS + kv_head + select(FIRST_KEY, FIRST_VALUE, is_value)) * QUADS;
  let factor = norm_factor(squares_of_head(thread, start), EPS);
  if (!row_is_valid(row)) {
    return;
  }
  let tile = tile_base(row.x, kv_head, row.y, KV_HEADS, QUADS, CAPACITY);
  if (is_value) {
    let base = tile + row.y % TILE * QUADS;
    for (var i = thread; i < QUADS; i += {{ threads }}u) {
      values[base + i] = kv_pack(x[start + i] * select(1.0, factor, NORM_VALUES == 1u));
    }
    return;
  }
  let base = tile + row.y % TILE;
  for (var i = thread; i < QUADS / 2u; i += {{ threads }}u) {
    let result = normed_and_turned(start, i, factor, row.y);
    keys[base + i * TILE] = kv_pack(result.low);
    keys[base + (i + QUADS / 2u) * TILE] = kv_pack(result.high);
  }
}
