// cap * tanh(s / cap), or s where cap is 0. The clamp keeps tanh from overflowing on backends that compute it
// through exp; tanh(10) is 1 in float32.
fn softcap(s: f32, cap: f32) -> f32 {
  return select(cap * tanh(clamp(s / cap, -10.0, 10.0)), s, cap == 0.0);
}
