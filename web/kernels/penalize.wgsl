// logits[r, id] = logits[r, id] / penalty where positive, * penalty where negative,
//
// for every id that occurs at or before row r's position: in the lane's history, or in a row of the same
// lane in this pass. Does nothing when the lane's repetition_penalty is 1.
// Source: repetition penalty of CTRL, arXiv:1909.05858, with the sign rule that transformers uses.
//
// logits: [rows, COUNT] float32, of all ids in their order ("all"), or of ids: [rows, COUNT] u32 ("mapped").
// rows: the row table. settings: [lanes]. seen: [lanes, V / 32] bits. V a multiple of 32.
// Grid: x = ceil(COUNT / 1024), y = rows.

override V: u32;
override COUNT: u32;

@group(0) @binding(0) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> settings: array<Settings>;
@group(0) @binding(2) var<storage, read> seen: array<u32>;
@group(0) @binding(3) var<storage, read_write> logits: array<f32>;
{% if ids == "mapped" %}
@group(0) @binding(4) var<storage, read> ids: array<u32>;
{% endif %}

{% include "shared/settings.wgsl" %}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let row = rows[id.y];
  let penalty = settings[row.x].repetition_penalty;
  if (penalty == 1.0) {
    return;
  }
  for (var i = id.x * 16u; i < min(id.x * 16u + 16u, COUNT); i++) {
    let token = {{ "ids[id.y * COUNT + i]" if ids == "mapped" else "i" }};
    var occurs = ((seen[row.x * (V / 32u) + token / 32u] >> (token % 32u)) & 1u) == 1u;
    for (var other = 0u; other < arrayLength(&rows); other++) {
      let before = rows[other];
      occurs = occurs || (before.x == row.x && before.y <= row.y && before.z == token && (before.w & 1u) == 1u);
    }
    if (occurs) {
      let logit = logits[id.y * COUNT + i];
      logits[id.y * COUNT + i] = select(logit * penalty, logit / penalty, logit > 0.0);
    }
  }
}
