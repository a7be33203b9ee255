// The log-probability of every token that was committed, and the largest ones in its place:
//
//   logprob(id) = logit(id) - log(sum of exp(logits))
//
// of the model's own logits; see logprobs_partial.wgsl, which leaves the parts. Token i of a lane's results has, behind
// all results, LOGPROB_WORDS words: how many are listed, its log-probability, MOST_TOP ids, their log-probabilities,
// the largest first; of equals, the lower id first. Other words keep what they have.
//
// logits: [rows, V] float32. rows: the row table, 1 + drafts of each lane. settings: [lanes]. choices: [rows] u32.
// parts: [rows, PARTS, PART_WORDS]. results: of LANES lanes, see pyapp/leadout/state.py. PARTS up to 256. Grid: x = rows.

override V: u32;
override LANES: u32;
override PARTS: u32;
override RESULT_WORDS: u32;
override PART_WORDS: u32;
override MOST_TOP: u32;     // ids that are listed, at most
override MOST_TOKENS: u32;  // that a pass can commit to a lane
override LOGPROB_WORDS: u32 = 2u + 2u * MOST_TOP;

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> settings: array<Settings>;
@group(0) @binding(3) var<storage, read> choices: array<u32>;
@group(0) @binding(4) var<storage, read> parts: array<u32>;
@group(0) @binding(5) var<storage, read_write> results: array<u32>;
@group(0) @binding(6) var<uniform> cycle: Cycle;

{% include "shared/row.wgsl" %}
{% include "shared/cycle.wgsl" %}

{% include "shared/settings.wgsl" %}
{% include "shared/best.wgsl" %}

var<workgroup> num_committed: u32;
var<workgroup> sums: array<f32, 256>;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let r = group.x;
  let row = rows[r];
  let wanted = settings[row.x].flags >> 8u;
  let i = r % (1u + cycle.drafts);
  if (thread == 0u) {
    num_committed = results[row.x * RESULT_WORDS];
  }
  if (wanted == 0u || !row_is_valid(row) || i >= workgroupUniformLoad(&num_committed)) {
    return;
  }
  let start = (r * PARTS + min(thread, PARTS - 1u)) * PART_WORDS;
  let mine = bitcast<f32>(parts[start]);
  best_of_all(thread, mine, select(V, thread, thread < PARTS));
  let largest = best_values[0];
  var sum = 0.0;
  if (thread < PARTS) {
    sum = bitcast<f32>(parts[start + 1u]) * exp(mine - largest);
  }
  sums[thread] = sum;
  for (var half = 128u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (thread < half) {
      sum += sums[thread + half];
      sums[thread] = sum;
    }
  }
  workgroupBarrier();
  let log_sum = log(sums[0]);
  let out = LANES * RESULT_WORDS + (row.x * MOST_TOKENS + i) * LOGPROB_WORDS;
  let num_top = wanted - 1u;
  if (thread == 0u) {
    results[out] = num_top;
    results[out + 1u] = bitcast<u32>((logits[r * V + choices[r]] - largest) - log_sum);
  }
  // Each thread goes through what one part lists.
  var next = 0u;
  for (var n = 0u; n < num_top; n++) {
    workgroupBarrier();  // best_values is used again
    var value = 0.0;
    var id = V;
    if (thread < PARTS && next < num_top) {
      value = bitcast<f32>(parts[start + 4u + 2u * next]);
      id = parts[start + 5u + 2u * next];
    }
    let winner = best_of_all(thread, value, id);
    if (id == winner && id != V) {
      next++;
    }
    if (thread == 0u) {
      results[out + 2u + n] = winner;
      results[out + 2u + MOST_TOP + n] = bitcast<u32>((best_values[0] - largest) - log_sum);
    }
  }
}
