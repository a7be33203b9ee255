// The best token of every chunk of 4096 of the vocabulary:
//
//   argmax over ids with logit ≥ threshold of   logit / temperature + gumbel(seed, position + 1, id)
//
// or of the logit alone at temperature 0; of equals, the lowest id. The noise depends on the position of
// the token to choose, not on how it was drafted, which is what makes speculation change nothing.
// Source: Gumbel-max sampling; drafter invariance, arXiv:2408.07978.
//
// logits: [rows, V] float32. rows: the row table, from row FIRST_ROW. settings: [lanes].
// thresholds: [rows] float32. best: [rows, ceil(V / 4096)] of (value as bits, id), id V where a chunk
// holds none. Grid: x = ceil(V / 4096), y = rows. Twin: devices/twins/sampling.py.

override V: u32;
override FIRST_ROW: u32 = 0u;

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> settings: array<Settings>;
@group(0) @binding(3) var<storage, read> thresholds: array<f32>;
@group(0) @binding(4) var<storage, read_write> best: array<vec2<u32>>;

{% include "shared/settings.wgsl" %}
{% include "shared/noise.wgsl" %}

const CHUNK = 4096u;

var<workgroup> values: array<f32, 64>;
var<workgroup> ids: array<u32, 64>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = rows[FIRST_ROW + group.y];
  let wanted = settings[row.x];
  let key = noise_key(wanted.seed, row.y + 1u);
  let threshold = thresholds[group.y];
  var value = 0.0;
  var id = V;
  for (var i = group.x * CHUNK + thread; i < min(group.x * CHUNK + CHUNK, V); i += 64u) {
    let logit = logits[group.y * V + i];
    if (wanted.temperature == 0.0) {
      if (id == V || logit > value) {
        value = logit;
        id = i;
      }
    } else if (logit >= threshold) {
      let noisy = logit / wanted.temperature + gumbel(key, i);
      if (id == V || noisy > value) {
        value = noisy;
        id = i;
      }
    }
  }
  values[thread] = value;
  ids[thread] = id;
  workgroupBarrier();
  if (thread == 0u) {
    for (var i = 1u; i < 64u; i++) {
      let is_better = ids[i] < V
        && (id == V || values[i] > value || (values[i] == value && ids[i] < id));
      if (is_better) {
        value = values[i];
        id = ids[i];
      }
    }
    best[group.y * groups.x + group.x] = vec2<u32>(bitcast<u32>(value), id);
  }
}
