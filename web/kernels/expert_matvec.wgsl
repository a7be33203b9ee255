{% set lanes, threads, outputs, room = 8, 128, 4, 800 %}
{% set bodies = [1, 4] %}
{% set is_gated = epilogue == "gelu_mul" %}
{% set stored = outputs // 2 if is_gated else outputs %}
// y[p, n] = sum over k of W[e, n, k] * x[k],  e = chosen[p]                            (epilogue "none")
// y[p, n] = gelu(sum of W[e, n, k] x[k]) * sum of W[e, n + N/2, k] x[k]                (epilogue "gelu_mul")
//
// for few rows, of which every one has chosen TOP experts: p is a pair (row, slot), and x is x[row]
// (SHARED_INPUT 1) or x[p]. The workgroups of an expert's first pair compute all the pairs of that expert, up to
// {{ bodies[-1] }} at a time, so that a weight is read from memory once; those of its other pairs return.
//
// A row's result does not depend on the rows beside it: whatever is computed at a time, lane l of {{ lanes }} takes the
// units l, l + {{ lanes }}, ... of 16 bytes of weights in ascending order, and the lanes' sums are added in the order of the
// lanes.
//
// W: the shard's rows first .. first + count of [experts * N, K] in layout "{{ layout.name }}", K a multiple of 32, N of {{ outputs }}; outputs
// that lie elsewhere are left alone (another shard's dispatch writes them){{ "; a shard has whole experts" if is_gated }}.
// chosen: [pairs] u32. x: [rows, K] or [pairs, K] float32. y: [pairs, OUT_STRIDE] float32, written from column
// `offset`. Grid: x = ceil(N / {{ threads // lanes * outputs }}), y = pairs.
{% from "shared/weights.wgsl" import raw, column, num_planes, unit_columns, num_steps, step_quads, has_scale, has_offset with context %}

override K: u32;
override N: u32;
override TOP: u32;
override SHARED_INPUT: u32;
override OUT_STRIDE: u32;

{% include "shared/weights.wgsl" %}

@group(0) @binding({{ num_planes }}) var<storage, read> chosen: array<u32>;
@group(0) @binding({{ num_planes + 1 }}) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding({{ num_planes + 2 }}) var<storage, read_write> y: array<f32>;
@group(0) @binding({{ num_planes + 3 }}) var<uniform> shard: ExpertShard;

{% include "shared/expert_shard.wgsl" %}
{% if is_gated %}

{% include "shared/gelu.wgsl" %}
{% endif %}

const THREADS = {{ threads }}u;
const WORKGROUP_OUTPUTS = {{ threads // lanes * outputs }}u;{{ "  // gate and up being two" if is_gated }}
const LANES = {{ lanes }}u;
const GROUPS = THREADS / LANES;
const STORED = {{ stored }}u;  // outputs of a group{{ ", gate and up being one" if is_gated }}
const UNIT_QUADS = {{ unit_columns // 4 }}u;
const WINDOW = 64u;  // pairs among which a workgroup looks for its expert's

var<workgroup> low_pairs: atomic<u32>;
var<workgroup> high_pairs: atomic<u32>;
var<workgroup> found: vec2<u32>;
// Activations, [quad of a unit][unit], so that lanes read neighbours; in the end the lanes' sums.
var<workgroup> staged: array<vec4<f32>, {{ room }}>;

fn first_quad(pair: u32) -> u32 {
  return select(pair, pair / TOP, SHARED_INPUT == 1u) * (K / 4u);
}
{% macro compute(rows) %}
{% set chunk = (room // (rows * unit_columns // 4) - 1) // lanes * lanes %}
{% for r in range(rows) %}
{% for o in range(outputs) %}
      var sum_{{ o }}_{{ r }} = 0.0;
{% endfor %}
{% endfor %}
      for (var start = 0u; start < units; start += {{ chunk }}u) {
        let width = min({{ chunk }}u, units - start);
        let at_first = start + min(lane, width - 1u);
{% for o in range(outputs) %}
        var next_{{ o }} = quants[row_{{ o }} + at_first];
{% if has_scale %}
        var next_bits_{{ o }} = scale_bits(row_{{ o }} + at_first);
{% endif %}
{% endfor %}
        workgroupBarrier();
{% for r in range(rows) %}
        let x_{{ r }} = first_quad(pair_{{ r }}) + start * UNIT_QUADS;
        for (var i = thread; i < width * UNIT_QUADS; i += THREADS) {
          staged[({{ r }}u * UNIT_QUADS + i % UNIT_QUADS) * {{ chunk + 1 }}u + i / UNIT_QUADS] = x[x_{{ r }} + i];
        }
{% endfor %}
        workgroupBarrier();
        for (var u = lane; u < width; u += LANES) {
          // The next unit is on its way while this one is computed.
          let at_next = start + min(u + LANES, width - 1u);
{% for o in range(outputs) %}
          let w_{{ o }} = next_{{ o }};
          next_{{ o }} = quants[row_{{ o }} + at_next];
{% if has_scale %}
          let scale_{{ o }} = scale_of(next_bits_{{ o }});
          next_bits_{{ o }} = scale_bits(row_{{ o }} + at_next);
{% endif %}
{% for r in range(rows) %}
          var unit_{{ o }}_{{ r }} = 0.0;
{% endfor %}
{% endfor %}
{% if has_offset %}
{% for r in range(rows) %}
          var all_{{ r }} = 0.0;
{% endfor %}
{% endif %}
{% for p in range(num_steps) %}
{% for i in range(step_quads) %}
          {
            let at = ({{ column(p ~ "u", i) }}) * {{ chunk + 1 }}u + u;
{% for r in range(rows) %}
            let v_{{ r }} = staged[{{ r }}u * UNIT_QUADS * {{ chunk + 1 }}u + at];
{% if has_offset %}
            all_{{ r }} += (v_{{ r }}.x + v_{{ r }}.y) + (v_{{ r }}.z + v_{{ r }}.w);
{% endif %}
{% endfor %}
{% for o in range(outputs) %}
            let q_{{ o }} = {{ raw("w_" ~ o, p ~ "u", i) }};
{% for r in range(rows) %}
{% for c in "xyzw" %}
            unit_{{ o }}_{{ r }} = fma(q_{{ o }}.{{ c }}, v_{{ r }}.{{ c }}, unit_{{ o }}_{{ r }});
{% endfor %}
{% endfor %}
{% endfor %}
          }
{% endfor %}
{% endfor %}
{% for o in range(outputs) %}
{% for r in range(rows) %}
{% if has_offset %}
          sum_{{ o }}_{{ r }} = fma(scale_{{ o }}.x, unit_{{ o }}_{{ r }}, fma(scale_{{ o }}.y, all_{{ r }}, sum_{{ o }}_{{ r }}));
{% elif has_scale %}
          sum_{{ o }}_{{ r }} = fma(scale_{{ o }}, unit_{{ o }}_{{ r }}, sum_{{ o }}_{{ r }});
{% else %}
          sum_{{ o }}_{{ r }} += unit_{{ o }}_{{ r }};
{% endif %}
{% endfor %}
{% endfor %}
        }
      }
      workgroupBarrier();
{% for r in range(rows) %}
      staged[{{ r }}u * THREADS + thread] = vec4<f32>({% for o in range(outputs) %}sum_{{ o }}_{{ r }}{{ ", " if not loop.last }}{% endfor %});
{% endfor %}
{% endmacro %}

@compute @workgroup_size({{ threads }})
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let lane = thread % LANES;
  let window = workgroup.y / WINDOW * WINDOW;
  let expert = chosen[workgroup.y];
  if (thread < min(workgroups.y - window, WINDOW) && chosen[window + thread] == expert) {
    if (thread < 32u) {
      atomicOr(&low_pairs, 1u << thread);
    } else {
      atomicOr(&high_pairs, 1u << (thread - 32u));
    }
  }
  workgroupBarrier();
  if (thread == 0u) {
    found = vec2<u32>(atomicLoad(&low_pairs), atomicLoad(&high_pairs));
  }
  var left = workgroupUniformLoad(&found);
  let first_pair = window + select(32u + firstTrailingBit(left.y), firstTrailingBit(left.x), left.x != 0u);
  if (first_pair < workgroup.y || expert * N >= shard.first + shard.count || (expert + 1u) * N <= shard.first) {
    return;
  }
  let units = K / (4u * UNIT_QUADS);
  let stored = N{{ " / 2u" if is_gated }};
  let n = (workgroup.x * GROUPS + thread / LANES) * STORED;
{% for o in range(outputs) %}
  let row_{{ o }} = min(expert * N + min(n + {{ o % stored }}u, stored - 1u){{ " + stored" if o >= stored }} - shard.first, shard.count - 1u) * units;
{% endfor %}
  while (left.x != 0u || left.y != 0u) {
    var num_pairs = 0u;
{% for r in range(bodies[-1]) %}
    var pair_{{ r }} = {{ "pair_" ~ (r - 1) if r > 0 else "first_pair" }};
    if (left.x != 0u) {
      pair_{{ r }} = window + firstTrailingBit(left.x);
      left.x &= left.x - 1u;
      num_pairs++;
    } else if (left.y != 0u) {
      pair_{{ r }} = window + 32u + firstTrailingBit(left.y);
      left.y &= left.y - 1u;
      num_pairs++;
    }
{% endfor %}
{% for rows in bodies %}
    {{ "} else " if not loop.first }}{{ "if (num_pairs <= " ~ rows ~ "u) " if not loop.last }}{
{{ compute(rows) }}
{% endfor %}
    }
    workgroupBarrier();
    for (var i = thread; i < GROUPS * num_pairs; i += THREADS) {
      let group = i % GROUPS;
      let first_lane = i / GROUPS * THREADS + group * LANES;
      var total = staged[first_lane];
      for (var l = 1u; l < LANES; l++) {
        total += staged[first_lane + l];
      }
      var pair = pair_0;
{% for r in range(1, bodies[-1]) %}
      pair = select(pair, pair_{{ r }}, i / GROUPS == {{ r }}u);
{% endfor %}
      let first = (workgroup.x * GROUPS + group) * STORED;
      for (var o = 0u; o < STORED; o++) {
        let row = expert * N + first + o - shard.first;
        if (first + o < stored && row < shard.count) {
{% if is_gated %}
          y[pair * OUT_STRIDE + shard.offset + first + o] = gelu(total[o]) * total[o + STORED];
{% else %}
          y[pair * OUT_STRIDE + shard.offset + first + o] = total[o];
{% endif %}
        }
      }
    }
    workgroupBarrier();
  }
}
