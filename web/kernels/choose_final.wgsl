// choices[r] = the token of row r: the last of three kernels that choose a token among many
//
// Without filters, the best of the parts' best. With filters, what web/kernels/choose_few.wgsl says of all candidates:
// the threshold is found among the listed ones, and so is the best of those that reach it. Where the list has
// too few (a large top_k, flat logits, many equal ones), one workgroup sweeps all logits for both: slower, but
// the same threshold. A threshold found in the list is the true one exactly if the share was reached there,
// since all keys above any listed one are listed too.
//
// best, found: of choose_partial.wgsl and choose_collect.wgsl; the other bindings as there. choices: [rows] u32.
// Grid: x = rows. Twin: devices/twins/sampling.py.

override V: u32;
override COUNT: u32;

@group(0) @binding(0) var<storage, read> logits: array<{{ "vec4<f32>" if ids == "all" else "f32" }}>;
@group(0) @binding(1) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> settings: array<Settings>;
@group(0) @binding(3) var<storage, read> seen: array<u32>;
@group(0) @binding(4) var<storage, read> best: array<vec2<u32>>;
@group(0) @binding(5) var<storage, read> found: array<u32>;
@group(0) @binding(6) var<storage, read_write> choices: array<u32>;
{% if ids == "mapped" %}
@group(0) @binding(7) var<storage, read> ids: array<u32>;
{% endif %}

{% include "shared/settings.wgsl" %}
{% include "shared/noise.wgsl" %}
{% include "shared/key.wgsl" %}
{% include "shared/candidates.wgsl" %}
{% include "shared/best.wgsl" %}
{% include "shared/select.wgsl" %}
{% include "shared/found.wgsl" %}

var<workgroup> keys: array<u32, LISTED>;
var<workgroup> only_key: u32;

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
      let x = penalised(quads[q], row, wanted.repetition_penalty, r, quad);
      for (var j = 0u; j < 4u; j++) {
        let key = key_of(x[j]);
        if (4u * quad + j < COUNT && key >= at_least && is_within(key, prefix, level)) {
          add_to_bucket(key, mass_of(x[j], largest, wanted.temperature), level, by_mass);
        }
      }
    }
  }
}

// The first level's buckets of all candidates' masses, from their sums.
fn add_sums(thread: u32, r: u32) {
  let sums = r * FOUND_WORDS + FIRST_BUCKET + thread;
  atomicStore(&counts[thread], found[sums]);
  atomicStore(&masses_high[thread], found[sums + 256u]);
  atomicStore(&masses_low[thread], found[sums + 512u]);
}

fn unfiltered(thread: u32, r: u32) -> u32 {
  let num_parts = (COUNT + 4095u) / 4096u;
  var value = 0.0;
  var id = V;
  for (var i = thread; i < num_parts; i += 256u) {
    let part = best[r * num_parts + i];
    if (is_better(bitcast<f32>(part.x), part.y, value, id)) {
      value = bitcast<f32>(part.x);
      id = part.y;
    }
  }
  return best_of_all(thread, value, id).y;
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
  if (!has_filters(wanted)) {
    let choice = unfiltered(thread, r);
    if (thread == 0u) {
      choices[r] = choice;
    }
    return;
  }

  let row_start = r * FOUND_WORDS;
  let num = found[row_start];
  let least_listed = found[row_start + 1u];
  let largest = value_of(found[row_start + 2u]);
  if (num <= LISTED) {
    for (var i = thread; i < num; i += 256u) {
      keys[i] = found[row_start + FIRST_LISTED + 2u * i];
    }
  }
  var is_listed = num <= LISTED && (num >= wanted.top_k || !has_top_k(wanted));
  // First top-k, by count; then top-p, by mass.
  var threshold = 0u;
  for (var stage = 0u; stage < 2u; stage++) {
    let by_mass = stage == 1u;
    if (!select(has_top_k(wanted), wanted.top_p < 1.0, by_mass)) {
      continue;
    }
    let share = select(f32(wanted.top_k), wanted.top_p, by_mass);
    let at_least = threshold;
    let has_sums = by_mass && !has_top_k(wanted);
    var prefix = 0u;
    var level = 0u;
    while (level < 4u) {
      clear_buckets(thread);
      let is_first = level == 0u && has_sums;
      if (is_first) {
        add_sums(thread, r);
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
      // Where the list may be too short for top-p, reaching the share shows that it is not.
      let may_lack = has_sums && is_listed && !is_first;
      let bucket = pick_bucket(thread, level, prefix, by_mass, share, may_lack);
      if (may_lack && bucket.z == 0u) {
        is_listed = false;
        continue;
      }
      prefix = bucket.x;
      level++;
      if (is_listed && !is_first && bucket.y == 1u) {
        for (var i = thread; i < num; i += 256u) {
          if (keys[i] >= at_least && is_within(keys[i], prefix, level)) {
            only_key = keys[i];
          }
        }
        prefix = workgroupUniformLoad(&only_key);
        break;
      }
    }
    threshold = prefix;
  }
  if (wanted.min_p > 0.0) {
    threshold = max(threshold, key_of(largest + temperature * log(wanted.min_p)));
  }

  let least = value_of(threshold);
  let noise = noise_key(wanted.seed, row.y + (row.w >> 8u) + 1u);
  var value = 0.0;
  var id = V;
  if (num <= LISTED && threshold >= least_listed) {
    for (var i = thread; i < num; i += 256u) {
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
  } else {
    for (var quad = thread; quad < num_quads(); quad += 256u) {
      let x = penalised(raw_logits_of(r, quad), row, wanted.repetition_penalty, r, quad);
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
  let choice = best_of_all(thread, value, id).y;
  if (thread == 0u) {
    choices[r] = choice;
  }
}
