// y[r] = given[r] for rows whose embeddings the host gives; other rows stay as they are.
//
// given: [rows, K] float32. rows: the row table, see pyapp/leadout/state.py. y: [rows, OUT_STRIDE] float32, its
// first K columns; K and OUT_STRIDE are multiples of 4. Grid: x = ceil(K / 256), y = rows.

override K: u32;
override OUT_STRIDE: u32;

@group(0) @binding(0) var<storage, read> given: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

{% include "shared/row.wgsl" %}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < K / 4u && row_is_embedded(rows[id.y])) {
    y[id.y * (OUT_STRIDE / 4u) + id.x] = given[id.y * (K / 4u) + id.x];
  }
}
