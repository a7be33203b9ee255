/**
 * Shows the text and the figures of a stream of chunks while it arrives.
 *
 * @module follow
 */

/** @import {ChatCompletionChunk, ChunkFigures, CompletionChunk, FinishReason} from "../client/completions.js" */
/** @import {ChatMessage, SharedParams} from "../client/parameters.js" */
/** @import {Engine} from "../client.js" */
/** @import {Stats, ToolCall} from "../messages.js" */
/** @import {View} from "./view.js" */

import { isAbort, LeadoutError } from "../client/errors.js";
import { collectCalls } from "./tool_call_list.js";
import { describeState, formatMs, formatSpeed } from "./words.js";

/** A piece of text from a stream. @typedef {{text: string, reasoning: string, is_draft: boolean}} WrittenPiece */

/**
 * @typedef {object} Written
 * @property {string} text
 * @property {string} reasoning
 * @property {FinishReason | "abort"} finish_reason
 * @property {number} num_tokens
 * @property {ToolCall[]} tool_calls
 * @property {Stats | null} stats null after an abort, because the widget does not wait for the worker's counts
 */

/**
 * @param {Engine} engine
 * @param {Request} request
 * @param {SharedParams} params
 * @returns {Promise<AsyncIterable<CompletionChunk | ChatCompletionChunk>>}
 */
export function openStream(engine, request, params) {
  const stream = /** @type {const} */ (true);
  return "messages" in request
    ? engine.chat.completions.create({ ...params, ...request, stream })
    : engine.completions.create({ ...params, ...request, stream });
}

/** @typedef {{prompt: string} | {messages: ChatMessage[]}} Request */

/**
 * Let the engine continue a text or answer messages, and show the result while it arrives.
 *
 * @param {Engine} engine
 * @param {Request} request
 * @param {SharedParams} params
 * @param {View} view
 * @param {{append: (pieces: WrittenPiece[]) => void, onDelta: (piece: WrittenPiece & ChunkFigures) => void}} handlers
 *   append is called once per frame at most
 * @returns {Promise<Written>} also resolves after an abort; other errors reject
 */
export async function follow(engine, request, params, view, { append, onDelta }) {
  const stream = await openStream(engine, request, params);
  const started = performance.now();
  let numTokens = 0;
  let text = "";
  let reasoning = "";
  /** @type {ToolCall[]} */
  const tool_calls = [];
  /** @type {WrittenPiece[]} */
  let unshown = [];
  let frame = 0;
  /** @type {FinishReason | "abort"} */
  let finish_reason = "abort";
  /** @type {Stats | null} */
  let stats = null;
  const show = () => {
    frame = 0;
    if (unshown.length > 0) {
      append(unshown);
      unshown = [];
      view.drafting.show();
    }
  };
  try {
    for await (const chunk of stream) {
      const piece = toPiece(chunk);
      if (piece.reasoning && !text) {
        view.setStatus("Thinking…");
      } else if (piece.text && !text && reasoning) {
        view.setStatus(describeState("generating"));
      }
      text += piece.text;
      collectCalls(tool_calls, chunk);
      reasoning += piece.reasoning;
      unshown.push(piece);
      frame ||= requestAnimationFrame(show);
      const [{ finish_reason: reason }] = chunk.choices;
      if (reason) {
        finish_reason = reason;
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
      view.drafting.take(figures);
      onDelta({ ...piece, ...figures });
    }
  } catch (error) {
    if (!isAbort(error)) {
      throw error;
    }
    if (!params.signal?.aborted && engine.needsReload) {
      // The user did not stop this text: other code that shares the engine unloaded it.
      const what = "Other code that shares this model has unloaded it. Load it again.";
      throw new LeadoutError("WorkerError", what);
    }
  } finally {
    cancelAnimationFrame(frame);
    show();
  }
  if (stats) {
    view.setFigure("tokens", String(numTokens));
    view.setFigure("first_token", formatMs(stats.ttft_ms));
    view.setFigure("speed", formatSpeed(stats.decode_tokens_per_s));
    view.drafting.finish(stats);
  }
  return { text, reasoning, finish_reason, num_tokens: numTokens, tool_calls, stats };
}

/**
 * @param {CompletionChunk | ChatCompletionChunk} chunk
 * @returns {WrittenPiece}
 */
export function toPiece({ choices: [choice], leadout }) {
  const is_draft = "is_draft" in leadout && leadout.is_draft;
  return "delta" in choice
    ? { text: choice.delta.content ?? "", reasoning: choice.delta.reasoning_content ?? "", is_draft }
    : { text: choice.text, reasoning: choice.reasoning_content ?? "", is_draft };
}
