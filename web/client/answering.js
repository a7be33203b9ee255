/**
 * From a call of OpenAI's interface to its answer: its choices, beside one another, as one object or as a stream.
 *
 * As many choices are asked for at a time as the engine runs at once, and the next one when one has ended. So a
 * call with many choices leaves other calls their turns, and no choice's figures count the time that it waited for
 * the others. The first failure ends all choices.
 *
 * @module answering
 */

/** @import {GenerateRequest, Generated} from "../messages.js" */
/** @import {Chunks, Usage} from "./completions.js" */
/** @import {Generating} from "./generating.js" */
/** @import {Asked} from "./parameters.js" */

import { toUsage } from "./completions.js";
import { Stream } from "./stream.js";

/**
 * What runs requests, `info.parallel` at once; an `Engine`.
 *
 * @typedef {object} Generator
 * @property {{parallel?: number}} info
 * @property {(request: GenerateRequest, options: Generating) => Promise<Generated>} generate
 */

/**
 * @param {Generator} engine
 * @param {Asked} asked
 * @param {AbortSignal | null | undefined} signal ends all choices
 * @returns {Promise<Generated[]>} in the order of the choices
 */
export async function answerWhole(engine, { requests }, signal) {
  const { leaving, release } = leavingWith(signal);
  try {
    return await runTogether(engine, requests, leaving, () => ({}));
  } finally {
    release();
  }
}

/**
 * @template {{choices: unknown[], usage?: Usage | null, leadout: any}} T
 * @param {Generator} engine
 * @param {Asked} asked
 * @param {AbortSignal | null | undefined} signal ends all choices
 * @param {(index: number) => Chunks<T>} chunksOf a choice's
 * @returns {Stream<T>} chunks of several choices come as they are written, each with its choice's index
 */
export function answerStream(engine, { requests, usage }, signal, chunksOf) {
  const { leaving, release } = leavingWith(signal);
  return new Stream(
    async (push) => {
      /** @param {T} chunk */
      const send = (chunk) => push(usage === "alone" ? { ...chunk, usage: null } : chunk);
      /** By index, as far as they have ended. @type {Generated[]} */
      const all = Array(requests.length);
      let numEnded = 0;
      const follow = (/** @type {number} */ index) => {
        const chunks = chunksOf(index);
        if (requests[index].logprobs && chunks.begin) {
          send(chunks.begin());
        }
        const sent = { text: 0, reasoning: 0, logprobs: 0 };
        /** @type {Required<Following>} */
        const following = {
          onDelta: (text, { reasoning, logprobs, tool_calls, ...figures }) => {
            sent.text += text.length;
            sent.reasoning += reasoning.length;
            sent.logprobs += logprobs?.length ?? 0;
            send(chunks.next({ text, reasoning, logprobs, tool_calls, figures }));
          },
          onEnd: (generated) => {
            all[index] = generated;
            // What the worker held back (it might have begun a stop string) comes with the result.
            const rest = {
              text: generated.text.slice(sent.text),
              reasoning: generated.reasoning.slice(sent.reasoning),
              logprobs: generated.logprobs?.slice(sent.logprobs),
            };
            const last = chunks.last(rest, generated);
            numEnded += 1;
            const isEnd = numEnded === requests.length;
            send(isEnd && usage === "with last" ? { ...last, usage: toUsage(all) } : last);
            if (isEnd && usage === "alone") {
              push({ ...last, choices: [], usage: toUsage(all) });
            }
          },
        };
        return following;
      };
      try {
        await runTogether(engine, requests, leaving, follow);
      } finally {
        release();
      }
    },
    () => leaving.abort(new DOMException("The generation was left.", "AbortError")),
  );
}

/**
 * Told of one choice.
 * @typedef {{onDelta?: Generating["onDelta"], onEnd?: (generated: Generated) => void}} Following
 */

/**
 * Run requests beside one another, begun in their order.
 *
 * @param {Generator} engine
 * @param {GenerateRequest[]} requests
 * @param {AbortController} leaving ends them all, and is aborted where one fails
 * @param {(index: number) => Following} follow called when a request begins
 * @returns {Promise<Generated[]>} in the order of the requests; rejects with the first failure
 */
async function runTogether(engine, requests, leaving, follow) {
  /** @type {Generated[]} */
  const all = Array(requests.length);
  const { signal } = leaving;
  const waiting = requests.entries();
  const runOneByOne = async () => {
    // All runners take from the same iterator, so each request has one of them.
    for (const [index, request] of waiting) {
      const { onDelta, onEnd } = follow(index);
      all[index] = await engine.generate(request, { signal, onDelta });
      onEnd?.(all[index]);
    }
  };
  try {
    await Promise.all(Array.from({ length: engine.info.parallel ?? 1 }, runOneByOne));
  } catch (error) {
    leaving.abort(error);
    throw error;
  }
  return all;
}

/**
 * @param {AbortSignal | null | undefined} signal
 * @returns {{leaving: AbortController, release: () => void}} `leaving` is aborted when the signal is, until it is
 *   released from it
 * @throws the signal's reason, where it is aborted already
 */
function leavingWith(signal) {
  signal?.throwIfAborted();
  const leaving = new AbortController();
  const onAbort = () => leaving.abort(signal?.reason);
  signal?.addEventListener("abort", onAbort);
  return { leaving, release: () => signal?.removeEventListener("abort", onAbort) };
}
