{% include "shared/sincos.wgsl" %}

// Four pairs (x[i], x[i + D/2]) of a head, turned by their angles.
struct Turned {
  low: vec4<f32>,
  high: vec4<f32>,
}

fn turned(low: vec4<f32>, high: vec4<f32>, angles: vec4<f32>) -> Turned {
  let t0 = cos_sin(angles.x);
  let t1 = cos_sin(angles.y);
  let t2 = cos_sin(angles.z);
  let t3 = cos_sin(angles.w);
  let cosines = vec4<f32>(t0.x, t1.x, t2.x, t3.x);
  let sines = vec4<f32>(t0.y, t1.y, t2.y, t3.y);
  return Turned(low * cosines - high * sines, high * cosines + low * sines);
}
