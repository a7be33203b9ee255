// o[h] = sum over segments of exp(m_t - m) * o_t[h] / sum over segments of exp(m_t - m) * l_t,  m = max m_t
//
// For the segments that the row sees. Sixteen threads a quad add every sixteenth segment each, in ascending
// order; these sums are then added as a tree.
//
// part_o: [rows, heads, slots, D], part_ml: [rows, heads, slots] of (m, l), from attention_segments. rows: the
// row table. o: [rows, heads, D] float32, or packed as packed_matvec takes it ("packed", see shared/packed.wgsl);
// rows that are not valid give zeros. D a multiple of 8, of 32 where it is packed, at most 512.
// Grid: x = D / 64, rounded up, y = heads, z = rows.
{% set is_packed = output == "packed" %}
{% from "shared/packed.wgsl" import pack_quads with context %}

@group(0) @binding(0) var<storage, read> part_o: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> part_ml: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> {{ "packed: array<u32>" if is_packed else "o: array<vec4<f32>>" }};
@group(0) @binding(4) var<uniform> layer: Decoding;

override D: u32;

{% include "shared/row.wgsl" %}
{% include "shared/segments.wgsl" %}

override QUADS: u32 = D / 4u;
{% if is_packed %}

{% include "shared/pack_quads.wgsl" %}
{% endif %}

const QUADS_OF_GROUP = 16u;
const MOST_NEGATIVE = -3.4028234e38;
// Most slots: 128, or one more where a window begins inside a segment.
var<workgroup> factors: array<f32, 256>;
var<workgroup> parts: array<f32, 16>;
var<workgroup> sums: array<vec4<f32>, 256>;
var<workgroup> totals: array<f32, 256>;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = rows[layer.first_row + group.z];
  let head = group.z * layer.heads + group.y;
  let quad = group.x * QUADS_OF_GROUP + thread % 16u;
  let part = thread / 16u;
  let is_valid = row_is_valid(row);
  let count = select(0u, sight(row, layer).count, is_valid);
  let base = head * layer.slots;

  var ml = vec2<f32>(MOST_NEGATIVE, 0.0);
  if (thread < count) {
    ml = part_ml[base + thread];
  }
  factors[thread] = ml.x;
  workgroupBarrier();
  if (thread < 16u) {
    var m = factors[thread];
    for (var i = thread + 16u; i < 256u; i += 16u) {
      m = max(m, factors[i]);
    }
    parts[thread] = m;
  }
  workgroupBarrier();
  var m = parts[0];
  for (var i = 1u; i < 16u; i++) {
    m = max(m, parts[i]);
  }
  let factor = exp(ml.x - m);
  factors[thread] = factor;
  totals[thread] = factor * ml.y;
  workgroupBarrier();

  var sum = vec4<f32>(0.0);
  var total = 0.0;
  if (quad < QUADS) {
    for (var t = part; t < count; t += 64u) {
{% for b in range(4) %}
      let part_{{ b }} = part_o[(base + min(t + {{ 16 * b }}u, count - 1u)) * QUADS + quad];
{% endfor %}
{% for b in range(4) %}
      if (t + {{ 16 * b }}u < count) {
        sum = fma(vec4<f32>(factors[t + {{ 16 * b }}u]), part_{{ b }}, sum);
        total += totals[t + {{ 16 * b }}u];
      }
{% endfor %}
    }
  }
  workgroupBarrier();
  sums[thread] = sum;
  totals[thread] = total;
  for (var half = 8u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (part < half) {
      sums[thread] += sums[thread + 16u * half];
      totals[thread] += totals[thread + 16u * half];
    }
  }
  if (part == 0u) {
    sums[thread] = select(vec4<f32>(), sums[thread] / totals[thread], is_valid);
  }
{% if is_packed %}
  let columns = layer.heads * D;
  let out = (layer.first_row + group.z) * (columns / 4u);
  let first = group.y * QUADS + group.x * QUADS_OF_GROUP;
{{ pack_quads("sums[i]", "min(QUADS_OF_GROUP, QUADS - group.x * QUADS_OF_GROUP)", "out", "first", "columns") }}
{% else %}
  if (part == 0u && quad < QUADS) {
    o[(head + layer.first_row * layer.heads) * QUADS + quad] = sums[thread];
  }
{% endif %}
}
