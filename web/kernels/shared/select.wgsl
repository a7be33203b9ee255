// The key at which a share of the weight of some keys is reached, counted from the largest key down: a radix
// select, eight bits of the keys a level, for workgroups of 256 threads. A weight is 1 (by count), or a mass (by_mass).
// For each of the four levels: clear the buckets, add keys, pick the bucket. Whoever includes this includes
// shared/buckets.wgsl, too.

var<workgroup> counts: array<atomic<u32>, 256>;
var<workgroup> masses_high: array<atomic<u32>, 256>;
var<workgroup> masses_low: array<atomic<u32>, 256>;
var<workgroup> filled: array<atomic<u32>, 8>;
// Of the buckets that hold anything, from the top down: the weights, and which they are.
var<workgroup> weights: array<f32, 260>;
var<workgroup> filled_buckets: array<u32, 256>;
var<workgroup> remaining: f32;
var<workgroup> picked: vec4<u32>;

fn clear_buckets(thread: u32) {
  atomicStore(&counts[thread], 0u);
  atomicStore(&masses_high[thread], 0u);
  atomicStore(&masses_low[thread], 0u);
  weights[thread] = 0.0;
  if (thread < 8u) {
    atomicStore(&filled[thread], 0u);
  }
  workgroupBarrier();
}

fn add_to_bucket(key: u32, mass: u32, level: u32, by_mass: bool) {
  let bucket = bucket_of(key, level);
  if (by_mass && mass > 0u) {
    let parts = parts_of_mass(mass);
    atomicAdd(&masses_high[bucket], parts.x);
    atomicAdd(&masses_low[bucket], parts.y);
  }
  atomicAdd(&counts[bucket], 1u);
}

// From the top down to the bucket in which the share is reached; if it is not reached, the lowest that
// holds anything. Returns (prefix of the keys in it, how many they are, whether it was reached). If it was not and
// must be, the same level can be done again with more keys.
fn pick_bucket(
  thread: u32, level: u32, prefix: u32, by_mass: bool, share: f32, must_reach: bool,
) -> vec4<u32> {
  workgroupBarrier();
  let count = atomicLoad(&counts[thread]);
  let word = thread / 32u;
  if (count > 0u) {
    atomicOr(&filled[word], 1u << (thread % 32u));
  }
  workgroupBarrier();
  var num_filled = 0u;
  var place = 0u;
  for (var w = 8u; w > 0u; w--) {
    let bits = atomicLoad(&filled[w - 1u]);
    num_filled += countOneBits(bits);
    if (w - 1u > word) {
      place += countOneBits(bits);
    } else if (w - 1u == word) {
      place += countOneBits(bits >> (thread % 32u)) - 1u;
    }
  }
  if (count > 0u) {
    var weight = f32(count);
    if (by_mass) {
      weight = mass_in(atomicLoad(&masses_high[thread]), atomicLoad(&masses_low[thread]));
    }
    weights[place] = weight;
    filled_buckets[place] = thread;
  }
  workgroupBarrier();
  if (thread == 0u) {
    var left = remaining;
    if (level == 0u) {
      left = share;
      if (by_mass) {
        var total = 0.0;
        for (var i = 0u; i < num_filled; i++) {
          total += weights[i];
        }
        left = share * total;
      }
    }
    // Four weights are loaded before they are used; those past the last are 0, and `left` is never.
    var i = 0u;
    var is_reached = false;
    while (i < num_filled && !is_reached) {
      let four = vec4<f32>(weights[i], weights[i + 1u], weights[i + 2u], weights[i + 3u]);
      for (var j = 0u; j < 4u; j++) {
        if (four[j] >= left) {
          is_reached = true;
          break;
        }
        left -= four[j];
        i++;
      }
    }
    let chosen = filled_buckets[min(i, max(num_filled, 1u) - 1u)];
    if (is_reached || !must_reach) {
      remaining = left;
    }
    picked = vec4<u32>((prefix << 8u) | chosen, atomicLoad(&counts[chosen]), u32(is_reached), 0u);
  }
  return workgroupUniformLoad(&picked);
}
