/**
 * Shows the figures of bench.html.
 *
 * @module bench_results
 */

/** The share of accepted drafts that MTP reaches on text. Made-up weights say nothing about it. */
const ASSUMED_ACCEPTANCE = 0.65;

/** The most lines of the profile; the remaining operations are one more line. */
const MOST_OPS = 16;

const element = (id) => document.getElementById(id);

/** Three significant digits, with separators of thousands. @param {number} value */
function shown(value) {
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return value.toLocaleString("en", { maximumFractionDigits: digits });
}

/** @param {string} tag @param {string} text @param {string} [className] */
function make(tag, text, className) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

/** A dotted name with a possible line break after each dot. @param {string} name */
function breakable(name) {
  return name.split(/(?<=\.)/).flatMap((part) => [part, document.createElement("wbr")]);
}

/** @param {string} label @param {{median: number, low: number, high: number, runs: number}} spread @param {string} unit */
function figure(label, { median, low, high, runs }, unit) {
  const value = make("dd", shown(median), "value");
  value.append(make("span", ` ${unit}`, "unit"));
  const box = document.createElement("div");
  box.append(make("dt", label), value);
  if (runs > 1) box.append(make("dd", `${shown(low)} to ${shown(high)}`, "spread"));
  return box;
}

/** @param {HTMLTableElement} table @param {string[]} heads @param {(string | Node)[][]} rows */
function fill(table, heads, rows) {
  table.replaceChildren();
  const head = table.createTHead().insertRow();
  for (const text of heads) {
    const cell = make("th", text);
    cell.scope = "col";
    head.append(cell);
  }
  const body = table.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    for (const cell of row) line.insertCell().append(cell);
  }
}

/** Tokens per cycle if each draft is accepted with this probability after all drafts before it were accepted. */
function expectedTokens(drafts, acceptance) {
  let [expected, chance] = [1, 1];
  for (let i = 0; i < drafts; i++) expected += chance *= acceptance;
  return expected;
}

/** @param {any} report see bench.js */
export function showResults(report) {
  const { info, bandwidth } = { bandwidth: report.profile?.bandwidth_gb_per_s, ...report };
  const reads = bandwidth ? `, which reads ${shown(bandwidth.median)} GB/s at best` : "";
  element("device").textContent =
    `${info.name} on ${info.device}${reads}${report.is_software ? "; the CPU computes, so there are fewer tokens and runs" : ""}.`;
  showFigures(report);
  showDrafts(report);
  showProfile(report);
  const json = JSON.stringify(report, null, 1);
  element("json").textContent = json;
  element("copied").textContent = "";
  element("copy").onclick = async () => {
    try {
      await navigator.clipboard.writeText(json);
      element("copied").textContent = "Copied.";
    } catch {
      const details = element("json").closest("details");
      details.open = true;
      getSelection().selectAllChildren(element("json"));
      element("copied").textContent = "The browser forbids this. The text is selected below; copy it from there.";
    }
  };
  element("results").hidden = false;
}

function showFigures(report) {
  const names = { greedy: "Plain, greedy", page: "Plain, sampling as the page does" };
  const first = report.decode[0].context_tokens;
  const boxes = report.decode.map(({ sampling, context_tokens, tokens_per_s }) => {
    const where = context_tokens === first ? "" : `, behind ${shown(context_tokens)} tokens`;
    return figure(names[sampling] + where, tokens_per_s, "tokens/s");
  });
  const best = report.texts
    .filter(({ sampling, draft_tokens }) => sampling === "greedy" && draft_tokens !== 0)
    .toSorted((a, b) => b.tokens_per_s.median - a.tokens_per_s.median)[0];
  if (best) {
    boxes.splice(1, 0, figure(`With drafts (${best.draft_tokens}), greedy`, best.tokens_per_s, "tokens/s"));
  }
  for (const { tokens, tokens_per_s } of report.prefill) {
    boxes.push(figure(`Prompt of ${shown(tokens)} tokens`, tokens_per_s, "tokens/s"));
  }
  element("figures").replaceChildren(...boxes);
}

function showDrafts(report) {
  if (report.texts.length) {
    element("drafts-about").textContent = "The same text written with different numbers of drafts per cycle, and whether its tokens are the same as without.";
    const plain = Object.fromEntries(
      report.texts.filter((text) => text.draft_tokens === 0).map((text) => [text.sampling, text]),
    );
    fill(
      element("drafts"),
      ["Sampling", "Drafts", "Tokens/s", "Times plain", "Tokens a cycle", "Accepted", "Same tokens"],
      report.texts.map((text) => [
        text.sampling,
        String(text.draft_tokens),
        shown(text.tokens_per_s.median),
        `× ${(text.tokens_per_s.median / plain[text.sampling].tokens_per_s.median).toFixed(2)}`,
        text.tokens_per_cycle.toFixed(2),
        text.acceptance === null ? "–" : `${Math.round(100 * text.acceptance)} %`,
        text.has_plain_ids ? "yes" : "NO",
      ]),
    );
    return;
  }
  element("drafts-about").textContent =
    "What a cycle with drafts costs. Only a real model shows how many drafts are accepted; the last column assumes " +
    `${Math.round(100 * ASSUMED_ACCEPTANCE)} %.`;
  const plain = {};
  fill(
    element("drafts"),
    ["Sampling", "Drafts", "ms a cycle", "Times a plain step", "Would be tokens/s"],
    report.drafts.map(({ sampling, draft_tokens, cycle_ms, ratio }) => {
      plain[sampling] ??= cycle_ms.median;
      const rate = (1000 * expectedTokens(draft_tokens, ASSUMED_ACCEPTANCE)) / cycle_ms.median;
      return [sampling, String(draft_tokens), cycle_ms.median.toFixed(2), `× ${ratio.toFixed(2)}`, shown(rate)];
    }),
  );
}

function showProfile({ profile, profile_error }) {
  element("profile").replaceChildren();
  if (!profile) {
    element("profile-about").textContent = `There is no profile: ${profile_error}`;
    return;
  }
  const { whole_us, sum_us, tick_us, context_tokens } = profile;
  const rounded = tick_us > 2 ? ` This browser rounds the clock to ${Math.round(tick_us)} µs, so each operation ran many times.` : "";
  element("profile-about").textContent =
    `${shown(whole_us.median)} µs after ${context_tokens} tokens; all operations, each measured by itself: ${shown(sum_us)} µs.${rounded}`;
  const rows = profile.ops.slice(0, MOST_OPS).map((op) => {
    const name = document.createElement("span");
    name.append(...breakable(op.op), make("small", op.kernel));
    const share = op.bandwidth_share === null ? "–" : `${Math.round(100 * op.bandwidth_share)} %`;
    return [name, shown(op.us), String(op.times), shown(op.each_us), share];
  });
  const rest = profile.ops.slice(MOST_OPS);
  if (rest.length) {
    const us = rest.reduce((sum, op) => sum + op.us, 0);
    const times = rest.reduce((sum, op) => sum + op.times, 0);
    rows.push([`${rest.length} more`, shown(us), String(times), "", ""]);
  }
  fill(element("profile"), ["Op", "µs", "Times", "µs each", "Of best reading"], rows);
}
