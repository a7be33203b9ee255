// flags[0] |= 1 where one of the values is infinite or not a number
//
// values: words, {{ {"f32": "float32", "bf16": "two bfloat16 each", "f16": "two float16 each"}[value] }}.
// flags: words, zeroed before. Sizes come from the bindings, so that one pipeline serves all tensors.
// Grid: ceil(words / WORKGROUP_WORDS) workgroups over x and y.
{% set exponent = {"f32": "0x7f800000u", "bf16": "0x7f80u", "f16": "0x7c00u"}[value] %}

@group(0) @binding(0) var<storage, read> values: array<u32>;
@group(0) @binding(1) var<storage, read_write> flags: array<atomic<u32>>;

const WORKGROUP_WORDS = 4096u;  // that a workgroup takes

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let first = (workgroup.y * workgroups.x + workgroup.x) * WORKGROUP_WORDS;
  var is_bad = false;
  for (var i = first + thread; i < min(first + WORKGROUP_WORDS, arrayLength(&values)); i += 64u) {
    let word = values[i];
{% if value == "f32" %}
    is_bad = is_bad || (word & {{ exponent }}) == {{ exponent }};
{% else %}
    is_bad = is_bad || (word & {{ exponent }}) == {{ exponent }};
    is_bad = is_bad || ((word >> 16u) & {{ exponent }}) == {{ exponent }};
{% endif %}
  }
  if (is_bad) {
    atomicOr(&flags[0], 1u);
  }
}
