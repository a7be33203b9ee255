{#- One unit of packed activations (shared/packed.wgsl) in `x`, array<vec4<u32>>, for shared/matvec.wgsl. -#}
{% from "shared/weights.wgsl" import packed, unit_columns, has_offset, zero with context %}
{% set is_block = unit_columns == 32 %}
{% macro add_unit(outputs) %}
    let block = {{ "unit" if is_block else "unit / 2u" }};
{% for o in range(outputs) %}
{% for j in range(unit_columns // 4) %}
    let w{{ o }}_{{ j }} = {{ packed("w" ~ o, j) }};
{% endfor %}
{% endfor %}
{% for r in range(rows) %}
    {
      let row = (first_row + {{ r }}u) * quads;
      let two = x[row + 4u * blocks + block / 2u];
      let scale_total = select(two.xy, two.zw, (block & 1u) == 1u);
      let scale = bitcast<f32>(scale_total.x);
{% if is_block %}
      let low_total = bitcast<i32>(scale_total.y << 16u) >> 16u;
      let high_total = (bitcast<i32>(scale_total.y) - low_total) >> 16u;
{% for p in range(4) %}
      let x{{ p }} = x[row + {{ p }}u * blocks + block];
{% endfor %}
{% else %}
      let x0 = x[row + (unit & 1u) * blocks + block];
      let x1 = x[row + (2u + (unit & 1u)) * blocks + block];
{% if has_offset or zero %}
      var high_total = 0;
      var low_total = 0;
{% for k in range(4) %}
      high_total += dot4I8Packed(x0[{{ k }}], 0x01010101u);
      low_total += dot4I8Packed(x1[{{ k }}], 0x01010101u);
{% endfor %}
{% endif %}
{% endif %}
{% set parts = 2 if is_block else 1 %}
{% for o in range(outputs) %}
      {
        var low = {{ "low_total * " ~ -zero if zero else "0" }};
        var high = {{ "high_total * " ~ -zero if zero else "0" }};
{% for p in range(parts) %}
{% for k in range(4) %}
        low += dot4I8Packed(w{{ o }}_{{ 4 * p + k }}, x{{ parts + p }}[{{ k }}]);
        high += dot4I8Packed(w{{ o }}_{{ 4 * p + k }}, x{{ p }}[{{ k }}]);
{% endfor %}
{% endfor %}
        let product = f32(high * 256 + select(0, low, WITH_LOW));
{% if has_offset %}
        let weighted = fma(s{{ o }}.x, product, s{{ o }}.y * f32(high_total * 256 + select(0, low_total, WITH_LOW)));
        sum_{{ o }}_{{ r }} = fma(scale, weighted, sum_{{ o }}_{{ r }});
{% else %}
        sum_{{ o }}_{{ r }} = fma(s{{ o }} * scale, product, sum_{{ o }}_{{ r }});
{% endif %}
      }
{% endfor %}
    }
{% endfor %}
{% endmacro %}
