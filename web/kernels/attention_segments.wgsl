{% set batch = 8 %}{# reads under way at once #}
{% set packs = (heads + 3) // 4 %}
{% set width = heads // packs %}
{% set pack_type = ["f32", "vec2<f32>", "", "vec4<f32>"][width - 1] %}
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
override IS_UNEVEN: bool = QUADS % ({{ batch }}u * SPLITS) != 0u;

{% include "shared/segments.wgsl" %}
{% include "shared/kv.wgsl" %}
{% include "shared/head_norm_rope.wgsl" %}

const HEADS = {{ heads }}u;
const PACKS = {{ packs }}u;
const SPLITS = 8u;  // of a head's quads for the scores: quads split, split + 8, …
const MOST_NEGATIVE = -3.4028234e38;

// A number for each of {{ width }} heads.
alias Pack = {{ pack_type }};

// First the queries, [head][quad]; at the end what groups add to one another, [head][group and quad].
var<workgroup> room: array<vec4<f32>, HEADS * 128u>;
var<workgroup> squares: array<f32, HEADS * 16u>;
// Parts of scores, [pack][split][position]; the upper half of the splits is added to the lower one at once.
var<workgroup> score_parts: array<Pack, PACKS * 4u * 64u>;
// Scores, then their exponentials, [pack][position]; zero where there is no position.
override WEIGHTS: u32 = max(64u, {{ batch }}u * GROUPS);
var<workgroup> weights: array<Pack, PACKS * WEIGHTS>;
var<workgroup> eighths: array<Pack, PACKS * 8u>;
var<workgroup> shrinks: array<Pack, PACKS>;
{% macro of_head(pack, h) %}{{ pack }}{% if width > 1 %}.{{ "xyzw"[h % 4] }}{% endif %}{% endmacro %}
{% macro pack_of(pack, half) %}Pack({% for c in range(width) %}score_{{ pack * 4 + c }}_{{ half }}{{ ", " if not loop.last }}{% endfor %}){% endmacro %}

{#- A batch of keys, of the chunk's lower 32 positions or of both halves. -#}
{% macro load_keys(halves, count) %}
{% for b in range(count) %}
{% for half in halves %}
        let key_{{ b }}_{{ half }} = keys[base + min(j + {{ b }}u * SPLITS + split, QUADS - 1u) * TILE + at_{{ half }}];
{% endfor %}
{% endfor %}
{% endmacro %}

{#- The scores of this thread's split and positions, into score_parts. -#}
{% macro score(halves, count) %}
{% for h in range(heads) %}
{% for half in halves %}
      var score_{{ h }}_{{ half }} = 0.0;
{% endfor %}
{% endfor %}
      for (var j = 0u; j < QUADS; j += {{ count }}u * SPLITS) {
{{ load_keys(halves, count) }}
{% for b in range(count) %}
        {
          let i = min(j + {{ b }}u * SPLITS + split, QUADS - 1u);
{% for half in halves %}
          var quad_{{ half }} = kv_unpack(key_{{ b }}_{{ half }});
          if (IS_UNEVEN) {
            quad_{{ half }} = select(vec4<f32>(0.0), quad_{{ half }}, j + {{ b }}u * SPLITS + split < QUADS);
          }
{% endfor %}
{% for h in range(heads) %}
          {
            let query = room[{{ h }}u * QUADS + i];
{% for c in "xyzw" %}
{% for half in halves %}
            score_{{ h }}_{{ half }} = fma(query.{{ c }}, quad_{{ half }}.{{ c }}, score_{{ h }}_{{ half }});
{% endfor %}
{% endfor %}
          }
{% endfor %}
        }
{% endfor %}
      }
      if (split >= 4u) {
{% for pack in range(packs) %}
{% for half in halves %}
        score_parts[({{ 4 * pack }}u + split - 4u) * 64u + lane + {{ 32 * half }}u] = {{ pack_of(pack, half) }};
{% endfor %}
{% endfor %}
      }
      workgroupBarrier();
      if (split < 4u) {
{% for pack in range(packs) %}
{% for half in halves %}
        score_parts[({{ 4 * pack }}u + split) * 64u + lane + {{ 32 * half }}u] += {{ pack_of(pack, half) }};
{% endfor %}
{% endfor %}
      }
{% endmacro %}

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
  let seen = sight(row.y, layer);
  if ((row.w & 1u) == 0u || slot >= seen.count) {
    return;
  }
  let segment = (seen.first + slot) * seen.size;
  let end = min(seen.to_position, segment + seen.size - 1u);
  let is_short = seen.size == SMALLEST_SEGMENT;

  // For scores, a thread has a split of the quads and one or two positions of the chunk.
  let lane = thread % 32u;
  let split = thread / 32u;
  // For weights, a thread has a position and a pack of heads; for values a quad and a part of the positions.
  let my_slot = thread % 64u;
  let my_pack = thread / 64u;
  let quad = thread % QUADS;
  let part = min(thread / QUADS, GROUPS - 1u);
  let has_quad = thread < GROUPS * QUADS;

{% for h in range(heads) %}
  var sum_{{ h }} = vec4<f32>(0.0);
{% endfor %}
  var m = Pack(MOST_NEGATIVE);
  var l = Pack(0.0);

  let first_chunk = max(segment, seen.from_position / 64u * 64u);
  let offset = first_chunk % 64u;
  var base = tile_base(row.x, kv_head, first_chunk, layer.kv_heads, QUADS, layer.capacity);
  // Within the tile: what is seen of it, and this thread's positions, moved there.
  var from_slot = max(seen.from_position, first_chunk) % 64u;
  var to_slot = min(end, first_chunk / 64u * 64u + 63u) % 64u;
  var at_0 = clamp(offset + lane, from_slot, to_slot);
  var at_1 = clamp(offset + lane + 32u, from_slot, to_slot);

  // The queries. Norm and rope are done by every workgroup anew, which costs less than a dispatch.
  let start = (layer.first_row + local_row) * layer.q_stride + first_head * QUADS;
  if (thread < HEADS * 16u) {
    squares[thread] = squares_of_part(start + thread / 16u * QUADS, thread % 16u);
  }
  workgroupBarrier();
  for (var i = thread; i < HEADS * QUADS / 2u; i += 256u) {
    let h = i / (QUADS / 2u);
    var sum = 0.0;
    for (var sixteenth = 0u; sixteenth < 16u; sixteenth++) {
      sum += squares[h * 16u + sixteenth];
    }
    let factor = norm_factor(sum, layer.eps);
    let result = normed_and_turned(start + h * QUADS, i % (QUADS / 2u), factor, row.y);
    room[h * QUADS + i % (QUADS / 2u)] = result.low;
    room[h * QUADS + i % (QUADS / 2u) + QUADS / 2u] = result.high;
  }
  workgroupBarrier();

  for (var chunk = first_chunk; chunk <= end; chunk += 64u) {
    if (is_short) {
{{ score([0], batch) }}
    } else {
{{ score([0, 1], batch // 2) }}
    }
    workgroupBarrier();

    // Scores to weights, by way of the highest score: of eight positions each, then of these eighths.
    var score = Pack(MOST_NEGATIVE);
    let position = chunk + my_slot;
    let is_seen = position >= seen.from_position && position <= end;
    if (my_pack < PACKS) {
      let at = my_pack * 256u + my_slot;
      score = (score_parts[at] + score_parts[at + 128u]) + (score_parts[at + 64u] + score_parts[at + 192u]);
      score = select(Pack(MOST_NEGATIVE), layer.scale * score, is_seen);
      weights[my_pack * WEIGHTS + my_slot] = score;
    }
    workgroupBarrier();
    if (thread < PACKS * 8u) {
      let at = thread / 8u * WEIGHTS + thread % 8u * 8u;
      var highest = weights[at];
      for (var i = 1u; i < 8u; i++) {
        highest = max(highest, weights[at + i]);
      }
      eighths[thread] = highest;
    }
    workgroupBarrier();
    if (my_pack < PACKS) {
      let m_before = m;
      for (var i = 0u; i < 8u; i++) {
        m = max(m, eighths[my_pack * 8u + i]);
      }
      let shrink = exp(m_before - m);
      let weight = select(Pack(0.0), exp(score - m), is_seen);
      weights[my_pack * WEIGHTS + my_slot] = weight;
      l = fma(l, shrink, weight);
      if (my_slot == 0u) {
        shrinks[my_pack] = shrink;
      }
    }
    workgroupBarrier();

    // Values, weighted. What lies outside of what is seen has weight zero, and is read from inside.
    if (chunk != first_chunk) {
{% for h in range(heads) %}
      sum_{{ h }} *= {{ of_head("shrinks[" ~ h // 4 ~ "]", h) }};
{% endfor %}
    }
    let length = select(64u, 32u, is_short);
    for (var j = 0u; j < length; j += {{ batch }}u * GROUPS) {
{% for b in range(batch) %}
      let value_{{ b }} = values[base + clamp(offset + j + {{ b }}u * GROUPS + part, from_slot, to_slot) * QUADS + quad];
{% endfor %}
{% for b in range(batch) %}
      {
        let value = kv_unpack(value_{{ b }});
{% for pack in range(packs) %}
        let weight_{{ pack }} = weights[{{ pack }}u * WEIGHTS + j + {{ b }}u * GROUPS + part];
{% for c in range(width) %}
        sum_{{ pack * 4 + c }} = fma(vec4<f32>({{ of_head("weight_" ~ pack, c) }}), value, sum_{{ pack * 4 + c }});
{% endfor %}
{% endfor %}
      }
{% endfor %}
    }

    // The next chunk is a whole tile, or its beginning.
    let next = min(chunk + 64u, end);
    base = tile_base(row.x, kv_head, next, layer.kv_heads, QUADS, layer.capacity);
    from_slot = 0u;
    to_slot = min(end - next, 63u);
    at_0 = min(lane, to_slot);
    at_1 = min(lane + 32u, to_slot);
  }

  // Add up l over the positions, and the values' groups.
  workgroupBarrier();
  if (my_pack < PACKS) {
    weights[my_pack * WEIGHTS + my_slot] = l;
  }
  workgroupBarrier();
  if (thread < PACKS * 8u) {
    let at = thread / 8u * WEIGHTS + thread % 8u * 8u;
    var sum = weights[at];
    for (var i = 1u; i < 8u; i++) {
      sum += weights[at + i];
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
  if (my_slot == 0u && my_pack < PACKS) {
    var sum = eighths[my_pack * 8u];
    for (var i = 1u; i < 8u; i++) {
      sum += eighths[my_pack * 8u + i];
    }
    let first_out = out + my_pack * 4u * layer.slots;
{% for c in range(width) %}
    part_ml[first_out + {{ c }}u * layer.slots] = vec2<f32>({{ of_head("m", c) }}, {{ of_head("sum", c) }});
{% endfor %}
  }
}
