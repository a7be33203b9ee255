// o[h] = sum over splits of exp(m_s - m) * o_s[h] / sum over splits of exp(m_s - m) * l_s,  m = max m_s
//
// Splits in ascending order, as many as attending.slots says.
//
// part_o: [rows, heads, splits, dim], part_ml: [rows, heads, splits] of (m, l), from attention_prefill. rows: the
// row table, bound with its exact size. o: [rows, heads, dim] float32; rows that are not valid give zeros.
// Grid: x = ceil(heads * dim / 4 / 256), y = rows.

@group(0) @binding(0) var<storage, read> part_o: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> part_ml: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> o: array<vec4<f32>>;
@group(0) @binding(4) var<uniform> attending: Attending;

{% include "shared/row.wgsl" %}
{% include "shared/attending.wgsl" %}

const WORKGROUP_QUADS = 256u;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let quads = attending.dim / 4u;
  let i = group.x * WORKGROUP_QUADS + thread;
  if (i >= attending.heads * quads) {
    return;
  }
  let out = group.y * attending.heads * quads + i;
  if (!row_is_valid(rows[group.y])) {
    o[out] = vec4<f32>(0.0);
    return;
  }
  let splits = attending.slots;
  let base = (out / quads) * splits;
  var m = part_ml[base].x;
  for (var s = 1u; s < splits; s++) {
    m = max(m, part_ml[base + s].x);
  }
  var l = 0.0;
  var sum = vec4<f32>(0.0);
  for (var s = 0u; s < splits; s++) {
    let part = part_ml[base + s];
    let share = exp(part.x - m);
    l += share * part.y;
    sum += share * part_o[(base + s) * quads + out % quads];
  }
  o[out] = sum / l;
}
