{#- Activations in 16 bits, as packed_matvec multiplies them ("packed"). Gives to whoever imports it (with context):

      quantize()         a statement: v0 .. v7, a block's quads, become part_0 .. part_3, scale and total
      pack_quads(value, count, row, first, columns)   statements: `count` quads value(i), whole blocks, which begin at
                         quad `first` of a row of `columns`, into `packed`, as u32. The row begins at vec4 `row`
      find_top, pack_quad, pack_totals   its three steps, with barriers between them, for one quad, one quad, and all;
                         needs shared/pack_quads.wgsl
      store_packed(to, blocks, block)  a statement: these into `packed`, array<vec2<u32>>, a row that begins at vec4 `to`

    A row of K columns takes as many bytes as its float32 would, of which 4.5 in 8 are used, so that rows begin where
    they do there. With B = K / 32 blocks, in vec4<u32>:

      [4][B]       columns 0 .. 15 and 16 .. 31 of each block, their high bytes (0, 1) and their low ones (2, 3)
      [B / 2]      scale (f32 bits) and total (i32) of two blocks; of a block's sums of high and of low bytes,
                   total = 65536 high + low

    Words go into `packed`, or, where `is_staged`, into the workgroup's `x`, array<vec4<u32>>.
    q = round(x / scale), scale = the block's largest |x| / 32639, so that q = 256 high + low with two signed bytes. -#}
{% set pack_threads = pack_threads | default(256) %}
{% set is_staged = is_staged | default(false) %}
{% macro word(at) -%}
{{ "x[(" ~ at ~ ") / 4u][(" ~ at ~ ") % 4u]" if is_staged else "packed[" ~ at ~ "]" }}
{%- endmacro %}
{% macro totalled(q) -%}
{{ q }} + (({{ q }} + 128) >> vec4<u32>(8u)) * {{ 65536 - 256 }}
{%- endmacro %}
{% macro quantize() %}
    var largest = abs(v0);
{% for c in range(1, 8) %}
    largest = max(largest, abs(v{{ c }}));
{% endfor %}
    let top = max(max(largest.x, largest.y), max(largest.z, largest.w));
    let inverse = select(0.0, 32639.0 / top, top > 1e-30);
    let scale = bitcast<u32>(top * (1.0 / 32639.0));
    var totals = vec4<i32>();
{% for c in range(8) %}
    let q{{ c }} = vec4<i32>(round(v{{ c }} * inverse));
    totals += {{ totalled("q" ~ c) }};
{% endfor %}
    let total = bitcast<u32>(totals.x + totals.y + totals.z + totals.w);
{% for p in range(2) %}
    let part_{{ p }} = vec4<u32>(
{% for k in range(4) %}
      pack4xI8((q{{ 4 * p + k }} + 128) >> vec4<u32>(8u)),
{% endfor %}
    );
    let part_{{ p + 2 }} = vec4<u32>(
{% for k in range(4) %}
      pack4xI8(q{{ 4 * p + k }}),
{% endfor %}
    );
{% endfor %}
{% endmacro %}
{% macro store_packed(to, blocks, block) %}
    {
{% for p in range(4) %}
      packed[({{ to }} + {{ p }}u * {{ blocks }} + {{ block }}) * 2u] = part_{{ p }}.xy;
      packed[({{ to }} + {{ p }}u * {{ blocks }} + {{ block }}) * 2u + 1u] = part_{{ p }}.zw;
{% endfor %}
      packed[({{ to }} + 4u * {{ blocks }}) * 2u + {{ block }}] = vec2<u32>(scale, total);
    }
{% endmacro %}
{% macro find_top(i, value) %}
    {
      let largest = abs({{ value }});
      tops[{{ i }}] = max(max(largest.x, largest.y), max(largest.z, largest.w));
    }
{% endmacro %}
{% macro pack_quad(i, value, row, first, blocks) %}
    {
      let start = 8u * (({{ i }}) / 8u);
      var top = tops[start];
      for (var c = 1u; c < 8u; c++) {
        top = max(top, tops[start + c]);
      }
      let inverse = select(0.0, 32639.0 / top, top > 1e-30);
      let q = vec4<i32>(round({{ value }} * inverse));
      let totals = {{ totalled("q") }};
      quad_totals[{{ i }}] = totals.x + totals.y + totals.z + totals.w;
      let block = ({{ first }} + {{ i }}) / 8u;
      let part = (({{ i }}) % 8u) / 4u;
      let at = ({{ row }} + part * {{ blocks }} + block) * 4u + ({{ i }}) % 4u;
      {{ word("at") }} = pack4xI8((q + 128) >> vec4<u32>(8u));
      {{ word("at + 8u * " ~ blocks) }} = pack4xI8(q);
      if (({{ i }}) % 8u == 0u) {
        {{ word("(" ~ row ~ " + 4u * " ~ blocks ~ ") * 4u + 2u * block") }} = bitcast<u32>(top * (1.0 / 32639.0));
      }
    }
{% endmacro %}
{% macro pack_totals(count, row, first, blocks) %}
  for (var block = thread; block < {{ count }} / 8u; block += {{ pack_threads }}u) {
    var total = quad_totals[8u * block];
    for (var c = 1u; c < 8u; c++) {
      total += quad_totals[8u * block + c];
    }
    {{ word("(" ~ row ~ " + 4u * " ~ blocks ~ ") * 4u + 2u * (" ~ first ~ " / 8u + block) + 1u") }} = bitcast<u32>(total);
  }
{% endmacro %}
{% macro pack_quads(value, count, row, first, columns) %}
  let packed_blocks = {{ columns }} / 32u;
  for (var i = thread; i < {{ count }}; i += {{ pack_threads }}u) {
{{ find_top("i", value) }}
  }
  workgroupBarrier();
  for (var i = thread; i < {{ count }}; i += {{ pack_threads }}u) {
{{ pack_quad("i", value, row, first, "packed_blocks") }}
  }
  workgroupBarrier();
{{ pack_totals(count, row, first, "packed_blocks") }}
{% endmacro %}
