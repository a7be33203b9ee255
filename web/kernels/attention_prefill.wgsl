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
@group(0) @binding(4) var<storage, read_write> part_o: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> part_ml: array<vec2<f32>>;
@group(0) @binding(6) var<uniform> attending: Attending;

{% include "shared/attending.wgsl" %}

{% include "shared/kv.wgsl" %}

override SPLITS: u32;

const MOST_NEGATIVE = -3.4028234e38;
const SLOT = {{ query_quads * 64 }}u;

var<workgroup> tile: array<vec4<f32>, 2u * SLOT>;

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
  let split = group.x;
  let num_queries = num_rows * shared_heads;
  let first_query = group.y * {{ block }}u;
  let last_query = min(first_query + {{ block - 1 }}u, num_queries - 1u);
  let last = rows[last_query / shared_heads];
  if ((last.w & 1u) == 0u) {
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
  for (var t = first_tile + (split + SPLITS - first_tile % SPLITS) % SPLITS; t <= block_to / TILE; t += SPLITS) {
    let base = tile_base(last.x, kv_head, t * TILE, attending.kv_heads, quads, attending.capacity);
{% for i in range(queries) %}
{% for j in range(8) %}
    var s_{{ i }}_{{ j }} = 0.0;
{% endfor %}
{% endfor %}
    for (var d = slice; d < quads; d += 8u) {
      let key_at = base + d * TILE + column;
{% for j in range(8) %}
      let k_{{ j }} = kv_unpack(keys[key_at + {{ 8 * j }}u]);
{% endfor %}
{% for i in range(queries) %}
      let x_{{ i }} = q[q_{{ i }} + d];
{% for k in "xyzw" %}
{% for j in range(8) %}
      s_{{ i }}_{{ j }} = fma(k_{{ j }}.{{ k }}, x_{{ i }}.{{ k }}, s_{{ i }}_{{ j }});
{% endfor %}
{% endfor %}
{% endfor %}
    }
    workgroupBarrier();
    let slot = (slice & 1u) * SLOT + lane * {{ 64 * halves }}u + column;
    if (slice < 2u) {
{% for h in range(halves) %}
{% for j in range(8) %}
      tile[slot + {{ 64 * h + 8 * j }}u] = vec4<f32>(s_{{ 4 * h }}_{{ j }}, s_{{ 4 * h + 1 }}_{{ j }}, s_{{ 4 * h + 2 }}_{{ j }}, s_{{ 4 * h + 3 }}_{{ j }});
{% endfor %}
{% endfor %}
    }
    workgroupBarrier();
{% for turn in range(1, 4) %}
    if (slice / 2u == {{ turn }}u) {
{% for h in range(halves) %}
{% for j in range(8) %}
      tile[slot + {{ 64 * h + 8 * j }}u] += vec4<f32>(s_{{ 4 * h }}_{{ j }}, s_{{ 4 * h + 1 }}_{{ j }}, s_{{ 4 * h + 2 }}_{{ j }}, s_{{ 4 * h + 3 }}_{{ j }});
{% endfor %}
{% endfor %}
    }
    workgroupBarrier();
{% endfor %}

    // softmax
    var top = m;
{% for p in range(spots) %}
    let at_{{ p }} = own_quad * 64u + own_spot + {{ p * spread }}u;
    let position_{{ p }} = vec4<u32>(t * TILE + own_spot + {{ p * spread }}u);
    let seen_{{ p }} = (position_{{ p }} >= own_from) & (position_{{ p }} <= own_to);
    let score_{{ p }} = select(vec4<f32>(MOST_NEGATIVE), attending.scale * (tile[at_{{ p }}] + tile[SLOT + at_{{ p }}]), seen_{{ p }});
    top = max(top, score_{{ p }});
{% endfor %}
    workgroupBarrier();
    tile[SLOT + thread] = top;
    workgroupBarrier();
    if (own_spot < 8u) {
      for (var i = 8u; i < {{ spread }}u; i += 8u) {
        top = max(top, tile[SLOT + thread + i]);
      }
      tile[SLOT + thread] = top;
    }
    workgroupBarrier();
    for (var i = 0u; i < 8u; i++) {
      top = max(top, tile[SLOT + own_quad * {{ spread }}u + i]);
    }
    let shrink = exp(m - top);
    l *= shrink;
    m = top;
{% for p in range(spots) %}
    let p_{{ p }} = select(vec4<f32>(0.0), exp(score_{{ p }} - top), seen_{{ p }});
    l += p_{{ p }};
    tile[at_{{ p }}] = p_{{ p }};
{% endfor %}
    workgroupBarrier();
    if (own_spot == 0u) {
      tile[SLOT + own_quad] = shrink;
    }
    workgroupBarrier();

    // values
{% for h in range(halves) %}
    let shrink_{{ h }} = tile[SLOT + lane * {{ halves }}u + {{ h }}u];
{% for i in range(4) %}
{% for k in range(quads_held) %}
    o_{{ 4 * h + i }}_{{ k }} *= shrink_{{ h }}[{{ i }}];
{% endfor %}
{% endfor %}
{% endfor %}
    let from_slot = max(block_from, t * TILE) - t * TILE;
    let to_slot = min(block_to, t * TILE + TILE - 1u) - t * TILE;
    for (var s = from_slot & ~3u; s <= to_slot; s += 4u) {
{% for u in range(4) %}
      let value_{{ u }} = base + clamp(s + {{ u }}u, from_slot, to_slot) * quads;
{% for k in range(quads_held) %}
      let v_{{ u }}_{{ k }} = kv_unpack(values[value_{{ u }} + value_quad_{{ k }}]);
{% endfor %}
{% endfor %}
{% for u in range(4) %}
{% for h in range(halves) %}
      let p_{{ u }}_{{ h }} = tile[lane * {{ 64 * halves }}u + {{ 64 * h + u }}u + s];
{% for i in range(4) %}
{% for k in range(quads_held) %}
      o_{{ 4 * h + i }}_{{ k }} = fma(vec4<f32>(p_{{ u }}_{{ h }}[{{ i }}]), v_{{ u }}_{{ k }}, o_{{ 4 * h + i }}_{{ k }});
{% endfor %}
{% endfor %}
{% endfor %}
{% endfor %}
    }
  }

  workgroupBarrier();
  tile[thread] = l;
  workgroupBarrier();
  if (own_spot < 4u) {
    let query = first_query + 4u * own_quad + own_spot;
    if (query < num_queries) {
      var sum = 0.0;
      for (var i = 0u; i < {{ spread }}u; i++) {
        sum += tile[own_quad * {{ spread }}u + i][own_spot];
      }
      let head = (query / shared_heads) * attending.heads + kv_head * shared_heads + query % shared_heads;
      part_ml[head * SPLITS + split] = vec2<f32>(m[own_spot], sum);
    }
  }
{% for k in range(quads_held) %}
  if (slice * 8u + column + {{ 64 * k }}u < quads) {
{% for i in range(queries) %}
    if (first_query + lane * {{ queries }}u + {{ i }}u < num_queries) {
      part_o[(q_{{ i }} / quads * SPLITS + split) * quads + value_quad_{{ k }}] = o_{{ i }}_{{ k }};
    }
{% endfor %}
  }
{% endfor %}
}
