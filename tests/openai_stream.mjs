// The official client's streaming helpers over Leadout's chunks: what they put together of them. The engine is the
// fake one of web/testing.js, so that this is about shapes alone.

import { readFileSync } from "node:fs";

import { createFakeEngine } from "../web/testing.js";
import { ChatCompletionStream } from "../web/node_modules/openai/lib/ChatCompletionStream.mjs";
import { Stream } from "../web/node_modules/openai/core/streaming.mjs";

const { options, load, params } = JSON.parse(readFileSync(0, "utf-8"));
const engine = await createFakeEngine(options, load);

/** What a server would send of the chunks: a JSON object a line. */
function lines(chunks) {
  const encoder = new TextEncoder();
  return new ReadableStream({
    async start(controller) {
      for await (const chunk of chunks) {
        controller.enqueue(encoder.encode(`${JSON.stringify(chunk)}\n`));
      }
      controller.close();
    },
  });
}

const ask = () => engine.chat.completions.create({ ...params, stream: true });

const helper = ChatCompletionStream.fromReadableStream(lines(await ask()));
const contents = [];
helper.on("content", (delta, snapshot) => contents.push([delta, snapshot]));
const logprobs = [];
helper.on("logprobs.content.delta", ({ content }) => logprobs.push(...content));
const completion = await helper.finalChatCompletion();
const usage = await helper.totalUsage();

const read = [];
for await (const chunk of Stream.fromReadableStream(lines(await ask()), new AbortController())) {
  read.push(chunk);
}
const whole = await engine.chat.completions.create({ ...params, stream_options: null });
console.log(JSON.stringify({ completion, usage, contents, logprobs, read, whole }));
process.exit(0);
