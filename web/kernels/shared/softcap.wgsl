// CAP * tanh(s / CAP), or s where CAP is 0. The clamp keeps tanh from overflowing on backends that compute it
// through exp; tanh(10) is 1 in float32.
fn softcap(s: f32) -> f32 {
  if (CAP == 0.0) {
    return s;
  }
  return CAP * tanh(clamp(s / CAP, -10.0, 10.0));
}
