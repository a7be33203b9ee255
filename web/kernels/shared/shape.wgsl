// A linear layer's shape, read at run time, so that layers of all shapes share a pipeline. Keep in step with
// pyapp/leadout/lowering/linear.py.
struct Shape {
  columns: u32,  // of the weights and the activations, a multiple of 32
  outputs: u32,  // rows of the weights
  stride: u32,   // columns of the result
  offset: u32,   // of the result: where the first output goes
  cap: f32,      // 0, or c where the result is c * tanh(sum / c)
  factor_stride: u32,  // columns of the factors, where there are some; offset is theirs then
  // Where the layer begins with a norm: its epsilon, 1 / columns, and where in all vectors its weights are, in vec4.
  eps: f32,
  inverse_columns: f32,
  post_weight: u32,
  next_weight: u32,
  reserved_0: u32,
  reserved_1: u32,
}
