/**
 * Runs the same request without and with the drafter. Compares the times and the texts.
 *
 * @module comparison
 */

/** @import {Engine} from "../client.js" */
/** @import {SharedParams} from "../client/parameters.js" */
/** @import {ChunkFigures} from "../client/completions.js" */
/** @import {ModelInfo, Stats} from "../messages.js" */
/** @import {Request, WrittenPiece} from "./follow.js" */

import { openStream, toPiece } from "./follow.js";

/** One of the two runs. `tokens` may lack the last token, if it ended the text and has no text.
 * @typedef {{text: string, tokens: number[], numTokens: number, total_ms: number, stats: Stats}} Side
 */

/**
 * @typedef {object} Comparison
 * @property {Side} without
 * @property {Side} drafted
 * @property {boolean} isSame whether both have the same text and the same tokens
 * @property {number} numSame how many tokens are the same, counted from the first
 * @property {number} speedup how many times as fast the run with drafting was
 */

/**
 * @param {Engine} engine with a drafter
 * @param {Request} request
 * @param {SharedParams} params with a seed
 * @param {(side: "without" | "drafted", piece: WrittenPiece, ms: number) => void} onPiece
 * @returns {Promise<Comparison | null>} null: it was stopped
 */
export async function compareDrafting(engine, request, params, onPiece) {
  const { drafter: _drafter, ...shared } = params;
  const without = await run("without", { ...shared, drafter: "none" });
  const drafted = without && (await run("drafted", shared));
  if (!drafted) {
    return null;
  }
  const numShorter = Math.min(drafted.tokens.length, without.tokens.length);
  const differs = drafted.tokens.slice(0, numShorter).findIndex((id, index) => id !== without.tokens[index]);
  const isSame = differs < 0 && drafted.text === without.text && drafted.numTokens === without.numTokens;
  return {
    without,
    drafted,
    isSame,
    numSame: isSame ? drafted.numTokens : differs < 0 ? numShorter : differs,
    speedup: without.total_ms / drafted.total_ms,
  };

  /**
   * @param {"without" | "drafted"} side
   * @param {SharedParams} params
   * @returns {Promise<Side | null>}
   */
  async function run(side, params) {
    const started = performance.now();
    const stream = await openStream(engine, request, params);
    const tokens = [];
    let text = "";
    for await (const chunk of stream) {
      const piece = toPiece(chunk);
      text += piece.reasoning + piece.text;
      onPiece(side, piece, performance.now() - started);
      if (chunk.choices[0].finish_reason) {
        const stats = /** @type {Stats} */ (chunk.leadout);
        // The first token is the result of the prompt, not of a decoding step.
        const numTokens = stats.decode_tokens + 1;
        return { text, tokens, numTokens, total_ms: stats.ttft_ms + stats.decode_ms, stats };
      }
      tokens.push(...(/** @type {ChunkFigures} */ (chunk.leadout).tokens));
    }
    return null;
  }
}

/**
 * The part of a comparison that may be shared: figures and the machine, but no text of the user.
 *
 * @param {Comparison} comparison
 * @param {ModelInfo} info
 */
export function toCard({ without, drafted, isSame, numSame, speedup }, info) {
  const side = (/** @type {Side} */ { numTokens, total_ms, stats }) => ({
    tokens: numTokens,
    total_ms: round(total_ms),
    first_token_ms: round(stats.ttft_ms),
    tokens_per_s: round(stats.decode_tokens_per_s),
  });
  const { cycles, drafted_tokens, accepted_tokens, tokens_per_cycle } = drafted.stats;
  return {
    format: "leadout-comparison",
    version: 1,
    model: info.name,
    drafter: info.drafter?.name ?? null,
    machine: { gpu: info.device, browser: describeBrowser(), cores: navigator.hardwareConcurrency },
    date: new Date().toISOString(),
    identical: isSame,
    identical_tokens: numSame,
    speedup: round(speedup),
    sooner_ms: round(without.total_ms - drafted.total_ms),
    without: side(without),
    drafted: {
      ...side(drafted),
      ...{ cycles, drafted_tokens, accepted_tokens, tokens_per_cycle: round(tokens_per_cycle) },
      accepted_per_position: drafted.stats.accepted_per_position,
      drafted_per_position: drafted.stats.drafted_per_position,
    },
  };
}

/** @typedef {ReturnType<typeof toCard>} Card */

/** @param {number} value */
function round(value) {
  return Math.round(value * 100) / 100;
}

/** @returns {string} for example "Chromium 140, Linux" */
function describeBrowser() {
  const { userAgentData: data } = /** @type {any} */ (navigator);
  const brand = data?.brands?.find((/** @type {{brand: string}} */ { brand }) => !/not.?a.?brand/i.test(brand));
  if (brand) {
    return `${brand.brand} ${brand.version}, ${data.platform}`;
  }
  const name = /(Firefox|Version|Chrome)\/(\d+)/.exec(navigator.userAgent);
  return name ? `${name[1] === "Version" ? "Safari" : name[1]} ${name[2]}, ${navigator.platform}` : navigator.platform;
}
