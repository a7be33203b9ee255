// choices[r] = the token of row r: the last of three kernels that choose a token among many
//
// Without filters, the best of the parts' best. With filters, what web/kernels/choose_few.wgsl says of all candidates:
// the threshold is found among the listed ones, and so is the best of those that reach it. Where the list has
// too few (a large top_k, flat logits, many equal ones), one workgroup sweeps all logits for both: slower, but
// the same threshold. A threshold found in the list is the true one exactly if the share was reached there,
// since all keys above any listed one are listed too.
//
// best, found: of choose_partial.wgsl and choose_collect.wgsl; the other bindings as there. choices: [rows] u32.
// Grid: x = rows.

override V: u32;
override COUNT: u32;
override PARTS: u32;

@group(0) @binding(0) var<storage, read> logits: array<{{ "vec4<f32>" if ids == "all" else "f32" }}>;
@group(0) @binding(1) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> settings: array<Settings>;
@group(0) @binding(3) var<storage, read> seen: array<u32>;
@group(0) @binding(4) var<storage, read> best: array<vec4<u32>>;
@group(0) @binding(5) var<storage, read> found: array<u32>;
@group(0) @binding(6) var<storage, read_write> choices: array<u32>;
{% if ids == "mapped" %}
@group(0) @binding(7) var<storage, read> ids: array<u32>;
{% endif %}

{% include "shared/row.wgsl" %}
{% include "shared/settings.wgsl" %}
{% include "shared/noise.wgsl" %}
{% include "shared/key.wgsl" %}
{% include "shared/candidates.wgsl" %}
{% include "shared/best.wgsl" %}
{% include "shared/buckets.wgsl" %}
{% include "shared/select.wgsl" %}
{% include "shared/found.wgsl" %}

var<workgroup> keys: array<u32, LISTED>;
var<workgroup> only_key: u32;
var<workgroup> num_gathered: atomic<u32>;
var<workgroup> open_parts: array<atomic<u32>, 8>;

// Of choose_partial.wgsl.
const PART_QUADS = 1024u;

// Quads that a thread loads before it uses any of them.
{% set ahead = 8 %}

// Adds the candidates that are ≥ at_least and have the prefix to the level's buckets.
fn add_swept(
  thread: u32, r: u32, row: vec4<u32>, wanted: Settings, largest: f32,
  level: u32, prefix: u32, at_least: u32, by_mass: bool,
) {
  let last = num_quads() - 1u;
  for (var start = 0u; start <= last; start += 256u * {{ ahead }}u) {
    var quads: array<vec4<f32>, {{ ahead }}>;
{% for q in range(ahead) %}
    quads[{{ q }}] = raw_logits_of(r, min(start + {{ 256 * q }}u + thread, last));
{% endfor %}
    for (var q = 0u; q < {{ ahead }}u; q++) {
      let quad = start + 256u * q + thread;
      if (quad > last) {
        break;
      }
      let x = penalised(quads[q], row, wanted, r, quad);
      for (var j = 0u; j < 4u; j++) {
        let key = key_of(x[j]);
        if (4u * quad + j < COUNT && key >= at_least && is_within(key, prefix, level)) {
          add_to_bucket(key, mass_of(x[j], largest, wanted.temperature), level, by_mass);
        }
      }
    }
  }
}

// Lists the candidates that have the prefix of 8 * level bits, as far as there is room; returns how many there are.
fn gather(thread: u32, r: u32, row: vec4<u32>, wanted: Settings, level: u32, prefix: u32) -> u32 {
  if (thread == 0u) {
    atomicStore(&num_gathered, 0u);
  }
  workgroupBarrier();
  let last = num_quads() - 1u;
  for (var start = 0u; start <= last; start += 256u * {{ ahead }}u) {
    var quads: array<vec4<f32>, {{ ahead }}>;
{% for q in range(ahead) %}
    quads[{{ q }}] = raw_logits_of(r, min(start + {{ 256 * q }}u + thread, last));
{% endfor %}
    for (var q = 0u; q < {{ ahead }}u; q++) {
      let quad = start + 256u * q + thread;
      if (quad > last) {
        break;
      }
      let x = penalised(quads[q], row, wanted, r, quad);
      for (var j = 0u; j < 4u; j++) {
        let key = key_of(x[j]);
        if (4u * quad + j < COUNT && is_within(key, prefix, level)) {
          let at = atomicAdd(&num_gathered, 1u);
          if (at < LISTED) {
            keys[at] = key;
          }
        }
      }
    }
  }
  workgroupBarrier();
  if (thread == 0u) {
    only_key = atomicLoad(&num_gathered);
  }
  return workgroupUniformLoad(&only_key);
}

// The buckets of a level from the sums that choose_collect made.
fn add_sums(thread: u32, r: u32, level: u32, top_byte: u32, prefix: u32) {
  let sums = r * FOUND_WORDS + FIRST_SUM;
  if (level == 1u) {
    let sum = sums + 256u * (top_byte - prefix) + thread;
    atomicStore(&counts[thread], found[sum]);
    atomicStore(&masses_high[thread], found[sum + SUMS]);
    atomicStore(&masses_low[thread], found[sum + 2u * SUMS]);
    return;
  }
  for (var byte = 0u; byte < FINE_BYTES; byte++) {
    let sum = sums + 256u * byte + thread;
    if (byte <= top_byte && found[sum] > 0u) {
      atomicAdd(&counts[top_byte - byte], found[sum]);
      atomicAdd(&masses_high[top_byte - byte], found[sum + SUMS]);
      atomicAdd(&masses_low[top_byte - byte], found[sum + 2u * SUMS]);
    }
  }
  let sum = sums + 256u * FINE_BYTES + thread;
  if (found[sum] > 0u) {
    atomicAdd(&counts[thread], found[sum]);
    atomicAdd(&masses_high[thread], found[sum + SUMS]);
    atomicAdd(&masses_low[thread], found[sum + 2u * SUMS]);
  }
}

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let r = group.x;
  let row = rows[r];
  let wanted = settings[row.x];
  let temperature = wanted.temperature;
  let filters = has_filters(wanted);
  let row_start = r * FOUND_WORDS;
  let num_listed = select(0u, found[row_start], filters);
  var threshold = 0u;
  var is_in_list = false;
  if (filters) {
    let least_listed = found[row_start + 1u];
    let largest_key = found[row_start + 2u];
    let largest = value_of(largest_key);
    if (num_listed <= LISTED) {
      for (var i = thread; i < num_listed; i += 256u) {
        keys[i] = found[row_start + FIRST_LISTED + 2u * i];
      }
    }
    var num = num_listed;
    // All that is a candidate may be listed, and yet be less than top-k keeps.
    let has_all = num > 0u && least_listed <= key_of(MOST_NEGATIVE) + 1u;
    var is_listed = num <= LISTED && (num >= wanted.top_k || !has_top_k(wanted) || has_all);
    var has_sums = needs_sums(wanted);
    var is_gathered = false;
    var wants_more = false;
    // First top-k, by count; then top-p, by mass.
    for (var stage = 0u; stage < 2u; stage++) {
      let by_mass = stage == 1u;
      if (!select(has_top_k(wanted), wanted.top_p < 1.0, by_mass)) {
        continue;
      }
      let share = select(f32(wanted.top_k), wanted.top_p, by_mass);
      let at_least = threshold;
      var prefix = 0u;
      var level = 0u;
      while (level < 4u) {
        if (wants_more) {
          num = gather(thread, r, row, wanted, level, prefix);
          is_listed = num <= LISTED;
          is_gathered = true;
          has_sums = false;
          wants_more = false;
        }
        clear_buckets(thread);
        let top_byte = largest_key >> 24u;
        let from_sums = has_sums && (level == 0u || (level == 1u && top_byte - prefix < FINE_BYTES));
        if (from_sums) {
          add_sums(thread, r, level, top_byte, prefix);
        } else if (is_listed) {
          for (var i = thread; i < num; i += 256u) {
            let key = keys[i];
            if (key >= at_least && is_within(key, prefix, level)) {
              add_to_bucket(key, mass_of(value_of(key), largest, temperature), level, by_mass);
            }
          }
        } else {
          add_swept(thread, r, row, wanted, largest, level, prefix, at_least, by_mass);
        }
        // Where keys may be lacking, reaching the share shows that none was.
        let bucket = pick_bucket(thread, level, prefix, by_mass, share, has_sums);
        if (has_sums && bucket.z == 0u) {
          wants_more = true;
          continue;
        }
        prefix = bucket.x;
        level++;
        if (is_listed && !from_sums && bucket.y == 1u) {
          for (var i = thread; i < num; i += 256u) {
            if (keys[i] >= at_least && is_within(keys[i], prefix, level)) {
              only_key = keys[i];
            }
          }
          prefix = workgroupUniformLoad(&only_key);
          break;
        }
        wants_more = !is_listed && !from_sums && bucket.y <= LISTED && level < 3u;
      }
      threshold = prefix;
      if (is_gathered) {
        is_listed = false;
      }
      wants_more = false;
    }
    if (wanted.min_p > 0.0) {
      threshold = max(threshold, key_of(largest + temperature * log(wanted.min_p)));
    }
    is_in_list = num_listed <= LISTED && !is_gathered && threshold >= least_listed;
  }

  let least = value_of(threshold);
  let noise = noise_key(wanted.seed, row.y + row_ahead(row) + 1u);
  var value = 0.0;
  var id = V;
  let has_parts = !filters || !(is_in_list || is_narrow(wanted));
  if (is_in_list) {
    for (var i = thread; i < num_listed; i += 256u) {
      let logit = value_of(keys[i]);
      if (logit >= least) {
        let token = found[row_start + FIRST_LISTED + 2u * i + 1u];
        let noisy = logit / temperature + gumbel(noise, token);
        if (is_better(noisy, token, value, id)) {
          value = noisy;
          id = token;
        }
      }
    }
  }
  var part = vec4<u32>(0u, V, 0u, 0u);
  if (has_parts && thread < PARTS) {
    part = best[r * PARTS + thread];
    if (!filters || bitcast<f32>(part.z) >= least) {
      value = bitcast<f32>(part.x);
      id = part.y;
    }
  }
  var choice = best_of_all(thread, value, id);
  if (filters && !is_in_list) {
    // Parts whose best does not pass the filters, though it would be chosen, may hold another that does.
    let is_open = is_narrow(wanted) || is_better(bitcast<f32>(part.x), part.y, best_values[0], choice);
    if (thread < PARTS && is_open) {
      atomicOr(&open_parts[thread / 32u], 1u << (thread % 32u));
    }
    workgroupBarrier();
    for (var p = 0u; p < PARTS; p++) {
      if (((atomicLoad(&open_parts[p / 32u]) >> (p % 32u)) & 1u) == 0u) {
        continue;
      }
      for (var quad = p * PART_QUADS + thread; quad < min((p + 1u) * PART_QUADS, num_quads()); quad += 256u) {
        let x = penalised(raw_logits_of(r, quad), row, wanted, r, quad);
        let tokens = ids_of(r, quad);
        for (var j = 0u; j < 4u; j++) {
          if (4u * quad + j < COUNT && x[j] >= least) {
            let noisy = x[j] / temperature + gumbel(noise, tokens[j]);
            if (is_better(noisy, tokens[j], value, id)) {
              value = noisy;
              id = tokens[j];
            }
          }
        }
      }
    }
    choice = best_of_all(thread, value, id);
  }
  if (thread == 0u) {
    choices[r] = choice;
  }
}
