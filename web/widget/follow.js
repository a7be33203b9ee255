/**
 * Show a stream of chunks as it comes: its text, and its figures.
 *
 * @module follow
 */

/** @import {ChatCompletionChunk, ChunkFigures, CompletionChunk, FinishReason} from "../client/completions.js" */
/** @import {Stats} from "../messages.js" */
/** @import {View} from "./view.js" */

import { isAbort } from "../client/errors.js";
import { formatMs, formatSpeed } from "./words.js";

/**
 * @typedef {object} Written
 * @property {string} text
 * @property {FinishReason} finish_reason
 * @property {number} num_tokens
 * @property {Stats | null} stats null after an abort: nobody waits for the worker to count
 */

/**
 * @param {AsyncIterable<CompletionChunk | ChatCompletionChunk>} stream
 * @param {View} view
 * @param {{append: (text: string) => void, onDelta: (text: string, figures: ChunkFigures) => void}} handlers
 * @returns {Promise<Written>} an abort is an end like others; other errors reject
 */
export async function follow(stream, view, { append, onDelta }) {
  const started = performance.now();
  let numTokens = 0;
  let text = "";
  let unshown = "";
  let frame = 0;
  /** @type {FinishReason} */
  let finish_reason = "abort";
  /** @type {Stats | null} */
  let stats = null;
  const show = () => {
    frame = 0;
    if (unshown) {
      append(unshown);
      unshown = "";
    }
  };
  try {
    for await (const chunk of stream) {
      const [choice] = chunk.choices;
      const piece = "delta" in choice ? (choice.delta.content ?? "") : choice.text;
      text += piece;
      unshown += piece;
      // One repaint a frame is enough, however fast the tokens come.
      frame ||= requestAnimationFrame(show);
      if (choice.finish_reason) {
        finish_reason = choice.finish_reason;
        stats = /** @type {Stats} */ (chunk.leadout);
        numTokens = chunk.usage?.completion_tokens ?? numTokens;
        continue;
      }
      const figures = /** @type {ChunkFigures} */ (chunk.leadout);
      if (numTokens === 0) {
        view.setFigure("first_token", formatMs(performance.now() - started));
      }
      numTokens += figures.tokens.length;
      view.setFigure("tokens", String(numTokens));
      view.setFigure("speed", formatSpeed(figures.decode_tokens_per_s));
      onDelta(piece, figures);
    }
  } catch (error) {
    if (!isAbort(error)) {
      throw error;
    }
  } finally {
    cancelAnimationFrame(frame);
    show();
  }
  if (stats) {
    view.setFigure("tokens", String(numTokens));
    view.setFigure("first_token", formatMs(stats.ttft_ms));
    view.setFigure("speed", formatSpeed(stats.decode_tokens_per_s));
  }
  return { text, finish_reason, num_tokens: numTokens, stats };
}
