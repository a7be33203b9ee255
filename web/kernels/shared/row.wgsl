// A row of a row table: (lane, position, token, flags). Keep in step with pyapp/leadout/state.py.

fn row_is_valid(row: vec4<u32>) -> bool {
  return (row.w & 1u) == 1u;
}

fn row_is_of_drafter(row: vec4<u32>) -> bool {
  return (row.w & 2u) == 2u;
}

fn row_is_embedded(row: vec4<u32>) -> bool {
  return (row.w & 4u) == 4u;
}

fn row_ahead(row: vec4<u32>) -> u32 {
  return (row.w >> 8u) & 0xffu;
}

fn row_reach(row: vec4<u32>) -> u32 {
  return row.w >> 16u;
}
