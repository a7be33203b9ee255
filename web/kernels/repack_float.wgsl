// F32, F16 or BF16 values of a checkpoint -> the same words in the layout of the same name.
//
// staging: (num_blocks, first_block, -, -), then num_blocks blocks of 32 values.
// values: the layout's only plane (pyapp/leadout/layouts.py; keep in step), all of it.
// VEC4S_PER_BLOCK: 8 for F32, 4 for F16 and BF16.
// Grid: ceil(num_blocks / 128) workgroups over x. Twin: repack_float in devices/numpy_ops/repack.py.

override VEC4S_PER_BLOCK: u32;

@group(0) @binding(0) var<storage, read> staging: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read_write> values: array<vec4<u32>>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let count = staging[0].x * VEC4S_PER_BLOCK;
  let to = staging[0].y * VEC4S_PER_BLOCK;
  // A workgroup copies 128 blocks, neighbouring threads neighbouring vectors.
  let first = group.x * 128u * VEC4S_PER_BLOCK + thread;
  let end = min(first + 128u * VEC4S_PER_BLOCK, count);
  for (var i = first; i < end; i += 64u) {
    values[to + i] = staging[1u + i];
  }
}
