// The best token of every chunk of 4096 logits:
//
//   argmax over ids with logit ≥ threshold of   logit / temperature + gumbel(seed, position + ahead + 1, id)
//
// or of the logit alone at temperature 0; of equals, the lowest id. The noise depends on the position of
// the token to choose, not on how it was drafted, which is what makes speculation change nothing.
// Source: Gumbel-max sampling; drafter invariance, arXiv:2408.07978.
//
// logits: [rows, COUNT] float32, of all ids in their order ("all"), or of ids: [rows, COUNT] u32 ("mapped").
// rows: the row table; `ahead` is 0 but for a drafter's rows, see pyapp/leadout/state.py. settings: [lanes].
// thresholds: [rows] float32. best: [rows, ceil(COUNT / 4096)] of (value as bits, id), id V where a chunk
// holds none. Grid: x = ceil(COUNT / 4096), y = rows.

override V: u32;
override COUNT: u32;

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> settings: array<Settings>;
@group(0) @binding(3) var<storage, read> thresholds: array<f32>;
@group(0) @binding(4) var<storage, read_write> best: array<vec2<u32>>;
{% if ids == "mapped" %}
@group(0) @binding(5) var<storage, read> ids: array<u32>;
{% endif %}

{% include "shared/settings.wgsl" %}
{% include "shared/noise.wgsl" %}

const CHUNK = 4096u;

var<workgroup> values: array<f32, 64>;
var<workgroup> best_ids: array<u32, 64>;

fn is_better(value: f32, id: u32, best_value: f32, best_id: u32) -> bool {
  return best_id == V || value > best_value || (value == best_value && id < best_id);
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = rows[group.y];
  let wanted = settings[row.x];
  let key = noise_key(wanted.seed, row.y + (row.w >> 8u) + 1u);
  let threshold = thresholds[group.y];
  var value = 0.0;
  var id = V;
  for (var i = group.x * CHUNK + thread; i < min(group.x * CHUNK + CHUNK, COUNT); i += 64u) {
    let logit = logits[group.y * COUNT + i];
    let token = {{ "ids[group.y * COUNT + i]" if ids == "mapped" else "i" }};
    if (wanted.temperature == 0.0) {
      if (is_better(logit, token, value, id)) {
        value = logit;
        id = token;
      }
    } else if (logit >= threshold) {
      let noisy = logit / wanted.temperature + gumbel(key, token);
      if (is_better(noisy, token, value, id)) {
        value = noisy;
        id = token;
      }
    }
  }
  values[thread] = value;
  best_ids[thread] = id;
  workgroupBarrier();
  if (thread == 0u) {
    for (var i = 1u; i < 64u; i++) {
      if (best_ids[i] < V && is_better(values[i], best_ids[i], value, id)) {
        value = values[i];
        id = best_ids[i];
      }
    }
    best[group.y * groups.x + group.x] = vec2<u32>(bitcast<u32>(value), id);
  }
}
