{% set y = "packed" if form == "gated" else "y" %}
// As matvec, on activations of 16 bits in two signed bytes (shared/packed.wgsl): products with quantised weights
// are packed dot products of bytes, and a unit's sum is an exact integer. Relative error of a sum about 3e-5.
//
// y[r, n] = softcap(sum over k of W[n, k] * x[r, k])
// y[r, n] = gelu(sum of W[n, k] x[r, k]) * sum of W[n + N/2, k] x[r, k], packed as well   (form "gated")
//
// W: [N, K] in layout "{{ layout }}", K a multiple of 32{{ ", N of 64" if form == "gated" }}.
// x: [{{ rows }}, K] packed. {{ y }}: [{{ rows }}, {{ "N / 2] packed" if form == "gated" else "stride] float32, written from column `offset`" }}.
// Grid: ceil(N / WORKGROUP_OUTPUTS) workgroups over x and y.
{% from "shared/weights.wgsl" import packed, num_planes, unit_columns, has_scale, has_offset with context %}
{% set is_packed = true %}
{% set is_adding = false %}
{% set is_block = unit_columns == 32 %}

{% include "shared/weights.wgsl" %}

@group(0) @binding({{ num_planes }}) var<storage, read> x: array<vec4<u32>>;
@group(0) @binding({{ num_planes + 1 }}) var<storage, read_write> {{ y }}: array<{{ "vec2<u32>" if form == "gated" else "f32" }}>;
@group(0) @binding({{ num_planes + 2 }}) var<uniform> shape: Shape;

{% macro add_unit(outputs) %}
    let block = {{ "unit" if is_block else "unit / 2u" }};
{% for o in range(outputs) %}
{% for j in range(unit_columns // 4) %}
    let w{{ o }}_{{ j }} = {{ packed("w" ~ o, j) }};
{% endfor %}
{% endfor %}
{% for r in range(rows) %}
    {
      let row = {{ r }}u * quads;
      let two = x[row + 4u * blocks + block / 2u];
      let scale_total = select(two.xy, two.zw, (block & 1u) == 1u);
      let scale = bitcast<f32>(scale_total.x);
{% if is_block %}
      let total = bitcast<i32>(scale_total.y);
{% for p in range(4) %}
      let x{{ p }} = x[row + {{ p }}u * blocks + block];
{% endfor %}
{% else %}
      let x0 = x[row + (unit & 1u) * blocks + block];
      let x1 = x[row + (2u + (unit & 1u)) * blocks + block];
{% if has_offset %}
      var high_total = 0;
      var total = 0;
{% for k in range(4) %}
      high_total += dot4I8Packed(x0[{{ k }}], 0x01010101u);
      total += dot4I8Packed(x1[{{ k }}], 0x01010101u);
{% endfor %}
      total += high_total * 256;
{% endif %}
{% endif %}
{% set parts = 2 if is_block else 1 %}
{% for o in range(outputs) %}
      {
        var low = {{ "total * -8" if layout == "q4_scale" else "0" }};
        var high = 0;
{% for p in range(parts) %}
{% for k in range(4) %}
        low += dot4I8Packed(w{{ o }}_{{ 4 * p + k }}, x{{ parts + p }}[{{ k }}]);
        high += dot4I8Packed(w{{ o }}_{{ 4 * p + k }}, x{{ p }}[{{ k }}]);
{% endfor %}
{% endfor %}
        let product = f32(high * 256 + low);
{% if has_offset %}
        let weighted = fma(s{{ o }}.x, product, s{{ o }}.y * f32(total));
        sum_{{ o }}_{{ r }} = fma(scale, weighted, sum_{{ o }}_{{ r }});
{% else %}
        sum_{{ o }}_{{ r }} = fma(s{{ o }} * scale, product, sum_{{ o }}_{{ r }});
{% endif %}
      }
{% endfor %}
    }
{% endfor %}
{% endmacro %}

{% include "shared/matvec.wgsl" %}
