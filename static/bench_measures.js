/**
 * The measurements of bench.html on a loaded engine. `leadout bench` (build/leadout_build/bench/) has more of them.
 * Figures that both measure are measured in the same way.
 *
 * @module bench_measures
 */

import { EXAMPLE_TABLE, NANO_SYSTEM } from "./market_table.js";

/** Keep in step with SAMPLINGS of build/leadout_build/bench/measures.py. */
export const SAMPLINGS = {
  greedy: { temperature: 0 },
  page: { temperature: 1, top_k: 64, top_p: 0.95 },
};

/**
 * How much is measured: on a GPU, and on a CPU, where a token takes seconds. Drafts are measured behind the first of the
 * contexts alone.
 */
export const EFFORTS = {
  full: { prompts: [512, 2048], contexts: [512, 3500], tokens: 48, drafts: [1, 3, 7], runs: 5 },
  software: { prompts: [32], contexts: [32], tokens: 3, drafts: [1], runs: 1 },
};

/** Cycles at the start of a generation that are not timed; keep in step with bench/measures.py. */
const UNTIMED_CYCLES = 5;

/** The most tokens of a text that Nano writes. */
const MAX_TEXT_TOKENS = 256;

/** The number of the next prompt; prompts with different numbers have different first ids. */
let number = 0;
function promptIds(length, vocabulary = 256) {
  number += 1;
  return Array.from({ length }, (_, i) => (2 + number + 7919 * i) % vocabulary);
}

/** @param {number[]} values at least one */
export function spreadOf(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return { median, low: sorted[0], high: sorted.at(-1), runs: sorted.length };
}

/**
 * @param {import("./leadout.js").Engine} engine
 * @param {{effort: typeof EFFORTS.full, isShape: boolean, signal: AbortSignal, onStage: (text: string, done: number) => void}} options
 *   `done` is the finished share of the measurement
 * @returns {Promise<object>} the report
 */
export async function measure(engine, { effort, isShape, signal, onStage }) {
  const info = engine.info;
  const drafts = effort.drafts.filter((k) => k <= info.max_draft_tokens);
  const fits = (count) => count + MAX_TEXT_TOKENS / 4 < info.context_length;
  const [context = 32, ...further] = effort.contexts.filter(fits);
  const generate = (request) => engine.generate({ ignore_eos: true, ...request }, { signal });

  onStage("Warming up", 0);
  await generate({ prompt_ids: promptIds(32), max_tokens: 2, draft_tokens: 0 });

  const report = { prefill: [], decode: [], drafts: [], texts: [], profile: null, profile_error: null };
  for (const size of effort.prompts.filter(fits)) {
    onStage(`Reading a prompt of ${size} tokens`, 0.05);
    const rates = [];
    for (let run = 0; run < effort.runs; run++) {
      const { stats } = await generate({ prompt_ids: promptIds(size), max_tokens: 1 });
      rates.push((1000 * stats.prefill_tokens) / stats.prefill_ms);
    }
    report.prefill.push({ tokens: size, tokens_per_s: spreadOf(rates) });
  }

  const ways = [0, ...drafts].map((k) => [context, k]).concat(further.map((length) => [length, 0]));
  const steps = Object.keys(SAMPLINGS).length * ways.length;
  let step = 0;
  for (const [sampling, settings] of Object.entries(SAMPLINGS)) {
    let plain = null;
    for (const [context_tokens, k] of ways) {
      const way = k ? `${k} ${k === 1 ? "draft" : "drafts"} a cycle` : "without drafts";
      const how = sampling === "page" ? "sampling as the page does" : sampling;
      onStage(`Decoding ${way} behind ${context_tokens} tokens, ${how}`, 0.2 + (0.5 * step++) / steps);
      const cycle = await timeCycles(context_tokens, k, settings);
      plain ??= cycle.median;
      if (context_tokens === context) {
        report.drafts.push({ sampling, context_tokens, draft_tokens: k, cycle_ms: cycle, ratio: cycle.median / plain });
      }
      if (k === 0) {
        const { median, low, high, runs } = cycle;
        const rate = { median: 1000 / median, low: 1000 / high, high: 1000 / low, runs };
        report.decode.push({ sampling, context_tokens, tokens_per_s: rate });
      }
    }
  }

  if (!isShape) {
    onStage("Writing a text with drafts and without", 0.75);
    for (const sampling of Object.keys(SAMPLINGS)) {
      report.texts.push(...(await writeTexts(sampling)));
    }
  }

  onStage("Profiling a step", 0.9);
  try {
    report.profile = await engine.profile({ context_tokens: context, ...SAMPLINGS.greedy }, { signal });
  } catch (error) {
    signal.throwIfAborted();
    if (engine.failure) throw error;
    report.profile_error = error.message;
  }
  return report;

  /** Milliseconds per cycle, from the difference between a longer and a shorter generation. */
  async function timeCycles(context_tokens, draft_tokens, settings) {
    const prompt_ids = promptIds(context_tokens);
    const timed = [];
    for (let run = -1; run < effort.runs; run++) {
      const untimed = 1 + draft_tokens + UNTIMED_CYCLES;
      const all = [];
      for (const max_tokens of [untimed, untimed + effort.tokens]) {
        if (isShape) await engine.assume(prompt_ids);
        all.push((await generate({ prompt_ids, max_tokens, draft_tokens, ...settings })).stats);
      }
      const [short, long] = all;
      const cycles = long.cycles - short.cycles;
      const ms = long.decode_ms - short.decode_ms;
      const isKnown = cycles > 0 && ms > 0;
      // The first round only warms up, unless it is the only one.
      if (run >= 0 || effort.runs === 1) timed.push(isKnown ? ms / cycles : long.decode_ms / long.cycles);
      if (effort.runs === 1) break;
    }
    return spreadOf(timed);
  }

  /** Write Nano's first brief without drafts, with each number of drafts, and with "auto". */
  async function writeTexts(sampling) {
    const content = `${EXAMPLE_TABLE}\n\nWrite a brief.`;
    const messages = [{ role: "system", content: NANO_SYSTEM }, { role: "user", content }];
    const max_tokens = effort.runs === 1 ? 8 : MAX_TEXT_TOKENS;
    const written = [];
    for (const draft_tokens of [0, ...drafts, "auto"]) {
      const runs = [];
      for (let run = -1; run < effort.runs; run++) {
        const request = { messages, max_tokens, draft_tokens, seed: run + 1, ...SAMPLINGS[sampling] };
        const generated = await engine.generate(request, { signal });
        if (run >= 0 || effort.runs === 1) runs.push(generated);
        if (effort.runs === 1) break;
      }
      written.push({ draft_tokens, runs });
    }
    const [{ runs: plain }] = written;
    return written.map(({ draft_tokens, runs }) => {
      const sum = (name) => runs.reduce((total, { stats }) => total + stats[name], 0);
      return {
        sampling,
        draft_tokens,
        tokens_per_s: spreadOf(runs.map(({ stats }) => stats.decode_tokens_per_s)),
        tokens_per_cycle: sum("tokens_per_cycle") / runs.length,
        acceptance: sum("drafted_tokens") ? sum("accepted_tokens") / sum("drafted_tokens") : null,
        has_plain_ids: runs.every(({ tokens }, i) => String(tokens) === String(plain[i].tokens)),
      };
    });
  }
}
