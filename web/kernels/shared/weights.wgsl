{#- Reading a weight matrix in any layout of pyapp/leadout/layouts.py (keep in step), which is `layout`.

    A row is read in *units* of 16 bytes of quants, so that neighbouring threads, which take neighbouring units,
    read neighbouring bytes: 32 columns of a q4 layout, 16 of a q8, 8 of f16 and bf16, 4 of f32. A unit is unpacked
    in *steps* of a few columns, four columns (a quad) at a time.

    Declares the layout's planes as bindings 0 and up, quants as vec4<u32>, and gives to whoever
    imports them (with context):

      num_planes, unit_columns, num_steps, step_quads, has_scale, has_offset
      quants[u], scale_bits(u)  WGSL: what memory holds of unit u (of all units, row after row)
      scale_of(bits)            WGSL: its scale, or vec2(scale, offset) if has_offset; a weight is scale * raw + offset
      raw(words, p, i)          an expression: quad i of step p of a unit's words, unscaled; p may be a variable
      zero                      an integer that raw takes off; all of the layout's, unless an offset has it
      weight(words, scale, p, i)  an expression: the quad raw(words, p, i), scaled; scale is scale_of's
      column(p, i)              an expression: that quad's first column in the unit, divided by four
      packed(words, j)          an expression, if has_scale: four columns from 4 j on as signed bytes in a word,
                                from which zero has not been taken off

    and for kernels that take whole blocks of 32 columns:

      load_block(b, name)       a statement: block b into locals, once
      quad(name, j)             an expression: columns 4j .. 4j + 3 of that block, vec4<f32>, j constant

    Of units, values are unpacked without a conversion: bits put into the mantissa of a power of two, above which
    they count 1, are that power plus the value, and subtracting takes the power off again, exactly. Of blocks they
    are converted: where all that is done to a value is to multiply it, NVIDIA's compiler multiplies the power first
    and subtracts the product, which leaves a few bits of the value. -#}
{% from "shared/planes.wgsl" import low_half, high_half, float_quad with context %}
{% set has_scale, has_offset = layout.is_quantised, layout.has_offset %}
{% set num_planes, unit_columns = layout.planes | length, layout.unit_columns %}
{% set num_steps = unit_columns // 8 if has_scale else 1 %}
{% set step_quads = unit_columns // 4 // num_steps %}
{% set has_nibbles = layout.bits == 4 %}
{% set zero = 0 if has_offset else layout.zero %}
{% include "shared/planes.wgsl" %}

{% if has_scale %}
{% set block = "u" if has_nibbles else "(u >> 1u)" %}
{% if layout.scaling == "super" %}
// The block's (s, m) in the low half, d and dmin.
fn scale_bits(u: u32) -> vec2<u32> {
  return vec2<u32>(scales[{{ block }} >> 1u] >> (({{ block }} & 1u) << 4u), supers[{{ block }} >> 3u]);
}

fn scale_of(bits: vec2<u32>) -> vec2<f32> {
  let d = {{ low_half("bits.y") }};
  let d_min = {{ high_half("bits.y") }};
  return vec2<f32>(d * f32(bits.x & 0xffu), -(d_min * f32((bits.x >> 8u) & 0xffu)));
}
{% elif layout.scaling == "affine" %}
fn scale_bits(u: u32) -> u32 {
  return scales[{{ block }}];
}

fn scale_of(bits: u32) -> vec2<f32> {
  let d = {{ low_half("bits") }};
  let m = {{ high_half("bits") }};
  return vec2<f32>(d, {{ "fma(" ~ -layout.zero ~ ".0, d, m)" if layout.zero else "m" }});
}
{% elif layout.scaling == "super16" %}
// s in the highest byte, d in the low half.
fn scale_bits(u: u32) -> u32 {
  return ((scales[u >> 2u] >> ((u & 3u) << 3u)) << 24u) | (supers[u >> 4u] & 0xffffu);
}

fn scale_of(bits: u32) -> f32 {
  return {{ low_half("bits") }} * f32(bitcast<i32>(bits) >> 24u);
}
{% else %}
fn scale_bits(u: u32) -> u32 {
  return scales[{{ block }} >> 1u] >> (({{ block }} & 1u) << 4u);
}

fn scale_of(bits: u32) -> f32 {
  return {{ low_half("bits") }};
}
{% endif %}
{% set minus_zero = ", minus " ~ zero if zero else "" %}
{% if has_nibbles %}
// The nibbles in the low halves of four bytes{{ minus_zero }}.
fn low_nibbles(word: u32) -> vec4<f32> {
  let upper = word >> 16u;
  return vec4<f32>(
    bitcast<f32>((word & 0xfu) | 0x4b000000u) - {{ 2**23 + zero }}.0,
    bitcast<f32>((word & 0xf00u) | 0x47000000u) - {{ 2**15 + zero }}.0,
    bitcast<f32>((upper & 0xfu) | 0x4b000000u) - {{ 2**23 + zero }}.0,
    bitcast<f32>((upper & 0xf00u) | 0x47000000u) - {{ 2**15 + zero }}.0,
  );
}

// Those in the high halves.
fn high_nibbles(word: u32) -> vec4<f32> {
  let upper = word >> 16u;
  return vec4<f32>(
    bitcast<f32>((word & 0xf0u) | 0x49000000u) - {{ 2**19 + zero }}.0,
    bitcast<f32>((word & 0xf000u) | 0x45000000u) - {{ 2**11 + zero }}.0,
    bitcast<f32>((upper & 0xf0u) | 0x49000000u) - {{ 2**19 + zero }}.0,
    bitcast<f32>((upper & 0xf000u) | 0x45000000u) - {{ 2**11 + zero }}.0,
  );
}
{% else %}
// Four signed bytes{{ minus_zero }}, which are unsigned ones minus 128 with their highest bit the other way round.
fn bytes(word: u32) -> vec4<f32> {
  let lower = word ^ 0x80808080u;
  let upper = lower >> 16u;
  return vec4<f32>(
    bitcast<f32>((lower & 0xffu) | 0x4b000000u) - {{ 2**23 + 128 + zero }}.0,
    bitcast<f32>((lower & 0xff00u) | 0x47000000u) - {{ 2**15 + 128 + zero }}.0,
    bitcast<f32>((upper & 0xffu) | 0x4b000000u) - {{ 2**23 + 128 + zero }}.0,
    bitcast<f32>((upper & 0xff00u) | 0x47000000u) - {{ 2**15 + 128 + zero }}.0,
  );
}
{% endif %}
{% endif %}
{% macro raw(words, p, i) %}
{%- if not has_scale -%}
{{ float_quad(words, i) }}
{%- elif has_nibbles -%}
{{ "high" if i else "low" }}_nibbles({{ words }}[{{ p }}])
{%- else -%}
bytes({{ words }}[2u * {{ p }}{{ " + 1u" if i }}])
{%- endif -%}
{% endmacro %}
{% macro column(p, i) -%}
{{ p ~ " + " ~ 4 * i ~ "u" if has_nibbles else "2u * " ~ p ~ " + " ~ i ~ "u" }}
{%- endmacro %}
{% macro packed(words, j) %}
{%- if has_nibbles -%}
({{ words }}[{{ j % 4 }}]{{ " >> 4u" if j >= 4 }}) & 0x0f0f0f0fu
{%- else -%}
{{ words }}[{{ j }}]
{%- endif -%}
{% endmacro %}
{% macro load_block(b, name) %}
{% for u in range(32 // unit_columns) %}
    let {{ name }}_{{ u }} = quants[({{ b }}) * {{ 32 // unit_columns }}u + {{ u }}u];
{% if has_scale %}
    let {{ name }}_{{ u }}_scale = scale_of(scale_bits(({{ b }}) * {{ 32 // unit_columns }}u + {{ u }}u));
{% endif %}
{% endfor %}
{% endmacro %}
{% macro weight(words, scale, p, i) %}
{%- if has_offset -%}
fma({{ raw(words, p, i) }}, vec4<f32>({{ scale }}.x), vec4<f32>({{ scale }}.y))
{%- else -%}
{{ raw(words, p, i) }}{{ " * " ~ scale if has_scale }}
{%- endif -%}
{% endmacro %}
{% macro converted(words, j) %}
{%- if has_nibbles -%}
vec4<f32>(vec4<i32>((vec4<u32>({{ words }}[{{ j % 4 }}]) >> vec4<u32>({{ "4, 12, 20, 28" if j >= 4 else "0, 8, 16, 24" }})) & vec4<u32>(0xfu)){{ " - " ~ zero if zero }})
{%- else -%}
vec4<f32>(((vec4<i32>(bitcast<i32>({{ words }}[{{ j }}])) << vec4<u32>(24, 16, 8, 0)) >> vec4<u32>(24)){{ " - " ~ zero if zero }})
{%- endif -%}
{% endmacro %}
{% macro quad(name, j) %}
{%- set quads = unit_columns // 4 -%}
{%- set words, j = name ~ "_" ~ j // quads, j % quads -%}
{%- set scale = words ~ "_scale" -%}
{%- if not has_scale -%}
{{ float_quad(words, j) }}
{%- elif has_offset -%}
fma({{ converted(words, j) }}, vec4<f32>({{ scale }}.x), vec4<f32>({{ scale }}.y))
{%- else -%}
{{ converted(words, j) }} * {{ scale }}
{%- endif -%}
{%- endmacro %}
