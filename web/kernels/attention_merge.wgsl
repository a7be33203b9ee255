// o[h] = sum over splits of exp(m_s - m) * o_s[h] / sum of exp(m_s - m) * l_s, m = max m_s
@group(0) @binding(0) var<storage, read> part_o: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> part_ml: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> o: array<vec4<f32>>;
@group(0) @binding(4) var<uniform> attending: Attending;

{% include "shared/attending.wgsl" %}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let quads = attending.dim / 4u;
  let splits = attending.slots;
  let head = group.y * attending.heads + group.x;
  if ((rows[group.y].w & 1u) == 0u) {
    for (var i = thread; i < quads; i += 64u) {
      o[head * quads + i] = vec4<f32>(0.0);
    }
    return;
  }
  let base = head * splits;
  var m = part_ml[base].x;
  for (var s = 1u; s < splits; s++) {
    m = max(m, part_ml[base + s].x);
  }
  var l = 0.0;
  for (var s = 0u; s < splits; s++) {
    l += exp(part_ml[base + s].x - m) * part_ml[base + s].y;
  }
  for (var i = thread; i < quads; i += 64u) {
    var sum = vec4<f32>(0.0);
    for (var s = 0u; s < splits; s++) {
      sum += exp(part_ml[base + s].x - m) * part_o[(base + s) * quads + i];
    }
    o[head * quads + i] = sum / l;
  }
}
