// choices[r] = the id of the best chunk of row r; of equals, the lowest id
//
// best: [rows, CHUNKS] of (value as bits, id), id V where a chunk holds none; one always does.
// choices: [rows]. Grid: x = rows.

override V: u32;
override CHUNKS: u32;

@group(0) @binding(0) var<storage, read> best: array<vec2<u32>>;
@group(0) @binding(1) var<storage, read_write> choices: array<u32>;

@compute @workgroup_size(1)
fn main(@builtin(workgroup_id) group: vec3<u32>) {
  var value = 0.0;
  var id = V;
  for (var i = 0u; i < CHUNKS; i++) {
    let candidate = best[group.x * CHUNKS + i];
    let candidate_value = bitcast<f32>(candidate.x);
    // Chunks come in the order of their ids, so of equals the first stays.
    if (candidate.y < V && (id == V || candidate_value > value)) {
      value = candidate_value;
      id = candidate.y;
    }
  }
  choices[group.x] = id;
}
