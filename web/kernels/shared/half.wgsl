{#- Half precision to single, exact for every finite half on every device. -#}
// The float whose binary16 bits are the low 16 of `bits`. Unlike unpack2x16float, which may flush
// them to zero, this keeps denormals: they are mantissa * 2^-24, a normal float32.
fn half_to_f32(bits: u32) -> f32 {
  let sign = (bits & 0x8000u) << 16u;
  let exponent = (bits >> 10u) & 31u;
  let mantissa = bits & 1023u;
  if (exponent == 0u) {
    return bitcast<f32>(sign | bitcast<u32>(f32(mantissa) * 0x1p-24f));
  }
  // 112 is the difference of the two formats' biases. Infinities and NaNs keep their meaning.
  let wide_exponent = select(exponent + 112u, 255u, exponent == 31u);
  return bitcast<f32>(sign | (wide_exponent << 23u) | (mantissa << 13u));
}
