// The end of a cycle, on the GPU, so that the next one can be queued before anybody has read this one's tokens.
//
//   1. For each group of 1 + drafts rows, the rows of one lane: choices[i] is the target's own token behind row
//      i. Row 0 is a known token, so choices[0] is one more; while the next row's draft equals it, the
//      next choice is one more again. The last of these is the bonus token.
//   2. They go to the lane's positions from `length` on: into history, seen and results; length grows. Where the
//      lane counts how often it generated an id, they are counted.
//
// KV entries of rejected drafts stay: rows at the same positions will overwrite them before they are read.
{% if tables == "paged" %}
//
// A row whose token has no slot was computed without its row of the paged table, so that only the rows before
// it count; their choices do not depend on it. Where it is row 0 nothing is committed, and the next cycle
// begins where this one did. The host learns which ids were missing.
{% endif %}
//
// choices: [rows] u32. rows: the row table. state: [lanes] of (length, last token, is active, counts).
// {{ "slots: a word an id, 0 = none. " if tables == "paged" }}seen: [lanes, SEEN_WORDS]. history: [lanes, CAPACITY] u32. results: [lanes, RESULT_WORDS].
// Grid: one workgroup of one thread. Layouts: pyapp/leadout/state.py.

override V: u32;
override LANES: u32;
override CAPACITY: u32;
override SEEN_WORDS: u32;    // of a lane, in `seen`
override RESULT_WORDS: u32;  // of a lane, in `results`
override HEAD_WORDS: u32;    // before its tokens

@group(0) @binding(0) var<storage, read> choices: array<u32>;
@group(0) @binding(1) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> state: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> seen: array<u32>;
@group(0) @binding(4) var<storage, read_write> history: array<u32>;
@group(0) @binding(5) var<storage, read_write> results: array<u32>;
@group(0) @binding(6) var<uniform> cycle: Cycle;
{% if tables == "paged" %}
@group(0) @binding(7) var<storage, read> slots: array<u32>;
{% endif %}

{% include "shared/row.wgsl" %}
{% include "shared/cycle.wgsl" %}

@compute @workgroup_size(1)
fn main() {
  for (var i = 0u; i < LANES * RESULT_WORDS; i++) {
    results[i] = 0u;
  }
  for (var group = 0u; group < cycle.groups; group++) {
    let first = group * (1u + cycle.drafts);
    let lane = rows[first].x;
    if (!row_is_valid(rows[first])) {
      continue;
    }
    let before = state[lane];
    let length = before.x;
    let seen_start = lane * SEEN_WORDS;
    let result = lane * RESULT_WORDS;
    // Rows that count: drafts that are not valid stand behind all others.
    var known = 1u;
    while (known <= cycle.drafts && row_is_valid(rows[first + known])) {
      known++;
    }
{% if tables == "paged" %}
    let valid = known;
    for (var i = valid; i > 0u; i--) {
      if (slots[rows[first + i - 1u].z] == 0u) {
        known = i - 1u;
      }
    }
{% endif %}
    var count = 0u;
    var token = 0u;
    for (var i = 0u; i < known; i++) {
      token = choices[first + i];
      results[result + HEAD_WORDS + i] = token;
      seen[seen_start + token / 32u] |= 1u << (token % 32u);
      if (before.w == 1u) {
        let place = seen_start + V / 32u + token;
        let word = seen[place];
        seen[place] = word + select(0u, 1u, (word & 0xffffu) < 0xffffu);
      }
      if (length + i < CAPACITY) {
        history[lane * CAPACITY + length + i] = token;
      }
      count = i + 1u;
      if (count == known || rows[first + count].z != token) {
        break;
      }
    }
{% if tables == "paged" %}
    var listed = count;
    for (var i = known; i < valid; i++) {
      let id = rows[first + i].z;
      if (slots[id] == 0u) {
        results[result + HEAD_WORDS + listed] = id;
        listed++;
      }
    }
    results[result + 2u] = listed - count;
    if (known == 0u) {
      continue;
    }
{% endif %}
    results[result] = count;
    results[result + 1u] = known - 1u;
    state[lane] = vec4<u32>(length + count, token, 1u, before.w);
  }
}
