// gelu(x) = x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))), "gelu_pytorch_tanh". The clamp
// keeps tanh from overflowing on backends that compute it through exp; tanh(10) is 1 in float32.
fn gelu(x: f32) -> f32 {
  let inner = 0.7978845608028654 * (x + 0.044715 * x * x * x);
  return 0.5 * x * (1.0 + tanh(clamp(inner, -10.0, 10.0)));
}
