// leadout/server's endpoints under the official client, over the fake engine, without a service worker.

import assert from "node:assert/strict";

import OpenAI from "../../web/node_modules/openai/index.mjs";
import { zodResponseFormat } from "../../web/node_modules/openai/helpers/zod.mjs";
import { z } from "../../web/node_modules/zod/index.js";
import { engineFetch } from "../../web/adapters/server.js";
import { createFakeEngine, FakeWorker } from "../../web/testing.js";
import { CALLING, WEATHER, all, failureOf, requestsOf, runAll, test } from "./cases.mjs";

/** The official client over a fake engine, and the worker behind it. */
async function clientOf(options) {
  const worker = new FakeWorker(options);
  const engine = await createFakeEngine(options, { worker });
  const fetch = engineFetch(engine);
  const client = new OpenAI({ fetch, baseURL: "http://leadout/v1", apiKey: "none", maxRetries: 0 });
  return { client, worker, fetch };
}

const model = "any";
const messages = [{ role: "user", content: "Hello" }];

test("the official client's chat is answered whole and streamed", async () => {
  const { client, worker } = await clientOf({ text: " one two" });
  const answer = await client.chat.completions.create({ model, messages, temperature: 0.5 });
  assert.equal(answer.choices[0].message.content, " one two");
  assert.equal(answer.model, "fake");
  assert.equal(answer.usage.completion_tokens, 2);
  assert.equal(requestsOf(worker)[0].max_tokens, 4096);
  const chunks = await all(await client.chat.completions.create({ model, messages, stream: true }));
  assert.equal(chunks.map(({ choices: [{ delta }] }) => delta.content ?? "").join(""), " one two");
  assert.ok(chunks.every(({ usage }) => usage === undefined));
  const told = await all(
    await client.chat.completions.create({ model, messages, stream: true, stream_options: { include_usage: true } }),
  );
  assert.equal(told.at(-1).usage.completion_tokens, 2);
});

test("the official client's completions take texts and ids", async () => {
  const { client, worker } = await clientOf({ text: " upon" });
  const { choices } = await client.completions.create({ model, prompt: "Once" });
  assert.equal(choices[0].text, " upon");
  await client.completions.create({ model, prompt: ["Once"] });
  await client.completions.create({ model, prompt: [2, 5, 9] });
  await client.completions.create({ model, prompt: [[2, 5, 9]] });
  const [first, second, third, fourth] = requestsOf(worker);
  assert.deepEqual([first.prompt, second.prompt], ["Once", "Once"]);
  assert.deepEqual([third.prompt_ids, fourth.prompt_ids], [[2, 5, 9], [2, 5, 9]]);
});

test("the official client's helper runs tools", async () => {
  const { client } = await clientOf(CALLING);
  const runner = client.chat.completions.runTools({
    model,
    messages: [{ role: "user", content: "Paris?" }],
    tools: [
      {
        type: "function",
        function: {
          name: "weather",
          description: "The weather of a city",
          parameters: WEATHER,
          parse: JSON.parse,
          function: ({ city }) => `sunny in ${city}`,
        },
      },
    ],
    stream: true,
  });
  assert.equal(await runner.finalContent(), " It is sunny in Paris there.");
});

test("the official client's helper parses an answer of a schema", async () => {
  const { client, worker } = await clientOf({ text: '{"city": "Paris"}' });
  const response_format = zodResponseFormat(z.object({ city: z.string() }), "place");
  const { choices } = await client.chat.completions.parse({ model, messages, response_format });
  assert.deepEqual(choices[0].message.parsed, { city: "Paris" });
  assert.equal(requestsOf(worker)[0].response_format.json_schema.name, "place");
});

test("the models are listed", async () => {
  const { client } = await clientOf({});
  const listed = await all(client.models.list());
  assert.deepEqual(listed.map(({ id, owned_by }) => [id, owned_by]), [["fake", "leadout"]]);
  assert.equal((await client.models.retrieve("fake")).id, "fake");
  const missing = await failureOf(client.models.retrieve("gpt-5"));
  assert.deepEqual([missing.status, missing.code], [404, "model_not_found"]);
});

test("failures are OpenAI's, with their statuses", async () => {
  const { client, fetch } = await clientOf({});
  const bad = await failureOf(client.chat.completions.create({ model, messages, reasoning_effort: "low" }));
  assert.ok(bad instanceof OpenAI.BadRequestError);
  assert.equal(bad.param, "reasoning_effort");
  assert.equal(bad.type, "invalid_request_error");
  const none = await failureOf(client.embeddings.create({ model, input: "Hello" }));
  assert.ok(none instanceof OpenAI.NotFoundError);
  const image = [{ role: "user", content: [{ type: "image_url", image_url: { url: "data:," } }] }];
  assert.equal((await failureOf(client.chat.completions.create({ model, messages: image }))).status, 400);
  const ask = async (path, init) => {
    const response = await fetch(`http://leadout/v1/${path}`, init);
    return [response.status, (await response.json()).error.code];
  };
  assert.deepEqual(await ask("chat/completions", { method: "POST", body: "{" }), [400, "invalid_json"]);
  assert.deepEqual(await ask("chat/completions", { method: "POST", body: "[]" }), [400, "invalid_json"]);
  assert.deepEqual(await ask("chat/completions"), [405, "method_not_allowed"]);
  assert.deepEqual(await ask("models", { method: "POST", body: "{}" }), [405, "method_not_allowed"]);
  assert.deepEqual(await ask("constructor"), [404, "unknown_url"]);
  const odd = JSON.stringify({ messages, constructor: 1 });
  assert.deepEqual(await ask("chat/completions", { method: "POST", body: odd }), [400, "invalid_request"]);
});

test("an engine's failures have a status before the stream has begun", async () => {
  for (const [name, status, code] of [
    ["ContextLengthError", 400, "context_length_exceeded"],
    ["RequestError", 400, "invalid_request"],
    ["DeviceError", 500, "DeviceError"],
  ]) {
    const { client } = await clientOf({ generateError: { name, message: "No." } });
    for (const stream of [false, true]) {
      const error = await failureOf(client.chat.completions.create({ model, messages, stream }));
      assert.deepEqual([error.status, error.code], [status, code]);
    }
  }
});

test("a failure in the middle of a stream is told in it", async () => {
  const { client } = await clientOf({ text: " word".repeat(9), loseDeviceAfterTokens: 3 });
  let text = "";
  const error = await failureOf(
    (async () => {
      for await (const { choices } of await client.chat.completions.create({ model, messages, stream: true })) {
        text += choices[0].delta.content ?? "";
      }
    })(),
  );
  assert.ok(error instanceof OpenAI.APIError, error);
  assert.equal(error.code, "device_lost");
  assert.match(text, /^( word){0,3}$/);
});

test("a client that hangs up ends the generation", async () => {
  const { client, worker } = await clientOf({ text: " word".repeat(200), tokensPerSecond: 200 });
  const stream = await client.chat.completions.create({ model, messages, stream: true });
  for await (const _ of stream) break;
  while (worker.messages.at(-1).type !== "abort") await new Promise((resolve) => setTimeout(resolve, 5));
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 20);
  const whole = client.chat.completions.create({ model, messages }, { signal: controller.signal });
  assert.ok((await failureOf(whole)) instanceof OpenAI.APIUserAbortError);
  assert.equal(worker.messages.filter(({ type }) => type === "abort").length, 2);
});

await runAll();
