// h_out[r] = h[r] + rms_norm(x[r]) * post_weight
// y[r, n] = gelu(sum over k of W[n, k] * h_out[r, k]) * factors[r, offset + n]
//
// The end of half a layer and the gate of its per-layer input in one kernel. Such gates have few weights, so every row
// has workgroups of its own: each of them norms the row for itself, and a row's together write its h_out. Otherwise as
// matvec in form "gelu_times". It is kept short, as norm_gated is.
//
// W: [N, K] in layout "{{ layout.name }}", K a multiple of 32, at most MAX_COLUMNS. x, h, h_out: [rows, K] float32.
// post_weight: [K] float32. factors: [rows, factor_stride] float32. y: [rows, stride] float32. K, N, strides, offset and
// eps are in the shape. Grid: ceil(N / WORKGROUP_OUTPUTS) workgroups over x and y, z = rows.
{% set form = "gelu_times" %}
{% set rows = 1 %}
{% set is_packed = false %}
{% set is_adding = true %}
{% from "shared/weights.wgsl" import num_planes, unit_columns, has_scale with context %}
{% from "shared/float_unit.wgsl" import add_unit with context %}

{% include "shared/weights.wgsl" %}

@group(0) @binding({{ num_planes }}) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding({{ num_planes + 1 }}) var<storage, read> h: array<vec4<f32>>;
@group(0) @binding({{ num_planes + 2 }}) var<storage, read> post_weight: array<vec4<f32>>;
@group(0) @binding({{ num_planes + 3 }}) var<storage, read> factors: array<f32>;
@group(0) @binding({{ num_planes + 4 }}) var<storage, read_write> h_out: array<vec4<f32>>;
@group(0) @binding({{ num_planes + 5 }}) var<storage, read_write> y: array<f32>;
@group(0) @binding({{ num_planes + 6 }}) var<uniform> shape: Shape;

const MAX_COLUMNS = 2560u;
// The row of h_out.
var<workgroup> summed: array<vec4<f32>, MAX_COLUMNS / 4u>;
// Each thread's sum of squares, and every sixteenth of these added.
var<workgroup> squares: array<f32, THREADS>;
var<workgroup> sixteenths: array<f32, 16>;

fn activations(row: u32, quads: u32, at: u32) -> vec4<f32> {
  return summed[at];
}

// Norm the row, and write what of h_out this workgroup's threads would if all of the row's stood in a line.
fn norm_row(thread: u32, row: u32, quads: u32, workgroup: u32, workgroups: u32) {
  var sum = 0.0;
  for (var i = thread; i < quads; i += THREADS) {
    sum += dot(x[row * quads + i], x[row * quads + i]);
  }
  squares[thread] = sum;
  workgroupBarrier();
  if (thread < 16u) {
    sum = squares[thread];
    for (var k = thread + 16u; k < THREADS; k += 16u) {
      sum += squares[k];
    }
    sixteenths[thread] = sum;
  }
  workgroupBarrier();
  sum = sixteenths[0];
  for (var i = 1u; i < 16u; i++) {
    sum += sixteenths[i];
  }
  let scale = inverseSqrt(sum / f32(shape.columns) + shape.eps);
  for (var i = thread; i < quads; i += THREADS) {
    let value = fma(x[row * quads + i] * scale, post_weight[i], h[row * quads + i]);
    summed[i] = value;
    if (i / THREADS % workgroups == workgroup) {
      h_out[row * quads + i] = value;
    }
  }
  workgroupBarrier();
}

{% include "shared/matvec.wgsl" %}
