// choices[r] = the token of row r, of at most {{ 1024 * quads }} candidates, in one dispatch ("choose"):
//
//   argmax over candidates with logit ≥ threshold of   logit / temperature + gumbel(seed, position + ahead + 1, id)
//
// or of the logit alone at temperature 0; of equals, the lowest id. Logits get their penalties and biases as they are read. The
// threshold is what top-k, top-p and min-p leave, in this order, on softmax(logits / temperature):
//
//   top-k  keeps the k largest logits, and those equal to the smallest of them;
//   top-p  keeps, of those, the fewest largest whose share of the probability reaches top_p (and equals);
//   min-p  keeps those with at least min_p times the largest probability.
//
// "place" puts the token, a lane's next draft, into the rows of the verify pass and into the drafter's own:
//
//   rows[group] = (lane, position of its last known token, the draft), which stands `ahead` tokens behind it
//   placed[group, ahead] = (lane, that position + ahead, the draft)
//
// valid where the lane is and the draft's position lies below CAPACITY. See pyapp/leadout/state.py for `ahead`.
//
// logits: [rows, COUNT] float32, of all ids in their order ("all", COUNT a multiple of 4), or of ids: [rows, COUNT] u32
// ("mapped"). rows: the row table; for "place" one row a group. settings: [lanes]. seen: of the lanes, see
// pyapp/leadout/state.py.
// choices: [rows]. placed: 1 + DRAFTS rows of each group. sizes: (DRAFTS, CAPACITY, 0, 0), no constants, since this
// takes a while to compile. Grid: x = rows.

override V: u32;
override COUNT: u32;

@group(0) @binding(0) var<storage, read> logits: array<{{ "vec4<f32>" if ids == "all" else "f32" }}>;
// How many candidates there is room for.
const CANDIDATES = {{ 1024 * quads }}u;

{% if then == "place" %}
@group(0) @binding(1) var<storage, read_write> rows: array<vec4<u32>>;
{% else %}
@group(0) @binding(1) var<storage, read> rows: array<vec4<u32>>;
{% endif %}
@group(0) @binding(2) var<storage, read> settings: array<Settings>;
@group(0) @binding(3) var<storage, read> seen: array<u32>;
{% if then == "place" %}
@group(0) @binding(4) var<storage, read_write> placed: array<vec4<u32>>;
@group(0) @binding(5) var<uniform> sizes: vec4<u32>;
{% else %}
@group(0) @binding(4) var<storage, read_write> choices: array<u32>;
{% endif %}
{% if ids == "mapped" %}
@group(0) @binding({{ 6 if then == "place" else 5 }}) var<storage, read> ids: array<u32>;
{% endif %}

{% include "shared/row.wgsl" %}
{% include "shared/settings.wgsl" %}
{% include "shared/noise.wgsl" %}
{% include "shared/key.wgsl" %}
{% include "shared/candidates.wgsl" %}
{% include "shared/best.wgsl" %}
{% include "shared/buckets.wgsl" %}
{% include "shared/select.wgsl" %}

var<workgroup> shared_row: vec4<u32>;
var<workgroup> largest_key: atomic<u32>;
var<workgroup> only_key: u32;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let r = group.x;
  if (thread == 0u) {
    shared_row = rows[r];
  }
  let row = workgroupUniformLoad(&shared_row);
  let wanted = settings[row.x];
  let temperature = wanted.temperature;

  let last = num_quads() - 1u;
  var quads: array<vec4<f32>, {{ quads }}>;
{% for q in range(quads) %}
  quads[{{ q }}] = raw_logits_of(r, min({{ 256 * q }}u + thread, last));
{% endfor %}
  var keys: array<u32, {{ 4 * quads }}>;
  var masses: array<u32, {{ 4 * quads }}>;
  var largest_of_thread = 0u;
  for (var q = 0u; q < {{ quads }}u; q++) {
    let quad = 256u * q + thread;
    if (quad > last) {
      break;
    }
    let x = penalised(quads[q], row, wanted, r, quad);
    for (var j = 0u; j < 4u; j++) {
      let key = select(0u, key_of(x[j]), 4u * quad + j < COUNT);
      keys[4u * q + j] = key;
      largest_of_thread = max(largest_of_thread, key);
    }
  }

  var threshold = 0u;
  if (has_filters(wanted)) {
    if (thread == 0u) {
      atomicStore(&largest_key, 0u);
    }
    workgroupBarrier();
    atomicMax(&largest_key, largest_of_thread);
    workgroupBarrier();
    let largest = value_of(atomicLoad(&largest_key));
    // Masses of keys that are not there are never added.
    if (wanted.top_p < 1.0) {
      for (var i = 0u; i < {{ 4 * quads }}u; i++) {
        masses[i] = mass_of(value_of(keys[i]), largest, temperature);
      }
    }
    // First top-k, by count; then top-p, by mass.
    for (var stage = 0u; stage < 2u; stage++) {
      let by_mass = stage == 1u;
      if (!select(has_top_k(wanted), wanted.top_p < 1.0, by_mass)) {
        continue;
      }
      let share = select(f32(wanted.top_k), wanted.top_p, by_mass);
      let at_least = threshold;
      var prefix = 0u;
      for (var level = 0u; level < 4u; level++) {
        clear_buckets(thread);
        for (var i = 0u; i < {{ 4 * quads }}u; i++) {
          if (keys[i] != 0u && keys[i] >= at_least && is_within(keys[i], prefix, level)) {
            add_to_bucket(keys[i], masses[i], level, by_mass);
          }
        }
        let bucket = pick_bucket(thread, level, prefix, by_mass, share, false);
        prefix = bucket.x;
        if (bucket.y == 1u) {
          for (var i = 0u; i < {{ 4 * quads }}u; i++) {
            if (keys[i] != 0u && keys[i] >= at_least && is_within(keys[i], prefix, level + 1u)) {
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
  }

  let least = select(MOST_NEGATIVE, value_of(threshold), threshold != 0u);
  let noise = noise_key(wanted.seed, row.y + row_ahead(row) + 1u);
  var value = 0.0;
  var id = V;
  for (var q = 0u; q < {{ quads }}u; q++) {
    let quad = 256u * q + thread;
    if (quad > last) {
      break;
    }
    let tokens = ids_of(r, quad);
    for (var j = 0u; j < 4u; j++) {
      let key = keys[4u * q + j];
      var x = value_of(key);
      if (key != 0u && (temperature == 0.0 || x >= least)) {
        if (temperature != 0.0) {
          x = x / temperature + gumbel(noise, tokens[j]);
        }
        if (is_better(x, tokens[j], value, id)) {
          value = x;
          id = tokens[j];
        }
      }
    }
  }
  let choice = best_of_all(thread, value, id);
  if (thread == 0u) {
{% if then == "place" %}
    let ahead = row_ahead(row) + 1u;
    let position = row.y + ahead;
    rows[r] = vec4<u32>(row.x, row.y, choice, (row.w & 3u) | (ahead << 8u));
    let is_valid = row_is_valid(row) && position < sizes.y;
    placed[r * (1u + sizes.x) + ahead] = vec4<u32>(row.x, position, choice, select(0u, 1u, is_valid));
{% else %}
    choices[r] = choice;
{% endif %}
  }
}
