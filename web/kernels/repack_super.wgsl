{% set block_bytes = {"q4_k": 144, "q5_k": 176, "q6_k": 210}[format] %}
// {{ format | upper }} super-blocks (256 columns) of a checkpoint -> the planes of their layout.
//
{% if format == "q6_k" %}
// w = d * s * (q - 32): 128 bytes of low nibbles, 64 of high bit pairs, 16 signed bytes s (one for
// 16 columns each), half d -> q8_super16
{% else %}
// w = d * s * q - dmin * m: halves d and dmin, 12 bytes of 6-bit s and m (one each for 32 columns),
// {{ "32 bytes of fifth bits, " if format == "q5_k" }}128 bytes of nibbles -> {{ "q8_super" if format == "q5_k" else "q4_super" }}
{% endif %}
//
// staging: (num_blocks, first_block, -, -), then num_blocks / 8 super-blocks of {{ block_bytes }} bytes.
// quants, scales, supers: the layout's planes (pyapp/leadout/layouts.py; keep in step), all of each.
// num_blocks and first_block are multiples of 8. One thread does two blocks of 32 columns.
// Grid: ceil(num_blocks / 128) workgroups over x. Twin: repack_super in devices/numpy_ops/repack.py.
{% include "shared/staging.wgsl" %}

@group(0) @binding(1) var<storage, read_write> quants: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> scales: array<u32>;
@group(0) @binding(3) var<storage, read_write> supers: array<u32>;

const NIBBLES = vec4<u32>(0x0f0f0f0fu);
const FOUR = vec4<u32>(4u);

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let block = 2u * id.x;
  if (block >= staging[0]) {
    return;
  }
  let to = staging[1] + block;
  let pair = id.x & 3u;  // which two of the super-block's eight
  let address = PAYLOAD + (block >> 3u) * {{ block_bytes }}u;
{% if format == "q6_k" %}
  if (pair == 0u) {
    supers[to >> 3u] = staged_half(address + 208u);
  }
  scales[to >> 1u] = staged_word(address + 192u + 4u * pair);

  // Each half of the super-block has 64 bytes of nibbles, low for its first pair of blocks and high
  // for its second, and 32 bytes of bit pairs, two bits for each of its four blocks in turn.
  let nibbles = address + 64u * (pair >> 1u);
  let shift = 4u * (pair & 1u);
  let high_bits = address + 128u + 32u * (pair >> 1u);
  for (var i = 0u; i < 2u; i++) {
    let high = staged_vec4(high_bits + 16u * i) >> vec4<u32>(shift);
    let first = staged_vec4(nibbles + 16u * i) >> vec4<u32>(shift);
    let second = staged_vec4(nibbles + 32u + 16u * i) >> vec4<u32>(shift);
    quants[2u * to + i] = six_bits(first, high);
    quants[2u * to + 2u + i] = six_bits(second, high >> vec4<u32>(2u));
  }
{% else %}
  if (pair == 0u) {
    supers[to >> 3u] = staged_word(address);
  }
  scales[to >> 1u] = pair_scales(address + 4u, pair);

  // Two blocks share 32 bytes: the first has the low nibbles, the second the high ones.
{% if format == "q4_k" %}
  let left = staged_vec4(address + 16u + 32u * pair);
  let right = staged_vec4(address + 32u + 32u * pair);
  quants[to] = (left & NIBBLES) | ((right & NIBBLES) << FOUR);
  quants[to + 1u] = ((left >> FOUR) & NIBBLES) | (right & ~NIBBLES);
{% else %}
  for (var i = 0u; i < 2u; i++) {
    let nibbles = staged_vec4(address + 48u + 32u * pair + 16u * i);
    // Bit j of byte c is the fifth bit of column c in block j.
    let fifths = staged_vec4(address + 16u + 16u * i) >> vec4<u32>(2u * pair);
    quants[2u * to + i] = five_bits(nibbles, fifths);
    quants[2u * to + 2u + i] = five_bits(nibbles >> FOUR, fifths >> vec4<u32>(1u));
  }
{% endif %}
{% endif %}
}
{% if format == "q6_k" %}
{% include "shared/offset_bytes.wgsl" %}

fn six_bits(nibbles: vec4<u32>, high: vec4<u32>) -> vec4<u32> {
  return offset_bytes((nibbles & NIBBLES) | ((high & vec4<u32>(0x03030303u)) << FOUR), 32u);
}
{% else %}
{% if format == "q5_k" %}

fn five_bits(nibbles: vec4<u32>, fifths: vec4<u32>) -> vec4<u32> {
  return (nibbles & NIBBLES) | ((fifths & vec4<u32>(0x01010101u)) << FOUR);
}
{% endif %}

// (s, m, s, m) of two blocks, a byte each, from three words: blocks 0..3 have their s in the low six
// bits of the first and their m in the second's; blocks 4..7 have the low four bits of both in the
// third and the high two in the top bits of the first and the second.
fn pair_scales(address: u32, pair: u32) -> u32 {
  var s = staged_word(address);
  var m = staged_word(address + 4u);
  if (pair < 2u) {
    s &= 0x3f3f3f3fu;
    m &= 0x3f3f3f3fu;
  } else {
    let low = staged_word(address + 8u);
    s = ((s >> 2u) & 0x30303030u) | (low & 0x0f0f0f0fu);
    m = ((m >> 2u) & 0x30303030u) | ((low >> 4u) & 0x0f0f0f0fu);
  }
  let shift = 16u * (pair & 1u);
  s >>= shift;
  m >>= shift;
  return (s & 0xffu) | ((m & 0xffu) << 8u) | ((s & 0xff00u) << 8u) | ((m & 0xff00u) << 16u);
}
{% endif %}
