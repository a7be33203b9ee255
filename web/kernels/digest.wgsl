// digests[r] = (sum of mix(word ^ mix(i)), sum of mix(word + mix(i + N))) over the words x[r, i], modulo 2^32
//
// Tells whether two rows have the same bits without reading them back. Sums of integers do not depend on
// the order of adding.
//
// x: [rows, N] words. digests: [rows] of two words, zeroed before. Grid: x = ceil(N / WORKGROUP_WORDS), y = rows.

override N: u32;

@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read_write> digests: array<atomic<u32>>;

{% include "shared/noise.wgsl" %}

const WORKGROUP_WORDS = 4096u;  // that a workgroup takes

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  var sums = vec2<u32>(0u);
  for (var i = group.x * WORKGROUP_WORDS + thread; i < min(group.x * WORKGROUP_WORDS + WORKGROUP_WORDS, N); i += 64u) {
    let word = x[group.y * N + i];
    sums += vec2<u32>(mix(word ^ mix(i)), mix(word + mix(i + N)));
  }
  atomicAdd(&digests[2u * group.y], sums.x);
  atomicAdd(&digests[2u * group.y + 1u], sums.y);
}
