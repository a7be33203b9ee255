// How four values of the KV cache are stored ("{{ kv_dtype }}"), and where. Keep in step with
// pyapp/leadout/kv_cache.py.
//
// Positions lie in tiles of 64, and slots repeat every `capacity` positions (a multiple of 64):
//   keys    [lane][kv head][tile][quad of the head][64 positions]   a thread per position reads in step
//   values  [lane][kv head][tile][64 positions][quad of the head]   a thread per quad reads in step
{% if kv_dtype == "f16" %}
alias KvQuad = vec2<u32>;

fn kv_unpack(q: KvQuad) -> vec4<f32> {
  return vec4<f32>(unpack2x16float(q.x), unpack2x16float(q.y));
}

fn kv_pack(v: vec4<f32>) -> KvQuad {
  return vec2<u32>(pack2x16float(v.xy), pack2x16float(v.zw));
}
{% else %}
alias KvQuad = vec4<f32>;

fn kv_unpack(q: KvQuad) -> vec4<f32> {
  return q;
}

fn kv_pack(v: vec4<f32>) -> KvQuad {
  return v;
}
{% endif %}

const TILE = 64u;

// The first quad of the tile that holds a position, in keys and values alike, in a cache of `kv_heads` heads of
// `quads` quads and `capacity` positions.
fn tile_base(
  lane: u32, kv_head: u32, position: u32, kv_heads: u32, quads: u32, capacity: u32,
) -> u32 {
  let tiles = capacity / TILE;
  let tile = (position / TILE) % tiles;
  return ((lane * kv_heads + kv_head) * tiles + tile) * TILE * quads;
}
