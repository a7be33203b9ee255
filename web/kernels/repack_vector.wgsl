// values[i] = float32(source[i]) + ADD
//
// {{ source | upper }} values of a checkpoint -> a float32 vector. ADD is 1 for norms stored as weight - 1.
//
// staging: (num_values, first_value, -, -), then num_values {{ source | upper }} values.
// values: the whole vector, float32; any length.
// Grid: ceil(num_values / 64) workgroups over x. Twin: repack_vector in devices/numpy_ops/repack.py.
{% include "shared/staging.wgsl" %}

{% if source == "f16" %}
{% include "shared/half.wgsl" %}

{% endif %}
override ADD: f32;

@group(0) @binding(1) var<storage, read_write> values: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= staging[0]) {
    return;
  }
{% if source == "f32" %}
  var value = bitcast<f32>(staged_word(PAYLOAD + 4u * id.x));
{% elif source == "f16" %}
  var value = half_to_f32(staged_half(PAYLOAD + 2u * id.x));
{% else %}
  var value = bitcast<f32>(staged_half(PAYLOAD + 2u * id.x) << 16u);
{% endif %}
  if (ADD != 0.0) {  // -0 + 0 is not the same zero on every device
    value += ADD;
  }
  values[staging[1] + id.x] = value;
}
