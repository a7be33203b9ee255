// The sum of 256 threads' values, the same for all of them, in a fixed order: 16 sums of every sixteenth, then
// their sum. Three barriers instead of a tree's eight.
var<workgroup> sum256_parts: array<f32, 256>;
var<workgroup> sum256_sums: array<f32, 16>;

fn sum256(thread: u32, value: f32) -> f32 {
  workgroupBarrier();  // a previous sum may still be being read
  sum256_parts[thread] = value;
  workgroupBarrier();
  if (thread < 16u) {
    var sum = sum256_parts[thread];
    for (var i = 16u; i < 256u; i += 16u) {
      sum += sum256_parts[thread + i];
    }
    sum256_sums[thread] = sum;
  }
  workgroupBarrier();
  var sum = sum256_sums[0];
  for (var i = 1u; i < 16u; i++) {
    sum += sum256_sums[i];
  }
  return sum;
}
