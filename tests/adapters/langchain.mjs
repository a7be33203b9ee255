// leadout/langchain under the real @langchain/core, over the fake engine.

import assert from "node:assert/strict";

import { ChatPromptTemplate } from "../../web/node_modules/@langchain/core/dist/prompts/index.js";
import { StringOutputParser } from "../../web/node_modules/@langchain/core/dist/output_parsers/index.js";
import { tool } from "../../web/node_modules/@langchain/core/dist/tools/index.js";
import {
  AIMessageChunk,
  HumanMessage,
  SystemMessage,
} from "../../web/node_modules/@langchain/core/dist/messages/index.js";
import { z } from "../../web/node_modules/zod/index.js";
import { ChatLeadout } from "../../web/adapters/langchain.js";
import { createFakeEngine, FakeWorker } from "../../web/testing.js";
import { CALLING, WEATHER, all, failureOf, requestsOf, runAll, test } from "./cases.mjs";

/** A chat model over a fake engine, and the worker behind it. */
async function modelOf(options, fields) {
  const worker = new FakeWorker(options);
  const engine = await createFakeEngine(options, { worker });
  return { model: new ChatLeadout({ engine, ...fields }), worker, engine };
}

const weather = tool(async ({ city }) => `sunny in ${city}`, {
  name: "weather",
  description: "The weather of a city",
  schema: z.object({ city: z.string() }),
});

test("invoke has the text, the reasoning, the usage and how it ended", async () => {
  const { model, worker } = await modelOf(
    { text: " Paris.", reasoning: "They ask for France." },
    { temperature: 0.5, top_k: 40, enable_thinking: true },
  );
  const answer = await model.invoke([new SystemMessage("Be brief."), new HumanMessage("Its capital?")], {
    stop: ["\n"],
    seed: 7,
  });
  assert.equal(answer.content, " Paris.");
  assert.equal(answer.additional_kwargs.reasoning_content, "They ask for France.");
  assert.deepEqual(answer.usage_metadata, {
    input_tokens: 4,
    output_tokens: 5,
    total_tokens: 9,
    input_token_details: { cache_read: 0 },
    output_token_details: { reasoning: 4 },
  });
  assert.equal(answer.response_metadata.finish_reason, "stop");
  assert.equal(answer.response_metadata.leadout.device, "Fake adapter");
  assert.deepEqual(requestsOf(worker), [
    {
      max_tokens: 4096,
      temperature: 0.5,
      top_k: 40,
      enable_thinking: true,
      seed: 7,
      stop: ["\n"],
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: "Its capital?" },
      ],
    },
  ]);
});

test("stream gives the text piece by piece, and the usage once", async () => {
  const { model } = await modelOf({ text: " one two three", reasoning: "Hm." }, { enable_thinking: true });
  const chunks = await all(await model.stream("Count"));
  assert.deepEqual(
    chunks.map(({ content }) => content).filter(Boolean),
    [" one", " two", " three"],
  );
  const whole = chunks.reduce((sum, chunk) => sum.concat(chunk));
  assert.ok(whole instanceof AIMessageChunk);
  assert.equal(whole.content, " one two three");
  assert.equal(whole.additional_kwargs.reasoning_content, "Hm.");
  assert.equal(whole.usage_metadata.output_tokens, 4);
  assert.equal(whole.response_metadata.finish_reason, "stop");
});

test("it is a link of a chain", async () => {
  const { model } = await modelOf({ text: ({ messages }) => ` ${messages.at(-1).content}!` });
  const chain = ChatPromptTemplate.fromTemplate("Hail {who}").pipe(model).pipe(new StringOutputParser());
  assert.equal(await chain.invoke({ who: "Caesar" }), " Hail Caesar!");
  const pieces = await all(await chain.stream({ who: "Caesar" }));
  assert.ok(pieces.length > 1);
  assert.equal(pieces.join(""), " Hail Caesar!");
  const answers = await chain.batch([{ who: "one" }, { who: "two" }]);
  assert.deepEqual(answers, [" Hail one!", " Hail two!"]);
});

/** Have a tool called, whole or streamed, and give its result back. */
async function checkRoundTrip(ask) {
  const { model, worker } = await modelOf(CALLING);
  const bound = model.bindTools([weather], { tool_choice: "any" });
  const said = [new HumanMessage("Paris?")];
  const answer = await ask(bound, said);
  assert.deepEqual(answer.tool_calls, [{ name: "weather", args: { city: "Paris" }, id: "call_0", type: "tool_call" }]);
  const result = await weather.invoke(answer.tool_calls[0]);
  const last = await ask(bound, [...said, answer, result]);
  assert.equal(last.content, " It is sunny in Paris there.");
  const [first, second] = requestsOf(worker);
  assert.equal(first.tools[0].function.parameters.properties.city.type, "string");
  assert.equal(first.tool_choice, "required");
  assert.deepEqual(second.messages.slice(1), [
    {
      role: "assistant",
      content: "",
      tool_calls: [{ id: "call_0", type: "function", function: { name: "weather", arguments: '{"city":"Paris"}' } }],
    },
    { role: "tool", content: "sunny in Paris", tool_call_id: "call_0", name: "weather" },
  ]);
}

test("a tool is called, and its result goes back", () => checkRoundTrip((model, said) => model.invoke(said)));

test("a tool is called by a stream, and its result goes back", () =>
  checkRoundTrip(async (model, said) => (await all(await model.stream(said))).reduce((sum, one) => sum.concat(one))));

const City = z.object({ city: z.string(), people: z.number() });

test("structured output keeps to a schema, and is parsed", async () => {
  const { model, worker } = await modelOf({ text: '{"city": "Paris", "people": 2102650}' });
  const found = await model.withStructuredOutput(City).invoke("A city?");
  assert.deepEqual(found, { city: "Paris", people: 2102650 });
  const [{ response_format }] = requestsOf(worker);
  assert.equal(response_format.type, "json_schema");
  assert.deepEqual(response_format.json_schema.schema.required, ["city", "people"]);
  const { raw, parsed } = await model.withStructuredOutput(WEATHER, { includeRaw: true, name: "city" }).invoke("A city?");
  assert.equal(parsed.city, "Paris");
  assert.equal(raw.usage_metadata.output_tokens, 4);
});

test("structured output may be a call of a function", async () => {
  const { model, worker } = await modelOf({ text: "", calls: [{ name: "response", arguments: '{"city": "Rome"}' }] });
  const found = await model.withStructuredOutput(WEATHER, { method: "functionCalling" }).invoke("A city?");
  assert.deepEqual(found, { city: "Rome" });
  assert.deepEqual(requestsOf(worker)[0].tool_choice, { type: "function", function: { name: "response" } });
  assert.throws(() => model.withStructuredOutput(WEATHER, { method: "magic" }), { name: "RequestError" });
});

test("an abort in the middle ends the generation", async () => {
  const { model, worker } = await modelOf({ text: " word".repeat(200), tokensPerSecond: 200 });
  const controller = new AbortController();
  let text = "";
  const error = await failureOf(
    (async () => {
      for await (const { content } of await model.stream("Go", { signal: controller.signal })) {
        text += content;
        controller.abort();
      }
    })(),
  );
  assert.ok(text.length < 100);
  assert.match(`${error.name} ${error.message}`, /[Aa]bort/);
  assert.equal(worker.messages.at(-1).type, "abort");
});

test("leaving the stream ends the generation", async () => {
  const { model, worker } = await modelOf({ text: " word".repeat(200), tokensPerSecond: 200 });
  for await (const _ of await model.stream("Go")) break;
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(worker.messages.at(-1).type, "abort");
});

test("images, other providers' parameters and failures are refused by name", async () => {
  const { model } = await modelOf({});
  const content = [{ type: "image_url", image_url: { url: "data:image/png;base64,iVBORw0KGgo=" } }];
  const image = await failureOf(model.invoke([new HumanMessage({ content })]));
  assert.equal(image.name, "RequestError");
  assert.match(image.message, /image_url/);
  const unknown = await failureOf(model.invoke("Hello", { reasoning_effort: "low" }));
  assert.equal(unknown.name, "RequestError");
  assert.match(unknown.message, /enable_thinking/);
  const failing = await modelOf({ generateError: { name: "ContextLengthError", message: "It does not fit." } });
  assert.equal((await failureOf(failing.model.invoke("Hello"))).name, "ContextLengthError");
  assert.throws(() => new ChatLeadout({}), { name: "RequestError" });
});

test("a model is loaded with the first request", async () => {
  const workers = [];
  const worker = () => {
    workers.push(new FakeWorker({ loadMs: 10 }));
    return workers.at(-1);
  };
  const model = new ChatLeadout({ model: { name: "fake", files: [] }, load: { worker } });
  assert.equal(model.engine, null);
  const told = [];
  await model.load((progress) => told.push(progress));
  assert.equal(told.at(-1), 1);
  assert.equal((await model.invoke("Hello")).content, " Hello.");
  assert.equal(workers.length, 1);
  model.dispose();
  assert.equal(model.engine, null);
});

await runAll();
