{% set is_gated = epilogue == "gelu_mul" %}
{% set held = rows // 8 %}
{% set x_loads = rows // 32 %}
// Linear layers for many rows (prefill):
//
// y[r, n] = softcap(sum over k of W[n, k] * x[r, k])                     (epilogue "none")
// y[r, n] = gelu(sum of W[n, k] x[r, k]) * sum of W[n + N/2, k] x[r, k]  (epilogue "gelu_mul")
//
// K, N, the stride and offset of y and the cap are in the shape, see shared/shape.wgsl; softcap(s) is s where
// the cap is 0, else cap * tanh(s / cap).
//
// A workgroup computes {{ rows }} rows x 64 outputs ("gelu_mul": 32 gates and their 32 ups). 32 columns of both at a time
// are unpacked into workgroup memory; what comes next is read meanwhile. Two halves of the workgroup take 16 of
// these columns each, and a thread keeps {{ held }} rows x 4 outputs of its half in registers. A row's bits depend neither
// on the rows beside it nor on how many rows a workgroup takes.
//
// With a grid of z > 1 the columns are split: part z of them gives y[z, r, n], which sum_splits adds up.
//
// W: [N, K] in layout "{{ layout.name }}", K a multiple of 32{{ ", N of 2" if is_gated }}. x: [rows, K] float32, rows a multiple of {{ rows }}.
// y: [rows, stride] float32, written from column `offset`; with z parts, that many times.
// Grid: x = ceil(N / 64), y = rows / {{ rows }}, z = parts of the columns{{ " (1)" if is_gated }}.
{% from "shared/quarters.wgsl" import fetch_quarter, decode_quarter, part, part_quad, num_planes with context %}

{% include "shared/quarters.wgsl" %}

@group(0) @binding({{ num_planes }}) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding({{ num_planes + 1 }}) var<storage, read_write> y: array<f32>;
@group(0) @binding({{ num_planes + 2 }}) var<uniform> shape: Shape;

{% include "shared/shape.wgsl" %}

{% if is_gated %}
{% include "shared/gelu.wgsl" %}
{% else %}
{% include "shared/softcap.wgsl" %}
{% endif %}

const TILE_ROWS = {{ rows }}u;
const TILE_OUTPUTS = 64u;  // rows of W
const STORED = {{ 32 if is_gated else 64 }}u;  // columns of y

// [quad of columns][4][16] of outputs, [quad][{{ held }}][8] of rows. Only the outer and the inner index vary, so that the
// bounds checks that browsers add are the same for all of a thread's reads.
var<workgroup> w_tile: array<array<array<vec4<f32>, 16>, 4>, 8>;
var<workgroup> x_tile: array<array<array<vec4<f32>, 8>, {{ held }}>, 8>;

// Neighbours in a tile change places by quad, so that threads that write one row's quads, or one output's,
// go to different memory banks.
fn twist(quad: u32) -> u32 {
  return ((quad << 1u) & 6u) | (quad >> 2u);
}
{% macro fetch(block) %}
    let block_at = w_base + {{ block }};
{{ fetch_quarter("block_at", "quarter", "w") }}
{% for i in range(x_loads) %}
    let x_{{ i }} = x[x_base + {{ 32 * i }}u * (K / 4u) + {{ block }} * 8u];
{% endfor %}
{% endmacro %}
{% macro store() %}
    {
{{ decode_quarter("block_at", "quarter", "w") }}
      let quad_0 = {{ part_quad("quarter", 0) }};
      let quad_1 = {{ part_quad("quarter", 1) }};
      w_tile[quad_0][output / 16u][(output ^ twist(quad_0)) % 16u] = {{ part("w", 0) }};
      w_tile[quad_1][output / 16u][(output ^ twist(quad_1)) % 16u] = {{ part("w", 1) }};
{% for i in range(x_loads) %}
      x_tile[x_quad][x_row / 8u + {{ 4 * i }}u][(x_row ^ twist(x_quad)) % 8u] = x_{{ i }};
{% endfor %}
    }
{% endmacro %}
{% macro handed_over(i) -%}
{{ "w_tile" if i < 4 else "x_tile" }}[{{ 2 * (i % 4) }}u + partner / 64u]
{%- if i < 4 -%} [partner % 64u / 16u][partner % 16u] {%- else -%} [partner % 64u / 8u][partner % 8u] {%- endif %}
{%- endmacro %}

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let K = shape.columns;
  let N = shape.outputs{{ " / 2u" if is_gated }};
  let blocks = K / 32u;
  let first_output = group.x * STORED;
  let first_row = group.y * TILE_ROWS;
  let from_block = blocks * group.z / groups.z;
  let to_block = blocks * (group.z + 1u) / groups.z;

  // What this thread reads: a quarter of one output's block, and quads of {{ x_loads }} rows.
  let output = thread / 4u;
  let quarter = thread % 4u;
{% if is_gated %}
  let w_base = (min(first_output + output % STORED, N - 1u) + select(0u, N, output >= STORED)) * blocks;
{% else %}
  let w_base = min(first_output + output, N - 1u) * blocks;
{% endif %}
  let x_row = thread / 8u;
  let x_quad = thread % 8u;
  let x_base = (first_row + x_row) * (K / 4u) + x_quad;

  // What it computes: outputs column + 16 j of rows row + 8 i.
  let half = thread / 128u;
  let partner = thread % 128u;
  let column = thread % 16u;
  let row = partner / 16u;
  var sums: array<array<f32, 4>, {{ held }}>;

  {
{{ fetch("from_block") }}
{{ store() }}
  }
  workgroupBarrier();

  for (var block = from_block; block < to_block; block++) {
    let next = min(block + 1u, blocks - 1u);
{{ fetch("next") }}
    for (var quad = 4u * half; quad < 4u * half + 4u; quad++) {
      let at = column ^ twist(quad);
      let x_at = row ^ twist(quad);
      var w: array<vec4<f32>, 4>;
      for (var j = 0u; j < 4u; j++) {
        w[j] = w_tile[quad][j][at];
      }
      for (var i = 0u; i < {{ held }}u; i++) {
        let v = x_tile[quad][i][x_at];
        for (var j = 0u; j < 4u; j++) {
          sums[i][j] = fma(w[j].w, v.w, fma(w[j].z, v.z, fma(w[j].y, v.y, fma(w[j].x, v.x, sums[i][j]))));
        }
      }
    }
    workgroupBarrier();
{{ store() }}
    workgroupBarrier();
  }

  // The second half hands its sums over in the tiles' memory.
  if (half == 1u) {
{% for i in range(held) %}
    {{ handed_over(i) }} = vec4<f32>(sums[{{ i }}][0], sums[{{ i }}][1], sums[{{ i }}][2], sums[{{ i }}][3]);
{% endfor %}
  }
  workgroupBarrier();
  if (half == 1u) {
    return;
  }
  let first_out = (group.z * groups.y * TILE_ROWS + first_row + row) * shape.stride + shape.offset;
{% for i in range(held) %}
  {
    let other = {{ handed_over(i) }};
    let out = first_out + {{ 8 * i }}u * shape.stride;
{% for j in range(2 if is_gated else 4) %}
    let n_{{ j }} = first_output + column + {{ 16 * j }}u;
    if (n_{{ j }} < N) {
{% if is_gated %}
      y[out + n_{{ j }}] = gelu(sums[{{ i }}][{{ j }}] + other[{{ j }}]) * (sums[{{ i }}][{{ j + 2 }}] + other[{{ j + 2 }}]);
{% else %}
      y[out + n_{{ j }}] = softcap(sums[{{ i }}][{{ j }}] + other[{{ j }}], shape.cap);
{% endif %}
    }
{% endfor %}
  }
{% endfor %}
}
