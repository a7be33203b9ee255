// A row's candidates, four at a time (quad q has candidates 4 q .. 4 q + 3): their ids, and their logits
// with the penalties and the biases, in this order:
//
//   repetition  logit / penalty if logit > 0 else logit * penalty, for ids that occur at or before the row's
//               position: in the lane's history, or in a row of the same lane in this pass
//   moved       logit + bias - presence * (n > 0) - frequency * n, where the id was generated n times at or before
//               the row's position, or drafted there in this pass; a banned id has BANNED_LOGIT
//   masked      MOST_NEGATIVE for ids that the lane's mask for the position behind the row's does not allow, where the
//               lane has masks; a drafter's rows have none
//
// What moves a logit is a sum of whole numbers, so that no compiler's way of rounding makes a difference.
// Source: repetition penalty of CTRL, arXiv:1909.05858, with the sign rule that transformers uses; the others
// are OpenAI's.
//
// Whoever includes this has the overrides V (a multiple of 32) and COUNT, and binds logits, rows, seen and,
// where candidates are not all ids in their order, ids.
const MOST_NEGATIVE = -3.4028234e38;
const FOUR = vec4<u32>(0u, 1u, 2u, 3u);

fn num_quads() -> u32 {
  return (COUNT + 3u) / 4u;
}

{% if ids == "all" %}
fn ids_of(r: u32, quad: u32) -> vec4<u32> {
  return 4u * quad + FOUR;
}

fn raw_logits_of(r: u32, quad: u32) -> vec4<f32> {
  return logits[r * (COUNT / 4u) + quad];
}
{% else %}
// Candidates past the last one are the last one again.
fn places_of(r: u32, quad: u32) -> vec4<u32> {
  return r * COUNT + min(4u * quad + FOUR, vec4<u32>(COUNT - 1u));
}

fn ids_of(r: u32, quad: u32) -> vec4<u32> {
  let at = places_of(r, quad);
  return vec4<u32>(ids[at.x], ids[at.y], ids[at.z], ids[at.w]);
}

fn raw_logits_of(r: u32, quad: u32) -> vec4<f32> {
  let at = places_of(r, quad);
  return vec4<f32>(logits[at.x], logits[at.y], logits[at.z], logits[at.w]);
}
{% endif %}

// Masks that a lane has in `seen`.
override MASK_SLOTS: u32;

// Of a lane in `seen`; keep in step with pyapp/leadout/state.py.
fn seen_words() -> u32 {
  return V / 32u + V + MASK_SLOTS * (V / 32u);
}

fn is_known(row: vec4<u32>, token: u32) -> bool {
  var known = ((seen[row.x * seen_words() + token / 32u] >> (token % 32u)) & 1u) == 1u;
{% if then is defined and then == "place" %}
  // A drafter has one row a lane.
  known = known || (row.z == token && row_is_valid(row));
{% else %}
  for (var other = 0u; other < arrayLength(&rows); other++) {
    let before = rows[other];
    known = known || (before.x == row.x && before.y <= row.y && before.z == token && row_is_valid(before));
  }
{% endif %}
  return known;
}

// How often a token is drafted at or before a row's position. A lane's first row holds a known token, unless it stands
// ahead of its position.
fn num_drafted(row: vec4<u32>, token: u32) -> u32 {
{% if then is defined and then == "place" %}
  return select(0u, 1u, row.z == token && row_is_valid(row) && row_ahead(row) > 0u);
{% else %}
  var num = 0u;
  var is_first = true;
  for (var other = 0u; other < arrayLength(&rows); other++) {
    let before = rows[other];
    if (before.x == row.x && row_is_valid(before)) {
      let is_draft = !is_first || row_ahead(before) > 0u;
      num += select(0u, 1u, is_draft && before.y <= row.y && before.z == token);
      is_first = false;
    }
  }
  return num;
{% endif %}
}

const BANNED = -32768;
// Divided by a temperature it is still finite.
const BANNED_LOGIT = -1e30;

fn moved(x: f32, row: vec4<u32>, token: u32, penalties: u32) -> f32 {
  let word = seen[row.x * seen_words() + V / 32u + token];
  let bias = bitcast<i32>(word) >> 16u;
  if (bias == BANNED) {
    return BANNED_LOGIT;
  }
  var sum = bias * 16;
  if (penalties != 0u) {
    let num = i32(min((word & 0xffffu) + num_drafted(row, token), 0xffffu));
    let presence = bitcast<i32>(penalties << 16u) >> 16u;
    let frequency = bitcast<i32>(penalties) >> 16u;
    sum -= select(0, presence, num > 0) + frequency * num;
  }
  return x + f32(sum) * 0.000244140625;  // 2^-12
}

fn is_allowed(row: vec4<u32>, token: u32) -> bool {
  let mask = V / 32u + V + ((row.y + 1u) % MASK_SLOTS) * (V / 32u);
  return ((seen[row.x * seen_words() + mask + token / 32u] >> (token % 32u)) & 1u) == 1u;
}

fn penalised(raw: vec4<f32>, row: vec4<u32>, wanted: Settings, r: u32, quad: u32) -> vec4<f32> {
  var x = raw;
  let penalty = wanted.repetition_penalty;
  if (penalty != 1.0) {
    let tokens = ids_of(r, quad);
    for (var j = 0u; j < 4u; j++) {
      if (is_known(row, tokens[j])) {
        x[j] = select(x[j] * penalty, x[j] / penalty, x[j] > 0.0);
      }
    }
  }
  if ((wanted.flags & 1u) == 1u) {
    let tokens = ids_of(r, quad);
    for (var j = 0u; j < 4u; j++) {
      x[j] = moved(x[j], row, tokens[j], wanted.penalties);
    }
  }
  if ((wanted.flags & 2u) == 2u && !row_is_of_drafter(row)) {
    let tokens = ids_of(r, quad);
    for (var j = 0u; j < 4u; j++) {
      x[j] = select(MOST_NEGATIVE, x[j], is_allowed(row, tokens[j]));
    }
  }
  return x;
}

// What of the settings is in force. The choice is among COUNT candidates.
fn has_top_k(wanted: Settings) -> bool {
  return wanted.top_k > 0u && wanted.top_k < COUNT;
}

fn has_filters(wanted: Settings) -> bool {
  return wanted.temperature != 0.0 && (has_top_k(wanted) || wanted.top_p < 1.0 || wanted.min_p > 0.0);
}

// Masses of probability are whole numbers, so that the order in which they are added does not matter.
fn mass_of(logit: f32, largest: f32, temperature: f32) -> u32 {
  return u32(exp((logit - largest) / temperature) * 134217728.0);  // 2^27
}
