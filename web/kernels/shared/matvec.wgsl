{#- What matvec and packed_matvec share: all but how a unit's products are added. They set `is_packed`, `binding`
    (the first behind the planes), and import raw and so on from shared/weights.wgsl. -#}
{% set is_gated = form == "gated" %}
{% set lanes = {"wide": 16, "shallow": 8, "gated": 8, "narrow": 64, "gelu_times": 64, "deep": 128}[form] %}
{% set outputs = {"shallow": 2, "narrow": 2, "gelu_times": 2}.get(form, 4) %}
{% set stored = outputs // 2 if is_gated else outputs %}
{% set groups = 128 // lanes %}
{% set run = [lanes, 16] | min %}
{% set chunk = [outputs * rows, 16] | min %}
{% if is_gated %}
{% include "shared/gelu.wgsl" %}
{% elif form == "gelu_times" %}
{% include "shared/gelu.wgsl" %}
{% else %}
{% include "shared/softcap.wgsl" %}
{% endif %}
{% include "shared/shape.wgsl" %}

const ROWS = {{ rows }}u;
const THREADS = 128u;
const LANES = {{ lanes }}u;
const GROUPS = {{ groups }}u;     // of lanes in a workgroup
const OUTPUTS = {{ outputs }}u;  // of a group
const STORED = {{ stored }}u;   // of them{{ ", gate and up being one" if is_gated }}
const WORKGROUP_OUTPUTS = {{ groups * outputs }}u;
const RUN = {{ run }}u;        // lanes whose sums are added by one thread
const LINE = (THREADS / RUN) * (RUN + 1u);  // padded, so that the threads read different banks

// [value][run of lanes][lane]
var<workgroup> partial: array<f32, {{ chunk }}u * LINE>;
{% if is_gated and is_packed %}
{% from "shared/packed.wgsl" import quantize, store_packed with context %}
var<workgroup> outs: array<f32, ROWS * 32u>;
{% endif %}

@compute @workgroup_size(128)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let lane = thread % LANES;
  let group = thread / LANES;
  let first_group = (workgroup.y * workgroups.x + workgroup.x) * GROUPS;
  let first = (first_group + group) * STORED;
  let first_row = workgroup.z * ROWS;
  let K = shape.columns;
  let quads = K / 4u;
  let blocks = K / 32u;
  let units = K / {{ unit_columns }}u;
  let stored = shape.outputs{{ " / 2u" if is_gated }};
{% for o in range(outputs) %}
  // Past the end another output is computed, and not stored.
  let base_{{ o }} = (min(first + {{ o % stored }}u, stored - 1u){{ " + stored" if o >= stored }}) * units;
{% for r in range(rows) %}
  var sum_{{ o }}_{{ r }} = 0.0;
{% endfor %}
{% endfor %}
  // What the next round needs is on its way while this one's is multiplied.
{% for o in range(outputs) %}
  var next_{{ o }} = quants[base_{{ o }} + min(lane, units - 1u)];
{% if has_scale %}
  var bits_{{ o }} = scale_bits(base_{{ o }} + min(lane, units - 1u));
{% endif %}
{% endfor %}
{% if is_adding %}
  norm_row(thread, first_row, quads, workgroup.y * workgroups.x + workgroup.x, workgroups.x * workgroups.y);
{% endif %}
  for (var unit = lane; unit < units; unit += LANES) {
    let ahead = select(unit + LANES, unit, unit + LANES >= units);
{% for o in range(outputs) %}
    let w{{ o }} = next_{{ o }};
    next_{{ o }} = quants[base_{{ o }} + ahead];
{% if has_scale %}
    let s{{ o }} = scale_of(bits_{{ o }});
    bits_{{ o }} = scale_bits(base_{{ o }} + ahead);
{% endif %}
{% endfor %}
{{ add_unit(outputs) }}
  }

  let slot = (thread / RUN) * (RUN + 1u) + thread % RUN;
{% set order = [] %}
{% for o in range(stored) %}
{% for r in range(rows) %}
{% set _ = order.append((o, r)) %}
{% if is_gated %}
{% set _ = order.append((o + stored, r)) %}
{% endif %}
{% endfor %}
{% endfor %}
{% set per = 2 if is_gated else 1 %}
{% for from in range(0, outputs * rows, chunk) %}
{% set values = order[from:from + chunk] %}
  workgroupBarrier();
{% for o, r in values %}
  partial[{{ loop.index0 }}u * LINE + slot] = sum_{{ o }}_{{ r }};
{% endfor %}
  workgroupBarrier();
{% if lanes > run %}
  for (var i = thread; i < {{ values | length }}u * (THREADS / RUN); i += THREADS) {
    let base = (i / (THREADS / RUN)) * LINE + (i % (THREADS / RUN)) * (RUN + 1u);
    var sum = partial[base];
    for (var l = 1u; l < RUN; l++) {
      sum += partial[base + l];
    }
    partial[base] = sum;
  }
  workgroupBarrier();
{% endif %}
  for (var i = thread; i < {{ values | length // per }}u * GROUPS; i += THREADS) {
    let value = i / GROUPS + {{ from // per }}u;
    let local_row = value % ROWS;
    let row = first_row + local_row;
    let local = (i % GROUPS) * STORED + value / ROWS;
    let n = first_group * STORED + local;
{% for p in range(per) %}
    let base_{{ p }} = (i / GROUPS * {{ per }}u + {{ p }}u) * LINE + (i % GROUPS) * {{ lanes // run }}u * (RUN + 1u);
    var total_{{ p }} = partial[base_{{ p }}];
{% if lanes > run %}
    for (var j = 1u; j < LANES / RUN; j++) {
      total_{{ p }} += partial[base_{{ p }} + j * (RUN + 1u)];
    }
{% else %}
    for (var l = 1u; l < RUN; l++) {
      total_{{ p }} += partial[base_{{ p }} + l];
    }
{% endif %}
{% endfor %}
{% if is_gated and is_packed %}
    outs[local_row * 32u + local] = gelu(total_0) * total_1;
{% else %}
    if (n < stored) {
{% if is_gated %}
      y[row * shape.stride + shape.offset + n] = gelu(total_0) * total_1;
{% elif form == "gelu_times" %}
      y[row * shape.stride + n] = gelu(total_0) * factors[row * shape.factor_stride + shape.offset + n];
{% else %}
      y[row * shape.stride + shape.offset + n] = softcap(total_0, shape.cap);
{% endif %}
    }
{% endif %}
  }
{% endfor %}
{% if is_gated and is_packed %}
  workgroupBarrier();
  if (thread < ROWS) {
{% for c in range(8) %}
    let at_{{ c }} = thread * 32u + {{ 4 * c }}u;
    let v{{ c }} = vec4<f32>(outs[at_{{ c }}], outs[at_{{ c }} + 1u], outs[at_{{ c }} + 2u], outs[at_{{ c }} + 3u]);
{% endfor %}
{{ quantize() }}
    let block = first_group * STORED / 32u;
    if (block < stored / 32u) {
{{ store_packed("(first_row + thread) * (stored / 4u)", "(stored / 32u)", "block") }}
    }
  }
{% endif %}
}
