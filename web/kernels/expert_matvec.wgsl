// y[r, i, n] = sum over k of W[e, n, k] * x[k],  e = chosen[r, i],
//
// where x is x[r] (SHARED_INPUT 1) or x[r, i]. A row's result does not depend on the rows beside it: lane l
// of 16 takes blocks l, l + 16, ... of 32 columns in ascending order, and the 16 partial sums are added in
// the order of the lanes, as in matvec.
//
// W: the rows FIRST .. FIRST + COUNT of [experts * N, K] in layout "{{ layout }}", K a multiple of 32; outputs
// that lie elsewhere are left alone (another shard's dispatch writes them). chosen: [rows, TOP] u32.
// x: [rows, K] or [rows, TOP, K] float32. y: [rows, TOP, OUT_STRIDE] float32, written from column OUT_OFFSET.
// Grid: x = ceil(N / 8), y = TOP, z = rows.
{% from "shared/weights.wgsl" import load_block, quad, num_planes with context %}

override K: u32;
override N: u32;
override FIRST: u32 = 0u;
override COUNT: u32;
override TOP: u32;
override SHARED_INPUT: u32;
override OUT_STRIDE: u32;
override OUT_OFFSET: u32 = 0u;

{% include "shared/weights.wgsl" %}

@group(0) @binding({{ num_planes }}) var<storage, read> chosen: array<u32>;
@group(0) @binding({{ num_planes + 1 }}) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding({{ num_planes + 2 }}) var<storage, read_write> y: array<f32>;

const LANES = 16u;
const GROUPS = 4u;   // of lanes in a workgroup
const OUTPUTS = 2u;  // of a group

// [group][output][lane]
var<workgroup> partial: array<f32, GROUPS * OUTPUTS * LANES>;

// The row of this shard that holds output n of an expert; COUNT where none does.
fn shard_row(expert: u32, n: u32) -> u32 {
  let row = expert * N + n;
  return select(COUNT, row - FIRST, n < N && row >= FIRST && row - FIRST < COUNT);
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let lane = thread % LANES;
  let group = thread / LANES;
  let place = workgroup.z * TOP + workgroup.y;
  let expert = chosen[place];
  let first = (workgroup.x * GROUPS + group) * OUTPUTS;
  let blocks = K / 32u;
  let x_base = select(place, workgroup.z, SHARED_INPUT == 1u) * (K / 4u);
{% for o in range(2) %}
  {
    var sum = 0.0;
    let row = shard_row(expert, first + {{ o }}u);
    if (row < COUNT) {
      for (var block = lane; block < blocks; block += LANES) {
{{ load_block("row * blocks + block", "w") }}
{% for j in range(8) %}
        sum += dot({{ quad("w", j) }}, x[x_base + block * 8u + {{ j }}u]);
{% endfor %}
      }
    }
    partial[(group * OUTPUTS + {{ o }}u) * LANES + lane] = sum;
  }
{% endfor %}
  workgroupBarrier();

  if (thread < GROUPS * OUTPUTS) {
    let n = workgroup.x * GROUPS * OUTPUTS + thread;
    if (shard_row(expert, n) < COUNT) {
      var total = partial[thread * LANES];
      for (var l = 1u; l < LANES; l++) {
        total += partial[thread * LANES + l];
      }
      y[place * OUT_STRIDE + OUT_OFFSET + n] = total;
    }
  }
}
