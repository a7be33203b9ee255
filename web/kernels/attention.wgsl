// Attention of one row's query heads over the KV cache, positions taken in tiles of 64:
//
//   s[h, p] = scale * dot(q[h], k[p])       for p from position + 1 - window (window 0: from 0)
//                                           to position - behind
//   m[h] = max s[h];   l[h] = sum exp(s[h] - m[h]);   o[h] = sum exp(s[h, p] - m[h]) * v[p]
//
// For many rows (prefill): one workgroup goes through all tiles of a row, rescaling as it goes, and writes o / l.
//
// A workgroup serves {{ heads }} query heads that share a kv head, so that keys and values are read once for
// all of them. Masked positions are never read. Rows that are not valid give zeros.
//
// q: [rows, heads, dim] float32. rows: the row table. Caches: see shared/kv.wgsl. attending: sizes.
// o: [rows, heads, dim]. Grid: x = 1, y = heads / {{ heads }}, z = rows.

@group(0) @binding(0) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> keys: array<KvQuad>;
@group(0) @binding(3) var<storage, read> values: array<KvQuad>;
@group(0) @binding(4) var<storage, read_write> o: array<vec4<f32>>;
@group(0) @binding(5) var<uniform> attending: Attending;

{% include "shared/attending.wgsl" %}

{% include "shared/kv.wgsl" %}

const SHARED_HEADS = {{ heads }}u;
const MAX_QUADS = 128u;
const MOST_NEGATIVE = -3.4028234e38;

var<workgroup> queries: array<vec4<f32>, SHARED_HEADS * MAX_QUADS>;
var<workgroup> scores: array<f32, SHARED_HEADS * TILE>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let quads = attending.dim / 4u;
  let row = rows[group.z];
  let first_head = group.y * SHARED_HEADS;
  let kv_head = first_head / (attending.heads / attending.kv_heads);
  let position = row.y;
  let first_visible = first_visible_position(position);
  let last_visible = position - attending.behind;
  let head_base = group.z * attending.heads + first_head;
  let is_valid = (row.w & 1u) == 1u;

  if (!is_valid) {
    for (var i = thread; i < SHARED_HEADS * quads; i += 64u) {
      o[head_base * quads + i] = vec4<f32>(0.0);
    }
    return;
  }
  for (var i = thread; i < SHARED_HEADS * quads; i += 64u) {
    queries[i] = q[head_base * quads + i];
  }

  // Quads of the output that this thread owns: thread and thread + 64, for every head.
{% for h in range(heads) %}
  var sum_{{ h }}: array<vec4<f32>, 2>;
  var m_{{ h }} = MOST_NEGATIVE;
  var l_{{ h }} = 0.0;
{% endfor %}
  for (var tile = first_visible / TILE; tile <= last_visible / TILE; tile++) {
    let base = tile_base(
      row.x, kv_head, tile * TILE, attending.kv_heads, quads, attending.capacity,
    );
    let from_slot = max(first_visible, tile * TILE) - tile * TILE;
    let to_slot = min(last_visible, tile * TILE + TILE - 1u) - tile * TILE;
    workgroupBarrier();  // queries are there; scores of the tile before are no longer read

    // A thread per position: its scores.
    if (thread >= from_slot && thread <= to_slot) {
{% for h in range(heads) %}
      var score_{{ h }} = 0.0;
{% endfor %}
      for (var i = 0u; i < quads; i++) {
        let key = kv_unpack(keys[base + i * TILE + thread]);
{% for h in range(heads) %}
        score_{{ h }} += dot(queries[{{ h }}u * quads + i], key);
{% endfor %}
      }
{% for h in range(heads) %}
      scores[{{ h }}u * TILE + thread] = attending.scale * score_{{ h }};
{% endfor %}
    }
    workgroupBarrier();

    // Every thread finds the same maxima, then one thread per position takes the exponentials.
{% for h in range(heads) %}
    var max_{{ h }} = m_{{ h }};
{% endfor %}
    for (var slot = from_slot; slot <= to_slot; slot++) {
{% for h in range(heads) %}
      max_{{ h }} = max(max_{{ h }}, scores[{{ h }}u * TILE + slot]);
{% endfor %}
    }
    workgroupBarrier();
    if (thread >= from_slot && thread <= to_slot) {
{% for h in range(heads) %}
      scores[{{ h }}u * TILE + thread] = exp(scores[{{ h }}u * TILE + thread] - max_{{ h }});
{% endfor %}
    }
    workgroupBarrier();
{% for h in range(heads) %}
    let shrink_{{ h }} = exp(m_{{ h }} - max_{{ h }});
    l_{{ h }} *= shrink_{{ h }};
    sum_{{ h }}[0] *= shrink_{{ h }};
    sum_{{ h }}[1] *= shrink_{{ h }};
{% endfor %}
{% for h in range(heads) %}
    m_{{ h }} = max_{{ h }};
{% endfor %}

    // A thread per quad of the head: the weighted values, positions in ascending order.
    for (var slot = from_slot; slot <= to_slot; slot++) {
{% for h in range(heads) %}
      let p_{{ h }} = scores[{{ h }}u * TILE + slot];
      l_{{ h }} += p_{{ h }};
{% endfor %}
      if (thread < quads) {
        let value = kv_unpack(values[base + slot * quads + thread]);
{% for h in range(heads) %}
        sum_{{ h }}[0] += p_{{ h }} * value;
{% endfor %}
      }
      if (thread + 64u < quads) {
        let value = kv_unpack(values[base + slot * quads + thread + 64u]);
{% for h in range(heads) %}
        sum_{{ h }}[1] += p_{{ h }} * value;
{% endfor %}
      }
    }
  }

{% for h in range(heads) %}
  {
    let out = (head_base + {{ h }}u) * quads;
    if (thread < quads) {
      o[out + thread] = sum_{{ h }}[0] / l_{{ h }};
    }
    if (thread + 64u < quads) {
      o[out + thread + 64u] = sum_{{ h }}[1] / l_{{ h }};
    }
  }
{% endfor %}
}
