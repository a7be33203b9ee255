{#- Reading a weight matrix in any layout of pyapp/leadout/layouts.py (keep in step).

    A row is read in *units* of 16 bytes of quants, so that neighbouring threads, which take neighbouring units,
    read neighbouring bytes: 32 columns of a q4 layout, 16 of a q8, 8 of f16 and bf16, 4 of f32. A unit is unpacked
    in *steps* of a few columns, four columns (a quad) at a time.

    Declares the layout's planes as bindings 0 and up, quants as vec4<u32>, and gives to whoever
    imports them (with context):

      num_planes, unit_columns, num_steps, step_quads, has_scale, has_offset, is_integer
      quants[u], scale_bits(u)  WGSL: what memory holds of unit u (of all units, row after row)
      scale_of(bits)            WGSL: its scale, or vec2(scale, offset) if has_offset; a weight is scale * raw + offset
      raw(words, p, i)          an expression: quad i of step p of a unit's words, unscaled; p may be a variable
      weight(words, scale, p, i)  an expression: the quad raw(words, p, i), scaled; scale is scale_of's
      column(p, i)              an expression: that quad's first column in the unit, divided by four
      packed(words, j)          an expression, if is_integer: four columns from 4 j on as signed bytes in a word

    and for kernels that take whole blocks of 32 columns:

      load_block(b, name)       a statement: block b into locals, once
      quad(name, j)             an expression: columns 4j .. 4j + 3 of that block, vec4<f32>, j constant

    Values are unpacked without a conversion: bits put into the mantissa of a power of two, above which
    they count 1, are that power plus the value, and subtracting takes the power off again, exactly. -#}
{% set has_scale = layout[:2] in ("q4", "q8") %}
{% set is_integer = has_scale %}
{% set has_offset = "_affine" in layout or layout.endswith("_super") %}
{% set num_planes = 1 if not has_scale else (3 if "super" in layout else 2) %}
{% set unit_columns = {"f32": 4, "f16": 8, "bf16": 8}.get(layout, 32 if layout.startswith("q4") else 16) %}
{% set num_steps = unit_columns // 8 if has_scale else 1 %}
{% set step_quads = 1 if layout == "f32" else 2 %}
@group(0) @binding(0) var<storage, read> quants: array<vec4<u32>>;
{% if num_planes > 1 %}
@group(0) @binding(1) var<storage, read> scales: array<u32>;
{% endif %}
{% if num_planes > 2 %}
@group(0) @binding(2) var<storage, read> supers: array<u32>;
{% endif %}

{% if has_scale %}
{% include "shared/half.wgsl" %}

{% set block = "u" if layout.startswith("q4") else "(u >> 1u)" %}
{% if layout.endswith("_super") %}
// The block's (s, m) in the low half, d and dmin.
fn scale_bits(u: u32) -> vec2<u32> {
  return vec2<u32>(scales[{{ block }} >> 1u] >> (({{ block }} & 1u) << 4u), supers[{{ block }} >> 3u]);
}

fn scale_of(bits: vec2<u32>) -> vec2<f32> {
  let d = half_to_f32(bits.y & 0xffffu);
  let d_min = half_to_f32(bits.y >> 16u);
  return vec2<f32>(d * f32(bits.x & 0xffu), -(d_min * f32((bits.x >> 8u) & 0xffu)));
}
{% elif "_affine" in layout %}
fn scale_bits(u: u32) -> u32 {
  return scales[{{ block }}];
}

fn scale_of(bits: u32) -> vec2<f32> {
{% if layout.endswith("_bf16") %}
  let d = bitcast<f32>(bits << 16u);
  let m = bitcast<f32>(bits & 0xffff0000u);
{% else %}
  let d = half_to_f32(bits & 0xffffu);
  let m = half_to_f32(bits >> 16u);
{% endif %}
  return vec2<f32>(d, {{ "fma(128.0, d, m)" if layout.startswith("q8") else "m" }});
}
{% elif layout == "q8_super16" %}
// s in the highest byte, d in the low half.
fn scale_bits(u: u32) -> u32 {
  return ((scales[u >> 2u] >> ((u & 3u) << 3u)) << 24u) | (supers[u >> 4u] & 0xffffu);
}

fn scale_of(bits: u32) -> f32 {
  return half_to_f32(bits & 0xffffu) * f32(bitcast<i32>(bits) >> 24u);
}
{% else %}
fn scale_bits(u: u32) -> u32 {
  return scales[{{ block }} >> 1u] >> (({{ block }} & 1u) << 4u);
}

fn scale_of(bits: u32) -> f32 {
  return half_to_f32(bits & 0xffffu);
}
{% endif %}
{% endif %}
{% if layout.startswith("q4") %}
{% set zero = 8 if layout == "q4_scale" else 0 %}
// The nibbles in the low halves of four bytes{{ ", minus 8" if zero }}.
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
{% elif layout.startswith("q8") %}
// Four signed bytes, which are unsigned ones minus 128 with their highest bit the other way round.
fn bytes(word: u32) -> vec4<f32> {
  let lower = word ^ 0x80808080u;
  let upper = lower >> 16u;
  return vec4<f32>(
    bitcast<f32>((lower & 0xffu) | 0x4b000000u) - {{ 2**23 + 128 }}.0,
    bitcast<f32>((lower & 0xff00u) | 0x47000000u) - {{ 2**15 + 128 }}.0,
    bitcast<f32>((upper & 0xffu) | 0x4b000000u) - {{ 2**23 + 128 }}.0,
    bitcast<f32>((upper & 0xff00u) | 0x47000000u) - {{ 2**15 + 128 }}.0,
  );
}
{% elif layout == "bf16" %}
fn halves(low: u32, high: u32) -> vec4<f32> {
  let words = vec4<u32>(low << 16u, low & 0xffff0000u, high << 16u, high & 0xffff0000u);
  return bitcast<vec4<f32>>(words);
}
{% elif layout == "f16" %}
fn halves(low: u32, high: u32) -> vec4<f32> {
  return vec4<f32>(unpack2x16float(low), unpack2x16float(high));
}
{% endif %}
{% macro raw(words, p, i) %}
{%- if layout == "f32" -%}
bitcast<vec4<f32>>({{ words }})
{%- elif not has_scale -%}
halves({{ words }}[{{ 2 * i }}], {{ words }}[{{ 2 * i + 1 }}])
{%- elif layout.startswith("q4") -%}
{{ "high" if i else "low" }}_nibbles({{ words }}[{{ p }}])
{%- else -%}
bytes({{ words }}[2u * {{ p }}{{ " + 1u" if i }}])
{%- endif -%}
{% endmacro %}
{% macro column(p, i) -%}
{{ p ~ " + " ~ 4 * i ~ "u" if layout.startswith("q4") else "2u * " ~ p ~ " + " ~ i ~ "u" }}
{%- endmacro %}
{% macro packed(words, j) %}
{%- if layout.startswith("q4") -%}
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
{% macro quad(name, j) %}
{%- set quads = unit_columns // 4 -%}
{%- set words, j = name ~ "_" ~ j // quads, j % quads -%}
{%- set p, i = (j % 4, j // 4) if layout.startswith("q4") else (j // 2, j % 2) -%}
{{ weight(words, words ~ "_scale", p ~ "u", i) }}
{%- endmacro %}
