{#- Reading a weight matrix in any layout of pyapp/leadout/layouts.py (keep in step), which is `layout`, for matmul.

    Why not with shared/weights.wgsl: a thread of matmul takes eight columns in every layout, not 16 bytes, and what
    it reads is fetched apart from decoding it, so that a tile is computed while the next one is on its way. Bytes
    are also unpacked by a mask and a conversion, with the zero in the offset, which rounds q8_affine differently.

    Declares the layout's planes as bindings 0 and up, quants as vec4<u32>, and gives to whoever
    imports them (with context):

      num_planes            how many bindings it took
      fetch_quarter(b, w, name)   a statement: what memory holds of quarter w of block b, eight columns, into locals
      decode_quarter(b, w, name)  a statement: the scales and values in it; only this one waits for what was read
      part(name, j)         an expression: the first or second (j) four of these columns, vec4<f32>
      part_quad(w, j)       an expression: which quad of the block these are

    Packed values are not shifted into place. A mask leaves each of four values in its byte, the
    conversion to float keeps it there, as a multiple of 2^8k, and the scale, divided by the same
    power, takes it out again in the multiplication that is needed anyway. Nothing is rounded on the
    way: all products have at most 24 significant bits. For that, quants are made positive by adding `lift`, but for
    the last byte of a word where quants take all of a byte; it stays signed. -#}
{% from "shared/planes.wgsl" import low_half, high_half, half, float_quad with context %}
{% set num_planes = layout.planes | length %}
{% set has_nibbles = layout.bits == 4 %}
{% set lift = -layout.quants.start %}
{% set is_last_signed = lift == 128 %}
{#- What is too much in a positive quant; nothing where there are offsets. -#}
{% set excess = layout.zero + lift %}
{% macro scale_word(b) -%}
scales[{{ b if layout.scaling == "affine" else "(" ~ b ~ ") >> 1u" }}]
{%- endmacro %}
{% macro super_word(b) -%}
{{ "supers[(" ~ b ~ ") >> 3u]" if num_planes > 2 else "0u" }}
{%- endmacro %}
{% macro lifted(word) -%}
{%- if is_last_signed -%}
{{ word }} ^ 0x808080u
{%- elif lift -%}
({{ word }} ^ 0x80808080u) - {{ "0x%08xu" % ((128 - lift) * 0x01010101) }}
{%- else -%}
{{ word }}
{%- endif -%}
{%- endmacro %}
{% macro last_offset(name) -%}
{{ "fma(" ~ lift ~ ".0, " ~ name ~ "_s.x, " ~ name ~ "_s.y)" if layout.zero else "0.0" }}
{%- endmacro %}
{% include "shared/planes.wgsl" %}

{% if layout.is_quantised %}
// What takes byte k of a word, converted to float in place, to its weight: times scale[k] plus offset[k].
const BYTE = vec4<f32>(1.0, 0.00390625, 1.52587890625e-5, 5.9604644775390625e-8);

// Block b's scale and offset (for q8_super16: the scales of its two halves), from the words that hold them.
fn scales_in(b: u32, word: u32, super_word: u32) -> vec2<f32> {
{% if layout.scaling == "affine" %}
  return vec2<f32>({{ low_half("word") }}, {{ high_half("word") }});
{% else %}
  let half_word = (word >> ((b & 1u) << 4u)) & 0xffffu;
{% if layout.scaling == "scale" %}
  let d = {{ half("half_word") }};
  return vec2<f32>(d, {{ -excess }}.0 * d);
{% elif layout.scaling == "super16" %}
  let d = {{ low_half("super_word") }};
  let signed = vec2<i32>(vec2<u32>(half_word) << vec2<u32>(24u, 16u)) >> vec2<u32>(24u);
  return d * vec2<f32>(signed);
{% else %}
  let d = {{ low_half("super_word") }};
  let d_min = {{ high_half("super_word") }};
  return vec2<f32>(d * f32(half_word & 0xffu), -(d_min * f32(half_word >> 8u)));
{% endif %}
{% endif %}
}

{% if has_nibbles %}
// The nibbles in the low halves of four bytes, each times 2^8k. Below 2^28, so as good signed, which
// converts faster on some devices.
fn nibbles(word: u32) -> vec4<f32> {
  return vec4<f32>(vec4<i32>(vec4<u32>(word) & vec4<u32>(0xfu, 0xf00u, 0xf0000u, 0xf000000u)));
}
{% else %}
// Four bytes, each times 2^8k; the last one signed, the others not.
fn bytes(word: u32) -> vec4<f32> {
  let masked = vec4<u32>(word) & vec4<u32>(0xffu, 0xff00u, 0xff0000u, 0xff000000u);
  return vec4<f32>(bitcast<vec4<i32>>(masked));
}
{% endif %}
{% endif %}
{% macro fetch_quarter(b, w, name) %}
{% if layout.bits == 32 %}
    let {{ name }}_0 = quants[({{ b }}) * 8u + 2u * {{ w }}];
    let {{ name }}_1 = quants[({{ b }}) * 8u + 2u * {{ w }} + 1u];
{% elif layout.bits == 16 %}
    let {{ name }}_0 = quants[({{ b }}) * 4u + {{ w }}];
{% else %}
    let {{ name }}_scale_word = {{ scale_word(b) }};
    let {{ name }}_super_word = {{ super_word(b) }};
{% if has_nibbles %}
    let {{ name }}_0 = quants[{{ b }}][{{ w }}];
{% else %}
    let {{ name }}_at = ({{ b }}) * 2u + {{ w }} / 2u;
    let {{ name }}_low = 2u * ({{ w }} % 2u);
    let {{ name }}_raw = vec2<u32>(quants[{{ name }}_at][{{ name }}_low], quants[{{ name }}_at][{{ name }}_low + 1u]);
{% endif %}
{% endif %}
{% endmacro %}
{% macro decode_quarter(b, w, name) %}
{% if layout.is_quantised %}
    let {{ name }}_s = scales_in({{ b }}, {{ name }}_scale_word, {{ name }}_super_word);
{% if layout.scaling == "super16" %}
    let {{ name }}_d = select({{ name }}_s.x, {{ name }}_s.y, {{ w }} >= 2u);
    let {{ name }}_scale = {{ name }}_d * BYTE;
{% else %}
    let {{ name }}_scale = {{ name }}_s.x * BYTE;
{% endif %}
{% if has_nibbles %}
    let {{ name }}_1 = {{ name }}_0 >> 4u;
{% else %}
    let {{ name }}_0 = {{ lifted(name ~ "_raw.x") }};
    let {{ name }}_1 = {{ lifted(name ~ "_raw.y") }};
{% if is_last_signed %}
    let {{ name }}_offset = vec4<f32>({{ name }}_s.yyy, {{ last_offset(name) }});
{% endif %}
{% endif %}
{% endif %}
{% endmacro %}
{% macro part(name, j) %}
{%- set packed = name ~ "_" ~ j -%}
{%- if not layout.is_quantised -%}
{{ float_quad(packed if layout.bits == 32 else name ~ "_0", j) }}
{%- elif has_nibbles -%}
fma(nibbles({{ packed }}), {{ name }}_scale, vec4<f32>({{ name }}_s.y))
{%- elif layout.scaling == "super16" -%}
fma(bytes({{ packed }}), {{ name }}_scale, vec4<f32>({{ -excess }}.0 * {{ name }}_d))
{%- elif is_last_signed -%}
fma(bytes({{ packed }}), {{ name }}_scale, {{ name }}_offset)
{%- else -%}
fma(bytes({{ packed }}), {{ name }}_scale, vec4<f32>({{ name }}_s.y))
{%- endif -%}
{% endmacro %}
{% macro part_quad(w, j) -%}
{{ w ~ " + " ~ 4 * j ~ "u" if has_nibbles else "2u * " ~ w ~ " + " ~ j ~ "u" }}
{%- endmacro %}
