/**
 * JSON from a server that nobody has to trust.
 *
 * @module bounded_json
 */

import { LeadoutError } from "./errors.js";

/** As in pyapp/leadout/checkpoint/json_file.py: the largest real lists and indexes have a few MB. */
const MAX_BYTES = 16 << 20;

/**
 * @param {Response} response
 * @returns {Promise<any>}
 * @throws {LeadoutError} SourceError: too large, or no JSON; an abort or a broken connection as fetch throws them
 */
export async function readJson(response) {
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for await (const part of chunksOf(response)) {
    bytes += part.length;
    if (bytes > MAX_BYTES) {
      throw new LeadoutError(
        "SourceError",
        `${response.url} has more than ${MAX_BYTES.toLocaleString("en")} bytes, which are not read; check the address.`,
        { url: response.url },
      );
    }
    text += decoder.decode(part, { stream: true });
  }
  try {
    return JSON.parse(text + decoder.decode());
  } catch {
    throw new LeadoutError("SourceError", `${response.url} is not valid JSON.`, { url: response.url });
  }
}

/**
 * @param {Response} response
 * @returns {AsyncGenerator<Uint8Array>}
 */
async function* chunksOf({ body }) {
  const reader = body?.getReader();
  try {
    for (;;) {
      const { done, value } = (await reader?.read()) ?? { done: true, value: undefined };
      if (done) return;
      yield value;
    }
  } finally {
    await reader?.cancel().catch(() => {});
  }
}
