{#- Activations in 16 bits, as packed_matvec multiplies them ("packed"). Gives to whoever imports it (with context):

      quantize()         a statement: v0 .. v7, a block's quads, become part_0 .. part_3, scale and total
      pack_row(value)    statements: quads value(i) of a whole row of D columns, by 256 threads, into `packed`, as u32;
                         needs shared/pack_row.wgsl
      store_packed(to, blocks, block)  a statement: these into `packed`, array<vec2<u32>>, a row that begins at vec4 `to`

    A row of K columns takes as many bytes as its float32 would, of which 4.5 in 8 are used, so that rows begin where
    they do there. With B = K / 32 blocks, in vec4<u32>:

      [4][B]       columns 0 .. 15 and 16 .. 31 of each block, their high bytes (0, 1) and their low ones (2, 3)
      [B / 2]      scale (f32 bits) and total (i32, the sum of the block's q) of two blocks

    q = round(x / scale), scale = the block's largest |x| / 32639, so that q = 256 high + low with two signed bytes. -#}
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
    totals += q{{ c }};
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
{% macro pack_row(value) %}
  for (var i = thread; i < quads; i += 256u) {
    let largest = abs({{ value }});
    tops[i] = max(max(largest.x, largest.y), max(largest.z, largest.w));
  }
  workgroupBarrier();
  for (var i = thread; i < quads; i += 256u) {
    let block = i / 8u;
    var top = tops[8u * block];
    for (var c = 1u; c < 8u; c++) {
      top = max(top, tops[8u * block + c]);
    }
    let inverse = select(0.0, 32639.0 / top, top > 1e-30);
    let q = vec4<i32>(round({{ value }} * inverse));
    totals[i] = q.x + q.y + q.z + q.w;
    let part = (i % 8u) / 4u;
    let at = (row + part * (D / 32u) + block) * 4u + i % 4u;
    packed[at] = pack4xI8((q + 128) >> vec4<u32>(8u));
    packed[at + 8u * (D / 32u)] = pack4xI8(q);
    if (i % 8u == 0u) {
      packed[(row + 4u * (D / 32u)) * 4u + 2u * block] = bitcast<u32>(top * (1.0 / 32639.0));
    }
  }
  workgroupBarrier();
  for (var block = thread; block < D / 32u; block += 256u) {
    var total = totals[8u * block];
    for (var c = 1u; c < 8u; c++) {
      total += totals[8u * block + c];
    }
    packed[(row + 4u * (D / 32u)) * 4u + 2u * block + 1u] = bitcast<u32>(total);
  }
{% endmacro %}
