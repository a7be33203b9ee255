// seen[lane of row r] |= token of row r, for every valid row
//
// rows: the row table. seen: [lanes, V / 32] bits. Grid: x = ceil(ROWS / 64). Twin:
// devices/twins/sampling.py.

override V: u32;
override ROWS: u32;

@group(0) @binding(0) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read_write> seen: array<atomic<u32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= ROWS) {
    return;
  }
  let row = rows[id.x];
  if ((row.w & 1u) == 1u && row.z < V) {
    atomicOr(&seen[row.x * (V / 32u) + row.z / 32u], 1u << (row.z % 32u));
  }
}
