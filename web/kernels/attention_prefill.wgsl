{% set quads_held = dim // 256 %}
{% set block = 4 * queries %}
{% set query_quads = block // 4 %}
{% set spots = query_quads * 64 // 256 %}
{% set spread = 64 // spots %}
{% set halves = queries // 4 %}
// Attention for many rows.
@group(0) @binding(0) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> keys: array<KvQuad>;
@group(0) @binding(3) var<storage, read> values: array<KvQuad>;
{% if keys_by == "split" %}
@group(0) @binding(4) var<storage, read_write> part_o: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> part_ml: array<vec2<f32>>;
@group(0) @binding(6) var<uniform> attending: Attending;
{% else %}
@group(0) @binding(4) var<storage, read_write> o: array<vec4<f32>>;
@group(0) @binding(5) var<uniform> attending: Attending;
{% endif %}

{% include "shared/attending.wgsl" %}

{% include "shared/kv.wgsl" %}


const MOST_NEGATIVE = -3.4028234e38;
// [2 slots][4 lanes][quads of a lane's queries][8][2][4 positions]
alias Positions = array<array<array<vec4<f32>, 4>, 2>, 8>;
var<workgroup> tile: array<array<array<Positions, {{ halves }}>, 4>, 2>;
{% macro red(e) -%}
tile[1][({{ e }}) / {{ 64 * halves }}u][({{ e }}) / 64u % {{ halves }}u][({{ e }}) / 8u % 8u][({{ e }}) / 4u % 2u][({{ e }}) % 4u]
{%- endmacro %}
{% macro score_at(slot, p) -%}
tile[{{ slot }}][own_quad / {{ halves }}u][own_quad % {{ halves }}u][spot_{{ p }} / 8u][spot_{{ p }} / 4u % 2u][spot_{{ p }} % 4u]
{%- endmacro %}

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let quads = attending.dim / 4u;
  let num_rows = arrayLength(&rows);
  let shared_heads = attending.heads / attending.kv_heads;
  let kv_head = group.z;
{% if keys_by == "split" %}
  let split = group.x;
  let splits = groups.x;
{% endif %}
  let num_queries = num_rows * shared_heads;
  let first_query = group.y * {{ block }}u;
  let last_query = min(first_query + {{ block - 1 }}u, num_queries - 1u);
  let last = rows[last_query / shared_heads];
  if ((last.w & 1u) == 0u) {
{% if keys_by != "split" %}
    for (var query = first_query; query <= last_query; query++) {
      let head = (query / shared_heads) * attending.heads + kv_head * shared_heads + query % shared_heads;
      for (var i = thread; i < quads; i += 256u) {
        o[head * quads + i] = vec4<f32>(0.0);
      }
    }
{% endif %}
    return;
  }
  let rows_before = last_query / shared_heads - first_query / shared_heads;
  let first_position = last.y - min(rows_before, last.y);
  let block_from = first_visible_position(first_position);
  let block_to = last.y - attending.behind;

  let slice = thread / 32u;
  let column = thread % 8u;
  let lane = thread % 32u / 8u;

  // Of the scores: this thread's queries.
{% for i in range(queries) %}
  let query_{{ i }} = min(first_query + lane * {{ queries }}u + {{ i }}u, num_queries - 1u);
  let q_{{ i }} = ((query_{{ i }} / shared_heads) * attending.heads + kv_head * shared_heads + query_{{ i }} % shared_heads) * quads;
{% endfor %}
  // Of the softmax
  let own_quad = thread / {{ spread }}u;
  let own_spot = thread % {{ spread }}u;
  var own_from: vec4<u32>;
  var own_to: vec4<u32>;
  for (var i = 0u; i < 4u; i++) {
    let row = rows[min(first_query + 4u * own_quad + i, num_queries - 1u) / shared_heads];
    own_from[i] = first_visible_position(row.y);
    own_to[i] = row.y - attending.behind;
  }
  var m = vec4<f32>(MOST_NEGATIVE);
  var l = vec4<f32>(0.0);

{% for i in range(queries) %}
{% for k in range(quads_held) %}
  var o_{{ i }}_{{ k }} = vec4<f32>(0.0);
{% endfor %}
{% endfor %}
{% for k in range(quads_held) %}
  let value_quad_{{ k }} = min(slice * 8u + column + {{ 64 * k }}u, quads - 1u);
{% endfor %}

  let first_tile = block_from / TILE;
{% if keys_by == "split" %}
  for (var t = first_tile + (split + splits - first_tile % splits) % splits; t <= block_to / TILE; t += splits) {
{% else %}
  for (var t = first_tile; t <= block_to / TILE; t++) {
{% endif %}
    let base = tile_base(last.x, kv_head, t * TILE, attending.kv_heads, quads, attending.capacity);
{% for i in range(queries) %}
{% for j in range(8) %}
    var s_{{ i }}_{{ j }} = 0.0;
{% endfor %}
{% endfor %}
{% if ahead %}
{% for j in range(8) %}
    var k_{{ j }} = keys[base + min(slice, quads - 1u) * TILE + column + {{ 8 * j }}u];
{% endfor %}
{% endif %}
    for (var d = slice; d < quads; d += 8u) {
{% if ahead %}
      let next_at = base + min(d + 8u, quads - 1u) * TILE + column;
{% for j in range(8) %}
      let next_{{ j }} = keys[next_at + {{ 8 * j }}u];
{% endfor %}
{% for j in range(8) %}
      let key_{{ j }} = kv_unpack(k_{{ j }});
{% endfor %}
{% else %}
      let key_at = base + d * TILE + column;
{% for j in range(8) %}
      let key_{{ j }} = kv_unpack(keys[key_at + {{ 8 * j }}u]);
{% endfor %}
{% endif %}
{% for i in range(queries) %}
      let x_{{ i }} = q[q_{{ i }} + d];
{% for k in "xyzw" %}
{% for j in range(8) %}
      s_{{ i }}_{{ j }} = fma(key_{{ j }}.{{ k }}, x_{{ i }}.{{ k }}, s_{{ i }}_{{ j }});
{% endfor %}
{% endfor %}
{% endfor %}
{% if ahead %}
{% for j in range(8) %}
      k_{{ j }} = next_{{ j }};
{% endfor %}
{% endif %}
    }
    workgroupBarrier();
    if (slice < 2u) {
{% for h in range(halves) %}
{% for j in range(8) %}
      tile[slice & 1u][lane][{{ h }}][{{ j }}][column / 4u][column % 4u] = vec4<f32>(s_{{ 4 * h }}_{{ j }}, s_{{ 4 * h + 1 }}_{{ j }}, s_{{ 4 * h + 2 }}_{{ j }}, s_{{ 4 * h + 3 }}_{{ j }});
{% endfor %}
{% endfor %}
    }
    workgroupBarrier();
{% for turn in range(1, 4) %}
    if (slice / 2u == {{ turn }}u) {
{% for h in range(halves) %}
{% for j in range(8) %}
      tile[slice & 1u][lane][{{ h }}][{{ j }}][column / 4u][column % 4u] += vec4<f32>(s_{{ 4 * h }}_{{ j }}, s_{{ 4 * h + 1 }}_{{ j }}, s_{{ 4 * h + 2 }}_{{ j }}, s_{{ 4 * h + 3 }}_{{ j }});
{% endfor %}
{% endfor %}
    }
    workgroupBarrier();
{% endfor %}

    // softmax
    var top = m;
{% for p in range(spots) %}
    let spot_{{ p }} = own_spot + {{ p * spread }}u;
    let position_{{ p }} = vec4<u32>(t * TILE + spot_{{ p }});
    let seen_{{ p }} = (position_{{ p }} >= own_from) & (position_{{ p }} <= own_to);
    let score_{{ p }} = select(vec4<f32>(MOST_NEGATIVE), attending.scale * ({{ score_at(0, p) }} + {{ score_at(1, p) }}), seen_{{ p }});
    top = max(top, score_{{ p }});
{% endfor %}
    workgroupBarrier();
    {{ red("thread") }} = top;
    workgroupBarrier();
    if (own_spot < 8u) {
      for (var i = 8u; i < {{ spread }}u; i += 8u) {
        top = max(top, {{ red("thread + i") }});
      }
      {{ red("thread") }} = top;
    }
    workgroupBarrier();
    for (var i = 0u; i < 8u; i++) {
      top = max(top, {{ red("own_quad * " ~ spread ~ "u + i") }});
    }
    let shrink = exp(m - top);
    l *= shrink;
    m = top;
{% for p in range(spots) %}
    let p_{{ p }} = select(vec4<f32>(0.0), exp(score_{{ p }} - top), seen_{{ p }});
    l += p_{{ p }};
    {{ score_at(0, p) }} = p_{{ p }};
{% endfor %}
    workgroupBarrier();
    if (own_spot == 0u) {
      {{ red("own_quad") }} = shrink;
    }
    workgroupBarrier();

    // values
{% for h in range(halves) %}
    let shrink_{{ h }} = {{ red("lane * " ~ halves ~ "u + " ~ h ~ "u") }};
{% for i in range(4) %}
{% for k in range(quads_held) %}
    o_{{ 4 * h + i }}_{{ k }} *= shrink_{{ h }}[{{ i }}];
{% endfor %}
{% endfor %}
{% endfor %}
    let from_slot = max(block_from, t * TILE) - t * TILE;
    let to_slot = min(block_to, t * TILE + TILE - 1u) - t * TILE;
{% if ahead %}
{% for u in range(4) %}
{% for k in range(quads_held) %}
    var held_{{ u }}_{{ k }} = values[base + clamp((from_slot & ~3u) + {{ u }}u, from_slot, to_slot) * quads + value_quad_{{ k }}];
{% endfor %}
{% endfor %}
{% endif %}
    for (var s = from_slot & ~3u; s <= to_slot; s += 4u) {
{% for u in range(4) %}
{% if ahead %}
      let value_{{ u }} = base + clamp(s + {{ 4 + u }}u, from_slot, to_slot) * quads;
{% for k in range(quads_held) %}
      let ahead_{{ u }}_{{ k }} = values[value_{{ u }} + value_quad_{{ k }}];
{% endfor %}
{% else %}
      let value_{{ u }} = base + clamp(s + {{ u }}u, from_slot, to_slot) * quads;
{% for k in range(quads_held) %}
      let v_{{ u }}_{{ k }} = kv_unpack(values[value_{{ u }} + value_quad_{{ k }}]);
{% endfor %}
{% endif %}
{% endfor %}
{% if ahead %}
{% for u in range(4) %}
{% for k in range(quads_held) %}
      let v_{{ u }}_{{ k }} = kv_unpack(held_{{ u }}_{{ k }});
{% endfor %}
{% endfor %}
{% endif %}
{% for u in range(4) %}
{% for h in range(halves) %}
      let p_{{ u }}_{{ h }} = tile[0][lane][{{ h }}][s / 8u][s / 4u % 2u][{{ u }}];
{% for i in range(4) %}
{% for k in range(quads_held) %}
      o_{{ 4 * h + i }}_{{ k }} = fma(vec4<f32>(p_{{ u }}_{{ h }}[{{ i }}]), v_{{ u }}_{{ k }}, o_{{ 4 * h + i }}_{{ k }});
{% endfor %}
{% endfor %}
{% endfor %}
{% endfor %}
{% if ahead %}
{% for u in range(4) %}
{% for k in range(quads_held) %}
      held_{{ u }}_{{ k }} = ahead_{{ u }}_{{ k }};
{% endfor %}
{% endfor %}
{% endif %}
    }
  }

  // The sums of all positions' weights.
  workgroupBarrier();
  {{ red("thread") }} = l;
  workgroupBarrier();
  if (own_spot == 0u) {
    for (var i = 1u; i < {{ spread }}u; i++) {
      l += {{ red("thread + i") }};
    }
  }
  workgroupBarrier();
  if (own_spot == 0u) {
{% if keys_by == "split" %}
    for (var i = 0u; i < 4u; i++) {
      let query = first_query + 4u * own_quad + i;
      if (query < num_queries && (rows[query / shared_heads].w & 1u) == 1u) {
        let head = (query / shared_heads) * attending.heads + kv_head * shared_heads + query % shared_heads;
        part_ml[head * splits + split] = vec2<f32>(m[i], l[i]);
      }
    }
{% else %}
    {{ red("own_quad") }} = l;
{% endif %}
  }
{% if keys_by != "split" %}
  workgroupBarrier();
{% endif %}
{% for i in range(queries) %}
  {
    let query = first_query + lane * {{ queries }}u + {{ i }}u;
    let is_valid = (rows[query_{{ i }} / shared_heads].w & 1u) == 1u;
{% if keys_by != "split" %}
    let total = {{ red("lane * " ~ halves ~ "u + " ~ (i // 4) ~ "u") }}[{{ i % 4 }}];
{% endif %}
{% for k in range(quads_held) %}
    if (query < num_queries && slice * 8u + column + {{ 64 * k }}u < quads) {
{% if keys_by == "split" %}
      if (is_valid) {
        part_o[(q_{{ i }} / quads * splits + split) * quads + value_quad_{{ k }}] = o_{{ i }}_{{ k }};
      }
{% else %}
      o[q_{{ i }} + value_quad_{{ k }}] = select(vec4<f32>(0.0), o_{{ i }}_{{ k }} / total, is_valid);
{% endif %}
    }
{% endfor %}
  }
{% endfor %}
}
