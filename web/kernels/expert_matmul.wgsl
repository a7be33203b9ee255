{% set threads, outputs = 64, 2 %}
{% set bodies = [8, 16] %}
{% set is_gated = epilogue == "gelu_mul" %}
{% set stored = outputs // 2 if is_gated else outputs %}
// expert_matvec for many rows (prefill):
//
// y[p, n] = sum over k of W[e, n, k] * x[k]                                            (epilogue "none")
// y[p, n] = gelu(sum of W[e, n, k] x[k]) * sum of W[e, n + N/2, k] x[k]                (epilogue "gelu_mul")
//
// for the pairs p = (row, slot) that chose expert e; x is x[row] (SHARED_INPUT 1) or x[p]. A workgroup takes a tile of
// expert_tiles: up to {{ bodies[-1] }} pairs of one expert. A thread has {{ outputs }} outputs of all of them, so that a weight is unpacked
// once for the tile, into registers, and one read of an activation in workgroup memory serves all threads.
//
// W: the shard's rows first .. first + count of [experts * N, K] in layout "{{ layout.name }}", K a multiple of 32; outputs that lie
// elsewhere are left alone (another shard's dispatch writes them){{ "; a shard has whole experts" if is_gated }}.
// tiles: [tiles] vec4<u32> and order: [pairs] u32, see expert_tiles. x: [rows, K] or [pairs, K] float32.
// y: [pairs, OUT_STRIDE] float32, written from column `offset`.
// Grid: x = ceil(N / {{ threads * outputs }}), y = tiles.
{% from "shared/weights.wgsl" import weight, column, num_planes, unit_columns, num_steps, step_quads, has_scale with context %}
{% set units = 32 // unit_columns %}

override K: u32;
override N: u32;
override TOP: u32;
override SHARED_INPUT: u32;
override OUT_STRIDE: u32;

{% include "shared/weights.wgsl" %}

@group(0) @binding({{ num_planes }}) var<storage, read> tiles: array<vec4<u32>>;
@group(0) @binding({{ num_planes + 1 }}) var<storage, read> order: array<u32>;
@group(0) @binding({{ num_planes + 2 }}) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding({{ num_planes + 3 }}) var<storage, read_write> y: array<f32>;
@group(0) @binding({{ num_planes + 4 }}) var<uniform> shard: ExpertShard;

{% include "shared/expert_shard.wgsl" %}
{% if is_gated %}

{% include "shared/gelu.wgsl" %}
{% endif %}

const PAIRS = {{ bodies[-1] }}u;
const THREADS = {{ threads }}u;
const WORKGROUP_OUTPUTS = {{ threads * outputs }}u;{{ "  // gate and up being two" if is_gated }}
const STORED = {{ stored }}u;  // outputs of a thread{{ ", gate and up being one" if is_gated }}
const QUADS = 8u;  // of a pair, at a time

var<workgroup> x_tile: array<vec4<f32>, PAIRS * QUADS>;
var<workgroup> first_quads: array<u32, PAIRS>;

// Where the weights of output o of a thread begin. Past the end another output is computed, and not stored.
fn first_unit(expert: u32, n: u32, o: u32) -> u32 {
  let stored = N{{ " / 2u" if is_gated }};
  let row = expert * N + min(n + o % STORED * THREADS, stored - 1u){{ " + o / STORED * stored" if is_gated }};
  return min(row - shard.first, shard.count - 1u) * (K / {{ unit_columns }}u);
}
{% macro compute(pairs) %}
{% for o in range(outputs) %}
{% for r in range(pairs) %}
    var sum_{{ o }}_{{ r }} = 0.0;
{% endfor %}
{% endfor %}
    for (var block = 0u; block < K / 32u; block++) {
{% for o in range(outputs) %}
{% for u in range(units) %}
      let w_{{ o }}_{{ u }} = quants[unit_{{ o }} + block * {{ units }}u + {{ u }}u];
{% if has_scale %}
      let scale_{{ o }}_{{ u }} = scale_of(scale_bits(unit_{{ o }} + block * {{ units }}u + {{ u }}u));
{% endif %}
{% endfor %}
{% endfor %}
      workgroupBarrier();
      for (var i = thread; i < {{ pairs }}u * QUADS; i += THREADS) {
        x_tile[i] = x[first_quads[i / QUADS] + block * QUADS + i % QUADS];
      }
      workgroupBarrier();
{% for u in range(units) %}
{% for p in range(num_steps) %}
{% for i in range(step_quads) %}
      {
        let at = {{ u * unit_columns // 4 }}u + {{ column(p ~ "u", i) }};
{% for o in range(outputs) %}
        let q_{{ o }} = {{ weight("w_" ~ o ~ "_" ~ u, "scale_" ~ o ~ "_" ~ u, p ~ "u", i) }};
{% endfor %}
{% for r in range(pairs) %}
        let v_{{ r }} = x_tile[{{ r }}u * QUADS + at];
{% for c in "xyzw" %}
{% for o in range(outputs) %}
        sum_{{ o }}_{{ r }} = fma(q_{{ o }}.{{ c }}, v_{{ r }}.{{ c }}, sum_{{ o }}_{{ r }});
{% endfor %}
{% endfor %}
{% endfor %}
      }
{% endfor %}
{% endfor %}
{% endfor %}
    }
{% for r in range(pairs) %}
    if ({{ r }}u < count) {
      let at = order[tile.y + {{ r }}u] * OUT_STRIDE + shard.offset + n;
{% for o in range(stored) %}
      if (n + {{ o }}u * THREADS < stored && expert * N + n + {{ o }}u * THREADS - shard.first < shard.count) {
        y[at + {{ o }}u * THREADS] = {{ "gelu(sum_" ~ o ~ "_" ~ r ~ ") * sum_" ~ (o + stored) ~ "_" ~ r if is_gated else "sum_" ~ o ~ "_" ~ r }};
      }
{% endfor %}
    }
{% endfor %}
{% endmacro %}

@compute @workgroup_size({{ threads }})
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let tile = tiles[workgroup.y];
  let expert = tile.x;
  let count = tile.z;
  if (count == 0u || expert * N >= shard.first + shard.count || (expert + 1u) * N <= shard.first) {
    return;
  }
  for (var i = thread; i < PAIRS; i += THREADS) {
    let pair = order[tile.y + min(i, count - 1u)];
    first_quads[i] = select(pair, pair / TOP, SHARED_INPUT == 1u) * (K / 4u);
  }
  let stored = N{{ " / 2u" if is_gated }};
  let n = workgroup.x * THREADS * STORED + thread;
{% for o in range(outputs) %}
  let unit_{{ o }} = first_unit(expert, n, {{ o }}u);
{% endfor %}
{% for pairs in bodies %}
  {{ "} else " if not loop.first }}{{ "if (count <= " ~ pairs ~ "u) " if not loop.last }}{
{{ compute(pairs) }}
{% endfor %}
  }
}
