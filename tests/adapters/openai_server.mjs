// A server that speaks OpenAI's protocol, as vLLM and llama-server do, and misbehaves as a test says.

import { createServer } from "node:http";

/**
 * Serve on a free port of this machine.
 *
 * @param {(request: {path: string, body: any, headers: any, isGone: () => boolean}, respond: Respond) => void} answer
 * @returns its base URL, what was asked of it, and how to end it
 */
export async function serve(answer, { ownedBy = "vllm" } = {}) {
  const asked = [];
  const server = createServer((request, response) => {
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => {
      const text = Buffer.concat(parts).toString();
      const seen = { path: request.url, body: text ? JSON.parse(text) : null, headers: request.headers, isCut: false };
      response.on("close", () => (seen.isCut = !response.writableFinished));
      if (seen.path === "/v1/models" && !answer.models) {
        const model = { id: "gemma", object: "model", owned_by: ownedBy, max_model_len: 8192 };
        response.setHeader("Content-Type", "application/json").end(JSON.stringify({ object: "list", data: [model] }));
        return;
      }
      asked.push(seen);
      answer(seen, response);
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { baseURL: `http://127.0.0.1:${server.address().port}/v1`, asked, close };
}

/** Answer with JSON. */
export function json(response, status, body, headers = {}) {
  response.writeHead(status, { "Content-Type": "application/json", ...headers }).end(JSON.stringify(body));
}

/** Answer with a stream of bytes that are cut after so many, and may be left in the middle. */
export async function stream(response, text, { size = 5, cutAt = Infinity } = {}) {
  response.writeHead(200, { "Content-Type": "text/event-stream" });
  const bytes = Buffer.from(text);
  for (let start = 0; start < bytes.length; start += size) {
    if (start >= cutAt) {
      response.destroy();
      return;
    }
    response.write(bytes.subarray(start, start + size));
    await new Promise((resolve) => setImmediate(resolve));
  }
  response.end();
}

/** A chunk of a chat, as a line of a stream. */
export function chunk(delta, finish_reason = null, more = {}) {
  const choices = [{ index: 0, delta, finish_reason, ...more.choice }];
  const { choice: _, ...fields } = more;
  return `data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", model: "gemma", choices, ...fields })}\n\n`;
}

/** The chunk that tells the usage alone. */
export function usageChunk(prompt_tokens, completion_tokens, more = {}) {
  const usage = { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens, ...more };
  return `data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", model: "gemma", choices: [], usage })}\n\n`;
}

export const DONE = "data: [DONE]\n\n";
