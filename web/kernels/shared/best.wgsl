// The best of 256 threads' values; of equals, the lowest id. Id V is nothing at all.
var<workgroup> best_values: array<f32, 256>;
var<workgroup> best_ids: array<u32, 256>;

fn is_better(value: f32, id: u32, best_value: f32, best_id: u32) -> bool {
  // No short circuits: a branch for each costs more than the comparisons.
  return (id < V) & ((best_id == V) | (value > best_value) | ((value == best_value) & (id < best_id)));
}

// All threads get the id of the best; its value is best_values[0].
fn best_of_all(thread: u32, value: f32, id: u32) -> u32 {
  var best = value;
  var best_id = id;
  best_values[thread] = best;
  best_ids[thread] = best_id;
  for (var half = 128u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (thread < half && is_better(best_values[thread + half], best_ids[thread + half], best, best_id)) {
      best = best_values[thread + half];
      best_id = best_ids[thread + half];
      best_values[thread] = best;
      best_ids[thread] = best_id;
    }
  }
  return workgroupUniformLoad(&best_ids[0]);
}
