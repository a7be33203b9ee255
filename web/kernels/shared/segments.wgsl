// What a layer's attention over few rows looks at, read at run time, and how a row's positions are cut into
// segments. Keep in step with pyapp/leadout/lowering/attention.py.
struct Decoding {
  heads: u32,
  kv_heads: u32,
  window: u32,    // the first visible position is the row's own + 1 - window; 0: position 0
  behind: u32,    // the last visible position is the row's own - behind
  capacity: u32,  // positions of the cache
  slots: u32,     // segments of a row and head for which there is room in part_o and part_ml
  q_stride: u32,  // quads from a row of the queries to the next one
  first_row: u32, // of the row table, of the queries and of the output: where this dispatch begins
  scale: f32,     // of the scores
  eps: f32,       // of the queries' norm
  reaches: u32,   // 1: that position, and as many further ones as the row reaches; else 0
  unused: u32,
}

const SMALLEST_SEGMENT = 32u;
const MAX_SEGMENTS = 128u;

// Segments are as long as the row's own position wants, so that a row has at most MAX_SEGMENTS of them (one more
// where a window begins inside one): scratch does not grow with the context.
//
// A row's visible positions, and the segments that they lie in: [size * first, size * (first + count)).
struct Sight {
  from_position: u32,
  to_position: u32,
  size: u32,   // positions of a segment: 32, 64 or a multiple of 64
  first: u32,  // segments begin at multiples of `size`; the first that is visible
  count: u32,
}

// Whoever includes this includes shared/row.wgsl, too. There is room for the segments of rows that reach nowhere.
fn sight(row: vec4<u32>, layer: Decoding) -> Sight {
  let position = row.y;
  let window = layer.window;
  let has_window = window > 0u && position + 1u > window;
  let from_position = select(0u, position + 1u - window, has_window);
  let to_position = position + layer.reaches * row_reach(row) - layer.behind;
  let span = select(position + 1u, window, has_window);
  let tiles = (span + 64u * MAX_SEGMENTS - 1u) / (64u * MAX_SEGMENTS);
  let power = 1u << (32u - countLeadingZeros(tiles - 1u));
  let three_quarters = power / 4u * 3u;
  var size = 64u * select(power, three_quarters, three_quarters >= tiles);
  if (span <= SMALLEST_SEGMENT * MAX_SEGMENTS) {
    size = SMALLEST_SEGMENT;
  }
  let first = from_position / size;
  return Sight(from_position, to_position, size, first, to_position / size - first + 1u);
}
