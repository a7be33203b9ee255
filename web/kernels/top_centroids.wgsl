// top[r, i] = the index of the i-th largest of scores[r]; of equals, the lower index goes first
//
// The TOP-th largest of the threads' own maxima bounds the TOP-th largest score from below; the few scores that
// reach it are listed, and each one's place is the number of listed ones before it. Where too many reach it
// (equal scores), every score is compared with every other: slower, and the same.
//
// scores: [rows, N] float32, N being what the binding has for each row of the grid. top: [rows, TOP] u32, TOP ≤ N.
// Grid: x = rows. Twin: devices/twins/draft.py.

override TOP: u32;

@group(0) @binding(0) var<storage, read> scores: array<f32>;
@group(0) @binding(1) var<storage, read_write> top: array<u32>;

{% include "shared/key.wgsl" %}

// Of both zeros the same key: they are equal.
fn score_key(score: f32) -> u32 {
  return key_of(select(score, 0.0, score == 0.0));
}

const LISTED = 512u;
const FOUR = vec4<u32>(0u, 1u, 2u, 3u);

var<workgroup> maxima: array<u32, 256>;
var<workgroup> keys: array<u32, LISTED>;
var<workgroup> indices: array<u32, LISTED>;
var<workgroup> num_listed: atomic<u32>;
var<workgroup> bound: u32;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let N = arrayLength(&scores) / groups.x;
  let first = group.x * N;
  var mine = 0u;
  var own: array<u32, 8>;
{% for s in range(8) %}
  own[{{ s }}] = select(0u, score_key(scores[first + min({{ 256 * s }}u + thread, N - 1u)]), {{ 256 * s }}u + thread < N);
{% endfor %}
{% for s in range(8) %}
  mine = max(mine, own[{{ s }}]);
{% endfor %}
  for (var i = thread + 2048u; i < N; i += 256u) {
    mine = max(mine, score_key(scores[first + i]));
  }
  maxima[thread] = mine;
  if (thread == 0u) {
    atomicStore(&num_listed, 0u);
    bound = 0u;
  }
  workgroupBarrier();
  if (TOP < 256u) {
    var before = vec4<u32>(0u);
    for (var i = 0u; i < 256u; i += 4u) {
      let four = vec4<u32>(maxima[i], maxima[i + 1u], maxima[i + 2u], maxima[i + 3u]);
      let is_before = (four > vec4<u32>(mine)) |
        ((four == vec4<u32>(mine)) & ((i + FOUR) < vec4<u32>(thread)));
      before += select(vec4<u32>(0u), vec4<u32>(1u), is_before);
    }
    if (before.x + before.y + before.z + before.w == TOP - 1u) {
      bound = mine;
    }
  }
  let least = max(workgroupUniformLoad(&bound), 1u);
  if (mine >= least) {
{% for s in range(8) %}
    if (own[{{ s }}] >= least) {
      let at = atomicAdd(&num_listed, 1u);
      if (at < LISTED) {
        keys[at] = own[{{ s }}];
        indices[at] = {{ 256 * s }}u + thread;
      }
    }
{% endfor %}
    for (var i = thread + 2048u; i < N; i += 256u) {
      let key = score_key(scores[first + i]);
      if (key >= least) {
        let at = atomicAdd(&num_listed, 1u);
        if (at < LISTED) {
          keys[at] = key;
          indices[at] = i;
        }
      }
    }
  }
  workgroupBarrier();
  let num = atomicLoad(&num_listed);
  if (num <= LISTED) {
    for (var i = thread; i < num; i += 256u) {
      let key = keys[i];
      let index = indices[i];
      var place = 0u;
      for (var other = 0u; other < num; other++) {
        place += select(0u, 1u, keys[other] > key || (keys[other] == key && indices[other] < index));
      }
      if (place < TOP) {
        top[group.x * TOP + place] = index;
      }
    }
    return;
  }
  for (var i = thread; i < N; i += 256u) {
    let key = score_key(scores[first + i]);
    var place = 0u;
    for (var other = 0u; other < N; other++) {
      // All threads read the same score at the same time.
      let value = score_key(scores[first + other]);
      place += select(0u, 1u, value > key || (value == key && other < i));
    }
    if (place < TOP) {
      top[group.x * TOP + place] = i;
    }
  }
}
