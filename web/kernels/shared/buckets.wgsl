// Keys by eight of their bits, from the highest ones down, a level at a time.
const LOW_BITS = 14u;

fn is_within(key: u32, prefix: u32, level: u32) -> bool {
  return level == 0u || (key >> (32u - 8u * level)) == prefix;
}

fn bucket_of(key: u32, level: u32) -> u32 {
  return (key >> (24u - 8u * level)) & 255u;
}

// A mass in two parts, sums of which do not overflow.
fn parts_of_mass(mass: u32) -> vec2<u32> {
  return vec2<u32>(mass >> LOW_BITS, mass & ((1u << LOW_BITS) - 1u));
}

fn mass_in(high: u32, low: u32) -> f32 {
  return f32(high) * 16384.0 + f32(low);
}
