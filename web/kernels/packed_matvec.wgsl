{% set y = "packed" if form == "gated" else "y" %}
// As matvec, on activations of 16 bits in two signed bytes (shared/packed.wgsl): products with quantised weights
// are packed dot products of bytes, and a unit's sum is an exact integer. Relative error of a sum about 3e-5.
//
// y[r, n] = softcap(sum over k of W[n, k] * x[r, k])
// y[r, n] = gelu(sum of W[n, k] x[r, k]) * sum of W[n + N/2, k] x[r, k], packed as well   (form "gated")
//
// Without the low bytes (precision "fast") about 5e-3.
//
// W: [N, K] in layout "{{ layout.name }}", K a multiple of 32{{ ", N of 64" if form == "gated" }}.
// x: [{{ rows }}, K] packed. {{ y }}: [{{ rows }}, {{ "N / 2] packed" if form == "gated" else "stride] float32, written from column `offset`" }}.
// Grid: ceil(N / WORKGROUP_OUTPUTS) workgroups over x and y, z = rows / {{ rows }}.
{% from "shared/weights.wgsl" import num_planes, unit_columns, has_scale with context %}
{% from "shared/packed_unit.wgsl" import add_unit with context %}
{% set is_packed = true %}
{% set is_adding = false %}

{% include "shared/weights.wgsl" %}

@group(0) @binding({{ num_planes }}) var<storage, read> x: array<vec4<u32>>;
@group(0) @binding({{ num_planes + 1 }}) var<storage, read_write> {{ y }}: array<{{ "vec2<u32>" if form == "gated" else "f32" }}>;
@group(0) @binding({{ num_planes + 2 }}) var<uniform> shape: Shape;

override WITH_LOW: bool = true;

{% include "shared/matvec.wgsl" %}
