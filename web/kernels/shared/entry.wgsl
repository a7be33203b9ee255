// A score as (key, index); see shared/key.wgsl. Of both zeros the same key: they are equal.
fn entry(score: f32, index: u32) -> vec2<u32> {
  let is_zero = (bitcast<u32>(score) & 0x7fffffffu) == 0u;
  return vec2<u32>(select(key_of(score), 0x80000000u, is_zero), index);
}

fn is_before(a: vec2<u32>, b: vec2<u32>) -> bool {
  return (a.x > b.x) | ((a.x == b.x) & (a.y < b.y));
}
