{#- Reading a weight matrix in any layout of pyapp/leadout/layouts.py (keep in step).

    Declares the layout's planes as bindings 0 and up (quants as vec4<u32>) and gives

      block_scales(b)   what turns quantised values of block b into weights
      the macro load_block(b, name), which fetches a block's packed values into locals once, and
      the macro quad(name, j), columns 4j .. 4j + 3 of that block as vec4<f32>, j a constant 0..7

    `first_binding` after the planes is num_planes. -#}
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

// Block b's scale and offset (for q8_super16: the scales of its two halves).
fn block_scales(b: u32) -> vec2<f32> {
{% if layout.endswith("_affine") %}
  let word = scales[b];
  return vec2<f32>(half_to_f32(word & 0xffffu), half_to_f32(word >> 16u));
{% else %}
  let half_word = (scales[b >> 1u] >> ((b & 1u) << 4u)) & 0xffffu;
{% if layout == "q4_scale" %}
  let d = half_to_f32(half_word);
  return vec2<f32>(d, -8.0 * d);
{% elif layout == "q8_scale" %}
  return vec2<f32>(half_to_f32(half_word), 0.0);
{% elif layout == "q8_super16" %}
  let d = half_to_f32(supers[b >> 3u] & 0xffffu);
  let signed = vec2<i32>(vec2<u32>(half_word) << vec2<u32>(24u, 16u)) >> vec2<u32>(24u);
  return d * vec2<f32>(signed);
{% else %}
  let super_word = supers[b >> 3u];
  let d = half_to_f32(super_word & 0xffffu);
  let d_min = half_to_f32(super_word >> 16u);
  return vec2<f32>(d * f32(half_word & 0xffu), -(d_min * f32(half_word >> 8u)));
{% endif %}
{% endif %}
}
{% endif %}

{% if layout.startswith("q4") %}
const BYTE_SHIFTS = vec4<u32>(0u, 8u, 16u, 24u);

fn nibbles(word: u32, shift: u32) -> vec4<f32> {
  return vec4<f32>((vec4<u32>(word >> shift) >> BYTE_SHIFTS) & vec4<u32>(15u));
}

{% elif layout.startswith("q8") %}
const BYTE_LEFT_SHIFTS = vec4<u32>(24u, 16u, 8u, 0u);

fn signed_bytes(word: u32) -> vec4<f32> {
  return vec4<f32>(vec4<i32>(vec4<u32>(word) << BYTE_LEFT_SHIFTS) >> vec4<u32>(24u));
}

{% elif layout != "f32" %}
fn halves(low: u32, high: u32) -> vec4<f32> {
{% if layout == "bf16" %}
  let words = vec4<u32>(low << 16u, low & 0xffff0000u, high << 16u, high & 0xffff0000u);
  return bitcast<vec4<f32>>(words);
{% else %}
  return vec4<f32>(unpack2x16float(low), unpack2x16float(high));
{% endif %}
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
{% elif layout.startswith("q8") %}
    let {{ name }}_s = block_scales({{ b }});
    let {{ name }}_0 = quants[({{ b }}) * 2u];
    let {{ name }}_1 = quants[({{ b }}) * 2u + 1u];
{% else %}
    let {{ name }}_s = block_scales({{ b }});
    let {{ name }}_0 = quants[{{ b }}];
{% endif %}
{% endmacro %}
{% macro quad(name, j) %}
{%- set k = j % 4 -%}
{%- if layout == "f32" -%}
bitcast<vec4<f32>>({{ name }}_{{ j }})
{%- elif layout in ("f16", "bf16") -%}
halves({{ name }}_{{ j // 2 }}[{{ 2 * (j % 2) }}], {{ name }}_{{ j // 2 }}[{{ 2 * (j % 2) + 1 }}])
{%- elif layout == "q8_super16" -%}
(signed_bytes({{ name }}_{{ j // 4 }}[{{ k }}]) * {{ name }}_s[{{ j // 4 }}])
{%- elif layout == "q8_scale" -%}
(signed_bytes({{ name }}_{{ j // 4 }}[{{ k }}]) * {{ name }}_s.x)
{%- elif layout.startswith("q8") -%}
fma(signed_bytes({{ name }}_{{ j // 4 }}[{{ k }}]), vec4<f32>({{ name }}_s.x), vec4<f32>({{ name }}_s.y))
{%- else -%}
fma(nibbles({{ name }}_0[{{ k }}], {{ 4 * (j // 4) }}u), vec4<f32>({{ name }}_s.x), vec4<f32>({{ name }}_s.y))
{%- endif -%}
{% endmacro %}
