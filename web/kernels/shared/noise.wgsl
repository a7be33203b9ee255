// Gumbel noise as a pure function of (seed, position, token id). Keep in step with
// devices/numpy_ops/sampling.py; tests/kernels/test_choice.py compares them.
//
// mix is a full-avalanche hash of 32 bits (Ettinger's "lowbias32" constants).
fn mix(value: u32) -> u32 {
  var h = value ^ (value >> 16u);
  h *= 0x7feb352du;
  h ^= h >> 15u;
  h *= 0x846ca68bu;
  return h ^ (h >> 16u);
}

fn noise_key(seed: u32, position: u32) -> u32 {
  return mix(mix(seed + 0x9e3779b9u) + position);
}

// -log(e) with e = -log(1 - v) exponential and v uniform in (0, 1). The largest noise comes from the
// smallest v, where float32 is finest; there log(1 - v) is taken by its series, because 1 - v would round.
fn gumbel(key: u32, token: u32) -> f32 {
  let v = min((f32(mix(key + token)) + 0.5) * 2.3283064365386963e-10, 0.99999994);
  let series = v * (1.0 + v * (0.5 + v * (0.33333334 + v * 0.25)));
  return -log(select(-log(1.0 - v), series, v < 0.015625));
}
