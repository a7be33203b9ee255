// thresholds[r] = the smallest logit of row r that top-k, top-p and min-p leave in the choice
//
// In this order, on softmax(logits / temperature):
//   top-k  keeps the k largest logits, and those equal to the smallest of them;
//   top-p  keeps, of those, the fewest largest whose share of the probability reaches top_p (and equals);
//   min-p  keeps those with at least min_p times the largest probability.
// Without filters, or at temperature 0, the threshold is the most negative float32.
//
// Both selections are radix selects, eight bits of an order-preserving key at a time. Probability mass is
// counted in integers (2^-27 of the largest probability), so that the result does not depend on the
// order in which threads add.
// Source: top-p, arXiv:1904.09751; min-p, arXiv:2407.01082.
//
// logits: [rows, V] float32. rows: the row table. settings: [lanes].
// thresholds: [rows] float32. Grid: x = rows.

override V: u32;

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> settings: array<Settings>;
@group(0) @binding(3) var<storage, read_write> thresholds: array<f32>;

{% include "shared/settings.wgsl" %}

const MOST_NEGATIVE = -3.4028234e38;
const MASS_ONE = 134217728.0;  // 2^27
const LOW_BITS = 14u;

var<workgroup> counts: array<atomic<u32>, 256>;
var<workgroup> masses_high: array<atomic<u32>, 256>;
var<workgroup> masses_low: array<atomic<u32>, 256>;
var<workgroup> largest_key: atomic<u32>;
var<workgroup> chosen_prefix: u32;
var<workgroup> remaining: f32;

// Order-preserving: a < b as floats exactly when key(a) < key(b).
fn key_of(value: f32) -> u32 {
  let bits = bitcast<u32>(value);
  return bits ^ select(0x80000000u, 0xffffffffu, (bits >> 31u) == 1u);
}

fn value_of(key: u32) -> f32 {
  return bitcast<f32>(key ^ select(0xffffffffu, 0x80000000u, (key >> 31u) == 1u));
}

fn bucket_weight(by_mass: bool, bucket: u32) -> f32 {
  if (by_mass) {
    let high = f32(atomicLoad(&masses_high[bucket])) * 16384.0;
    return high + f32(atomicLoad(&masses_low[bucket]));
  }
  return f32(atomicLoad(&counts[bucket]));
}

// The largest key t such that the keys ≥ t (and ≥ at_least) together weigh `share` of all of them
// (by_mass), or number `share` (by count). Called by all 256 threads.
fn select_key(
  thread: u32, start: u32, at_least: u32, largest: f32, temperature: f32, by_mass: bool, share: f32,
) -> u32 {
  var prefix = 0u;
  for (var level = 0u; level < 4u; level++) {
    let shift = 24u - 8u * level;
    atomicStore(&counts[thread], 0u);
    atomicStore(&masses_high[thread], 0u);
    atomicStore(&masses_low[thread], 0u);
    workgroupBarrier();
    for (var i = thread; i < V; i += 256u) {
      let logit = logits[start + i];
      let key = key_of(logit);
      if (key >= at_least && (level == 0u || (key >> (shift + 8u)) == prefix)) {
        let bucket = (key >> shift) & 255u;
        if (by_mass) {
          let mass = u32(exp((logit - largest) / temperature) * MASS_ONE);
          atomicAdd(&masses_high[bucket], mass >> LOW_BITS);
          atomicAdd(&masses_low[bucket], mass & ((1u << LOW_BITS) - 1u));
        }
        atomicAdd(&counts[bucket], 1u);
      }
    }
    workgroupBarrier();
    if (thread == 0u) {
      if (level == 0u) {
        remaining = share;
        if (by_mass) {
          var total = 0.0;
          for (var b = 256u; b > 0u; b--) {
            total += bucket_weight(true, b - 1u);
          }
          remaining = share * total;
        }
      }
      // From the top down to the bucket in which the share is reached; if rounding keeps it from
      // being reached, the lowest bucket that holds anything.
      var chosen = 0u;
      for (var b = 256u; b > 0u; b--) {
        if (atomicLoad(&counts[b - 1u]) == 0u) {
          continue;
        }
        chosen = b - 1u;
        let weight = bucket_weight(by_mass, chosen);
        if (weight >= remaining) {
          break;
        }
        remaining -= weight;
      }
      chosen_prefix = (prefix << 8u) | chosen;
    }
    prefix = workgroupUniformLoad(&chosen_prefix);
  }
  return prefix;
}

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let lane = rows[group.x].x;
  let wanted = settings[lane];
  let has_top_k = wanted.top_k > 0u && wanted.top_k < V;
  let has_top_p = wanted.top_p < 1.0;
  let has_min_p = wanted.min_p > 0.0;
  if (wanted.temperature == 0.0 || !(has_top_k || has_top_p || has_min_p)) {
    if (thread == 0u) {
      thresholds[group.x] = MOST_NEGATIVE;
    }
    return;
  }

  let start = group.x * V;
  if (thread == 0u) {
    atomicStore(&largest_key, 0u);
  }
  workgroupBarrier();
  var largest_of_thread = 0u;
  for (var i = thread; i < V; i += 256u) {
    largest_of_thread = max(largest_of_thread, key_of(logits[start + i]));
  }
  atomicMax(&largest_key, largest_of_thread);
  workgroupBarrier();
  let largest = value_of(atomicLoad(&largest_key));

  var threshold = 0u;
  if (has_top_k) {
    threshold = select_key(thread, start, 0u, largest, wanted.temperature, false, f32(wanted.top_k));
  }
  if (has_top_p) {
    threshold = select_key(thread, start, threshold, largest, wanted.temperature, true, wanted.top_p);
  }
  if (has_min_p) {
    threshold = max(threshold, key_of(largest + wanted.temperature * log(wanted.min_p)));
  }
  if (thread == 0u) {
    thresholds[group.x] = value_of(threshold);
  }
}
