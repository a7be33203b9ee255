// MLX's quants of {{ bits }} bits -> the quants of the affine layouts.
//
// A block's 32 columns are {{ 4 * bits }} bytes, the first column in the lowest bits, unsigned.{{ " Nibbles change places: byte i
// becomes column i and column i + 16." if bits == 4 else " 128 is taken off each." }}
//
// staging: (num_blocks, first_block, -, -), then num_blocks blocks.
// quants: the layout's plane (pyapp/leadout/layouts.py; keep in step), all of it.
// One thread does two blocks. Grid: ceil(num_blocks / 128) workgroups over x.
// Twin: repack_mlx_quants in devices/numpy_ops/repack.py.

@group(0) @binding(0) var<storage, read> staging: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read_write> quants: array<vec4<u32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let end = min(2u * id.x + 2u, staging[0].x);
  for (var block = 2u * id.x; block < end; block++) {
    let to = staging[0].y + block;
{% if bits == 4 %}
    let packed = staging[1u + block];
    let low = vec4<u32>(packed.x, packed.x >> 16u, packed.y, packed.y >> 16u);
    let high = vec4<u32>(packed.z, packed.z >> 16u, packed.w, packed.w >> 16u);
    quants[to] = bytes_of(low) | (bytes_of(high) << vec4<u32>(4u));
{% else %}
    quants[2u * to] = staging[1u + 2u * block] ^ vec4<u32>(0x80808080u);
    quants[2u * to + 1u] = staging[2u + 2u * block] ^ vec4<u32>(0x80808080u);
{% endif %}
  }
}
{% if bits == 4 %}

// The four nibbles of a low half, a byte each.
fn bytes_of(halves: vec4<u32>) -> vec4<u32> {
  return (halves & vec4<u32>(0xfu)) | ((halves & vec4<u32>(0xf0u)) << vec4<u32>(4u))
    | ((halves & vec4<u32>(0xf00u)) << vec4<u32>(8u)) | ((halves & vec4<u32>(0xf000u)) << vec4<u32>(12u));
}
{% endif %}
