// The sum of 64 threads' values, the same for all of them, in a fixed order: a tree of halves.
var<workgroup> sum64_parts: array<f32, 64>;

fn sum64(thread: u32, value: f32) -> f32 {
  workgroupBarrier();  // a previous sum may still be being read
  sum64_parts[thread] = value;
  for (var half = 32u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (thread < half) {
      sum64_parts[thread] += sum64_parts[thread + half];
    }
  }
  workgroupBarrier();
  return sum64_parts[0];
}
