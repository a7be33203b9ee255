// Commit the choices of a pass, and write the row table of the next decode step. On the GPU, so that the
// next step can be queued before anybody has read this one's choice.
//
//   1. For each choice i, made for row FIRST_ROW + i, if that row is valid: the token goes to its lane's
//      position `length`; length grows by one; the token is marked as seen; it goes to the results.
//   2. Row i of the table becomes lane i's last token at its position, valid while it lies below CAPACITY.
//
// rows: the row table. choices: [CHOICES]. state: [lanes] of (length, last token, is active, 0).
// seen: [lanes, V / 32] bits. results: [lanes] of (tokens in this pass, token, 0, 0).
// Grid: one workgroup of one thread. Twin: devices/twins/sampling.py. Layouts: pyapp/leadout/state.py.

override V: u32;
override LANES: u32;
override CHOICES: u32;
override FIRST_ROW: u32 = 0u;
override CAPACITY: u32;

@group(0) @binding(0) var<storage, read> choices: array<u32>;
@group(0) @binding(1) var<storage, read_write> rows: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> state: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> seen: array<u32>;
@group(0) @binding(4) var<storage, read_write> results: array<vec4<u32>>;

@compute @workgroup_size(1)
fn main() {
  for (var lane = 0u; lane < LANES; lane++) {
    results[lane] = vec4<u32>(0u);
  }
  for (var i = 0u; i < CHOICES; i++) {
    let row = rows[FIRST_ROW + i];
    if ((row.w & 1u) == 1u) {
      let token = choices[i];
      let word = row.x * (V / 32u) + token / 32u;
      seen[word] |= 1u << (token % 32u);
      state[row.x] = vec4<u32>(state[row.x].x + 1u, token, 1u, 0u);
      results[row.x] = vec4<u32>(1u, token, 0u, 0u);
    }
  }
  for (var lane = 0u; lane < LANES; lane++) {
    let now = state[lane];
    let position = now.x - 1u;  // wraps for an empty lane, which is not active
    let is_valid = now.z == 1u && position < CAPACITY;
    rows[lane] = vec4<u32>(lane, position, now.y, select(0u, 1u, is_valid));
  }
}
