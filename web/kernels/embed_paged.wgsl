// y[r] = SCALE * E[slots[token of row r] - 1], and 0 where slots has a 0: the token's row is not here
//
// E: those rows of a paged table that are on the device, [N, K] in layout "{{ layout.name }}"; slots: a word an id.
// A cycle is queued before anybody knows its tokens; what becomes of rows without a slot is accept.wgsl's.
// rows: the row table, see pyapp/leadout/state.py. y: [rows, K] float32.
// Grid: x = ceil(K / 2048), y = rows.
{% from "shared/weights.wgsl" import load_block, quad, num_planes with context %}

override K: u32;
override N: u32;
override SCALE: f32 = 1.0;

{% include "shared/weights.wgsl" %}

@group(0) @binding({{ num_planes }}) var<storage, read> slots: array<u32>;
@group(0) @binding({{ num_planes + 1 }}) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding({{ num_planes + 2 }}) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let blocks = K / 32u;
  if (id.x >= blocks) {
    return;
  }
  let out = (id.y * blocks + id.x) * 8u;
  let slot = slots[rows[id.y].z];
  if (slot == 0u || slot > N) {
    for (var j = 0u; j < 8u; j++) {
      y[out + j] = vec4<f32>(0.0);
    }
    return;
  }
{{ load_block("(slot - 1u) * blocks + id.x", "p") }}
{% for j in range(8) %}
  y[out + {{ j }}u] = SCALE * {{ quad("p", j) }};
{% endfor %}
}
