// y[r, n] = sum over k of W[n, k] * x[r, k]                              (epilogue "none")
// y[r, n] = gelu(sum of W[n, k] x[r, k]) * sum of W[n + N/2, k] x[r, k]  (epilogue "gelu_mul")
//
// For 1 to 8 rows. Every weight is unpacked once and used for all rows. A row's result does not
// depend on how many rows ran with it: whatever ROWS is, lane l of 16 takes blocks l, l + 16, ... of
// 32 columns in ascending order, and the 16 partial sums are added in the order of the lanes.
//
// W: [N, K] in layout "{{ layout }}", K a multiple of 32. x: [{{ rows }}, K] float32.
// y: [{{ rows }}, OUT_STRIDE] float32, written from column OUT_OFFSET.
// N is a multiple of 2. Grid: ceil(N / 8) workgroups over x and y. Twin: devices/twins/linear.py.
{% from "shared/weights.wgsl" import load_block, quad, num_planes with context %}

override K: u32;
override N: u32;
override OUT_STRIDE: u32;
override OUT_OFFSET: u32 = 0u;

{% include "shared/weights.wgsl" %}

@group(0) @binding({{ num_planes }}) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding({{ num_planes + 1 }}) var<storage, read_write> y: array<f32>;

const ROWS = {{ rows }}u;
const LANES = 16u;
const PAIRS = 4u;  // pairs of outputs in a workgroup

// [pair][output of the pair][row][lane], the lane innermost.
var<workgroup> partial: array<f32, 2u * PAIRS * ROWS * LANES>;
{% if epilogue == "gelu_mul" %}
{% include "shared/gelu.wgsl" %}
{% endif %}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let lane = thread % LANES;
  let pair = thread / LANES;
  let pair_index = (group.y * groups.x + group.x) * PAIRS + pair;
{% if epilogue == "gelu_mul" %}
  let n0 = pair_index;
  let n1 = pair_index + N / 2u;
{% else %}
  let n0 = 2u * pair_index;
  let n1 = n0 + 1u;
{% endif %}
{% for r in range(rows) %}
  var a{{ r }} = 0.0;
  var b{{ r }} = 0.0;
{% endfor %}
  if (2u * pair_index < N) {
    const BLOCK_QUADS = 8u;
    let blocks = K / 32u;
    for (var block = lane; block < blocks; block += LANES) {
{{ load_block("n0 * blocks + block", "p") }}
{{ load_block("n1 * blocks + block", "q") }}
{% for j in range(8) %}
      {
        let p = {{ quad("p", j) }};
        let q = {{ quad("q", j) }};
{% for r in range(rows) %}
        let x{{ r }} = x[{{ r }}u * (K / 4u) + block * BLOCK_QUADS + {{ j }}u];
        a{{ r }} += dot(p, x{{ r }});
        b{{ r }} += dot(q, x{{ r }});
{% endfor %}
      }
{% endfor %}
    }
  }
{% for r in range(rows) %}
  partial[((pair * 2u) * ROWS + {{ r }}u) * LANES + lane] = a{{ r }};
  partial[((pair * 2u + 1u) * ROWS + {{ r }}u) * LANES + lane] = b{{ r }};
{% endfor %}
  workgroupBarrier();

  // One thread adds up one output{{ " pair" if epilogue == "gelu_mul" }} of one row, lanes in ascending order.
{% if epilogue == "gelu_mul" %}
  for (var i = thread; i < PAIRS * ROWS; i += 64u) {
    let n = (group.y * groups.x + group.x) * PAIRS + i / ROWS;
    let row = i % ROWS;
    if (2u * n < N) {
      let gate = total((i / ROWS) * 2u * ROWS + row);
      let up = total(((i / ROWS) * 2u + 1u) * ROWS + row);
      y[row * OUT_STRIDE + OUT_OFFSET + n] = gelu(gate) * up;
    }
  }
{% else %}
  for (var i = thread; i < 2u * PAIRS * ROWS; i += 64u) {
    let n = (group.y * groups.x + group.x) * PAIRS * 2u + i / ROWS;
    let row = i % ROWS;
    if (n < N) {
      y[row * OUT_STRIDE + OUT_OFFSET + n] = total(i);
    }
  }
{% endif %}
}

// The sum of the 16 lanes' parts of one output of one row.
fn total(output: u32) -> f32 {
  var sum = partial[output * LANES];
  for (var lane = 1u; lane < LANES; lane++) {
    sum += partial[output * LANES + lane];
  }
  return sum;
}
