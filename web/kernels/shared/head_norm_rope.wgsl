{#- Wants `x`, `weight` and `inv_freq`, and the overrides D and QUADS. Of a head of x that begins at quad `start`: -#}
{% include "shared/rope.wgsl" %}

// Norm and rope of one head, in one and the same order of adding wherever it is done:
//   rope(rms_norm(x) * weight), rope turning the pair (x[i], x[i + D/2]) by the angle position * inv_freq[i].
// A sixteenth of the sum of squares: quads part, part + 16, …
fn squares_of_part(start: u32, part: u32) -> f32 {
  var sum = vec4<f32>(0.0);
  for (var i = part; i < QUADS; i += 16u) {
    sum = fma(x[start + i], x[start + i], sum);
  }
  return (sum.x + sum.y) + (sum.z + sum.w);
}

// What the norm multiplies by.
fn norm_factor(squares: f32, eps: f32) -> f32 {
  return inverseSqrt(squares / f32(D) + eps);
}

// Quads i and i + QUADS / 2 of the head, i < QUADS / 2.
fn normed_and_turned(start: u32, i: u32, factor: f32, position: u32) -> Turned {
  let j = i + QUADS / 2u;
  return turned(x[start + i] * factor * weight[i], x[start + j] * factor * weight[j], f32(position) * inv_freq[i]);
}
