// words[i] = (a hash of (seed, i) & kept) | fixed
//
// Weights of a shape without a file, for figures of speed: `kept` and `fixed` leave the hash's bits where quants or
// mantissas are, and fix signs and exponents where they would make no sense.
//
// words: u32, as many as the binding has. made: seed, kept, fixed; a uniform, so that one pipeline fills all.
// Grid: ceil(words / WORKGROUP_WORDS) workgroups over x and y.

struct Made {
  seed: u32,
  kept: u32,
  fixed: u32,
}

@group(0) @binding(0) var<storage, read_write> words: array<u32>;
@group(0) @binding(1) var<uniform> made: Made;

{% include "shared/noise.wgsl" %}

const WORKGROUP_WORDS = 4096u;  // that a workgroup takes

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let first = (workgroup.y * workgroups.x + workgroup.x) * WORKGROUP_WORDS;
  for (var i = first + thread; i < min(first + WORKGROUP_WORDS, arrayLength(&words)); i += 64u) {
    words[i] = (mix(mix(made.seed) + i) & made.kept) | made.fixed;
  }
}
