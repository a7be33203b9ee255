{% set key_batch = 8 %}{# reads of keys under way at once #}
{% set value_batch = 8 %}{# of values that are waited for; as many more are under way #}
// Attention of one row's query heads over a segment of the KV cache, for few rows (decode, verify):
//
//   q = rope(rms_norm(query) * weight)
//   s[h, p] = scale * dot(q[h], k[p])    for the segment's positions p that the row sees
//   m[h] = max s[h];   l[h] = sum exp(s[h] - m[h]);   o[h] = sum exp(s[h, p] - m[h]) * v[p]
//
// attention_combine adds up the segments. Where a segment begins and ends depends on the row's position and
// the window alone (shared/segments.wgsl), and within it everything is added in one order, whatever runs
// beside: a score is the sum of eight chains of quads, a value that of GROUPS chains of positions, both then added
// as a tree; a segment is taken in chunks of 64 positions (the smallest has 32), rescaled from chunk to chunk.
//
// A workgroup serves {{ heads }} query heads that share a kv head. Workgroups that read the same keys follow one
// another in x, so that a cache finds them. Positions that the row does not see are never read. Rows that are
// not valid, and segments that the row does not see, give nothing.
//
// It is kept short: where a step's kernels follow one another, each is fetched anew, and that takes time. So a thread
// has one head at a time wherever it can, and what it does for each is in a loop that compilers do not unroll, since
// they do not know how often it runs.
//
// x: [rows, q_stride] float32, raw queries first, q_stride counted in quads. rows: the row table. Caches: see
// shared/kv.wgsl. weight: [D], of the queries' norm. inv_freq: [D / 2]. D a multiple of 8, at most 512.
// part_o: [rows, heads, slots, D], part_ml: [rows, heads, slots] of (m, l); slot 0 is the first segment seen.
// Grid: x = rows * heads / {{ heads }}, y = segments (any number not less than the rows see).

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> keys: array<KvQuad>;
@group(0) @binding(3) var<storage, read> values: array<KvQuad>;
@group(0) @binding(4) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> inv_freq: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> part_o: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> part_ml: array<vec2<f32>>;
@group(0) @binding(8) var<uniform> layer: Decoding;

override D: u32;
override QUADS: u32 = D / 4u;
// A tile's positions are split into groups for the values: slots group, group + GROUPS, …
override GROUPS: u32 = select(select(select(16u, 8u, QUADS > 16u), 4u, QUADS > 32u), 2u, QUADS > 64u);
// Whether a batch of reads may go beyond the head's quads; it then reads the last one, and counts it as zero.
override IS_UNEVEN: bool = QUADS % ({{ key_batch }}u * SPLITS) != 0u;

{% include "shared/row.wgsl" %}
{% include "shared/segments.wgsl" %}
{% include "shared/kv.wgsl" %}
{% include "shared/head_norm_rope.wgsl" %}

const HEADS = {{ heads }}u;
const SPLITS = 8u;  // of a head's quads for the scores: quads split, split + 8, …
const MOST_NEGATIVE = -3.4028234e38;

// First the queries, [head][quad]; at the end what groups add to one another, [head][group and quad].
var<workgroup> room: array<vec4<f32>, HEADS * 128u>;
var<workgroup> squares: array<f32, HEADS * 16u>;
// Parts of the scores of 32 positions, [head][split][position].
var<workgroup> score_parts: array<f32, HEADS * SPLITS * 32u>;
// Scores, then their exponentials, [head][position]; zero where there is no position.
override WEIGHTS: u32 = max(64u, {{ value_batch }}u * GROUPS);
var<workgroup> weights: array<f32, HEADS * WEIGHTS>;
var<workgroup> eighths: array<f32, HEADS * 8u>;
var<workgroup> shrinks: array<f32, HEADS>;

// The queries of this workgroup, normed and turned, into `room`. `four` is 4, which compilers do not know: a turn is
// much code.
fn find_queries(thread: u32, start: u32, position: u32, four: u32) {
  if (thread < HEADS * 16u) {
    squares[thread] = squares_of_part(start + thread / 16u * QUADS, thread % 16u);
  }
  workgroupBarrier();
  for (var i = thread; i < HEADS * QUADS / 2u; i += 256u) {
    let h = i / (QUADS / 2u);
    let low = i % (QUADS / 2u);
    let high = low + QUADS / 2u;
    var sum = 0.0;
    for (var sixteenth = 0u; sixteenth < 16u; sixteenth++) {
      sum += squares[h * 16u + sixteenth];
    }
    let factor = norm_factor(sum, layer.eps);
    let at = start + h * QUADS;
    var angles = f32(position) * inv_freq[low];
    var cosines = vec4<f32>();
    var sines = vec4<f32>();
    for (var c = 0u; c < four; c++) {
      let turn = cos_sin(angles.x);
      cosines = vec4<f32>(cosines.yzw, turn.x);
      sines = vec4<f32>(sines.yzw, turn.y);
      angles = angles.yzwx;
    }
    let a = x[at + low] * factor * weight[low];
    let b = x[at + high] * factor * weight[high];
    room[h * QUADS + low] = a * cosines - b * sines;
    room[h * QUADS + high] = b * cosines + a * sines;
  }
  workgroupBarrier();
}

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let head_groups = layer.heads / HEADS;
  let first_head = group.x % head_groups * HEADS;
  let kv_head = first_head / (layer.heads / layer.kv_heads);
  let local_row = group.x / head_groups;
  let slot = group.y;
  let row = rows[layer.first_row + local_row];
  let seen = sight(row, layer);
  if (!row_is_valid(row) || slot >= seen.count) {
    return;
  }
  let segment = (seen.first + slot) * seen.size;
  let end = min(seen.to_position, segment + seen.size - 1u);
  let halves = select(2u, 1u, seen.size == SMALLEST_SEGMENT);
  // All of them; compilers do not know.
  let served = min(HEADS, layer.heads);

  // For scores, a thread has a split of the quads and a position of half a chunk; for weights a head and a position;
  // for values a quad and a part of the positions.
  let lane = thread % 32u;
  let split = thread / 32u;
  let my_slot = thread % 64u;
  let my_head = thread / 64u;
  let my_weight = my_head * WEIGHTS + my_slot;
  let quad = thread % QUADS;
  let part = min(thread / QUADS, GROUPS - 1u);
  let has_quad = thread < GROUPS * QUADS;

{% for h in range(heads) %}
  var sum_{{ h }} = vec4<f32>(0.0);
{% endfor %}
  var m = MOST_NEGATIVE;
  var l = 0.0;

  let first_chunk = max(segment, seen.from_position / 64u * 64u);
  let offset = first_chunk % 64u;
  var base = tile_base(row.x, kv_head, first_chunk, layer.kv_heads, QUADS, layer.capacity);
  // Within the tile, what is seen of it: other positions are moved there.
  var from_slot = max(seen.from_position, first_chunk) % 64u;
  var to_slot = min(end, first_chunk / 64u * 64u + 63u) % 64u;

  // Norm and rope are done by every workgroup anew, which costs less than a dispatch.
  find_queries(thread, (layer.first_row + local_row) * layer.q_stride + first_head * QUADS, row.y, min(4u, layer.capacity));

  for (var chunk = first_chunk; chunk <= end; chunk += 64u) {
    for (var half = 0u; half < halves; half++) {
      let at = base + clamp(offset + half * 32u + lane, from_slot, to_slot);
      for (var j = split; j < QUADS; j += {{ key_batch }}u * SPLITS) {
{% for b in range(key_batch) %}
        let i_{{ b }} = min(j + {{ b }}u * SPLITS, QUADS - 1u);
        let read_{{ b }} = keys[at + i_{{ b }} * TILE];
{% endfor %}
{% for b in range(key_batch) %}
        var key_{{ b }} = kv_unpack(read_{{ b }});
        if (IS_UNEVEN) {
          key_{{ b }} = select(vec4<f32>(0.0), key_{{ b }}, j + {{ b }}u * SPLITS < QUADS);
        }
{% endfor %}
        for (var h = 0u; h < served; h++) {
          let mine = (h * SPLITS + split) * 32u + lane;
          var score = select(score_parts[mine], 0.0, j == split);
{% for b in range(key_batch) %}
          {
            let query = room[h * QUADS + i_{{ b }}];
{% for c in "xyzw" %}
            score = fma(query.{{ c }}, key_{{ b }}.{{ c }}, score);
{% endfor %}
          }
{% endfor %}
          score_parts[mine] = score;
        }
      }
      workgroupBarrier();
      if (split < HEADS) {
        let first = split * SPLITS * 32u + lane;
        var score = ((score_parts[first] + score_parts[first + 128u]) + (score_parts[first + 64u] + score_parts[first + 192u]))
          + ((score_parts[first + 32u] + score_parts[first + 160u]) + (score_parts[first + 96u] + score_parts[first + 224u]));
        let position = chunk + half * 32u + lane;
        let is_seen = position >= seen.from_position && position <= end;
        weights[split * WEIGHTS + half * 32u + lane] = select(MOST_NEGATIVE, layer.scale * score, is_seen);
      }
      workgroupBarrier();
    }

    // Scores to weights, by way of the highest score: of eight positions each, then of these eighths.
    if (thread < HEADS * 8u && thread % 8u < 4u * halves) {
      let first = thread / 8u * WEIGHTS + thread % 8u * 8u;
      var highest = weights[first];
      for (var i = 1u; i < 8u; i++) {
        highest = max(highest, weights[first + i]);
      }
      eighths[thread] = highest;
    }
    workgroupBarrier();
    if (my_head < HEADS) {
      let m_before = m;
      for (var i = 0u; i < 4u * halves; i++) {
        m = max(m, eighths[my_head * 8u + i]);
      }
      let position = chunk + my_slot;
      let is_seen = position >= seen.from_position && position <= end;
      let shrink = exp(m_before - m);
      let weight = select(0.0, exp(weights[my_weight] - m), is_seen);
      weights[my_weight] = weight;
      l = fma(l, shrink, weight);
      if (my_slot == 0u) {
        shrinks[my_head] = shrink;
      }
    }
    workgroupBarrier();

    // Values, weighted. What lies outside of what is seen has weight zero, and is read from inside.
    if (chunk != first_chunk) {
{% for h in range(heads) %}
      sum_{{ h }} *= shrinks[{{ h }}];
{% endfor %}
    }
{% for b in range(value_batch) %}
    var next_{{ b }} = values[base + clamp(offset + {{ b }}u * GROUPS + part, from_slot, to_slot) * QUADS + quad];
{% endfor %}
    for (var j = part; j < 32u * halves; j += {{ value_batch }}u * GROUPS) {
{% for b in range(value_batch) %}
      let value_{{ b }} = kv_unpack(next_{{ b }});
      next_{{ b }} = values[base + clamp(offset + j + {{ value_batch + b }}u * GROUPS, from_slot, to_slot) * QUADS + quad];
{% endfor %}
{% for b in range(value_batch) %}
{% for h in range(heads) %}
      sum_{{ h }} = fma(vec4<f32>(weights[{{ h }}u * WEIGHTS + j + {{ b }}u * GROUPS]), value_{{ b }}, sum_{{ h }});
{% endfor %}
{% endfor %}
    }

    // The next chunk is a whole tile, or its beginning.
    let next = min(chunk + 64u, end);
    base = tile_base(row.x, kv_head, next, layer.kv_heads, QUADS, layer.capacity);
    from_slot = 0u;
    to_slot = min(end - next, 63u);
  }

  // Add up l over the positions, and the values' groups.
  workgroupBarrier();
  if (my_head < HEADS) {
    weights[my_weight] = l;
  }
  workgroupBarrier();
  if (thread < HEADS * 8u) {
    let first = thread / 8u * WEIGHTS + thread % 8u * 8u;
    var sum = weights[first];
    for (var i = 1u; i < 8u; i++) {
      sum += weights[first + i];
    }
    eighths[thread] = sum;
  }
  for (var half = GROUPS / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (has_quad && part >= half && part < 2u * half) {
{% for h in range(heads) %}
      room[{{ 128 * h }}u + thread - half * QUADS] = sum_{{ h }};
{% endfor %}
    }
    workgroupBarrier();
    if (part < half) {
{% for h in range(heads) %}
      sum_{{ h }} += room[{{ 128 * h }}u + thread];
{% endfor %}
    }
  }
  let out = (local_row * layer.heads + first_head) * layer.slots + slot;
  if (thread < QUADS) {
{% for h in range(heads) %}
    part_o[(out + {{ h }}u * layer.slots) * QUADS + thread] = sum_{{ h }};
{% endfor %}
  }
  if (my_slot == 0u && my_head < HEADS) {
    var sum = eighths[my_head * 8u];
    for (var i = 1u; i < 8u; i++) {
      sum += eighths[my_head * 8u + i];
    }
    part_ml[out + my_head * layer.slots] = vec2<f32>(m, sum);
  }
}
