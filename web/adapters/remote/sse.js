/**
 * Server-sent events, however their bytes are cut.
 *
 * @module adapters/remote/sse
 */

import { LeadoutError } from "../../client/errors.js";

/** More than the longest event with logprobs; more of one line is no such stream. */
const MAX_CHARS = 16 << 20;

/**
 * Of an event, its lines "data" and "error" (llama-server's). `isWhole`: an empty line followed.
 * @typedef {{data: string, error: string, isWhole: boolean}} ServerEvent
 */

/**
 * @param {AsyncIterable<Uint8Array>} bytes
 * @returns {AsyncGenerator<ServerEvent>}
 */
export async function* readEvents(bytes) {
  let event = { data: "", error: "" };
  for await (const line of readLines(bytes)) {
    if (line === "") {
      if (event.data || event.error) yield { ...event, isWhole: true };
      event = { data: "", error: "" };
      continue;
    }
    const [, field, value] = /^([^:]*):? ?([^]*)$/.exec(line) ?? [];
    if (field === "data" || field === "error") {
      event[field] += (event[field] && "\n") + value;
    }
  }
  // Some servers leave the last empty line out; or the connection was cut.
  if (event.data || event.error) yield { ...event, isWhole: false };
}

/**
 * @param {AsyncIterable<Uint8Array>} bytes
 * @returns {AsyncGenerator<string>} that end with \n, \r or both
 */
async function* readLines(bytes) {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const part of bytes) {
    rest += decoder.decode(part, { stream: true });
    // A \r at the end may be half of \r\n.
    const lines = rest.split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? "";
    if (rest.length > MAX_CHARS) {
      throw new LeadoutError("SourceError", `The server sent a line of more than ${MAX_CHARS} characters.`);
    }
    yield* lines;
  }
  rest += decoder.decode();
  yield* rest.split(/\r\n|\n|\r/).slice(0, -1);
  const last = rest.split(/\r\n|\n|\r/).at(-1);
  if (last) yield last;
}

/**
 * @param {Response} response
 * @param {() => void} onPart called for each part that comes
 * @returns {AsyncGenerator<Uint8Array>}
 */
export async function* partsOf({ body }, onPart) {
  const reader = body?.getReader();
  try {
    for (;;) {
      const { done, value } = (await reader?.read()) ?? { done: true, value: undefined };
      if (done) return;
      onPart();
      yield value;
    }
  } finally {
    await reader?.cancel().catch(() => {});
  }
}
