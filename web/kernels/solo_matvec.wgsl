{% set outputs = 4 %}
{% set is_gated = epilogue == "gelu_mul" %}
{% set stored = outputs // 2 if is_gated else outputs %}
// matvec and matmul for adapters that compute on the CPU:
//
// y[r, n] = softcap(sum over k of W[n, k] * x[r, k])                     (epilogue "none")
// y[r, n] = gelu(sum of W[n, k] x[r, k]) * sum of W[n + N/2, k] x[r, k]  (epilogue "gelu_mul")
//
// There a barrier, or a read of memory, costs what dozens of multiplications do. So every thread adds up {{ outputs }}
// outputs of {{ rows }} rows by itself, over the columns in ascending order: a row's result does not depend on how many
// rows ran with it. The four threads of a workgroup are the lanes of one SIMD register; they have neighbouring
// outputs and the same activations, of which one read then serves all.
//
// Where none of {{ rows }} rows is valid, their outputs stay as they are: a pass over a short prompt is mostly padding.
//
// K, N, the stride and offset of y and the cap are in the shape, see shared/shape.wgsl; softcap(s) is s where
// the cap is 0, else cap * tanh(s / cap).
// W: [N, K] in layout "{{ layout.name }}", K a multiple of 32{{ ", N of 2" if is_gated }}. x: [rows, K] float32, rows a multiple of {{ rows }}.
// table: the row table, see shared/row.wgsl. y: [rows, stride] float32, written from column `offset`.
// Grid: ceil(N / WORKGROUP_OUTPUTS) workgroups over x and y, z = rows / {{ rows }}.
{% from "shared/weights.wgsl" import raw, column, num_planes, unit_columns, num_steps, step_quads, has_scale, has_offset with context %}

{% include "shared/weights.wgsl" %}

@group(0) @binding({{ num_planes }}) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding({{ num_planes + 1 }}) var<storage, read_write> y: array<f32>;
@group(0) @binding({{ num_planes + 2 }}) var<uniform> shape: Shape;
@group(0) @binding({{ num_planes + 3 }}) var<storage, read> table: array<vec4<u32>>;

{% include "shared/row.wgsl" %}
{% include "shared/shape.wgsl" %}

{% if is_gated %}
{% include "shared/gelu.wgsl" %}
{% else %}
{% include "shared/softcap.wgsl" %}
{% endif %}

const THREADS = 4u;
const WORKGROUP_OUTPUTS = {{ 4 * outputs }}u;  // rows of the matrix
const STORED = {{ stored }}u;  // outputs of a thread{{ ", gate and up being one" if is_gated }}

@compute @workgroup_size(4)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let first = (group.y * groups.x + group.x) * THREADS * STORED + thread;
  let first_row = group.z * {{ rows }}u;
  var is_wanted = false;
  for (var r = 0u; r < {{ rows }}u; r++) {
    is_wanted = is_wanted || row_is_valid(table[first_row + r]);
  }
  if (!is_wanted) {
    return;
  }
  let K = shape.columns;
  let N = shape.outputs;
  let stored = N{{ " / 2u" if is_gated }};
  let units = K / {{ unit_columns }}u;
{% for o in range(outputs) %}
  // Past the end another output is computed, and not stored.
  let base_{{ o }} = (min(first + {{ o % stored }}u * THREADS, stored - 1u){{ " + stored" if o >= stored }}) * units;
{% for r in range(rows) %}
  var sum_{{ o }}_{{ r }} = 0.0;
{% endfor %}
{% endfor %}
  for (var unit = 0u; unit < units; unit++) {
{% for o in range(outputs) %}
    let w{{ o }} = quants[base_{{ o }} + unit];
{% if has_scale %}
    let s{{ o }} = scale_of(scale_bits(base_{{ o }} + unit));
{% endif %}
{% endfor %}
    let first_quad = first_row * (K / 4u) + unit * {{ unit_columns // 4 }}u;
    for (var p = 0u; p < {{ num_steps }}u; p++) {
{% for i in range(step_quads) %}
      let at_{{ i }} = first_quad + {{ column("p", i) }};
{% for o in range(outputs) %}
{% if has_offset %}
      let q{{ o }}_{{ i }} = {{ raw("w" ~ o, "p", i) }} * s{{ o }}.x + s{{ o }}.y;
{% else %}
      let q{{ o }}_{{ i }} = {{ raw("w" ~ o, "p", i) }}{{ " * s" ~ o if has_scale }};
{% endif %}
{% endfor %}
{% endfor %}
{% for r in range(rows) %}
{% for i in range(step_quads) %}
      let x{{ r }}_{{ i }} = x[at_{{ i }} + {{ r }}u * (K / 4u)];
{% endfor %}
{% for o in range(outputs) %}
      sum_{{ o }}_{{ r }} += {% for i in range(step_quads) %}{{ " + " if i }}dot(q{{ o }}_{{ i }}, x{{ r }}_{{ i }}){% endfor %};
{% endfor %}
{% endfor %}
    }
  }
  // A loop at run time compiles what ends a sum once.
  var sums = array<f32, {{ outputs * rows }}>(
    {% for r in range(rows) %}{% for o in range(outputs) %}sum_{{ o }}_{{ r }}, {% endfor %}{% endfor %}

  );
  for (var i = 0u; i < {{ stored * rows }}u; i++) {
    let r = i / STORED;
    let n = first + (i % STORED) * THREADS;
    if (n < stored) {
      let sum = sums[r * {{ outputs }}u + i % STORED];
{% if is_gated %}
      let value = gelu(sum) * sums[r * {{ outputs }}u + i % STORED + STORED];
{% else %}
      let value = softcap(sum, shape.cap);
{% endif %}
      y[(first_row + r) * shape.stride + shape.offset + n] = value;
    }
  }
}
