// y[lane, OUT_OFFSET ..] = x[the row behind which the lane's last token was chosen]
//
// Group g of rows begins with row g * (1 + drafts), whose lane has n tokens in the results of accept: the row is
// number n - 1 of the group. A lane without new tokens keeps what it has.
//
// x: [rows, D] float32. rows: the row table. results: RESULT_WORDS a lane. y: [lanes, OUT_STRIDE] float32.
// D, OUT_STRIDE, OUT_OFFSET multiples of 4. Grid: x = ceil(D / 256), y = groups.

override D: u32;
override OUT_STRIDE: u32;
override OUT_OFFSET: u32 = 0u;
override RESULT_WORDS: u32;

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> results: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(4) var<uniform> cycle: Cycle;

{% include "shared/row.wgsl" %}
{% include "shared/cycle.wgsl" %}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let first = id.y * (1u + cycle.drafts);
  let lane = rows[first].x;
  let count = results[lane * RESULT_WORDS];
  let is_lanes_own = row_is_valid(rows[first]);
  if (id.x >= D / 4u || count == 0u || !is_lanes_own) {
    return;
  }
  y[(lane * OUT_STRIDE + OUT_OFFSET) / 4u + id.x] = x[(first + count - 1u) * (D / 4u) + id.x];
}
