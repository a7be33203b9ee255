// The first of two kernels for log-probabilities: of each 4096 logits of a row, in words
//
//   largest, sum of exp(logit - largest), 0, 0, then the largest logits there are and their ids, n of (logit, id),
//   the largest first; of equals, the lower id first
//
// for rows that committed a token and whose lane asks for them; n = max(1, what it asks for). The logits are the
// model's own: neither penalties nor biases, temperature or filters play a part. A row's words depend on its logits alone.
//
// logits: [rows, V] float32, V a multiple of 4. rows: the row table, 1 + drafts of each lane. settings: [lanes].
// results: of accept. parts: [rows, ceil(V / 4096), PART_WORDS]. Grid: x = ceil(V / 4096), y = rows.
{% set quads = 4 %}

// Candidates of a workgroup.
const CHUNK = {{ 1024 * quads }}u;

override V: u32;
override RESULT_WORDS: u32;
override PART_WORDS: u32;

@group(0) @binding(0) var<storage, read> logits: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> settings: array<Settings>;
@group(0) @binding(3) var<storage, read> results: array<u32>;
@group(0) @binding(4) var<storage, read_write> parts: array<u32>;
@group(0) @binding(5) var<uniform> cycle: Cycle;

{% include "shared/row.wgsl" %}
{% include "shared/cycle.wgsl" %}

{% include "shared/settings.wgsl" %}
{% include "shared/best.wgsl" %}

var<workgroup> sums: array<f32, 256>;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let r = group.y;
  let row = rows[r];
  let wanted = settings[row.x].flags >> 8u;
  let is_committed = row_is_valid(row) && r % (1u + cycle.drafts) < results[row.x * RESULT_WORDS];
  if (wanted == 0u || !is_committed) {
    return;
  }
  let num_top = max(wanted - 1u, 1u);
  let first = group.x * {{ 256 * quads }}u + thread;
  var quads: array<vec4<f32>, {{ quads }}>;
  for (var q = 0u; q < {{ quads }}u; q++) {
    let quad = first + 256u * q;
    quads[q] = logits[r * (V / 4u) + min(quad, V / 4u - 1u)];
  }
  let start = (r * groups.x + group.x) * PART_WORDS;
  var taken = 0u;  // a bit for each logit of this thread that is listed
  for (var n = 0u; n < num_top; n++) {
    var value = 0.0;
    var id = V;
    var mine = 0u;
    for (var i = 0u; i < {{ 4 * quads }}u; i++) {
      let quad = first + 256u * (i / 4u);
      let token = 4u * quad + i % 4u;
      let x = quads[i / 4u][i % 4u];
      if (quad < V / 4u && ((taken >> i) & 1u) == 0u && is_better(x, token, value, id)) {
        value = x;
        id = token;
        mine = i;
      }
    }
    let winner = best_of_all(thread, value, id);
    let winning = best_values[0];
    if (id == winner && id != V) {
      taken |= 1u << mine;
    }
    if (thread == 0u) {
      parts[start + 4u + 2u * n] = bitcast<u32>(winning);
      parts[start + 5u + 2u * n] = winner;
    }
    if (n == 0u) {
      var sum = 0.0;
      for (var i = 0u; i < {{ 4 * quads }}u; i++) {
        if (first + 256u * (i / 4u) < V / 4u) {
          sum += exp(quads[i / 4u][i % 4u] - winning);
        }
      }
      sums[thread] = sum;
      for (var half = 128u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (thread < half) {
          sum += sums[thread + half];
          sums[thread] = sum;
        }
      }
      if (thread == 0u) {
        parts[start] = bitcast<u32>(winning);
        parts[start + 1u] = bitcast<u32>(sum);
      }
    }
    workgroupBarrier();  // best_values is used again
  }
}
