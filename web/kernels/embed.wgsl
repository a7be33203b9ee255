// y[r] = scale * E[token of row r]
//
// E: the rows first .. first + count of the embedding, [count, columns] in layout "{{ layout.name }}"; rows of the
// table whose token lies elsewhere are left alone (another shard's dispatch writes them).
// rows: the row table, see pyapp/leadout/state.py. y: [rows, stride] float32, written up to `columns`.
// Grid: x = ceil(columns / 2048), y = rows.
{% from "shared/weights.wgsl" import load_block, quad, num_planes with context %}

{% include "shared/weights.wgsl" %}

@group(0) @binding({{ num_planes }}) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding({{ num_planes + 1 }}) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding({{ num_planes + 2 }}) var<uniform> shape: EmbedShape;

// Read at run time, so that all tables and shards share a pipeline. Keep in step with pyapp/leadout/lowering/linear.py.
struct EmbedShape {
  columns: u32,  // of the table, a multiple of 32
  first: u32,    // row of the table that the shard begins with
  count: u32,    // rows of the shard
  stride: u32,   // columns of y
  scale: f32,
  reserved_0: u32,
  reserved_1: u32,
  reserved_2: u32,
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let blocks = shape.columns / 32u;
  let token = rows[id.y].z;
  if (id.x >= blocks || token < shape.first || token >= shape.first + shape.count) {
    return;
  }
{{ load_block("(token - shape.first) * blocks + id.x", "p") }}
  let out = id.y * (shape.stride / 4u) + id.x * 8u;
{% for j in range(8) %}
  y[out + {{ j }}u] = shape.scale * {{ quad("p", j) }};
{% endfor %}
}
