// y[r] = rms_norm(x[r]) * x_weight + rms_norm(sum over i of weights[r, i] * z[r, i]) * z_weight, i ascending
//
// The dense MLP and the experts beside it, each behind a norm of its own.
//
// x, y: [rows, D] float32. z: [rows, TOP, D] float32. weights: [rows, TOP] float32. x_weight, z_weight: [D] float32,
// D a multiple of 4. Grid: x = rows.

override D: u32;
override TOP: u32;
override EPS: f32;

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> x_weight: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> z: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> weights: array<f32>;
@group(0) @binding(4) var<storage, read> z_weight: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4<f32>>;

const THREADS = 256u;

var<workgroup> squares: array<vec2<f32>, THREADS>;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let quads = D / 4u;
  let row = group.x * quads;
  let first = group.x * TOP;
  var own = vec2<f32>(0.0);
  for (var i = thread; i < quads; i += THREADS) {
    var mixed = vec4<f32>(0.0);
    for (var slot = 0u; slot < TOP; slot++) {
      mixed += weights[first + slot] * z[(first + slot) * quads + i];
    }
    y[row + i] = mixed;  // kept there for this same thread
    own += vec2<f32>(dot(x[row + i], x[row + i]), dot(mixed, mixed));
  }
  squares[thread] = own;
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (thread < half) {
      squares[thread] += squares[thread + half];
    }
  }
  workgroupBarrier();
  let scale = inverseSqrt(squares[0] / f32(D) + EPS);
  for (var i = thread; i < quads; i += THREADS) {
    y[row + i] = x[row + i] * scale.x * x_weight[i] + y[row + i] * scale.y * z_weight[i];
  }
}
