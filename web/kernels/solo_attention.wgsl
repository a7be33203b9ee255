{#- For adapters that compute on the CPU, where barriers between many threads cost more than the sums. -#}
// Attention of every row's query heads over the KV cache, a thread a row and head:
//
//   s[p] = scale * dot(q, k[p])       for p from position + 1 - window (window 0: from 0) to position - behind
//   o = sum exp(s[p] - max s) * v[p] / sum exp(s[p] - max s)
//
// Positions in ascending order, in chunks of 64 at multiples of 64, rescaled from chunk to chunk. No barriers
// and no scratch: for adapters that compute on the CPU. The sums lie in o: what a thread has for itself is set to zero
// in straight code, number by number, which took most of the time to compile.
//
// q: [rows, heads, D] float32. rows: the row table. Caches: see shared/kv.wgsl. layer: sizes.
// o: [rows, heads, D] float32; rows that are not valid give zeros. D a multiple of 8.
// Grid: x = heads / 4, rounded up, y = rows.

@group(0) @binding(0) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> keys: array<KvQuad>;
@group(0) @binding(3) var<storage, read> values: array<KvQuad>;
@group(0) @binding(4) var<storage, read_write> o: array<vec4<f32>>;
@group(0) @binding(5) var<uniform> layer: Decoding;

{% include "shared/row.wgsl" %}
{% include "shared/segments.wgsl" %}
{% include "shared/kv.wgsl" %}

const MOST_NEGATIVE = -3.4028234e38;

@compute @workgroup_size(4)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let head = id.x;
  if (head >= layer.heads) {
    return;
  }
  let row = rows[id.y];
  let quads = layer.q_stride / layer.heads;  // of a head
  let out = (id.y * layer.heads + head) * quads;
  for (var i = 0u; i < quads; i++) {
    o[out + i] = vec4<f32>(0.0);
  }
  if (!row_is_valid(row)) {
    return;
  }
  let query = out;
  let kv_head = head / (layer.heads / layer.kv_heads);
  let seen = sight(row, layer);
  var scores: array<f32, 64>;
  var m = MOST_NEGATIVE;
  var l = 0.0;
  for (var tile = seen.from_position / TILE; tile <= seen.to_position / TILE; tile++) {
    let base = tile_base(row.x, kv_head, tile * TILE, layer.kv_heads, quads, layer.capacity);
    let from_slot = max(seen.from_position, tile * TILE) - tile * TILE;
    let to_slot = min(seen.to_position - tile * TILE, TILE - 1u);
    let highest_before = m;
    // Four positions at a time; what lies behind the last is that one again, and not looked at.
    for (var slot = from_slot; slot <= to_slot; slot += 4u) {
      var score = vec4<f32>(0.0);
      let at = min(slot + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(to_slot));
      for (var i = 0u; i < quads; i++) {
        let x = q[query + i];
        let key = base + i * TILE;
        score += vec4<f32>(
          dot(x, kv_unpack(keys[key + at.x])),
          dot(x, kv_unpack(keys[key + at.y])),
          dot(x, kv_unpack(keys[key + at.z])),
          dot(x, kv_unpack(keys[key + at.w])),
        );
      }
      score *= layer.scale;
      scores[at.w] = score.w;
      scores[at.z] = score.z;
      scores[at.y] = score.y;
      scores[at.x] = score.x;
      m = max(m, max(max(score.x, score.y), max(score.z, score.w)));
    }
    let shrink = exp(highest_before - m);
    l *= shrink;
    for (var slot = from_slot; slot <= to_slot; slot++) {
      scores[slot] = exp(scores[slot] - m);
      l += scores[slot];
    }
    // Two quads at a time (there is an even number of them), so that their sums stay in registers.
    for (var i = 0u; i < quads; i += 2u) {
      var sum_0 = o[out + i] * shrink;
      var sum_1 = o[out + i + 1u] * shrink;
      for (var slot = from_slot; slot <= to_slot; slot++) {
        let value = base + slot * quads + i;
        sum_0 += scores[slot] * kv_unpack(values[value]);
        sum_1 += scores[slot] * kv_unpack(values[value + 1u]);
      }
      o[out + i] = sum_0;
      o[out + i + 1u] = sum_1;
    }
  }
  for (var i = 0u; i < quads; i++) {
    o[out + i] /= l;
  }
}
