// Groups all (row, slot) pairs by the expert that they chose, for expert_matmul:
//
//   order: the pairs r * top + slot of [rows, top], those of expert 0 first, then those of expert 1, ...
//   tiles: runs of at most TILE pairs of one expert: (expert, first place in order, pairs, 0), expert by expert;
//          the rest of the table is zero
//
// The order within an expert is whatever the threads make it: a row's result does not depend on its place.
//
// chosen, order: [PAIRS] u32. tiles: [TILES] vec4<u32>, TILES at least floor(PAIRS / TILE) + EXPERTS.
// EXPERTS at most MAX_EXPERTS. Grid: 1.

override PAIRS: u32;
override EXPERTS: u32;
override TILE: u32;
override TILES: u32;

@group(0) @binding(0) var<storage, read> chosen: array<u32>;
@group(0) @binding(1) var<storage, read_write> order: array<u32>;
@group(0) @binding(2) var<storage, read_write> tiles: array<vec4<u32>>;

const THREADS = 256u;
const MAX_EXPERTS = 512u;  // keep in step with pyapp/leadout/config/checks.py

var<workgroup> counts: array<atomic<u32>, MAX_EXPERTS>;
var<workgroup> cursors: array<atomic<u32>, MAX_EXPERTS>;
var<workgroup> num_tiles: u32;

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) thread: u32) {
  for (var i = thread; i < PAIRS; i += THREADS) {
    atomicAdd(&counts[chosen[i]], 1u);
  }
  workgroupBarrier();
  for (var expert = thread; expert < EXPERTS; expert += THREADS) {
    let count = atomicLoad(&counts[expert]);
    var first = 0u;
    var tile = 0u;
    for (var other = 0u; other < expert; other++) {
      let before = atomicLoad(&counts[other]);
      first += before;
      tile += (before + TILE - 1u) / TILE;
    }
    atomicStore(&cursors[expert], first);
    for (var i = 0u; i < count; i += TILE) {
      tiles[tile] = vec4<u32>(expert, first + i, min(TILE, count - i), 0u);
      tile++;
    }
    if (expert == EXPERTS - 1u) {
      num_tiles = tile;
    }
  }
  workgroupBarrier();
  for (var i = num_tiles + thread; i < TILES; i += THREADS) {
    tiles[i] = vec4<u32>(0u);
  }
  for (var i = thread; i < PAIRS; i += THREADS) {
    order[atomicAdd(&cursors[chosen[i]], 1u)] = i;
  }
}
