// top[r, i] = the index of the i-th largest of scores[r]; of equals, the lower index goes first
//
// The TOP-th of the threads' own best scores bounds the TOP-th score; the few that are not behind it are listed,
// and each one's place is the number of listed ones before it. Where too many are listed, every score is compared
// with every other: slower, and the same.
//
// scores: [rows, N] float32, N being what the binding has for each row of the grid. top: [rows, TOP] u32, TOP ≤ N.
// Grid: x = rows.

override TOP: u32;

@group(0) @binding(0) var<storage, read> scores: array<f32>;
@group(0) @binding(1) var<storage, read_write> top: array<u32>;

{% include "shared/key.wgsl" %}
{% include "shared/entry.wgsl" %}

const LISTED = 1024u;

var<workgroup> best: array<vec2<u32>, 256>;
var<workgroup> listed: array<vec2<u32>, LISTED + 4u>;
var<workgroup> num_listed: atomic<u32>;
var<workgroup> bound: vec2<u32>;

fn list(one: vec2<u32>) {
  let at = atomicAdd(&num_listed, 1u);
  if (at < LISTED) {
    listed[at] = one;
  }
}

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let N = arrayLength(&scores) / groups.x;
  let first = group.x * N;
  // Scores that all threads load before they use any; those past N are the last one again.
  var own: array<f32, 8>;
{% for s in range(8) %}
  own[{{ s }}] = scores[first + min({{ 256 * s }}u + thread, N - 1u)];
{% endfor %}
  var mine = vec2<u32>(0u, N);
  for (var s = 0u; s < 8u; s++) {
    let one = entry(own[s], 256u * s + thread);
    if (one.y < N && is_before(one, mine)) {
      mine = one;
    }
  }
  for (var i = thread + 2048u; i < N; i += 256u) {
    let one = entry(scores[first + i], i);
    if (is_before(one, mine)) {
      mine = one;
    }
  }
  best[thread] = mine;
  workgroupBarrier();
  if (TOP <= 256u && thread < N) {
    var place = 0u;
    for (var i = 0u; i < 256u; i += 8u) {
{% for j in range(8) %}
      let best_{{ j }} = best[i + {{ j }}u];
{% endfor %}
{% for j in range(8) %}
      place += select(0u, 1u, is_before(best_{{ j }}, mine));
{% endfor %}
    }
    if (place == TOP - 1u) {
      bound = mine;
    }
  }
  // Without a bound, (0, 0), everything is before it.
  let last = workgroupUniformLoad(&bound);
  if (!is_before(last, mine)) {
    for (var s = 0u; s < 8u; s++) {
      let one = entry(own[s], 256u * s + thread);
      if (one.y < N && !is_before(last, one)) {
        list(one);
      }
    }
    for (var i = thread + 2048u; i < N; i += 256u) {
      let one = entry(scores[first + i], i);
      if (!is_before(last, one)) {
        list(one);
      }
    }
  }
  workgroupBarrier();
  let num = atomicLoad(&num_listed);
  if (num <= LISTED) {
    for (var i = thread; i < num; i += 256u) {
      let one = listed[i];
      var place = 0u;
      // Past the last one they are (0, 0), which is before none.
      for (var other = 0u; other < num; other += 4u) {
{% for j in range(4) %}
        let other_{{ j }} = listed[other + {{ j }}u];
{% endfor %}
{% for j in range(4) %}
        place += select(0u, 1u, is_before(other_{{ j }}, one));
{% endfor %}
      }
      if (place < TOP) {
        top[group.x * TOP + place] = one.y;
      }
    }
    return;
  }
  for (var i = thread; i < N; i += 256u) {
    let one = entry(scores[first + i], i);
    var place = 0u;
    for (var other = 0u; other < N; other++) {
      // All threads read the same score at the same time.
      place += select(0u, 1u, is_before(entry(scores[first + other], other), one));
    }
    if (place < TOP) {
      top[group.x * TOP + place] = one.y;
    }
  }
}
