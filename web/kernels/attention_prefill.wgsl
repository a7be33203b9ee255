{% set held = dim // 256 %}
// Attention for many rows (prefill): softmax of scale * (q . k), times v, over the positions that a row sees:
// from position + 1 - window (window 0: from 0) to position - behind, or as much further as the row reaches.
//
// A query is a row and a head. A workgroup takes a block of 32 queries that share a kv head (4 rows of 8 heads,
// say) and every `splits`-th tile of 64 positions, from tile `split` on, and writes (o, m, l) of these:
//
//   m = max s;   l = sum exp(s - m);   o = sum exp(s - m) * v,   rescaled whenever a tile raises m
//
// attention_merge puts the splits together. Tiles and splits stand at absolute positions, and a tile that a row
// does not see changes nothing, so a row's bits depend on its position and the cache alone.
//
// Scores: 8 slices of 32 threads take every 8th quad of the head each, 8 queries x 8 positions a thread, straight
// from memory. The slices are added two at a time, in order. Values: a thread has 8 queries and {{ held }} quad{{ "s" if held > 1 }} of the
// head. The loops read what comes next before they use what they have.
//
// The rows of a block are consecutive positions of one lane; rows before the first valid one are padding, and
// only those. No row sees further than a later one. Masked scores are never used, and values that no row of the block sees never read.
//
// q: [rows, heads, dim] float32, dim a multiple of 8, at most {{ dim }}. rows: the row table, bound with its exact size.
// Caches: see shared/kv.wgsl. part_o: [rows, heads, splits, dim], part_ml: [rows, heads, splits] of (m, l); rows
// that are not valid are left out. Grid: x = splits, y = ceil(rows * heads / kv heads / 32), z = kv heads.

@group(0) @binding(0) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> keys: array<KvQuad>;
@group(0) @binding(3) var<storage, read> values: array<KvQuad>;
@group(0) @binding(4) var<storage, read_write> part_o: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> part_ml: array<vec2<f32>>;
@group(0) @binding(6) var<uniform> attending: Attending;

{% include "shared/row.wgsl" %}
{% include "shared/attending.wgsl" %}

{% include "shared/kv.wgsl" %}

const BLOCK_QUERIES = 32u;
const MOST_NEGATIVE = -3.4028234e38;

// Scores or weights of four queries each: [two sums of slices][4 lanes][2 quads of a lane's queries][8][2][4
// positions]. Indices that vary come first, so that the bounds checks that browsers add are few.
alias Positions = array<array<array<vec4<f32>, 4>, 2>, 8>;
var<workgroup> tile: array<array<array<Positions, 2>, 4>, 2>;
{% macro score(sum, spot) -%}
tile[{{ sum }}][own_quad / 2u][own_quad % 2u][{{ spot }} / 8u][{{ spot }} / 4u % 2u][{{ spot }} % 4u]
{%- endmacro %}
{#- The second half of `tile`, once its scores have been read: a vec4 a thread. -#}
{% macro note(i) -%}
tile[1][({{ i }}) / 128u][({{ i }}) / 64u % 2u][({{ i }}) / 8u % 8u][({{ i }}) / 4u % 2u][({{ i }}) % 4u]
{%- endmacro %}
{% macro in_slot(h, j) -%}
tile[slice & 1u][lane][{{ h }}][{{ j }}][column / 4u][column % 4u]
{%- endmacro %}
{% macro scores_of(h, j) -%}
vec4<f32>(s_{{ 4 * h }}_{{ j }}, s_{{ 4 * h + 1 }}_{{ j }}, s_{{ 4 * h + 2 }}_{{ j }}, s_{{ 4 * h + 3 }}_{{ j }})
{%- endmacro %}

// The place of a query among [rows, heads].
fn place_of(query: u32, kv_head: u32, shared_heads: u32) -> u32 {
  return (query / shared_heads) * attending.heads + kv_head * shared_heads + query % shared_heads;
}

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let quads = attending.dim / 4u;
  let shared_heads = attending.heads / attending.kv_heads;
  let split = group.x;
  let splits = groups.x;
  let kv_head = group.z;
  let num_queries = arrayLength(&rows) * shared_heads;
  let first_query = group.y * BLOCK_QUERIES;
  let last_query = min(first_query + BLOCK_QUERIES, num_queries) - 1u;
  let last = rows[last_query / shared_heads];
  if (!row_is_valid(last)) {
    return;
  }
  // What the block sees, from its first row that is valid.
  var first_row = first_query / shared_heads;
  while (!row_is_valid(rows[first_row])) {
    first_row++;
  }
  let block_from = first_visible_position(rows[first_row]);
  let block_to = last_visible_position(last);

  let slice = thread / 32u;
  let lane = thread % 32u / 8u;
  let column = thread % 8u;

  // For scores and values: queries 8 lane to 8 lane + 7 of the block. Past the end, the last one again.
{% for i in range(8) %}
  let query_{{ i }} = min(first_query + lane * 8u + {{ i }}u, num_queries - 1u);
  let q_{{ i }} = place_of(query_{{ i }}, kv_head, shared_heads) * quads;
{% for k in range(held) %}
  var o_{{ i }}_{{ k }} = vec4<f32>(0.0);
{% endfor %}
{% endfor %}
{% for k in range(held) %}
  let value_quad_{{ k }} = min(slice * 8u + column + {{ 64 * k }}u, quads - 1u);
{% endfor %}

  // For the softmax: four queries, and positions own_spot and own_spot + 32 of a tile.
  let own_quad = thread / 32u;
  let own_spot = thread % 32u;
  var own_from: vec4<u32>;
  var own_to: vec4<u32>;
  for (var i = 0u; i < 4u; i++) {
    let row = rows[min(first_query + 4u * own_quad + i, num_queries - 1u) / shared_heads];
    own_from[i] = first_visible_position(row);
    own_to[i] = last_visible_position(row);
  }
  var m = vec4<f32>(MOST_NEGATIVE);
  var l = vec4<f32>(0.0);  // of this thread's positions

  let first_tile = block_from / TILE;
  let skipped = (split + splits - first_tile % splits) % splits;
  for (var t = first_tile + skipped; t <= block_to / TILE; t += splits) {
    let base = tile_base(last.x, kv_head, t * TILE, attending.kv_heads, quads, attending.capacity);

    // Scores of this slice's quads.
{% for i in range(8) %}
{% for j in range(8) %}
    var s_{{ i }}_{{ j }} = 0.0;
{% endfor %}
{% endfor %}
{% for j in range(8) %}
    var key_{{ j }} = keys[base + min(slice, quads - 1u) * TILE + column + {{ 8 * j }}u];
{% endfor %}
    for (var d = slice; d < quads; d += 8u) {
      let next_at = base + min(d + 8u, quads - 1u) * TILE + column;
{% for j in range(8) %}
      let next_{{ j }} = keys[next_at + {{ 8 * j }}u];
      let k_{{ j }} = kv_unpack(key_{{ j }});
{% endfor %}
{% for i in range(8) %}
      let x_{{ i }} = q[q_{{ i }} + d];
{% for k in "xyzw" %}
{% for j in range(8) %}
      s_{{ i }}_{{ j }} = fma(k_{{ j }}.{{ k }}, x_{{ i }}.{{ k }}, s_{{ i }}_{{ j }});
{% endfor %}
{% endfor %}
{% endfor %}
{% for j in range(8) %}
      key_{{ j }} = next_{{ j }};
{% endfor %}
    }

    // Even slices are added in one place, odd ones in another.
    workgroupBarrier();
    if (slice < 2u) {
{% for h in range(2) %}
{% for j in range(8) %}
      {{ in_slot(h, j) }} = {{ scores_of(h, j) }};
{% endfor %}
{% endfor %}
    }
    workgroupBarrier();
    for (var turn = 1u; turn < 4u; turn++) {
      if (slice / 2u == turn) {
{% for h in range(2) %}
{% for j in range(8) %}
        {{ in_slot(h, j) }} += {{ scores_of(h, j) }};
{% endfor %}
{% endfor %}
      }
      workgroupBarrier();
    }

    // The tile's maxima, and the weights.
    var top = m;
{% for p in range(2) %}
    let spot_{{ p }} = own_spot + {{ 32 * p }}u;
    let position_{{ p }} = vec4<u32>(t * TILE + spot_{{ p }});
    let is_seen_{{ p }} = (position_{{ p }} >= own_from) & (position_{{ p }} <= own_to);
    let sum_{{ p }} = {{ score(0, "spot_" ~ p) }} + {{ score(1, "spot_" ~ p) }};
    let score_{{ p }} = select(vec4<f32>(MOST_NEGATIVE), attending.scale * sum_{{ p }}, is_seen_{{ p }});
    top = max(top, score_{{ p }});
{% endfor %}
    workgroupBarrier();
    {{ note("thread") }} = top;
    workgroupBarrier();
    if (own_spot < 8u) {
      for (var i = 8u; i < 32u; i += 8u) {
        top = max(top, {{ note("thread + i") }});
      }
      {{ note("thread") }} = top;
    }
    workgroupBarrier();
    for (var i = 0u; i < 8u; i++) {
      top = max(top, {{ note("own_quad * 32u + i") }});
    }
    let shrink = exp(m - top);
    l *= shrink;
    m = top;
{% for p in range(2) %}
    let weight_{{ p }} = select(vec4<f32>(0.0), exp(score_{{ p }} - top), is_seen_{{ p }});
    l += weight_{{ p }};
    {{ score(0, "spot_" ~ p) }} = weight_{{ p }};
{% endfor %}
    workgroupBarrier();
    if (own_spot == 0u) {
      {{ note("own_quad") }} = shrink;
    }
    workgroupBarrier();

    // The weighted values, four positions at a time.
{% for h in range(2) %}
    let shrink_{{ h }} = {{ note("lane * 2u + " ~ h ~ "u") }};
{% for i in range(4) %}
{% for k in range(held) %}
    o_{{ 4 * h + i }}_{{ k }} *= shrink_{{ h }}[{{ i }}];
{% endfor %}
{% endfor %}
{% endfor %}
    let from_slot = max(block_from, t * TILE) - t * TILE;
    let to_slot = min(block_to, t * TILE + TILE - 1u) - t * TILE;
{% for u in range(4) %}
{% for k in range(held) %}
    var value_{{ u }}_{{ k }} = values[base + clamp((from_slot & ~3u) + {{ u }}u, from_slot, to_slot) * quads + value_quad_{{ k }}];
{% endfor %}
{% endfor %}
    for (var s = from_slot & ~3u; s <= to_slot; s += 4u) {
{% for u in range(4) %}
      let next_{{ u }} = base + clamp(s + {{ 4 + u }}u, from_slot, to_slot) * quads;
{% for k in range(held) %}
      let next_{{ u }}_{{ k }} = values[next_{{ u }} + value_quad_{{ k }}];
      let v_{{ u }}_{{ k }} = kv_unpack(value_{{ u }}_{{ k }});
{% endfor %}
{% endfor %}
{% for u in range(4) %}
{% for h in range(2) %}
      let p_{{ u }}_{{ h }} = tile[0][lane][{{ h }}][s / 8u][s / 4u % 2u][{{ u }}];
{% for i in range(4) %}
{% for k in range(held) %}
      o_{{ 4 * h + i }}_{{ k }} = fma(vec4<f32>(p_{{ u }}_{{ h }}[{{ i }}]), v_{{ u }}_{{ k }}, o_{{ 4 * h + i }}_{{ k }});
{% endfor %}
{% endfor %}
{% endfor %}
{% endfor %}
{% for u in range(4) %}
{% for k in range(held) %}
      value_{{ u }}_{{ k }} = next_{{ u }}_{{ k }};
{% endfor %}
{% endfor %}
    }
  }

  workgroupBarrier();
  {{ note("thread") }} = l;
  workgroupBarrier();
  if (own_spot == 0u) {
    for (var i = 1u; i < 32u; i++) {
      l += {{ note("thread + i") }};
    }
    for (var i = 0u; i < 4u; i++) {
      let query = first_query + 4u * own_quad + i;
      if (query < num_queries && row_is_valid(rows[query / shared_heads])) {
        part_ml[place_of(query, kv_head, shared_heads) * splits + split] = vec2<f32>(m[i], l[i]);
      }
    }
  }
{% for i in range(8) %}
  if (first_query + lane * 8u + {{ i }}u < num_queries && row_is_valid(rows[query_{{ i }} / shared_heads])) {
{% for k in range(held) %}
    if (slice * 8u + column + {{ 64 * k }}u < quads) {
      part_o[q_{{ i }} * splits + split * quads + value_quad_{{ k }}] = o_{{ i }}_{{ k }};
    }
{% endfor %}
  }
{% endfor %}
}
