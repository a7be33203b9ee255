// The second of three kernels that choose a token among many: list the few that can pass the filters.
//
// The k-th largest of the maxima of disjoint parts bounds the k-th largest logit from below, and hardly more than
// k logits reach it. All logits that do are listed, in any order. Without top-k, top-p gets as many as the
// parts can bound, and min-p its own bound, which the largest logit gives. The last kernel finds out whether the
// list was enough. For top-p without top-k all probability mass is added up as well, by a key's top byte.
//
// Bindings as in choose_partial.wgsl, without `best`; at most 256 maxima a row. Does nothing without filters.
// Grid: x = ceil(COUNT / 4096), y = rows, as there.
{% set quads = 4 %}

override V: u32;
override COUNT: u32;
override SPLIT: u32;

@group(0) @binding(0) var<storage, read> logits: array<{{ "vec4<f32>" if ids == "all" else "f32" }}>;
@group(0) @binding(1) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> settings: array<Settings>;
@group(0) @binding(3) var<storage, read> seen: array<u32>;
@group(0) @binding(4) var<storage, read> maxima: array<u32>;
@group(0) @binding(5) var<storage, read_write> found: array<atomic<u32>>;
{% if ids == "mapped" %}
@group(0) @binding(6) var<storage, read> ids: array<u32>;
{% endif %}

{% include "shared/row.wgsl" %}
{% include "shared/settings.wgsl" %}
{% include "shared/key.wgsl" %}
{% include "shared/candidates.wgsl" %}
{% include "shared/found.wgsl" %}

var<workgroup> parts: array<vec4<u32>, 64>;
var<workgroup> limits: vec2<u32>;
var<workgroup> largest_key: atomic<u32>;
var<workgroup> num_here: atomic<u32>;
var<workgroup> place: u32;
var<workgroup> counts: array<atomic<u32>, SUMS>;
var<workgroup> masses_high: array<atomic<u32>, SUMS>;
var<workgroup> masses_low: array<atomic<u32>, SUMS>;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let r = group.y;
  let row = rows[r];
  let wanted = settings[row.x];
  if (!has_filters(wanted)) {
    return;
  }
  let first = group.x * {{ 256 * quads }}u + thread;
  let last = num_quads() - 1u;
  var quads: array<vec4<f32>, {{ quads }}>;
{% for q in range(quads) %}
  quads[{{ q }}] = raw_logits_of(r, min(first + {{ 256 * q }}u, last));
{% endfor %}

  // The place of this thread's part among all, the largest first. The lowest byte only tells parts apart, which
  // makes the bound a little lower at most.
  let num_parts = groups.x * SPLIT;
  let mine = select(0u, maxima[r * num_parts + min(thread, num_parts - 1u)], thread < num_parts);
  atomicMax(&largest_key, mine);
  if (thread < 64u) {
    let four = 4u * thread + FOUR;
    let at = r * num_parts + min(four, vec4<u32>(num_parts - 1u));
    let maximum = vec4<u32>(maxima[at.x], maxima[at.y], maxima[at.z], maxima[at.w]);
    let is_part = four < vec4<u32>(num_parts);
    parts[thread] = select(vec4<u32>(0u), (maximum & vec4<u32>(~255u)) | (255u - four), is_part);
  }
  workgroupBarrier();
  let marked = vec4<u32>((mine & ~255u) | (255u - thread));
  var before = vec4<u32>(0u);
  // Parts that are not there are 0.
  for (var i = 0u; i < (num_parts + 3u) / 4u; i += 4u) {
{% for j in range(4) %}
    before += select(vec4<u32>(0u), vec4<u32>(1u), parts[i + {{ j }}u] > marked);
{% endfor %}
  }
  let rank = before.x + before.y + before.z + before.w;
  let enough = select((num_parts * 15u + 15u) / 16u, min(wanted.top_k, num_parts), has_top_k(wanted));
  if (thread < num_parts && rank == enough - 1u) {
    limits = vec2<u32>(mine & ~255u, atomicLoad(&largest_key));
  }
  let bounds = workgroupUniformLoad(&limits);
  let largest = value_of(bounds.y);
  var least = bounds.x;
  if (!has_top_k(wanted) && wanted.top_p >= 1.0) {
    least = key_of(largest + wanted.temperature * log(wanted.min_p));
  }
  // What a mask or a ban leaves may be less than top-k keeps; the rest is no candidate, and would fill the list.
  least = max(least, key_of(MOST_NEGATIVE) + 1u);

  let sums = needs_sums(wanted);
  var num_mine = 0u;
  for (var q = 0u; q < {{ quads }}u; q++) {
    let quad = first + 256u * q;
    if (quad > last) {
      break;
    }
    let x = penalised(quads[q], row, wanted, r, quad);
    quads[q] = x;
    for (var j = 0u; j < 4u; j++) {
      if (4u * quad + j < COUNT) {
        let key = key_of(x[j]);
        num_mine += select(0u, 1u, key >= least);
        if (sums) {
          let mass = mass_of(x[j], largest, wanted.temperature);
          if (mass > 0u) {
            let below = (bounds.y >> 24u) - (key >> 24u);
            let bucket = select(
              FINE_BYTES * 256u + (key >> 24u), below * 256u + ((key >> 16u) & 255u), below < FINE_BYTES,
            );
            atomicAdd(&counts[bucket], 1u);
            atomicAdd(&masses_high[bucket], mass >> 14u);
            atomicAdd(&masses_low[bucket], mass & 16383u);
          }
        }
      }
    }
  }
  var at = 0u;
  if (num_mine > 0u) {
    at = atomicAdd(&num_here, num_mine);
  }
  workgroupBarrier();
  let row_start = r * FOUND_WORDS;
  if (thread == 0u) {
    let num = atomicLoad(&num_here);
    place = 0u;
    if (num > 0u) {
      place = atomicAdd(&found[row_start], num);
    }
    if (group.x == 0u) {
      atomicStore(&found[row_start + 1u], least);
      atomicStore(&found[row_start + 2u], bounds.y);
    }
  }
  at += workgroupUniformLoad(&place);
  if (num_mine > 0u) {
    for (var q = 0u; q < {{ quads }}u; q++) {
      let quad = first + 256u * q;
      if (quad > last) {
        break;
      }
      let tokens = ids_of(r, quad);
      for (var j = 0u; j < 4u; j++) {
        let key = key_of(quads[q][j]);
        if (4u * quad + j < COUNT && key >= least) {
          if (at < LISTED) {
            atomicStore(&found[row_start + FIRST_LISTED + 2u * at], key);
            atomicStore(&found[row_start + FIRST_LISTED + 2u * at + 1u], tokens[j]);
          }
          at++;
        }
      }
    }
  }
  if (sums) {
    for (var i = thread; i < SUMS; i += 256u) {
      let count = atomicLoad(&counts[i]);
      if (count > 0u) {
        let sum = row_start + FIRST_SUM + i;
        atomicAdd(&found[sum], count);
        atomicAdd(&found[sum + SUMS], atomicLoad(&masses_high[i]));
        atomicAdd(&found[sum + 2u * SUMS], atomicLoad(&masses_low[i]));
      }
    }
  }
}
