// leadout/prompt-api over the fake engine: what a page would do with the browser's LanguageModel.

import assert from "node:assert/strict";

import { languageModel } from "../../web/adapters/prompt_api.js";
import { createFakeEngine, FakeWorker } from "../../web/testing.js";
import { CALLING, WEATHER, all, failureOf, requestsOf, runAll, test } from "./cases.mjs";

/** A LanguageModel over a fake engine, and the worker behind it. */
async function classOf(options, settings) {
  const worker = new FakeWorker(options);
  const engine = await createFakeEngine(options, { worker });
  return { LanguageModel: languageModel(engine, settings), worker, engine };
}

const ECHO = { text: ({ messages }) => ` ${messages.at(-1).content}!` };
const SYSTEM = { role: "system", content: "Be brief." };

test("a session remembers what was said, and prompts wait for one another", async () => {
  const { LanguageModel, worker } = await classOf(ECHO);
  const session = await LanguageModel.create({
    initialPrompts: [SYSTEM, { role: "user", content: "Hi" }, { role: "assistant", content: "Hello." }],
  });
  assert.ok(session instanceof LanguageModel);
  const answers = await Promise.all([session.prompt("one"), session.prompt([{ role: "user", content: "two" }])]);
  assert.deepEqual(answers, [" one!", " two!"]);
  const [first, second] = requestsOf(worker);
  assert.deepEqual(
    second.messages.map(({ role, content }) => `${role}: ${content}`),
    ["system: Be brief.", "user: Hi", "assistant: Hello.", "user: one", "assistant:  one!", "user: two"],
  );
  assert.deepEqual([first.temperature, first.top_k, first.top_p], [1, 64, 0.95]);
  assert.notEqual(first.seed, second.seed);
});

test("a prompt streams its pieces", async () => {
  const { LanguageModel } = await classOf({ text: " one two three" });
  const session = await LanguageModel.create();
  assert.deepEqual(await all(session.promptStreaming("Count")), [" one", " two", " three"]);
});

test("parts of text are one text, and what is appended is answered later", async () => {
  const { LanguageModel, worker } = await classOf(ECHO);
  const session = await LanguageModel.create();
  const parts = ["foo", "bar"].map((value) => ({ type: "text", value }));
  assert.equal(await session.append([{ role: "user", content: parts }]), undefined);
  assert.equal(requestsOf(worker).length, 0);
  assert.ok(session.contextUsage > 0);
  await session.prompt("And?");
  // Chat templates want turns: what is said in two messages is one of them.
  assert.deepEqual(requestsOf(worker)[0].messages, [{ role: "user", content: "foobar\n\nAnd?" }]);
  assert.equal(session.contextUsage, 4);
  assert.equal(session.contextWindow, 4096);
  assert.ok((await session.measureContextUsage("one two three")) >= 3);
});

test("a clone goes on by itself", async () => {
  const { LanguageModel, worker } = await classOf(ECHO);
  const session = await LanguageModel.create({ initialPrompts: [SYSTEM], samplingMode: "most-predictable" });
  await session.prompt("one");
  const clone = await session.clone();
  assert.ok(clone instanceof LanguageModel);
  assert.equal(clone.contextUsage, session.contextUsage);
  assert.equal(clone.samplingMode, "most-predictable");
  await clone.prompt("two");
  await session.prompt("three");
  const said = requestsOf(worker).map(({ messages }) => messages.map(({ content }) => content));
  assert.deepEqual(said[1], ["Be brief.", "one", " one!", "two"]);
  assert.deepEqual(said[2], ["Be brief.", "one", " one!", "three"]);
  session.destroy();
  assert.equal(await clone.prompt("four"), " four!");
});

test("an answer keeps to a schema, which the model is told unless it shall not be", async () => {
  const { LanguageModel, worker } = await classOf({ text: '{"city": "Paris"}' });
  const session = await LanguageModel.create();
  const text = await session.prompt("A city?", { responseConstraint: WEATHER });
  assert.deepEqual(JSON.parse(text), { city: "Paris" });
  await session.prompt("A city?", { responseConstraint: WEATHER, omitResponseConstraintInput: true });
  const [told, untold] = requestsOf(worker);
  assert.deepEqual(told.response_format.json_schema.schema, WEATHER);
  assert.match(told.messages.at(-1).content, /^A city\?\n\nAnswer with JSON.*"city"/);
  assert.equal(untold.messages.at(-1).content, "A city?");
  assert.deepEqual(untold.response_format, told.response_format);
  const error = await failureOf(session.prompt("A city?", { omitResponseConstraintInput: true }));
  assert.ok(error instanceof TypeError);
});

test("an answer matches a regular expression as a whole", async () => {
  const { LanguageModel, worker } = await classOf({ text: "yes" });
  const session = await LanguageModel.create();
  for (const responseConstraint of [/^(yes|no)$/, /yes|no/u, /\$/]) await session.prompt("?", { responseConstraint });
  assert.deepEqual(requestsOf(worker).map(({ regex }) => regex), ["(yes|no)", "yes|no", "\\$"]);
  const error = await failureOf(session.prompt("?", { responseConstraint: /yes/i }));
  assert.equal(error.name, "NotSupportedError");
  assert.equal(error.cause.name, "RequestError");
});

test("tools are called, and the answer comes behind their results", async () => {
  const { LanguageModel, worker } = await classOf(CALLING);
  const execute = async ({ city }) => `sunny in ${city}`;
  const tools = [{ name: "weather", description: "The weather of a city", inputSchema: WEATHER, execute }];
  const session = await LanguageModel.create({ tools });
  assert.equal(await session.prompt("Paris?"), " It is sunny in Paris there.");
  assert.deepEqual(requestsOf(worker)[0].tools[0].function.parameters, WEATHER);
  await session.prompt("Thanks");
  const roles = requestsOf(worker).at(-1).messages.map(({ role }) => role);
  assert.deepEqual(roles.slice(0, 5), ["user", "assistant", "tool", "assistant", "user"]);
});

test("an abort ends a prompt, and the session goes on as if it had not been", async () => {
  const { LanguageModel, worker } = await classOf({ text: " word".repeat(100), tokensPerSecond: 400 });
  const session = await LanguageModel.create();
  const reason = new Error("enough");
  const controller = new AbortController();
  const stream = session.promptStreaming("Go", { signal: controller.signal });
  const error = await failureOf(
    (async () => {
      for await (const _ of stream) controller.abort(reason);
    })(),
  );
  assert.equal(error, reason);
  for await (const _ of session.promptStreaming("Go")) break;
  assert.equal((await failureOf(session.prompt("Go", { signal: AbortSignal.abort() }))).name, "AbortError");
  assert.equal((await session.prompt("Last")).length, 500);
  assert.deepEqual(requestsOf(worker).at(-1).messages, [{ role: "user", content: "Last" }]);
});

test("a session that is destroyed answers no more", async () => {
  const { LanguageModel } = await classOf({ text: " word".repeat(100), tokensPerSecond: 400 });
  const session = await LanguageModel.create();
  const open = session.prompt("Go");
  setTimeout(() => session.destroy(), 20);
  assert.equal((await failureOf(open)).name, "AbortError");
  for (const late of [session.prompt("Go"), session.append("Go"), session.clone(), session.measureContextUsage("Go")]) {
    assert.equal((await failureOf(late)).name, "AbortError");
  }
});

test("a context that overflows leaves out the oldest, and says so", async () => {
  const { LanguageModel, worker } = await classOf({ ...ECHO, droppedMessages: 2 });
  const session = await LanguageModel.create({ initialPrompts: [SYSTEM, { role: "user", content: "Hi" }] });
  await session.append([{ role: "assistant", content: "Hello." }]);
  const told = [];
  session.oncontextoverflow = ({ type }) => told.push(type);
  await session.prompt("one");
  assert.deepEqual(told, ["contextoverflow"]);
  assert.equal(requestsOf(worker)[0].context_overflow, "drop_oldest");
  session.oncontextoverflow = null;
  await session.prompt("two");
  assert.deepEqual(told, ["contextoverflow"]);
  const said = requestsOf(worker)[1].messages.map(({ content }) => content);
  assert.deepEqual(said, ["Be brief.", "one", " one!", "two"]);
});

test("what does not fit at all is a QuotaExceededError with both numbers", async () => {
  const detail = { prompt_tokens: 5000, context_length: 4096 };
  const generateError = { name: "ContextLengthError", message: "The prompt has 5000 tokens.", detail };
  const { LanguageModel } = await classOf({ generateError });
  const session = await LanguageModel.create();
  const error = await failureOf(session.prompt("Go"));
  assert.deepEqual([error.name, error.requested, error.quota], ["QuotaExceededError", 5000, 4096]);
  const long = " word".repeat(5000);
  assert.equal((await failureOf(session.append(long))).name, "QuotaExceededError");
  const initialPrompts = [{ role: "system", content: long }];
  assert.equal((await failureOf(LanguageModel.create({ initialPrompts }))).name, "QuotaExceededError");
});

test("what the draft refuses is refused by the draft's names", async () => {
  const { LanguageModel, worker } = await classOf(ECHO);
  const session = await LanguageModel.create({ initialPrompts: [SYSTEM] });
  const image = [{ role: "user", content: [{ type: "image", value: new Uint8Array(4) }] }];
  const refused = [
    [session.prompt(image), "NotSupportedError"],
    [session.prompt([SYSTEM]), "TypeError"],
    [session.prompt([{ role: "robot", content: "" }]), "TypeError"],
    [session.prompt([{ role: "user", content: [{ type: "text", value: 5 }] }]), "TypeError"],
    [session.prompt([{ role: "user", content: "", prefix: true }]), "SyntaxError"],
    [session.prompt([{ role: "assistant", content: "", prefix: true }]), "NotSupportedError"],
    [LanguageModel.create({ expectedInputs: [{ type: "image" }] }), "NotSupportedError"],
    [LanguageModel.create({ samplingMode: "wild" }), "TypeError"],
    [LanguageModel.create({ samplingMode: "balanced", topK: 3 }), "TypeError"],
    [LanguageModel.create({ topK: 0, temperature: 1 }), "RangeError"],
    [LanguageModel.create({ tools: [{ name: "x" }] }), "TypeError"],
    [LanguageModel.create({ signal: AbortSignal.abort() }), "AbortError"],
  ];
  for (const [promise, name] of refused) assert.equal((await failureOf(promise)).name, name);
  assert.throws(() => new LanguageModel(), TypeError);
  assert.equal(requestsOf(worker).length, 0);
});

test("create loads the model once and tells how far that is", async () => {
  const workers = [];
  const worker = () => {
    workers.push(new FakeWorker({ loadMs: 40 }));
    return workers.at(-1);
  };
  const LanguageModel = languageModel({ name: "fake", files: [] }, { load: { worker } });
  assert.equal(await LanguageModel.availability(), "available");
  assert.equal(await LanguageModel.availability({ expectedInputs: [{ type: "audio" }] }), "unavailable");
  const told = [];
  const monitor = (target) => target.addEventListener("downloadprogress", ({ loaded, total }) => told.push([loaded, total]));
  const sessions = [LanguageModel.create({ monitor }), LanguageModel.create()];
  assert.equal(await LanguageModel.availability(), "downloading");
  const [session] = await Promise.all(sessions);
  assert.equal(workers.length, 1);
  assert.deepEqual([told[0], told.at(-1)], [[0, 1], [1, 1]]);
  assert.equal(await session.prompt("Hello"), " Hello.");
  assert.deepEqual(await LanguageModel.params(), {
    defaultTopK: 64,
    maxTopK: 128,
    defaultTemperature: 1,
    maxTemperature: 2,
  });
  LanguageModel.unload();
  assert.ok((await failureOf(session.prompt("Hello"))).message.includes("disposed"));
});

test("a load that fails says why, by a DOMException", async () => {
  const loadError = { name: "OutOfMemoryError", message: "The device has no room." };
  const LanguageModel = languageModel(
    { name: "fake", files: [] },
    { load: { worker: () => new FakeWorker({ loadError }), heal: false } },
  );
  const error = await failureOf(LanguageModel.create());
  assert.ok(error instanceof DOMException);
  assert.deepEqual([error.name, error.cause.name], ["NotSupportedError", "OutOfMemoryError"]);
});

test("the browser's own model is taken where there is one, and that is asked for", async () => {
  let availability = "available";
  const made = [];
  const native = {
    availability: async () => availability,
    create: async (options) => made.push(options) && "the browser's session",
  };
  globalThis.LanguageModel = native;
  try {
    const { LanguageModel } = await classOf(ECHO, { browser: "prefer" });
    globalThis.LanguageModel = LanguageModel; // as a page may
    const options = { expectedInputs: [{ type: "image" }] };
    assert.equal(await LanguageModel.availability(options), "available");
    assert.equal(await LanguageModel.create(options), "the browser's session");
    assert.deepEqual(made, [options]);
    availability = "unavailable";
    assert.equal(await LanguageModel.availability(options), "unavailable");
    assert.equal(await (await LanguageModel.create()).prompt("Hi"), " Hi!");
    availability = "available";
    globalThis.LanguageModel = native;
    const { LanguageModel: own } = await classOf(ECHO);
    assert.equal(await (await own.create()).prompt("Hi"), " Hi!");
  } finally {
    delete globalThis.LanguageModel;
  }
});

await runAll();
