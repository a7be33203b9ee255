{% set is_gated = epilogue == "gelu_mul" %}
{% set lanes = 64 if form == "deep" else 16 %}
{% set outputs = 2 if form == "deep" else 4 %}
{% set stored = outputs // 2 if is_gated else outputs %}
// y[r, n] = softcap(sum over k of W[n, k] * x[r, k])                     (epilogue "none")
// y[r, n] = gelu(sum of W[n, k] x[r, k]) * sum of W[n + N/2, k] x[r, k]  (epilogue "gelu_mul")
//
// For 1 to 8 rows. Every weight is unpacked once and used for all rows, and every activation that is
// read serves {{ outputs }} outputs. Lanes take quarters of blocks, so that neighbours read neighbouring
// activations. A row's result does not depend on how many rows ran with it: whatever ROWS is, lane l of LANES
// takes quarters l, l + LANES, ... of eight columns in ascending order, and the lanes' partial sums are added
// in runs of eight, in the order of the lanes. Form "deep" has many lanes and few outputs, for matrices whose
// outputs alone do not fill a GPU; "wide" the other way round. Which one a matrix takes is part of its bits.
//
// K, N, the stride and offset of y and the cap are in the shape, see shared/shape.wgsl; softcap(s) is s where
// the cap is 0, else cap * tanh(s / cap).
// W: [N, K] in layout "{{ layout }}", K a multiple of 32, N a multiple of {{ outputs }}.
// x: [{{ rows }}, K] float32. y: [{{ rows }}, stride] float32, written from column `offset`.
// Grid: ceil(N / {{ 64 // lanes * outputs }}) workgroups over x and y.
{% from "shared/weights.wgsl" import load_quarter, part, part_quad, num_planes with context %}

{% include "shared/weights.wgsl" %}

@group(0) @binding({{ num_planes }}) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding({{ num_planes + 1 }}) var<storage, read_write> y: array<f32>;
@group(0) @binding({{ num_planes + 2 }}) var<uniform> shape: Shape;

{% include "shared/shape.wgsl" %}

const ROWS = {{ rows }}u;
const LANES = {{ lanes }}u;
const GROUPS = {{ 64 // lanes }}u;     // of lanes in a workgroup
const RUN = 8u;        // lanes whose sums are added by one thread
const OUTPUTS = {{ outputs }}u;  // of a group
const STORED = {{ stored }}u;   // of them{{ ", gate and up being one" if is_gated }}

// [group][output][row][lane]
var<workgroup> partial: array<f32, GROUPS * OUTPUTS * ROWS * LANES>;
{% if is_gated %}
{% include "shared/gelu.wgsl" %}
{% else %}
{% include "shared/softcap.wgsl" %}
{% endif %}

// The sum of the lanes' parts of one output of one row, each run of them added already.
fn total(group: u32, output: u32, row: u32) -> f32 {
  let base = ((group * OUTPUTS + output) * ROWS + row) * LANES;
  var sum = partial[base];
  for (var run = RUN; run < LANES; run += RUN) {
    sum += partial[base + run];
  }
  return sum;
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let lane = thread % LANES;
  let group = thread / LANES;
  let first_group = (workgroup.y * workgroups.x + workgroup.x) * GROUPS;
  let first = (first_group + group) * STORED;
  let K = shape.columns;
  let N = shape.outputs;
  let blocks = K / 32u;
{% for o in range(outputs) %}
{% for r in range(rows) %}
  var sum_{{ o }}_{{ r }} = 0.0;
{% endfor %}
{% endfor %}
  if ((first_group + group) * OUTPUTS < N) {
{% for o in range(outputs) %}
    let base_{{ o }} = (first + {{ o % stored }}u{{ " + N / 2u" if o >= stored }}) * blocks;
{% endfor %}
    for (var i = lane; i < 4u * blocks; i += LANES) {
      let block = i / 4u;
      let quarter = i % 4u;
{% for o in range(outputs) %}
{{ load_quarter("base_" ~ o ~ " + block", "quarter", "w" ~ o) }}
{% endfor %}
{% for j in range(2) %}
      {
        let at = block * 8u + {{ part_quad("quarter", j) }};
{% for o in range(outputs) %}
        let q{{ o }} = {{ part("w" ~ o, j) }};
{% endfor %}
{% for r in range(rows) %}
        let x{{ r }} = x[{{ r }}u * (K / 4u) + at];
{% for o in range(outputs) %}
        sum_{{ o }}_{{ r }} += dot(q{{ o }}, x{{ r }});
{% endfor %}
{% endfor %}
      }
{% endfor %}
    }
  }
{% for o in range(outputs) %}
{% for r in range(rows) %}
  partial[((group * OUTPUTS + {{ o }}u) * ROWS + {{ r }}u) * LANES + lane] = sum_{{ o }}_{{ r }};
{% endfor %}
{% endfor %}
  workgroupBarrier();
  for (var i = thread; i < GROUPS * OUTPUTS * ROWS * LANES / RUN; i += 64u) {
    var sum = partial[i * RUN];
    for (var l = 1u; l < RUN; l++) {
      sum += partial[i * RUN + l];
    }
    partial[i * RUN] = sum;
  }
  workgroupBarrier();

  for (var i = thread; i < GROUPS * STORED * ROWS; i += 64u) {
    let output = i / ROWS;
    let row = i % ROWS;
    let n = first_group * STORED + output;
    if (n < N{{ " / 2u" if is_gated }}) {
{% if is_gated %}
      let gate = total(output / STORED, output % STORED, row);
      let up = total(output / STORED, output % STORED + STORED, row);
      y[row * shape.stride + shape.offset + n] = gelu(gate) * up;
{% else %}
      let sum = total(output / STORED, output % STORED, row);
      y[row * shape.stride + shape.offset + n] = softcap(sum, shape.cap);
{% endif %}
    }
  }
}
