// logits[r, id] = logits[r, id] / penalty where positive, * penalty where negative,
//
// for every id that occurs at or before row r's position: in the lane's history, or in a row of the same
// lane in this pass. Does nothing when the lane's repetition_penalty is 1.
// Source: repetition penalty of CTRL, arXiv:1909.05858, with the sign rule that transformers uses.
//
// logits: [ROWS, V] float32. rows: the row table, from row FIRST_ROW. settings: [lanes].
// seen: [lanes, V / 32] bits. V a multiple of 32.
// Grid: x = ceil(V / 1024), y = ROWS. Twin: devices/twins/sampling.py.

override V: u32;
override ROWS: u32;
override FIRST_ROW: u32 = 0u;

@group(0) @binding(0) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> settings: array<Settings>;
@group(0) @binding(2) var<storage, read> seen: array<u32>;
@group(0) @binding(3) var<storage, read_write> logits: array<f32>;

{% include "shared/settings.wgsl" %}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let row = rows[FIRST_ROW + id.y];
  let penalty = settings[row.x].repetition_penalty;
  if (penalty == 1.0) {
    return;
  }
  for (var token = id.x * 16u; token < min(id.x * 16u + 16u, V); token++) {
    var occurs = ((seen[row.x * (V / 32u) + token / 32u] >> (token % 32u)) & 1u) == 1u;
    for (var other = 0u; other < ROWS; other++) {
      let before = rows[FIRST_ROW + other];
      occurs = occurs || (before.x == row.x && before.y <= row.y && before.z == token && (before.w & 1u) == 1u);
    }
    if (occurs) {
      let logit = logits[id.y * V + token];
      logits[id.y * V + token] = select(logit * penalty, logit / penalty, logit > 0.0);
    }
  }
}
