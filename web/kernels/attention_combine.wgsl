// o[h] = sum over tiles of exp(m_t - m) * o_t[h] / sum over tiles of exp(m_t - m) * l_t,  m = max m_t
//
// Tiles in ascending order, as many as the row's position makes visible.
//
// part_o: [rows, heads, slots, dim], part_ml: [rows, heads, slots] of (m, l), from attention.wgsl in mode
// "tiles". rows: the row table. o: [rows, heads, dim] float32; rows that are not valid give zeros.
// Grid: x = heads, y = rows.

@group(0) @binding(0) var<storage, read> part_o: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> part_ml: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> o: array<vec4<f32>>;
@group(0) @binding(4) var<uniform> attending: Attending;

{% include "shared/attending.wgsl" %}

const TILE = 64u;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let quads = attending.dim / 4u;
  let row = rows[group.y];
  let head = group.y * attending.heads + group.x;
  if ((row.w & 1u) == 0u) {
    for (var i = thread; i < quads; i += 64u) {
      o[head * quads + i] = vec4<f32>(0.0);
    }
    return;
  }
  let position = row.y;
  let first_tile = first_visible_position(position) / TILE;
  let tiles = (position - attending.behind) / TILE - first_tile + 1u;
  let base = head * attending.slots;

  var m = part_ml[base].x;
  for (var t = 1u; t < tiles; t++) {
    m = max(m, part_ml[base + t].x);
  }
  var l = 0.0;
  for (var t = 0u; t < tiles; t++) {
    l += exp(part_ml[base + t].x - m) * part_ml[base + t].y;
  }
  for (var i = thread; i < quads; i += 64u) {
    var sum = vec4<f32>(0.0);
    for (var t = 0u; t < tiles; t++) {
      sum += exp(part_ml[base + t].x - m) * part_o[(base + t) * quads + i];
    }
    o[head * quads + i] = sum / l;
  }
}
