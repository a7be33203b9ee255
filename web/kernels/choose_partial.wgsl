// The first of three kernels that choose a token among many: what each 4096 candidates can tell alone.
//
// Without filters, the best of them:
//
//   argmax over ids of   logit / temperature + gumbel(seed, position + ahead + 1, id)
//
// or of the logit alone at temperature 0; of equals, the lowest id. The noise depends on the position of
// the token to choose, not on how it was drafted, which is what makes speculation change nothing.
// With filters, the largest logit of each SPLIT-th part of them. Logits get their penalties and biases as they are read.
// Source: Gumbel-max sampling; drafter invariance, arXiv:2408.07978.
//
// logits: [rows, COUNT] float32, of all ids in their order ("all"), or of ids: [rows, COUNT] u32 ("mapped").
// rows: the row table; `ahead` is 0 but for a drafter's rows, see pyapp/leadout/state.py. settings: [lanes].
// seen: of the lanes, see pyapp/leadout/state.py. best: [rows, ceil(COUNT / 4096)] of (value as bits, id), without filters.
// maxima: [rows, ceil(COUNT / 4096) * SPLIT] keys, with filters; SPLIT a power of two up to 256. found: [rows] of
// shared/found.wgsl, whose head is zeroed. Grid: x = ceil(COUNT / 4096), y = rows.
{% set quads = 4 %}

// Candidates of a workgroup.
const CHUNK = {{ 1024 * quads }}u;

override V: u32;
override COUNT: u32;
override SPLIT: u32;

@group(0) @binding(0) var<storage, read> logits: array<{{ "vec4<f32>" if ids == "all" else "f32" }}>;
@group(0) @binding(1) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> settings: array<Settings>;
@group(0) @binding(3) var<storage, read> seen: array<u32>;
@group(0) @binding(4) var<storage, read_write> best: array<vec4<u32>>;
@group(0) @binding(5) var<storage, read_write> maxima: array<u32>;
@group(0) @binding(6) var<storage, read_write> found: array<u32>;
{% if ids == "mapped" %}
@group(0) @binding(7) var<storage, read> ids: array<u32>;
{% endif %}

{% include "shared/row.wgsl" %}
{% include "shared/settings.wgsl" %}
{% include "shared/noise.wgsl" %}
{% include "shared/key.wgsl" %}
{% include "shared/candidates.wgsl" %}
{% include "shared/best.wgsl" %}
{% include "shared/found.wgsl" %}

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let r = group.y;
  let first = group.x * {{ 256 * quads }}u + thread;
  let last = num_quads() - 1u;
  var quads: array<vec4<f32>, {{ quads }}>;
{% for q in range(quads) %}
  quads[{{ q }}] = raw_logits_of(r, min(first + {{ 256 * q }}u, last));
{% endfor %}
  let row = rows[r];
  let wanted = settings[row.x];
  let filters = has_filters(wanted);
  if (filters) {
    var largest = 0u;
    for (var q = 0u; q < {{ quads }}u; q++) {
      let quad = first + 256u * q;
      if (quad > last) {
        break;
      }
      let x = penalised(quads[q], row, wanted, r, quad);
      for (var j = 0u; j < 4u; j++) {
        largest = max(largest, select(0u, key_of(x[j]), 4u * quad + j < COUNT));
      }
    }
    best_ids[thread] = largest;
    for (var half = 128u; half >= SPLIT; half /= 2u) {
      workgroupBarrier();
      if (thread < half) {
        largest = max(largest, best_ids[thread + half]);
        best_ids[thread] = largest;
      }
    }
    if (thread < SPLIT) {
      maxima[(r * groups.x + group.x) * SPLIT + thread] = largest;
    }
    if (group.x == 0u && thread == 0u) {
      found[r * FOUND_WORDS] = 0u;
    }
    if (needs_sums(wanted)) {
      for (var i = group.x * 256u + thread; i < 3u * SUMS; i += groups.x * 256u) {
        found[r * FOUND_WORDS + FIRST_SUM + i] = 0u;
      }
    }
    if (is_narrow(wanted)) {
      return;
    }
    workgroupBarrier();  // best_ids is used again
  }

  let noise = noise_key(wanted.seed, row.y + row_ahead(row) + 1u);
  var value = 0.0;
  var id = V;
  var logit_bits = 0u;
  for (var q = 0u; q < {{ quads }}u; q++) {
    let quad = first + 256u * q;
    if (quad > last) {
      break;
    }
    let logit = penalised(quads[q], row, wanted, r, quad);
    let tokens = ids_of(r, quad);
    for (var j = 0u; j < 4u; j++) {
      var x = logit[j];
      if (wanted.temperature != 0.0) {
        x = x / wanted.temperature + gumbel(noise, tokens[j]);
      }
      if (4u * quad + j < COUNT && is_better(x, tokens[j], value, id)) {
        value = x;
        id = tokens[j];
        logit_bits = bitcast<u32>(logit[j]);
      }
    }
  }
  let winner = best_of_all(thread, value, id);
  if (id == winner) {
    best[r * groups.x + group.x] = vec4<u32>(bitcast<u32>(value), id, logit_bits, 0u);
  }
}
