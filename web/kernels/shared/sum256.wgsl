// The sum of 256 lanes' values, the same for all threads, in a fixed order: 16 sums of every sixteenth, then their
// sum. Three barriers instead of a tree's eight. A kernel of 128 threads has two lanes a thread ("two_lanes"), and
// adds in the same order.
{% set two_lanes = two_lanes | default(false) %}
var<workgroup> sum256_parts: array<f32, 256>;
var<workgroup> sum256_sums: array<f32, 16>;

fn sum256(thread: u32, value: f32{{ ", upper: f32" if two_lanes }}) -> f32 {
  workgroupBarrier();  // a previous sum may still be being read
  sum256_parts[thread] = value;
{% if two_lanes %}
  sum256_parts[thread + 128u] = upper;
{% endif %}
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

// Add a quad's squares to a lane's sum.
fn add_squares(sum: f32, quad: vec4<f32>) -> f32 {
  return fma(quad.w, quad.w, fma(quad.z, quad.z, fma(quad.y, quad.y, fma(quad.x, quad.x, sum))));
}
