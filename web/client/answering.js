/**
 * From a call of OpenAI's interface to its answer: one choice after another, as one object or as a stream.
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
 * What runs a request: `Engine.generate`.
 * @typedef {(request: GenerateRequest, options: Generating) => Promise<Generated>} Generate
 */

/**
 * @param {Generate} generate
 * @param {Asked} asked
 * @param {AbortSignal | null | undefined} signal ends all choices
 * @returns {Promise<Generated[]>}
 */
export async function answerWhole(generate, { requests }, signal) {
  const all = [];
  for (const request of requests) {
    all.push(await generate(request, { signal }));
  }
  return all;
}

/**
 * @template {{choices: unknown[], usage?: Usage | null, leadout: any}} T
 * @param {Generate} generate
 * @param {Asked} asked
 * @param {AbortSignal | null | undefined} signal ends all choices
 * @param {(index: number) => Chunks<T>} chunksOf a choice's
 * @returns {Stream<T>}
 */
export function answerStream(generate, { requests, usage }, signal, chunksOf) {
  signal?.throwIfAborted();
  const leaving = new AbortController();
  const onAbort = () => leaving.abort(signal?.reason);
  signal?.addEventListener("abort", onAbort);
  return new Stream(
    async (push) => {
      /** @type {Generated[]} */
      const all = [];
      /** @param {T} chunk */
      const send = (chunk) => push(usage === "alone" ? { ...chunk, usage: null } : chunk);
      try {
        for (const [index, request] of requests.entries()) {
          const chunks = chunksOf(index);
          if (request.logprobs && chunks.begin) {
            send(chunks.begin());
          }
          const numSent = { text: 0, reasoning: 0, logprobs: 0 };
          const generated = await generate(request, {
            signal: leaving.signal,
            onDelta: (text, { reasoning, logprobs, tool_calls, ...figures }) => {
              numSent.text += text.length;
              numSent.reasoning += reasoning.length;
              numSent.logprobs += logprobs?.length ?? 0;
              send(chunks.next({ text, reasoning, logprobs, tool_calls, figures }));
            },
          });
          all.push(generated);
          // What the worker held back (it might have begun a stop string) comes with the result.
          const rest = {
            text: generated.text.slice(numSent.text),
            reasoning: generated.reasoning.slice(numSent.reasoning),
            logprobs: generated.logprobs?.slice(numSent.logprobs),
          };
          const last = chunks.last(rest, generated);
          const isEnd = all.length === requests.length;
          send(isEnd && usage === "with last" ? { ...last, usage: toUsage(all) } : last);
          if (isEnd && usage === "alone") {
            push({ ...last, choices: [], usage: toUsage(all) });
          }
        }
      } finally {
        signal?.removeEventListener("abort", onAbort);
      }
    },
    () => leaving.abort(new DOMException("The generation was left.", "AbortError")),
  );
}
