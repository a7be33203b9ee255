// The shape of a norm of whole rows, read at run time, so that norms of all widths share a pipeline. Keep in step with
// pyapp/leadout/lowering/norm.py.
struct NormShape {
  columns: u32,  // a multiple of 4
  eps: f32,
  scale: f32,    // what the normed row is multiplied by, where the kernel has a scale
  reserved: u32,
}
