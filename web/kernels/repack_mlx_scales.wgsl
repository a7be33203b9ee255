// MLX's scales or biases -> one half of each word of an affine layout's scales.
//
// One 16-bit value for BLOCKS_PER_GROUP blocks of 32 columns, copied bit for bit to each of them: scales with
// SHIFT 0 to the low half, biases with SHIFT 16 to the high one. The other half stays as it is.
//
// staging: (num_blocks, first_block, -, -), then num_blocks / BLOCKS_PER_GROUP halves.
// scales: the layout's plane (pyapp/leadout/layouts.py; keep in step), all of it.
// One thread does two blocks. Grid: ceil(num_blocks / 128) workgroups over x.
// Twin: repack_mlx_scales in devices/numpy_ops/repack.py.
{% include "shared/staging.wgsl" %}

override BLOCKS_PER_GROUP: u32;
override SHIFT: u32;

@group(0) @binding(1) var<storage, read_write> scales: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let end = min(2u * id.x + 2u, staging[0]);
  for (var block = 2u * id.x; block < end; block++) {
    let half_word = staged_half(PAYLOAD + 2u * (block / BLOCKS_PER_GROUP));
    let to = staging[1] + block;
    scales[to] = (scales[to] & (0xffff0000u >> SHIFT)) | (half_word << SHIFT);
  }
}
