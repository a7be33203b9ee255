// Subtract `offset` from each byte (all 0..127), giving signed bytes: with bit 7 set no byte
// borrows from the next, and flipping it afterwards takes the 128 off again.
fn offset_bytes(bytes: vec4<u32>, offset: u32) -> vec4<u32> {
  let minus = vec4<u32>(offset * 0x01010101u);
  return ((bytes | vec4<u32>(0x80808080u)) - minus) ^ vec4<u32>(0x80808080u);
}
