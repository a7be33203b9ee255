// The sum of all threads' values, the same for each of them, in a fixed order: a tree of halves. A thread that is alone
// has it already, and waits for nobody.
{% if threads > 1 %}
var<workgroup> parts_of_sum: array<f32, {{ threads }}>;

{% endif %}
fn sum_threads(thread: u32, value: f32) -> f32 {
{% if threads == 1 %}
  return value;
{% else %}
  workgroupBarrier();  // a previous sum may still be being read
  parts_of_sum[thread] = value;
  for (var half = {{ threads // 2 }}u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (thread < half) {
      parts_of_sum[thread] += parts_of_sum[thread + half];
    }
  }
  workgroupBarrier();
  return parts_of_sum[0];
{% endif %}
}
