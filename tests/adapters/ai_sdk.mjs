// leadout/ai-sdk under the real AI SDK, over the fake engine.

import assert from "node:assert/strict";

import {
  AbstractChat,
  DirectChatTransport,
  NoSuchModelError,
  Output,
  ToolLoopAgent,
  UnsupportedFunctionalityError,
  createProviderRegistry,
  generateText,
  isStepCount,
  jsonSchema,
  lastAssistantMessageIsCompleteWithToolCalls,
  streamText,
  tool,
} from "../../web/node_modules/ai/dist/index.js";
import { z } from "../../web/node_modules/zod/index.js";
import { createLeadout, leadout, LeadoutChatTransport } from "../../web/adapters/ai_sdk.js";
import { createFakeEngine, FakeWorker } from "../../web/testing.js";
import { CALLING, WEATHER, all, failureOf, requestsOf, runAll, test } from "./cases.mjs";

globalThis.AI_SDK_LOG_WARNINGS = false;
// As a page has them.
globalThis.location = new URL("https://page.example/");
globalThis.document = Object.assign(new EventTarget(), { baseURI: location.href });

/** A model over a fake engine, and the worker behind it. */
async function modelOf(options, params) {
  const worker = new FakeWorker(options);
  const engine = await createFakeEngine(options, { worker, ...params });
  return { model: leadout(engine), worker, engine };
}

const weather = tool({
  description: "The weather of a city",
  inputSchema: jsonSchema(WEATHER),
  execute: async ({ city }) => `sunny in ${city}`,
});

test("generateText has the text, the reasoning, the usage and the figures", async () => {
  const { model, worker } = await modelOf({ text: " Paris.", reasoning: "They ask for France." });
  const result = await generateText({
    model,
    instructions: "Be brief.",
    prompt: "What is its capital?",
    reasoning: "low",
    maxOutputTokens: 20,
    temperature: 0.5,
    topK: 40,
    topP: 0.9,
    seed: 7,
    presencePenalty: 0.1,
    frequencyPenalty: 0.2,
    stopSequences: ["\n"],
    providerOptions: { leadout: { min_p: 0.05 } },
  });
  assert.equal(result.text, " Paris.");
  assert.equal(result.reasoningText, "They ask for France.");
  assert.equal(result.finishReason, "stop");
  assert.equal(result.usage.inputTokens, 6);
  assert.equal(result.usage.outputTokens, 5);
  assert.equal(result.usage.outputTokenDetails.reasoningTokens, 4);
  assert.equal(result.usage.inputTokenDetails.cacheReadTokens, 0);
  assert.equal(result.providerMetadata.leadout.device, "Fake adapter");
  assert.equal(result.warnings[0].type, "compatibility");
  const [request] = requestsOf(worker);
  assert.deepEqual(request, {
    max_tokens: 20,
    temperature: 0.5,
    top_k: 40,
    top_p: 0.9,
    min_p: 0.05,
    presence_penalty: 0.1,
    frequency_penalty: 0.2,
    seed: 7,
    enable_thinking: true,
    stop: ["\n"],
    messages: [
      { role: "system", content: "Be brief." },
      { role: "user", content: "What is its capital?" },
    ],
  });
});

test("without a limit an answer may fill the context", async () => {
  const { model, worker } = await modelOf({});
  await generateText({ model, prompt: "Hello" });
  assert.equal(requestsOf(worker)[0].max_tokens, 4096);
});

test("streamText streams reasoning, then text, then how it ended", async () => {
  const { model } = await modelOf({ text: " one two", reasoning: "Hm." });
  const result = streamText({ model, prompt: "Count", reasoning: "high" });
  const parts = await all(result.fullStream);
  const types = parts.map(({ type }) => type);
  assert.deepEqual(types, [
    "start",
    "start-step",
    "reasoning-start",
    "reasoning-delta",
    "reasoning-end",
    "text-start",
    "text-delta",
    "text-delta",
    "text-end",
    "finish-step",
    "finish",
  ]);
  assert.equal(await result.text, " one two");
  assert.equal((await result.usage).outputTokens, 3);
  assert.equal(await result.finishReason, "stop");
});

test("an answer that is cut says so", async () => {
  const { model } = await modelOf({ text: " one two three" });
  const result = streamText({ model, prompt: "Count", maxOutputTokens: 2 });
  assert.equal(await result.text, " one two");
  assert.equal(await result.finishReason, "length");
});

/** Have a tool called by generateText or streamText, and see all that was asked and answered. */
async function checkRoundTrip(call) {
  const { model, worker } = await modelOf(CALLING);
  const result = await call({ model, prompt: "Paris?", tools: { weather }, stopWhen: isStepCount(3) });
  assert.equal(await result.text, " It is sunny in Paris there.");
  const steps = await result.steps;
  assert.deepEqual(
    steps.map(({ finishReason }) => finishReason),
    ["tool-calls", "stop"],
  );
  assert.deepEqual(steps[0].toolCalls[0].input, { city: "Paris" });
  const [first, second] = requestsOf(worker);
  assert.deepEqual(first.tools[0].function.parameters, WEATHER);
  assert.deepEqual(second.messages.slice(1), [
    {
      role: "assistant",
      content: "",
      tool_calls: [{ id: "call_0", type: "function", function: { name: "weather", arguments: '{"city":"Paris"}' } }],
    },
    { role: "tool", tool_call_id: "call_0", name: "weather", content: "sunny in Paris" },
  ]);
}

test("generateText calls a tool and goes on with its result", () => checkRoundTrip(generateText));

test("streamText calls a tool and goes on with its result", () => checkRoundTrip(streamText));

test("a choice among tools is passed on", async () => {
  const { model, worker } = await modelOf(CALLING);
  const tools = { weather };
  await generateText({ model, prompt: "Paris?", tools, toolChoice: { type: "tool", toolName: "weather" } });
  await generateText({ model, prompt: "Paris?", tools, toolChoice: "required" });
  const choices = requestsOf(worker).map(({ tool_choice }) => tool_choice);
  assert.deepEqual(choices, [{ type: "function", function: { name: "weather" } }, "required"]);
});

test("an output's schema is what the answer keeps to", async () => {
  const { model, worker } = await modelOf({ text: '{"city": "Paris", "people": 2102650}' });
  const schema = z.object({ city: z.string(), people: z.number() });
  const { output } = await generateText({ model, prompt: "A city?", output: Output.object({ schema }) });
  assert.deepEqual(output, { city: "Paris", people: 2102650 });
  const [{ response_format }] = requestsOf(worker);
  assert.equal(response_format.type, "json_schema");
  assert.deepEqual(response_format.json_schema.schema.required, ["city", "people"]);
  const streamed = streamText({ model, prompt: "A city?", output: Output.object({ schema }) });
  assert.deepEqual(await streamed.output, output);
});

test("an abort in the middle ends the generation", async () => {
  const { model, worker } = await modelOf({ text: " word".repeat(200), tokensPerSecond: 200 });
  const controller = new AbortController();
  const result = streamText({ model, prompt: "Go", abortSignal: controller.signal });
  const types = [];
  let text = "";
  for await (const part of result.fullStream) {
    types.push(part.type);
    if (part.type === "text-delta") {
      text += part.text;
      controller.abort();
    }
  }
  assert.equal(types.at(-1), "abort");
  assert.ok(text.length < 100, text);
  assert.equal(worker.messages.at(-1).type, "abort");
  const whole = generateText({ model, prompt: "Go", abortSignal: AbortSignal.abort() });
  assert.equal((await failureOf(whole)).name, "AbortError");
});

test("leaving the stream ends the generation", async () => {
  const { model, worker } = await modelOf({ text: " word".repeat(200), tokensPerSecond: 200 });
  const prompt = [{ role: "user", content: [{ type: "text", text: "Go" }] }];
  const { stream } = await model.doStream({ prompt });
  const reader = stream.getReader();
  await reader.read();
  await reader.cancel();
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(worker.messages.at(-1).type, "abort");
});

test("an image and a PDF are refused by name, and nothing is asked", async () => {
  const { model, worker } = await modelOf({});
  const files = [
    [{ data: new Uint8Array([137, 80, 78, 71]), mediaType: "image/png" }, "an image (image/png)"],
    [
      { data: new TextEncoder().encode("%PDF-1.7"), mediaType: "application/pdf", filename: "rent.pdf" },
      "a file (rent.pdf, application/pdf)",
    ],
  ];
  for (const [file, name] of files) {
    const content = [{ type: "text", text: "What is this?" }, { type: "file", ...file }];
    const error = await failureOf(generateText({ model, messages: [{ role: "user", content }] }));
    assert.equal(error.name, "RequestError");
    assert.ok(error.message.includes(`The prompt has ${name}.`), error.message);
    assert.ok(UnsupportedFunctionalityError.isInstance(error));
  }
  assert.equal(requestsOf(worker).length, 0);
});

test("what an engine fails with arrives by its name", async () => {
  const generateError = { name: "ContextLengthError", message: "It does not fit." };
  const { model } = await modelOf({ generateError });
  const whole = await failureOf(generateText({ model, prompt: "Hello", maxRetries: 0 }));
  assert.equal(whole.name, "ContextLengthError");
  const errors = [];
  const result = streamText({ model, prompt: "Hello", onError: ({ error }) => errors.push(error.name) });
  const parts = await all(result.fullStream);
  assert.ok(parts.some(({ type }) => type === "error"));
  assert.deepEqual(errors, ["ContextLengthError"]);
});

test("a model is loaded with the first request, once, and says how far that is", async () => {
  const workers = [];
  const worker = () => {
    workers.push(new FakeWorker({ loadMs: 40 }));
    return workers.at(-1);
  };
  const model = leadout({ name: "fake", files: [] }, { worker });
  assert.equal(await model.availability(), "available"); // it has nothing to fetch
  const told = [];
  const session = model.createSessionWithProgress((progress) => told.push(progress));
  assert.equal(await model.availability(), "downloading");
  const answers = [generateText({ model, prompt: "a" }), generateText({ model, prompt: "b" })];
  assert.equal(await session, model);
  assert.deepEqual((await Promise.all(answers)).map(({ text }) => text), [" Hello.", " Hello."]);
  assert.equal(workers.length, 1);
  assert.equal(told[0], 0);
  assert.equal(told.at(-1), 1);
  assert.deepEqual(told, [...told].sort((a, b) => a - b));
  const { engine } = model;
  model.dispose();
  assert.ok(engine.failure);
  assert.equal((await generateText({ model, prompt: "c" })).text, " Hello.");
  assert.equal(workers.length, 2);
});

test("the same name is the same model, in registries too, and other kinds of models are none", async () => {
  assert.equal(leadout("gemma-4-e2b"), leadout("gemma-4-e2b"));
  assert.notEqual(leadout("gemma-4-e2b"), leadout("gemma-4-e2b", { drafter: "none" }));
  const own = createLeadout({ drafter: "ngram" });
  assert.notEqual(own("gemma-4-e2b"), leadout("gemma-4-e2b"));
  const registry = createProviderRegistry({ leadout: own });
  assert.equal(registry.languageModel("leadout:gemma-4-e2b"), own("gemma-4-e2b"));
  assert.equal(own("gemma-4-e2b").modelId, "gemma-4-e2b");
  assert.throws(
    () => registry.embeddingModel("leadout:gemma-4-e2b"),
    (error) => error.name === "RequestError" && NoSuchModelError.isInstance(error),
  );
});

test("a load that everybody has left ends", async () => {
  const worker = new FakeWorker({ loadMs: 10_000 });
  const model = leadout({ name: "fake", files: [] }, { worker });
  const controller = new AbortController();
  const loading = model.createSessionWithProgress(() => {}, { signal: controller.signal });
  setTimeout(() => controller.abort(), 20);
  assert.equal((await failureOf(loading)).name, "AbortError");
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.notEqual(await model.availability(), "downloading");
});

test("a name that nobody knows is unavailable, and refused by name", async () => {
  const model = leadout(new URL("http://127.0.0.1:9/none.bin"), { worker: () => new FakeWorker() });
  assert.equal(await model.availability(), "unavailable");
  const error = await failureOf(generateText({ model, prompt: "Hello", maxRetries: 0 }));
  assert.equal(error.name, "SourceError");
});

class State {
  status = "ready";
  error = undefined;
  messages = [];
  pushMessage = (message) => {
    this.messages = [...this.messages, message];
  };
  popMessage = () => {
    this.messages = this.messages.slice(0, -1);
  };
  replaceMessage = (index, message) => {
    this.messages = this.messages.map((old, at) => (at === index ? message : old));
  };
  snapshot = (value) => structuredClone(value);
}

/** What useChat has inside. */
class Chat extends AbstractChat {
  constructor(options) {
    super({ ...options, state: new State() });
  }
}

const textOf = ({ parts }) => parts.map((part) => (part.type === "text" ? part.text : "")).join("");

test("useChat's Chat streams an answer, with the load before it", async () => {
  const model = leadout({ name: "fake", files: [] }, { worker: () => new FakeWorker({ text: " Hi.", reasoning: "Hm." }) });
  const data = [];
  const transport = new LeadoutChatTransport(model, {
    system: "Be kind.",
    settings: { reasoning: "low" },
    messageMetadata: ({ usage }) => ({ tokens: usage.outputTokens.total }),
  });
  const chat = new Chat({ transport, onData: (part) => data.push(part) });
  await chat.sendMessage({ text: "Hello" });
  assert.equal(chat.status, "ready");
  const [, answer] = chat.messages;
  assert.equal(textOf(answer), " Hi.");
  assert.deepEqual(answer.metadata, { tokens: 2 });
  assert.equal(answer.parts.find(({ type }) => type === "reasoning").text, "Hm.");
  assert.equal(data.at(-1).type, "data-modelDownloadProgress");
  assert.equal(data.at(-1).data.status, "complete");
  assert.equal(answer.parts.some(({ type }) => type.startsWith("data-")), false);
  await chat.sendMessage({ text: "Again" });
  assert.equal(chat.messages.length, 4);
  await chat.regenerate();
  assert.equal(chat.messages.length, 4);
});

test("useChat's Chat has tools called, and their results in the next prompt", async () => {
  const { model, worker } = await modelOf(CALLING);
  const tools = { weather: { ...weather, inputSchema: z.object({ city: z.string() }) } };
  const chat = new Chat({ transport: new LeadoutChatTransport(model, { tools }) });
  await chat.sendMessage({ text: "Paris?" });
  const answer = chat.messages[1];
  assert.equal(textOf(answer), " It is sunny in Paris there.");
  const part = answer.parts.find(({ type }) => type === "tool-weather");
  assert.deepEqual([part.state, part.input, part.output], ["output-available", { city: "Paris" }, "sunny in Paris"]);
  assert.equal(requestsOf(worker)[0].tools[0].function.parameters.properties.city.type, "string");
  await chat.sendMessage({ text: "Thanks" });
  const roles = requestsOf(worker).at(-1).messages.map(({ role }) => role);
  assert.deepEqual(roles.slice(0, 5), ["user", "assistant", "tool", "assistant", "user"]);
});

test("a tool that the page answers is answered by the page", async () => {
  const { model } = await modelOf(CALLING);
  const transport = new LeadoutChatTransport(model, { tools: { weather: { inputSchema: WEATHER } } });
  const chat = new Chat({
    transport,
    onToolCall: ({ toolCall: { toolCallId } }) =>
      void chat.addToolOutput({ tool: "weather", toolCallId, output: "foggy" }),
    sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithToolCalls,
  });
  const done = new Promise((resolve) => {
    const timer = setInterval(() => {
      if (chat.status === "ready" && textOf(chat.messages.at(-1))) resolve(clearInterval(timer));
    }, 5);
  });
  await chat.sendMessage({ text: "Paris?" });
  await done;
  assert.equal(textOf(chat.messages.at(-1)), " It is foggy there.");
  assert.equal(chat.messages.length, 2);
});

test("a tool that fails says so to the model", async () => {
  const { model } = await modelOf(CALLING);
  const execute = () => {
    throw new Error("no connection");
  };
  const chat = new Chat({
    transport: new LeadoutChatTransport(model, { tools: { weather: { inputSchema: WEATHER, execute } } }),
  });
  await chat.sendMessage({ text: "Paris?" });
  assert.equal(textOf(chat.messages[1]), " It is no connection there.");
  assert.equal(chat.messages[1].parts.find(({ type }) => type === "tool-weather").state, "output-error");
});

test("useChat's stop ends the generation, and what was written stays", async () => {
  const { model, worker } = await modelOf({ text: " word".repeat(200), tokensPerSecond: 200 });
  const chat = new Chat({ transport: new LeadoutChatTransport(model) });
  const sent = chat.sendMessage({ text: "Go" });
  while (!chat.messages[1] || !textOf(chat.messages[1])) await new Promise((resolve) => setTimeout(resolve, 5));
  await chat.stop();
  await sent;
  assert.equal(chat.status, "ready");
  assert.match(textOf(chat.messages[1]), /^( word)+$/);
  assert.equal(worker.messages.at(-1).type, "abort");
});

test("a message behind an answer that was stopped before its first word is asked with the one before", async () => {
  const { model, worker } = await modelOf({ text: " word", tokensPerSecond: 10 });
  const chat = new Chat({ transport: new LeadoutChatTransport(model) });
  const sent = chat.sendMessage({ text: "one" });
  while (requestsOf(worker).length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  await chat.stop();
  await sent;
  await chat.sendMessage({ text: "two" });
  assert.deepEqual(requestsOf(worker).at(-1).messages, [{ role: "user", content: "one\n\ntwo" }]);
});

test("useChat is told of failures and of images by name", async () => {
  const { model } = await modelOf({ generateError: { name: "DeviceError", message: "The device failed." } });
  const errors = [];
  const transport = new LeadoutChatTransport(model);
  const chat = new Chat({ transport, onError: (error) => errors.push(error.message) });
  await chat.sendMessage({ text: "Hello" });
  const files = [{ type: "file", mediaType: "image/png", url: "data:image/png;base64,iVBORw0KGgo=" }];
  const other = new Chat({ transport, onError: (error) => errors.push(error.message) });
  await other.sendMessage({ text: "What is this?", files });
  assert.equal(errors[0], "The device failed.");
  assert.match(errors[1], /an image \(image\/png\)/);
  assert.equal(other.status, "error");
});

test("the SDK's own agents and their transport take the model, too", async () => {
  const { model } = await modelOf(CALLING);
  const agent = new ToolLoopAgent({ model, tools: { weather } });
  const chat = new Chat({ transport: new DirectChatTransport({ agent }) });
  await chat.sendMessage({ text: "Paris?" });
  assert.equal(textOf(chat.messages[1]), " It is sunny in Paris there.");
});

await runAll();
