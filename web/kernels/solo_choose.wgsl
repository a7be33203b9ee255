// choose_few for adapters that compute on the CPU: a thread a row, without workgroup memory and barriers, which take
// such an adapter over a second to compile. See choose_few.wgsl for what is chosen; the numbers are the same.
//
// logits: [rows, COUNT] float32, of all ids in their order ("all", COUNT a multiple of 4), or of ids: [rows, COUNT] u32
// ("mapped"). rows: the row table. settings: [lanes]. seen: of the lanes, see pyapp/leadout/state.py.
// choices: [rows]. scratch: [rows, COUNT + BUCKET_WORDS] u32, a row's keys and its buckets.
// Grid: x = rows / 4, rounded up.

override V: u32;
override COUNT: u32;

@group(0) @binding(0) var<storage, read> logits: array<{{ "vec4<f32>" if ids == "all" else "f32" }}>;
@group(0) @binding(1) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> settings: array<Settings>;
@group(0) @binding(3) var<storage, read> seen: array<u32>;
@group(0) @binding(4) var<storage, read_write> choices: array<u32>;
@group(0) @binding(5) var<storage, read_write> scratch: array<u32>;
{% if ids == "mapped" %}
@group(0) @binding(6) var<storage, read> ids: array<u32>;
{% endif %}

{% include "shared/row.wgsl" %}
{% include "shared/settings.wgsl" %}
{% include "shared/noise.wgsl" %}
{% include "shared/key.wgsl" %}
{% include "shared/candidates.wgsl" %}
{% include "shared/best.wgsl" %}
{% include "shared/buckets.wgsl" %}

// A bucket holds keys with the same leading bits, by their next eight bits: how many, and their mass in two parts. They
// lie in scratch, because private variables are set to zero in straight code, word by word, which takes long to compile.
const BUCKET_WORDS = {{ 3 * 256 }}u;

fn weight_of(bucket: u32, by_mass: bool) -> f32 {
  return select(f32(scratch[bucket]), mass_in(scratch[bucket + 1u], scratch[bucket + 2u]), by_mass);
}

// The key at which a share of the weight of the keys from `at_least` on is reached, counted from the largest key down;
// see shared/select.wgsl.
fn key_at_share(first: u32, at_least: u32, by_mass: bool, share: f32, largest: f32, temperature: f32) -> u32 {
  let buckets = first + COUNT;
  var prefix = 0u;
  var left = share;
  for (var level = 0u; level < 4u; level++) {
    for (var i = 0u; i < BUCKET_WORDS; i++) {
      scratch[buckets + i] = 0u;
    }
    for (var i = 0u; i < COUNT; i++) {
      let key = scratch[first + i];
      if (key >= at_least && is_within(key, prefix, level)) {
        let bucket = buckets + 3u * bucket_of(key, level);
        scratch[bucket]++;
        if (by_mass) {
          let parts = parts_of_mass(mass_of(value_of(key), largest, temperature));
          scratch[bucket + 1u] += parts.x;
          scratch[bucket + 2u] += parts.y;
        }
      }
    }
    if (level == 0u && by_mass) {
      var total = 0.0;
      for (var i = 256u; i > 0u; i--) {
        total += weight_of(buckets + 3u * (i - 1u), true);
      }
      left = share * total;
    }
    // Where it is not reached, the lowest bucket that holds anything.
    var chosen = 0u;
    for (var i = 256u; i > 0u; i--) {
      let bucket = buckets + 3u * (i - 1u);
      if (scratch[bucket] > 0u) {
        chosen = i - 1u;
        let weight = weight_of(bucket, by_mass);
        if (weight >= left) {
          break;
        }
        left -= weight;
      }
    }
    prefix = (prefix << 8u) | chosen;
  }
  return prefix;
}

@compute @workgroup_size(4)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let r = id.x;
  if (r >= arrayLength(&choices)) {
    return;
  }
  let row = rows[r];
  let wanted = settings[row.x];
  let temperature = wanted.temperature;
  let first = r * (COUNT + BUCKET_WORDS);
  var largest_key = 0u;
  for (var quad = 0u; quad < num_quads(); quad++) {
    let x = penalised(raw_logits_of(r, quad), row, wanted, r, quad);
    for (var j = 0u; j < 4u && 4u * quad + j < COUNT; j++) {
      let key = key_of(x[j]);
      scratch[first + 4u * quad + j] = key;
      largest_key = max(largest_key, key);
    }
  }

  var threshold = 0u;
  if (has_filters(wanted)) {
    let largest = value_of(largest_key);
    // First top-k, by count; then top-p, by mass. In a loop, so that it is compiled once.
    for (var stage = 0u; stage < 2u; stage++) {
      let by_mass = stage == 1u;
      if (select(has_top_k(wanted), wanted.top_p < 1.0, by_mass)) {
        let share = select(f32(wanted.top_k), wanted.top_p, by_mass);
        threshold = key_at_share(first, threshold, by_mass, share, largest, temperature);
      }
    }
    if (wanted.min_p > 0.0) {
      threshold = max(threshold, key_of(largest + temperature * log(wanted.min_p)));
    }
  }

  let least = select(MOST_NEGATIVE, value_of(threshold), threshold != 0u);
  let noise = noise_key(wanted.seed, row.y + row_ahead(row) + 1u);
  var value = 0.0;
  var choice = V;
  for (var quad = 0u; quad < num_quads(); quad++) {
    let tokens = ids_of(r, quad);
    for (var j = 0u; j < 4u && 4u * quad + j < COUNT; j++) {
      var x = value_of(scratch[first + 4u * quad + j]);
      if (temperature == 0.0 || x >= least) {
        if (temperature != 0.0) {
          x = x / temperature + gumbel(noise, tokens[j]);
        }
        if (is_better(x, tokens[j], value, choice)) {
          value = x;
          choice = tokens[j];
        }
      }
    }
  }
  choices[r] = choice;
}
