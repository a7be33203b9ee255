// y[r] = SCALE * E[token of row r]
//
// E: the rows FIRST .. FIRST + N of the embedding, [N, K] in layout "{{ layout.name }}"; rows of the
// table whose token lies elsewhere are left alone (another shard's dispatch writes them).
// rows: the row table, see pyapp/leadout/state.py. y: [rows, OUT_STRIDE] float32, its first K columns.
// Grid: x = ceil(K / 2048), y = rows.
{% from "shared/weights.wgsl" import load_block, quad, num_planes with context %}

override K: u32;
override N: u32;
override FIRST: u32 = 0u;
override SCALE: f32 = 1.0;
override OUT_STRIDE: u32;

{% include "shared/weights.wgsl" %}

@group(0) @binding({{ num_planes }}) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding({{ num_planes + 1 }}) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let blocks = K / 32u;
  let token = rows[id.y].z;
  if (id.x >= blocks || token < FIRST || token >= FIRST + N) {
    return;
  }
{{ load_block("(token - FIRST) * blocks + id.x", "p") }}
  let out = id.y * (OUT_STRIDE / 4u) + id.x * 8u;
{% for j in range(8) %}
  y[out + {{ j }}u] = SCALE * {{ quad("p", j) }};
{% endfor %}
}
