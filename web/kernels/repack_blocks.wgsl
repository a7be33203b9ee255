{% set block_bytes = {"q4_0": 18, "q4_1": 20, "q5_0": 22, "q5_1": 24, "q8_0": 34}[format] %}
// {{ format | upper }} blocks of a checkpoint -> the planes of their layout.
//
// {{ {
  "q4_0": "w = d * (q - 8): half d, 16 bytes of nibbles -> q4_scale",
  "q4_1": "w = d * q + m: halves d and m, 16 bytes of nibbles -> q4_affine",
  "q5_0": "w = d * (q - 16): half d, word of fifth bits, 16 bytes of nibbles -> q8_scale",
  "q5_1": "w = d * q + m: halves d and m, word of fifth bits, 16 bytes of nibbles -> q8_affine (q - 128)",
  "q8_0": "w = d * q: half d, 32 signed bytes -> q8_scale",
}[format] }}
//
// staging: (num_blocks, first_block, -, -), then num_blocks blocks of {{ block_bytes }} bytes.
// quants, scales: the layout's planes (pyapp/leadout/layouts.py; keep in step), all of each.
// One thread does two blocks, so that two half-word scales are one write. first_block is even;
// num_blocks is odd only in the step that ends the planes, whose last half is then zero.
// Grid: ceil(num_blocks / 128) workgroups over x. Twin: repack_blocks in devices/numpy_ops/repack.py.
{% include "shared/staging.wgsl" %}

@group(0) @binding(1) var<storage, read_write> quants: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> scales: array<u32>;

const BLOCK_BYTES = {{ block_bytes }}u;
const QUANTS = {{ {"q4_0": 2, "q4_1": 4, "q5_0": 6, "q5_1": 8, "q8_0": 2}[format] }}u;  // their first byte in a block

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let num_blocks = staging[0];
  let block = 2u * id.x;
  if (block >= num_blocks) {
    return;
  }
  let has_second = block + 1u < num_blocks;
  let address = PAYLOAD + block * BLOCK_BYTES;
  let to = staging[1] + block;
  write_quants(address, to);
  if (has_second) {
    write_quants(address + BLOCK_BYTES, to + 1u);
  }
{% if format.endswith("_1") %}
  scales[to] = staged_word(address);
  if (has_second) {
    scales[to + 1u] = staged_word(address + BLOCK_BYTES);
  }
{% else %}
  var pair = staged_half(address);
  if (has_second) {
    pair |= staged_half(address + BLOCK_BYTES) << 16u;
  }
  scales[to >> 1u] = pair;
{% endif %}
}

fn write_quants(address: u32, to: u32) {
  let low = staged_vec4(address + QUANTS);
{% if format.startswith("q4") %}
  quants[to] = low;
{% elif format == "q8_0" %}
  quants[2u * to] = low;
  quants[2u * to + 1u] = staged_vec4(address + QUANTS + 16u);
{% else %}
  let fifths = staged_word(address + QUANTS - 4u);
  quants[2u * to] = five_bits(low, fifths);
  quants[2u * to + 1u] = five_bits(low >> vec4<u32>(4u), fifths >> 16u);
{% endif %}
}
{% if format.startswith("q5") %}
{% include "shared/offset_bytes.wgsl" %}

// 16 columns: the low nibbles of 16 bytes, column c's fifth bit being bit c of `fifths`.
fn five_bits(nibbles: vec4<u32>, fifths: u32) -> vec4<u32> {
  let four = (vec4<u32>(fifths) >> vec4<u32>(0u, 4u, 8u, 12u)) & vec4<u32>(15u);
  // Bits 0..3 to bits 0, 8, 16, 24: the product holds them 7 apart from each other.
  let high = (four * 0x00204081u) & vec4<u32>(0x01010101u);
  let q = (nibbles & vec4<u32>(0x0f0f0f0fu)) | (high << vec4<u32>(4u));
  return {{ "offset_bytes(q, 16u)" if format == "q5_0" else "q ^ vec4<u32>(0x80808080u)" }};
}
{% endif %}
