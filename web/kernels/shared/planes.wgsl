{#- The planes of a layout of pyapp/leadout/layouts.py (keep in step) as bindings 0 and up, values and quants as
    vec4<u32>, and how to read their floats. For shared/weights.wgsl and shared/quarters.wgsl, which import

      low_half(word), high_half(word)  expressions: the float in a half of a word
      half(bits)                       an expression: the same, where the word's upper half is zero
      float_quad(words, i)             an expression: of a layout of floats, quad i of 16 bytes of values -#}
@group(0) @binding(0) var<storage, read> quants: array<vec4<u32>>;
{% if layout.planes | length > 1 %}
@group(0) @binding(1) var<storage, read> scales: array<u32>;
{% endif %}
{% if layout.planes | length > 2 %}
@group(0) @binding(2) var<storage, read> supers: array<u32>;
{% endif %}

{% if layout.is_quantised %}
{% include "shared/half.wgsl" %}

{% elif layout.floats == "bf16" %}
fn halves(low: u32, high: u32) -> vec4<f32> {
  let words = vec4<u32>(low << 16u, low & 0xffff0000u, high << 16u, high & 0xffff0000u);
  return bitcast<vec4<f32>>(words);
}
{% elif layout.floats == "f16" %}
fn halves(low: u32, high: u32) -> vec4<f32> {
  return vec4<f32>(unpack2x16float(low), unpack2x16float(high));
}
{% endif %}
{% macro low_half(word) -%}
{{ "bitcast<f32>(" ~ word ~ " << 16u)" if layout.floats == "bf16" else "half_to_f32(" ~ word ~ " & 0xffffu)" }}
{%- endmacro %}
{% macro high_half(word) -%}
{{ "bitcast<f32>(" ~ word ~ " & 0xffff0000u)" if layout.floats == "bf16" else "half_to_f32(" ~ word ~ " >> 16u)" }}
{%- endmacro %}
{% macro half(bits) -%}
{{ low_half(bits) if layout.floats == "bf16" else "half_to_f32(" ~ bits ~ ")" }}
{%- endmacro %}
{% macro float_quad(words, i) -%}
{% if layout.floats == "f32" -%}
bitcast<vec4<f32>>({{ words }})
{%- else -%}
halves({{ words }}[{{ 2 * i }}], {{ words }}[{{ 2 * i + 1 }}])
{%- endif %}
{%- endmacro %}
