// h_out[r] = h[r] + rms_norm(x[r]) * post_weight
// y[r, n] = gelu(sum over k of W[n, k] * h_out[r, k]) * factors[r, offset + n]
//
// The end of half a layer and the gate of its per-layer input in one kernel, for 1 to 8 rows: every workgroup norms
// the rows for itself, and all of them together write h_out. Otherwise as matvec in form "gelu_times": a row's bits do
// not depend on the rows beside it.
//
// W: [N, K] in layout "{{ layout }}", K a multiple of 32. x, h, h_out: [{{ rows }}, K] float32. post_weight: [K] float32.
// factors: [{{ rows }}, factor_stride] float32. y: [{{ rows }}, stride] float32. K, N, strides, offset and eps are in
// the shape. Grid: ceil(N / WORKGROUP_OUTPUTS) workgroups over x and y.
{% from "shared/weights.wgsl" import num_planes, unit_columns, has_scale with context %}
{% from "shared/float_unit.wgsl" import add_unit with context %}
{% set form = "gelu_times" %}
{% set is_packed = false %}
{% set is_adding = true %}

{% include "shared/weights.wgsl" %}

@group(0) @binding({{ num_planes }}) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding({{ num_planes + 1 }}) var<storage, read> h: array<vec4<f32>>;
@group(0) @binding({{ num_planes + 2 }}) var<storage, read> post_weight: array<vec4<f32>>;
@group(0) @binding({{ num_planes + 3 }}) var<storage, read> factors: array<f32>;
@group(0) @binding({{ num_planes + 4 }}) var<storage, read_write> h_out: array<vec4<f32>>;
@group(0) @binding({{ num_planes + 5 }}) var<storage, read_write> y: array<f32>;
@group(0) @binding({{ num_planes + 6 }}) var<uniform> shape: Shape;

// Each thread's sum of squares, and every sixteenth of these added.
var<workgroup> squares: array<f32, ROWS * THREADS>;
var<workgroup> sixteenths: array<f32, ROWS * 16u>;

fn norm_scale(row: u32) -> f32 {
  var sum = sixteenths[row * 16u];
  for (var i = 1u; i < 16u; i++) {
    sum += sixteenths[row * 16u + i];
  }
  return inverseSqrt(sum / f32(shape.columns) + shape.eps);
}

var<private> scales_of_rows: array<f32, ROWS>;

fn activations(row: u32, quads: u32, at: u32) -> vec4<f32> {
  let i = row * quads + at;
  return fma(x[i] * scales_of_rows[row], post_weight[at], h[i]);
}

// Find the rows' scales, and write this workgroup's part of h_out: that of the threads from `first` on, of so many.
fn norm_rows(thread: u32, quads: u32, first: u32, threads: u32) {
{% for r in range(rows) %}
  var sum_{{ r }} = 0.0;
{% endfor %}
  for (var i = thread; i < quads; i += THREADS) {
{% for r in range(rows) %}
    sum_{{ r }} += dot(x[{{ r }}u * quads + i], x[{{ r }}u * quads + i]);
{% endfor %}
  }
{% for r in range(rows) %}
  squares[{{ r }}u * THREADS + thread] = sum_{{ r }};
{% endfor %}
  workgroupBarrier();
  for (var i = thread; i < ROWS * 16u; i += THREADS) {
    let base = (i / 16u) * THREADS + i % 16u;
    var sum = squares[base];
    for (var k = 16u; k < THREADS; k += 16u) {
      sum += squares[base + k];
    }
    sixteenths[i] = sum;
  }
  workgroupBarrier();
{% for r in range(rows) %}
  scales_of_rows[{{ r }}] = norm_scale({{ r }}u);
{% endfor %}
{% for r in range(rows) %}
  for (var i = first + thread; i < quads; i += threads) {
    h_out[{{ r }}u * quads + i] = activations({{ r }}u, quads, i);
  }
{% endfor %}
}

{% include "shared/matvec.wgsl" %}
