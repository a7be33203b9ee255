{% set is_gated = epilogue == "gelu_mul" %}
{% set TR, TC = rows // m, outputs // n %}
{% set part = TR * TC %}
{% set threads = part * slices %}
{% set stored = outputs // 2 if is_gated else outputs %}
{% set x_loads, w_loads = rows * 8 // threads, outputs * 4 // threads %}
// many rows
{% from "shared/weights.wgsl" import fetch_quarter, decode_quarter, part as part_of, part_quad, num_planes with context %}

{% include "shared/weights.wgsl" %}

@group(0) @binding({{ num_planes }}) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding({{ num_planes + 1 }}) var<storage, read_write> y: array<f32>;
@group(0) @binding({{ num_planes + 2 }}) var<uniform> shape: Shape;

{% include "shared/shape.wgsl" %}

{% if is_gated %}
{% include "shared/gelu.wgsl" %}
{% else %}
{% include "shared/softcap.wgsl" %}
{% endif %}

const ROWS = {{ rows }}u;

var<workgroup> w_tile: array<array<array<vec4<f32>, {{ TC }}>, {{ n }}>, 8>;
var<workgroup> x_tile: array<array<array<vec4<f32>, {{ TR }}>, {{ m }}>, 8>;

fn twist(quad: u32) -> u32 {
  return ((quad << 1u) & 6u) | (quad >> 2u);
}

{% macro store() %}
{% for i in range(w_loads) %}
    {
{{ decode_quarter("b" ~ i, "w_quarter", "w" ~ i) }}
      let at_0 = {{ part_quad("w_quarter", 0) }};
      let at_1 = {{ part_quad("w_quarter", 1) }};
      let o = w_output + {{ i * (threads // 4) }}u;
      w_tile[at_0][o / {{ TC }}u][(o ^ twist(at_0)) % {{ TC }}u] = {{ part_of("w" ~ i, 0) }};
      w_tile[at_1][o / {{ TC }}u][(o ^ twist(at_1)) % {{ TC }}u] = {{ part_of("w" ~ i, 1) }};
    }
{% endfor %}
{% for i in range(x_loads) %}
    {
      let r = x_row + {{ i * (threads // 8) }}u;
      x_tile[x_quad][r / {{ TR }}u][(r ^ twist(x_quad)) % {{ TR }}u] = x{{ i }};
    }
{% endfor %}
{% endmacro %}
{% macro fetch(block) %}
{% for i in range(w_loads) %}
    let b{{ i }} = w_base_{{ i }} + {{ block }};
{{ fetch_quarter("b" ~ i, "w_quarter", "w" ~ i) }}
{% endfor %}
{% for i in range(x_loads) %}
    let x{{ i }} = x[x_base + {{ i * (threads // 8) }}u * (K / 4u) + {{ block }} * 8u];
{% endfor %}
{% endmacro %}

@compute @workgroup_size({{ threads }})
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let first_output = group.x * {{ stored }}u;
  let first_row = group.y * ROWS;
  let K = shape.columns;
  let N = shape.outputs{{ " / 2u" if is_gated }};
  let blocks = K / 32u;
  let slice = thread / {{ part }}u;
  let column = thread % {{ TC }}u;
  let row = thread % {{ part }}u / {{ TC }}u;

  let w_output = thread / 4u;
  let w_quarter = thread % 4u;
{% for i in range(w_loads) %}
{% if is_gated %}
  let o_{{ i }} = w_output + {{ i * (threads // 4) }}u;
  let w_base_{{ i }} = (min(first_output + o_{{ i }} % {{ stored }}u, N - 1u) + select(0u, N, o_{{ i }} >= {{ stored }}u)) * blocks;
{% else %}
  let w_base_{{ i }} = min(first_output + w_output + {{ i * (threads // 4) }}u, N - 1u) * blocks;
{% endif %}
{% endfor %}
  let x_row = thread / 8u;
  let x_quad = thread % 8u;
  let x_base = (first_row + x_row) * (K / 4u) + x_quad;

{% if form == "loop" %}
  var a: array<array<f32, {{ n }}>, {{ m }}>;
{% else %}
{% for i in range(m) %}
{% for j in range(n) %}
  var a_{{ i }}_{{ j }} = 0.0;
{% endfor %}
{% endfor %}
{% endif %}
  let from_block = blocks * group.z / groups.z;
  let to_block = blocks * (group.z + 1u) / groups.z;
  {
{{ fetch("from_block") }}
{{ store() }}
  }
  workgroupBarrier();

  for (var block = from_block; block < to_block; block++) {
    let next = min(block + 1u, blocks - 1u);
{{ fetch("next") }}
    for (var quad = slice * {{ 8 // slices }}u; quad < (slice + 1u) * {{ 8 // slices }}u; quad++) {
      let c = column ^ twist(quad);
      let r = row ^ twist(quad);
{% if form == "loop" %}
      var w: array<vec4<f32>, {{ n }}>;
      for (var j = 0u; j < {{ n }}u; j++) {
        w[j] = w_tile[quad][j][c];
      }
      for (var i = 0u; i < {{ m }}u; i++) {
        let v = x_tile[quad][i][r];
        for (var j = 0u; j < {{ n }}u; j++) {
          a[i][j] = fma(w[j].w, v.w, fma(w[j].z, v.z, fma(w[j].y, v.y, fma(w[j].x, v.x, a[i][j]))));
        }
      }
    }
{% else %}
{% for j in range(n) %}
      let w_{{ j }} = w_tile[quad][{{ j }}u][c];
{% endfor %}
{% for i in range(m) %}
      let x_{{ i }} = x_tile[quad][{{ i }}u][r];
{% if form == "dot" %}
{% for j in range(n) %}
      a_{{ i }}_{{ j }} += dot(w_{{ j }}, x_{{ i }});
{% endfor %}
{% else %}
{% for k in "xyzw" %}
{% for j in range(n) %}
      a_{{ i }}_{{ j }} = fma(w_{{ j }}.{{ k }}, x_{{ i }}.{{ k }}, a_{{ i }}_{{ j }});
{% endfor %}
{% endfor %}
{% endif %}
{% endfor %}
    }
{% endif %}
    workgroupBarrier();
{{ store() }}
    workgroupBarrier();
  }

{% if form == "loop" %}
{% for i in range(m) %}
{% for j in range(n) %}
  var a_{{ i }}_{{ j }} = a[{{ i }}][{{ j }}];
{% endfor %}
{% endfor %}
{% endif %}
{% macro spot(v) -%}
{% if (v + 1) * part <= 8 * outputs -%}
w_tile[({{ v * part }}u + partner) / {{ outputs }}u][({{ v * part }}u + partner) % {{ outputs }}u / {{ TC }}u][partner % {{ TC }}u]
{%- else -%}
x_tile[({{ v * part - 8 * outputs }}u + partner) / {{ rows }}u][({{ v * part - 8 * outputs }}u + partner) % {{ rows }}u / {{ TR }}u][partner % {{ TR }}u]
{%- endif %}
{%- endmacro %}
  let partner = thread % {{ part }}u;
{% set room = 8 * (rows + outputs) // part %}
{% set chunks = m * n // 4 %}
{% for s in range(1, slices) %}
{% for first in range(0, chunks, room) %}
{% set last = [first + room, chunks] | min %}
  if (slice == {{ s }}u) {
{% for v in range(first, last) %}
{% set i, j = v // (n // 4), v % (n // 4) * 4 %}
    {{ spot(v - first) }} = vec4<f32>(a_{{ i }}_{{ j }}, a_{{ i }}_{{ j + 1 }}, a_{{ i }}_{{ j + 2 }}, a_{{ i }}_{{ j + 3 }});
{% endfor %}
  }
  workgroupBarrier();
  if (slice == 0u) {
{% for v in range(first, last) %}
{% set i, j = v // (n // 4), v % (n // 4) * 4 %}
    let v_{{ s }}_{{ v }} = {{ spot(v - first) }};
{% for k in range(4) %}
    a_{{ i }}_{{ j + k }} += v_{{ s }}_{{ v }}[{{ k }}];
{% endfor %}
{% endfor %}
  }
  workgroupBarrier();
{% endfor %}
{% endfor %}
{% if slices > 1 %}
  if (slice > 0u) {
    return;
  }
{% endif %}
  let out = (group.z * groups.y * ROWS + first_row + row) * shape.stride + shape.offset;
{% for j in range(n // 2 if is_gated else n) %}
  {
    let at = first_output + column + {{ j * TC }}u;
    if (at < N) {
{% for i in range(m) %}
{% if is_gated %}
      y[out + {{ i * TR }}u * shape.stride + at] = gelu(a_{{ i }}_{{ j }}) * a_{{ i }}_{{ j + n // 2 }};
{% else %}
      y[out + {{ i * TR }}u * shape.stride + at] = softcap(a_{{ i }}_{{ j }}, shape.cap);
{% endif %}
{% endfor %}
    }
  }
{% endfor %}
}
