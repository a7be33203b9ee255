// For every row and head of qkv = [queries | keys | values]:
//
//   q = rope(rms_norm(query) * q_weight)        -> q
//   k = rope(rms_norm(key) * k_weight)          -> key cache, at the row's lane and position
//   v = value                                   -> value cache
//
// rope turns the pair (x[i], x[i + D/2]) by the angle position * inv_freq[i].
//
// qkv: [rows, (HEADS + 2 KV_HEADS) * D] float32. rows: the row table. q_weight, k_weight: [D].
// inv_freq: [D / 2]. q: [rows, HEADS, D] float32. Caches: see shared/kv.wgsl. D a multiple of 8.
// Rows that are not valid write nothing to the caches.
// Grid: x = HEADS + 2 KV_HEADS, y = rows. Twin: devices/twins/attention.py.

override HEADS: u32;
override KV_HEADS: u32;
override D: u32;
override EPS: f32;
override CAPACITY: u32;

@group(0) @binding(0) var<storage, read> qkv: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> q_weight: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> k_weight: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> inv_freq: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> q: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> keys: array<KvQuad>;
@group(0) @binding(7) var<storage, read_write> values: array<KvQuad>;

{% include "shared/kv.wgsl" %}
{% include "shared/sum64.wgsl" %}
{% include "shared/sincos.wgsl" %}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let quads = D / 4u;
  let head = group.x;
  let row = rows[group.y];
  let is_valid = (row.w & 1u) == 1u;
  let start = (group.y * (HEADS + 2u * KV_HEADS) + head) * quads;

  if (head >= HEADS + KV_HEADS) {
    if (is_valid) {
      let base = tile_base(row.x, head - HEADS - KV_HEADS, row.y) + (row.y % TILE) * quads;
      for (var i = thread; i < quads; i += 64u) {
        values[base + i] = kv_pack(qkv[start + i]);
      }
    }
    return;
  }

  var squares = 0.0;
  for (var i = thread; i < quads; i += 64u) {
    squares += dot(qkv[start + i], qkv[start + i]);
  }
  let scale = inverseSqrt(sum64(thread, squares) / f32(D) + EPS);
  let is_query = head < HEADS;

  for (var i = thread; i < quads / 2u; i += 64u) {
    let j = i + quads / 2u;
    let low = qkv[start + i] * scale * select(k_weight[i], q_weight[i], is_query);
    let high = qkv[start + j] * scale * select(k_weight[j], q_weight[j], is_query);
    let angles = f32(row.y) * inv_freq[i];
    let t0 = cos_sin(angles.x);
    let t1 = cos_sin(angles.y);
    let t2 = cos_sin(angles.z);
    let t3 = cos_sin(angles.w);
    let cosines = vec4<f32>(t0.x, t1.x, t2.x, t3.x);
    let sines = vec4<f32>(t0.y, t1.y, t2.y, t3.y);
    let turned_low = low * cosines - high * sines;
    let turned_high = high * cosines + low * sines;
    if (is_query) {
      let out = (group.y * HEADS + head) * quads;
      q[out + i] = turned_low;
      q[out + j] = turned_high;
    } else if (is_valid) {
      let base = tile_base(row.x, head - HEADS, row.y) + row.y % TILE;
      keys[base + i * TILE] = kv_pack(turned_low);
      keys[base + j * TILE] = kv_pack(turned_high);
    }
  }
}
