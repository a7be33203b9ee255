// The key at which a share of the weight of some keys is reached, counted from the largest key down: a radix
// select, eight bits of the keys a level, for workgroups of 256 threads. A weight is 1 (by count), or a mass (by_mass).
// For each of the four levels: clear the buckets, add keys, pick the bucket.
const LOW_BITS = 14u;

var<workgroup> counts: array<atomic<u32>, 256>;
var<workgroup> masses_high: array<atomic<u32>, 256>;
var<workgroup> masses_low: array<atomic<u32>, 256>;
var<workgroup> weights: array<f32, 256>;
var<workgroup> filled: array<atomic<u32>, 8>;
var<workgroup> remaining: f32;
var<workgroup> picked: vec4<u32>;

fn clear_buckets(thread: u32) {
  atomicStore(&counts[thread], 0u);
  atomicStore(&masses_high[thread], 0u);
  atomicStore(&masses_low[thread], 0u);
  if (thread < 8u) {
    atomicStore(&filled[thread], 0u);
  }
  workgroupBarrier();
}

fn is_within(key: u32, prefix: u32, level: u32) -> bool {
  return level == 0u || (key >> (32u - 8u * level)) == prefix;
}

fn add_to_bucket(key: u32, mass: u32, level: u32, by_mass: bool) {
  let bucket = (key >> (24u - 8u * level)) & 255u;
  if (by_mass && mass > 0u) {
    atomicAdd(&masses_high[bucket], mass >> LOW_BITS);
    atomicAdd(&masses_low[bucket], mass & ((1u << LOW_BITS) - 1u));
  }
  atomicAdd(&counts[bucket], 1u);
}

// From the top down to the bucket in which the share is reached; if it is not reached, the lowest that
// holds anything. Returns (prefix of the keys in it, how many they are, whether it was reached). If it was not and
// must be, the same level can be done again with more keys.
fn pick_bucket(thread: u32, level: u32, prefix: u32, by_mass: bool, share: f32, must_reach: bool) -> vec4<u32> {
  workgroupBarrier();
  let count = atomicLoad(&counts[thread]);
  var weight = f32(count);
  if (by_mass) {
    weight = f32(atomicLoad(&masses_high[thread])) * 16384.0 + f32(atomicLoad(&masses_low[thread]));
  }
  weights[thread] = weight;
  if (count > 0u) {
    atomicOr(&filled[thread / 32u], 1u << (thread % 32u));
  }
  workgroupBarrier();
  if (thread == 0u) {
    var left = remaining;
    if (level == 0u) {
      left = share;
      if (by_mass) {
        var total = 0.0;
        for (var word = 8u; word > 0u; word--) {
          for (var bits = atomicLoad(&filled[word - 1u]); bits != 0u;) {
            let bit = firstLeadingBit(bits);
            total += weights[32u * (word - 1u) + bit];
            bits ^= 1u << bit;
          }
        }
        left = share * total;
      }
    }
    var chosen = 0u;
    var is_reached = false;
    for (var word = 8u; word > 0u && !is_reached; word--) {
      for (var bits = atomicLoad(&filled[word - 1u]); bits != 0u;) {
        let bit = firstLeadingBit(bits);
        chosen = 32u * (word - 1u) + bit;
        if (weights[chosen] >= left) {
          is_reached = true;
          break;
        }
        left -= weights[chosen];
        bits ^= 1u << bit;
      }
    }
    if (is_reached || !must_reach) {
      remaining = left;
    }
    picked = vec4<u32>((prefix << 8u) | chosen, atomicLoad(&counts[chosen]), u32(is_reached), 0u);
  }
  return workgroupUniformLoad(&picked);
}

