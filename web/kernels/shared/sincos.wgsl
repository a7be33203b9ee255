// cos(a) and sin(a) for any float32 angle of a rotary embedding (up to about 1e6 radians).
//
// WGSL promises accuracy for sin and cos only within [-pi, pi], and some drivers mean it. So the angle
// is reduced by multiples of pi / 2 in three parts (Cody and Waite), and the rest, within [-pi/4, pi/4],
// goes through the minimax polynomials of the Cephes library.
fn cos_sin(a: f32) -> vec2<f32> {
  let turns = round(a * 0.6366197723675814);
  var r = fma(turns, -1.5703125, a);
  r = fma(turns, -4.837512969970703e-4, r);
  r = fma(turns, -7.54978995489188e-8, r);
  let z = r * r;
  let sine = r + r * z * (-1.6666654611e-1 + z * (8.3321608736e-3 - z * 1.9515295891e-4));
  let cosine = 1.0 - 0.5 * z
    + z * z * (4.166664568298827e-2 + z * (-1.388731625493765e-3 + z * 2.443315711809948e-5));
  let quarter = u32(i32(turns)) & 3u;
  let swapped = select(vec2<f32>(cosine, sine), vec2<f32>(sine, cosine), (quarter & 1u) == 1u);
  return vec2<f32>(
    select(swapped.x, -swapped.x, quarter == 1u || quarter == 2u),
    select(swapped.y, -swapped.y, quarter >= 2u),
  );
}
