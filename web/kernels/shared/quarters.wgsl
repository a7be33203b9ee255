{#- Reading a weight matrix in any layout of pyapp/leadout/layouts.py (keep in step).

    Declares the layout's planes as bindings 0 and up, quants as vec4<u32>, and gives to whoever
    imports them (with context):

      num_planes            how many bindings it took
      load_block(b, name)   a statement: block b's packed values and scales into locals, once
      quad(name, j)         an expression: columns 4j .. 4j + 3 of that block, vec4<f32>, j constant
      load_quarter(b, w, name)  a statement: the same for quarter w of block b, eight columns
      fetch_quarter(b, w, name), decode_quarter(b, w, name)  load_quarter in two statements: only the
                             second one waits for what the first one reads
      part(name, j)         an expression: the first or second (j) four of these columns
      part_quad(w, j)       an expression: which quad of the block these are

    Packed values are not shifted into place. A mask leaves each of four values in its byte, the
    conversion to float keeps it there, as a multiple of 2^8k, and the scale, divided by the same
    power, takes it out again in the multiplication that is needed anyway. Nothing is rounded on the
    way: all products have at most 24 significant bits. -#}
{% macro scale_word(b) -%}
scales[{{ b if "_affine" in layout else "(" ~ b ~ ") >> 1u" }}]
{%- endmacro %}
{% macro super_word(b) -%}
{{ "supers[(" ~ b ~ ") >> 3u]" if num_planes > 2 else "0u" }}
{%- endmacro %}
{% set has_signed_byte = layout == "q8_scale" or layout.startswith("q8_affine") %}
{% macro last_offset(name) -%}
{{ "fma(128.0, " ~ name ~ "_s.x, " ~ name ~ "_s.y)" if "_affine" in layout else "0.0" }}
{%- endmacro %}
{% set num_planes = 1 if layout in ("f32", "f16", "bf16") else (3 if "super" in layout else 2) %}
@group(0) @binding(0) var<storage, read> quants: array<vec4<u32>>;
{% if num_planes > 1 %}
@group(0) @binding(1) var<storage, read> scales: array<u32>;
{% endif %}
{% if num_planes > 2 %}
@group(0) @binding(2) var<storage, read> supers: array<u32>;
{% endif %}

{% if num_planes > 1 %}
{% include "shared/half.wgsl" %}

// What takes byte k of a word, converted to float in place, to its weight: times scale[k] plus offset[k].
const BYTE = vec4<f32>(1.0, 0.00390625, 1.52587890625e-5, 5.9604644775390625e-8);

// Block b's scale and offset (for q8_super16: the scales of its two halves), from the words that hold them.
fn scales_in(b: u32, word: u32, super_word: u32) -> vec2<f32> {
{% if layout.endswith("_bf16") %}
  return vec2<f32>(bitcast<f32>(word << 16u), bitcast<f32>(word & 0xffff0000u));
{% elif "_affine" in layout %}
  return vec2<f32>(half_to_f32(word & 0xffffu), half_to_f32(word >> 16u));
{% else %}
  let half_word = (word >> ((b & 1u) << 4u)) & 0xffffu;
{% if layout == "q4_scale" %}
  let d = half_to_f32(half_word);
  return vec2<f32>(d, -8.0 * d);
{% elif layout == "q8_scale" %}
  let d = half_to_f32(half_word);
  return vec2<f32>(d, -128.0 * d);
{% elif layout == "q8_super16" %}
  let d = half_to_f32(super_word & 0xffffu);
  let signed = vec2<i32>(vec2<u32>(half_word) << vec2<u32>(24u, 16u)) >> vec2<u32>(24u);
  return d * vec2<f32>(signed);
{% else %}
  let d = half_to_f32(super_word & 0xffffu);
  let d_min = half_to_f32(super_word >> 16u);
  return vec2<f32>(d * f32(half_word & 0xffu), -(d_min * f32(half_word >> 8u)));
{% endif %}
{% endif %}
}

fn block_scales(b: u32) -> vec2<f32> {
  return scales_in(b, {{ scale_word("b") }}, {{ super_word("b") }});
}
{% endif %}
{% if layout.startswith("q4") %}
// The nibbles in the low halves of four bytes, each times 2^8k. Below 2^28, so as good signed, which
// converts faster on some devices.
fn nibbles(word: u32) -> vec4<f32> {
  return vec4<f32>(vec4<i32>(vec4<u32>(word) & vec4<u32>(0xfu, 0xf00u, 0xf0000u, 0xf000000u)));
}
{% elif layout.startswith("q8") %}
// Four bytes, each times 2^8k; the last one signed, the others not.
fn bytes(word: u32) -> vec4<f32> {
  let masked = vec4<u32>(word) & vec4<u32>(0xffu, 0xff00u, 0xff0000u, 0xff000000u);
  return vec4<f32>(bitcast<vec4<i32>>(masked));
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
{% macro load_block(b, name) %}
{% if layout == "f32" %}
{% for j in range(8) %}
    let {{ name }}_{{ j }} = quants[({{ b }}) * 8u + {{ j }}u];
{% endfor %}
{% elif layout in ("f16", "bf16") %}
{% for j in range(4) %}
    let {{ name }}_{{ j }} = quants[({{ b }}) * 4u + {{ j }}u];
{% endfor %}
{% else %}
    let {{ name }}_s = block_scales({{ b }});
{% if layout.startswith("q4") %}
    let {{ name }}_0 = quants[{{ b }}];
    let {{ name }}_1 = {{ name }}_0 >> vec4<u32>(4u);
    let {{ name }}_scale = {{ name }}_s.x * BYTE;
{% elif has_signed_byte %}
    // Signed bytes plus 128 are unsigned ones; the last byte of a word stays signed.
    let {{ name }}_0 = quants[({{ b }}) * 2u] ^ vec4<u32>(0x808080u);
    let {{ name }}_1 = quants[({{ b }}) * 2u + 1u] ^ vec4<u32>(0x808080u);
    let {{ name }}_scale = {{ name }}_s.x * BYTE;
    let {{ name }}_offset = vec4<f32>({{ name }}_s.yyy, {{ last_offset(name) }});
{% elif layout == "q8_super16" %}
    // -32 .. 31 plus 32, so that the product with a two-level scale is exact; the last byte likewise.
    let {{ name }}_0 = (quants[({{ b }}) * 2u] ^ vec4<u32>(0x80808080u)) - 0x60606060u;
    let {{ name }}_1 = (quants[({{ b }}) * 2u + 1u] ^ vec4<u32>(0x80808080u)) - 0x60606060u;
    let {{ name }}_scale_0 = {{ name }}_s.x * BYTE;
    let {{ name }}_scale_1 = {{ name }}_s.y * BYTE;
{% else %}
    // 0 .. 31, so that sign does not matter.
    let {{ name }}_0 = quants[({{ b }}) * 2u];
    let {{ name }}_1 = quants[({{ b }}) * 2u + 1u];
    let {{ name }}_scale = {{ name }}_s.x * BYTE;
{% endif %}
{% endif %}
{% endmacro %}
{% macro quad(name, j) %}
{%- set packed = name ~ "_" ~ (j // 4) ~ "[" ~ (j % 4) ~ "]" -%}
{%- if layout == "f32" -%}
bitcast<vec4<f32>>({{ name }}_{{ j }})
{%- elif layout in ("f16", "bf16") -%}
halves({{ name }}_{{ j // 2 }}[{{ 2 * (j % 2) }}], {{ name }}_{{ j // 2 }}[{{ 2 * (j % 2) + 1 }}])
{%- elif layout == "q8_super16" -%}
fma(bytes({{ packed }}), {{ name }}_scale_{{ j // 4 }}, vec4<f32>(-32.0 * {{ name }}_s[{{ j // 4 }}]))
{%- elif has_signed_byte -%}
fma(bytes({{ packed }}), {{ name }}_scale, {{ name }}_offset)
{%- elif layout.startswith("q8") -%}
fma(bytes({{ packed }}), {{ name }}_scale, vec4<f32>({{ name }}_s.y))
{%- else -%}
fma(nibbles({{ packed }}), {{ name }}_scale, vec4<f32>({{ name }}_s.y))
{%- endif -%}
{% endmacro %}
{% macro load_quarter(b, w, name) %}
{{ fetch_quarter(b, w, name) }}
{{ decode_quarter(b, w, name) }}
{% endmacro %}
{% macro fetch_quarter(b, w, name) %}
{% if layout == "f32" %}
    let {{ name }}_0 = quants[({{ b }}) * 8u + 2u * {{ w }}];
    let {{ name }}_1 = quants[({{ b }}) * 8u + 2u * {{ w }} + 1u];
{% elif layout in ("f16", "bf16") %}
    let {{ name }}_0 = quants[({{ b }}) * 4u + {{ w }}];
{% else %}
    let {{ name }}_scale_word = {{ scale_word(b) }};
    let {{ name }}_super_word = {{ super_word(b) }};
{% if layout.startswith("q4") %}
    let {{ name }}_0 = quants[{{ b }}][{{ w }}];
{% else %}
    let {{ name }}_at = ({{ b }}) * 2u + {{ w }} / 2u;
    let {{ name }}_low = 2u * ({{ w }} % 2u);
    let {{ name }}_raw = vec2<u32>(quants[{{ name }}_at][{{ name }}_low], quants[{{ name }}_at][{{ name }}_low + 1u]);
{% endif %}
{% endif %}
{% endmacro %}
{% macro decode_quarter(b, w, name) %}
{% if layout not in ("f32", "f16", "bf16") %}
    let {{ name }}_s = scales_in({{ b }}, {{ name }}_scale_word, {{ name }}_super_word);
{% if layout == "q8_super16" %}
    let {{ name }}_d = select({{ name }}_s.x, {{ name }}_s.y, {{ w }} >= 2u);
    let {{ name }}_scale = {{ name }}_d * BYTE;
{% else %}
    let {{ name }}_scale = {{ name }}_s.x * BYTE;
{% endif %}
{% if layout.startswith("q4") %}
    let {{ name }}_1 = {{ name }}_0 >> 4u;
{% elif has_signed_byte %}
    let {{ name }}_0 = {{ name }}_raw.x ^ 0x808080u;
    let {{ name }}_1 = {{ name }}_raw.y ^ 0x808080u;
    let {{ name }}_offset = vec4<f32>({{ name }}_s.yyy, {{ last_offset(name) }});
{% elif layout == "q8_super16" %}
    let {{ name }}_0 = ({{ name }}_raw.x ^ 0x80808080u) - 0x60606060u;
    let {{ name }}_1 = ({{ name }}_raw.y ^ 0x80808080u) - 0x60606060u;
{% else %}
    let {{ name }}_0 = {{ name }}_raw.x;
    let {{ name }}_1 = {{ name }}_raw.y;
{% endif %}
{% endif %}
{% endmacro %}
{% macro part(name, j) %}
{%- set packed = name ~ "_" ~ j -%}
{%- if layout == "f32" -%}
bitcast<vec4<f32>>({{ packed }})
{%- elif layout in ("f16", "bf16") -%}
halves({{ name }}_0[{{ 2 * j }}], {{ name }}_0[{{ 2 * j + 1 }}])
{%- elif layout == "q8_super16" -%}
fma(bytes({{ packed }}), {{ name }}_scale, vec4<f32>(-32.0 * {{ name }}_d))
{%- elif has_signed_byte -%}
fma(bytes({{ packed }}), {{ name }}_scale, {{ name }}_offset)
{%- elif layout.startswith("q8") -%}
fma(bytes({{ packed }}), {{ name }}_scale, vec4<f32>({{ name }}_s.y))
{%- else -%}
fma(nibbles({{ packed }}), {{ name }}_scale, vec4<f32>({{ name }}_s.y))
{%- endif -%}
{% endmacro %}
{% macro part_quad(w, j) -%}
{{ w ~ " + " ~ 4 * j ~ "u" if layout.startswith("q4") else "2u * " ~ w ~ " + " ~ j ~ "u" }}
{%- endmacro %}
