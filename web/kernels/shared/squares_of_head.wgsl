{#- Wants shared/head_norm_rope.wgsl. -#}
{% if threads > 1 %}
var<workgroup> squares: array<f32, 16>;

{% endif %}
// A head's sum of squares, the same for all threads, and whatever their number.
fn squares_of_head(thread: u32, start: u32) -> f32 {
{% if threads > 1 %}
  if (thread < 16u) {
    squares[thread] = squares_of_part(start, thread);
  }
  workgroupBarrier();
{% endif %}
  var sum = 0.0;
  for (var part = 0u; part < 16u; part++) {
    sum += {{ "squares[part]" if threads > 1 else "squares_of_part(start, part)" }};
  }
  return sum;
}
