// y[r, n] = softcap(sum over k of W[n, k] * x[r, k]), for many rows (prefill). K, N, the stride and
// offset of y and the cap are in the shape, see shared/shape.wgsl; softcap(s) is s where the cap is 0, else
// cap * tanh(s / cap).
//
// A workgroup computes 32 rows x 64 outputs: 32 columns of both at a time are unpacked into workgroup
// memory, and each of 256 threads keeps 2 rows x 4 outputs in registers.
//
// W: [N, K] in layout "{{ layout }}", K a multiple of 32. x: [rows, K] float32, rows a multiple of 32.
// y: [rows, stride] float32, written from column `offset`.
// Grid: x = ceil(N / 64), y = rows / 32.
{% from "shared/weights.wgsl" import load_block, quad, num_planes with context %}

{% include "shared/weights.wgsl" %}

@group(0) @binding({{ num_planes }}) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding({{ num_planes + 1 }}) var<storage, read_write> y: array<f32>;
@group(0) @binding({{ num_planes + 2 }}) var<uniform> shape: Shape;

{% include "shared/shape.wgsl" %}

{% include "shared/softcap.wgsl" %}

const TILE_ROWS = 32u;
const TILE_OUTPUTS = 64u;
const QUADS = 8u;  // of four columns in a tile

// Quad-major, so that neighbouring threads read neighbouring outputs (or the same row).
var<workgroup> w_tile: array<vec4<f32>, QUADS * TILE_OUTPUTS>;
var<workgroup> x_tile: array<vec4<f32>, QUADS * TILE_ROWS>;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let first_output = group.x * TILE_OUTPUTS;
  let first_row = group.y * TILE_ROWS;
  let K = shape.columns;
  let N = shape.outputs;
  let blocks = K / 32u;
  let column = thread % 16u;
  let row = thread / 16u;
  var sums: array<array<f32, 4>, 2>;

  for (var block = 0u; block < blocks; block++) {
    if (thread < TILE_OUTPUTS) {
      let n = min(first_output + thread, N - 1u);
{{ load_block("n * blocks + block", "p") }}
{% for j in range(8) %}
      w_tile[{{ j }}u * TILE_OUTPUTS + thread] = {{ quad("p", j) }};
{% endfor %}
    }
    let x_row = thread / QUADS;
    let x_quad = thread % QUADS;
    x_tile[x_quad * TILE_ROWS + x_row] = x[(first_row + x_row) * (K / 4u) + block * QUADS + x_quad];
    workgroupBarrier();

    for (var j = 0u; j < QUADS; j++) {
      let x0 = x_tile[j * TILE_ROWS + row];
      let x1 = x_tile[j * TILE_ROWS + row + 16u];
{% for i in range(4) %}
      {
        let w = w_tile[j * TILE_OUTPUTS + column + {{ 16 * i }}u];
        sums[0][{{ i }}] += dot(w, x0);
        sums[1][{{ i }}] += dot(w, x1);
      }
{% endfor %}
    }
    workgroupBarrier();
  }

  for (var i = 0u; i < 4u; i++) {
    let n = first_output + column + 16u * i;
    if (n < N) {
      let out = (first_row + row) * shape.stride + shape.offset + n;
      y[out] = softcap(sums[0][i], shape.cap);
      y[out + 16u * shape.stride] = softcap(sums[1][i], shape.cap);
    }
  }
}
