{#- One unit of float32 activations, for shared/matvec.wgsl. Whoever imports it (with context) has a function
    activations(row, quads, at), which gives quad `at` of a row of `quads`. -#}
{% from "shared/weights.wgsl" import raw, column, unit_columns, num_steps, step_quads, has_scale, has_offset with context %}
{% macro add_unit(outputs) %}
{% for o in range(outputs) %}
{% for r in range(rows) %}
    var part_{{ o }}_{{ r }} = 0.0;
{% endfor %}
{% endfor %}
{% if has_offset %}
{% for r in range(rows) %}
    var total_{{ r }} = 0.0;
{% endfor %}
{% endif %}
{% for p in range(num_steps) %}
{% for i in range(step_quads) %}
    {
      let at = unit * {{ unit_columns // 4 }}u + {{ column(p ~ "u", i) }};
{% for o in range(outputs) %}
      let q{{ o }} = {{ raw("w" ~ o, p ~ "u", i) }};
{% endfor %}
{% for r in range(rows) %}
      let x{{ r }} = activations(first_row + {{ r }}u, quads, at);
{% if has_offset %}
      total_{{ r }} += x{{ r }}.x + x{{ r }}.y + x{{ r }}.z + x{{ r }}.w;
{% endif %}
{% for o in range(outputs) %}
      part_{{ o }}_{{ r }} = fma(q{{ o }}.x, x{{ r }}.x, part_{{ o }}_{{ r }});
      part_{{ o }}_{{ r }} = fma(q{{ o }}.y, x{{ r }}.y, part_{{ o }}_{{ r }});
      part_{{ o }}_{{ r }} = fma(q{{ o }}.z, x{{ r }}.z, part_{{ o }}_{{ r }});
      part_{{ o }}_{{ r }} = fma(q{{ o }}.w, x{{ r }}.w, part_{{ o }}_{{ r }});
{% endfor %}
{% endfor %}
    }
{% endfor %}
{% endfor %}
{% for o in range(outputs) %}
{% for r in range(rows) %}
{% if has_offset %}
    sum_{{ o }}_{{ r }} = fma(s{{ o }}.x, part_{{ o }}_{{ r }}, fma(s{{ o }}.y, total_{{ r }}, sum_{{ o }}_{{ r }}));
{% elif has_scale %}
    sum_{{ o }}_{{ r }} = fma(s{{ o }}, part_{{ o }}_{{ r }}, sum_{{ o }}_{{ r }});
{% else %}
    sum_{{ o }}_{{ r }} += part_{{ o }}_{{ r }};
{% endif %}
{% endfor %}
{% endfor %}
{% endmacro %}
