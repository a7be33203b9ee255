// y[r, n] = softcap(sum over k of W[n, k] * x[r, k])
// y[r, n] = gelu(sum of W[n, k] x[r, k]) * sum of W[n + N/2, k] x[r, k]         (form "gated")
// y[r, n] = gelu(sum of W[n, k] x[r, k]) * factors[r, offset + n]               (form "gelu_times")
//
// For 1 to 8 rows. Every weight is read and unpacked once and used for all rows. A group of LANES threads has a few
// outputs; a lane takes units of 16 bytes (shared/weights.wgsl), so that neighbours read neighbouring bytes.
// A row's result does not depend on how many rows ran with it: whatever ROWS is, lane l takes units l, l + LANES, ...
// in ascending order, and the lanes' sums are added in runs, in the order of the lanes. Form "wide" has few lanes and
// many outputs, "deep" the other way round, "narrow" stands between, "shallow" is for few columns and outputs; which one
// a matrix takes is part of its bits.
//
// K, N, strides, offset and the cap are in the shape, see shared/shape.wgsl; softcap(s) is s where
// the cap is 0, else cap * tanh(s / cap).
// W: [N, K] in layout "{{ layout.name }}", K a multiple of 32.
// x: [{{ rows }}, K] float32. y: [{{ rows }}, stride] float32, written from column `offset` (gelu_times: 0).
// Grid: ceil(N / WORKGROUP_OUTPUTS) workgroups over x and y, z = rows / {{ rows }}.
{% from "shared/weights.wgsl" import num_planes, unit_columns, has_scale with context %}
{% from "shared/float_unit.wgsl" import add_unit with context %}
{% set is_packed = false %}
{% set is_adding = false %}

{% include "shared/weights.wgsl" %}

@group(0) @binding({{ num_planes }}) var<storage, read> x: array<vec4<f32>>;
{% set next = num_planes + (2 if form == "gelu_times" else 1) %}
{% if form == "gelu_times" %}
@group(0) @binding({{ num_planes + 1 }}) var<storage, read> factors: array<f32>;
{% endif %}
@group(0) @binding({{ next }}) var<storage, read_write> y: array<f32>;
@group(0) @binding({{ next + 1 }}) var<uniform> shape: Shape;

fn activations(row: u32, quads: u32, at: u32) -> vec4<f32> {
  return x[row * quads + at];
}

{% include "shared/matvec.wgsl" %}
