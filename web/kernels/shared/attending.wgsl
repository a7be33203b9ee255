// What a layer's attention looks at, read at run time, so that layers and models share a pipeline. Keep in step
// with pyapp/leadout/ops/attention.py.
struct Attending {
  heads: u32,
  kv_heads: u32,
  dim: u32,       // of a head, a multiple of 8, at most 512
  window: u32,    // the first visible position is the row's own + 1 - window; 0: position 0
  behind: u32,    // the last visible position is the row's own - behind
  capacity: u32,  // positions of the cache
  slots: u32,     // tiles for which there is room in part_o and part_ml
  scale: f32,
  reaches: u32,   // 1: that position, and as many further ones as the row reaches; else 0
  unused_0: u32,
  unused_1: u32,
  unused_2: u32,
}

// Whoever includes this includes shared/row.wgsl, too.
fn first_visible_position(row: vec4<u32>) -> u32 {
  let position = row.y;
  let window = attending.window;
  return select(0u, position + 1u - window, window > 0u && position + 1u > window);
}

fn last_visible_position(row: vec4<u32>) -> u32 {
  return row.y + attending.reaches * row_reach(row) - attending.behind;
}
