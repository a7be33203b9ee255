// leadout/remote over HTTP, on a server that a test makes.

import assert from "node:assert/strict";

import { Engine } from "../../web/client.js";
import { LeadoutRemote } from "../../web/adapters/remote.js";
import { readEvents } from "../../web/adapters/remote/sse.js";
import { engineFetch } from "../../web/adapters/server.js";
import { createFakeEngine } from "../../web/testing.js";
import { generateText } from "../../web/node_modules/ai/dist/index.js";
import { leadout } from "../../web/adapters/ai_sdk.js";
import { CALLING, WEATHER, all, failureOf, runAll, test } from "./cases.mjs";
import { DONE, chunk, json, serve, stream, usageChunk } from "./openai_server.mjs";

const messages = [{ role: "user", content: "Hello" }];

/** Serve, load, and end both afterwards. */
async function withEngine(answer, run, { ownedBy, ...params } = {}) {
  const server = await serve(answer, { ownedBy });
  try {
    const engine = await LeadoutRemote.load({ baseURL: server.baseURL, ...params });
    await run(engine, server);
    engine.dispose();
  } finally {
    server.close();
  }
}

const HELLO =
  ": a comment\r\n\r\n" +
  chunk({ role: "assistant", content: "" }) +
  chunk({ reasoning: "Hm – " }) +
  chunk({ reasoning_content: "well." }) +
  chunk({ content: "Grüße" }).replaceAll("\n", "\r\n") +
  chunk({ content: ", 世界 🌍" }, "stop").replaceAll("\n", "\r") +
  usageChunk(9, 5, { prompt_tokens_details: { cached_tokens: 4 } }) +
  DONE;

const helloes = (_, response) => stream(response, HELLO);

test("a chat is answered whole, with the server's usage", async () => {
  await withEngine(helloes, async (engine, { asked }) => {
    assert.ok(engine instanceof Engine);
    assert.equal(engine.info.name, "gemma");
    assert.equal(engine.info.context_length, 8192);
    const answer = await engine.chat.completions.create({ messages });
    const [{ message, finish_reason }] = answer.choices;
    assert.equal(message.content, "Grüße, 世界 🌍");
    assert.equal(message.reasoning_content, "Hm – well.");
    assert.equal(finish_reason, "stop");
    assert.equal(answer.usage.prompt_tokens, 9);
    assert.equal(answer.usage.completion_tokens, 5);
    assert.equal(answer.usage.prompt_tokens_details.cached_tokens, 4);
    assert.ok(answer.leadout.ttft_ms > 0);
    // The same defaults as in the tab.
    assert.deepEqual(asked[0].body, {
      model: "gemma",
      messages,
      stream: true,
      stream_options: { include_usage: true },
      max_tokens: 256,
      temperature: 0,
      top_p: 1,
      seed: 0,
      top_k: 0,
      min_p: 0,
      repetition_penalty: 1,
    });
  });
});

test("a chat streams, and its usage comes as for an engine in the tab", async () => {
  await withEngine(helloes, async (engine) => {
    const chunks = await all(await engine.chat.completions.create({ messages, stream: true }));
    assert.equal(chunks[0].choices[0].delta.role, "assistant");
    const texts = chunks.map(({ choices: [{ delta }] }) => delta.content ?? "");
    assert.equal(texts.join(""), "Grüße, 世界 🌍");
    assert.equal(chunks.at(-1).choices[0].finish_reason, "stop");
    assert.equal(chunks.at(-1).usage.total_tokens, 14);
    const options = { include_usage: true };
    const alone = await all(await engine.chat.completions.create({ messages, stream: true, stream_options: options }));
    assert.deepEqual(alone.at(-1).choices, []);
    assert.equal(alone.at(-1).usage.total_tokens, 14);
  });
});

test("events are read wherever their bytes are cut", async () => {
  const bytes = new TextEncoder().encode(HELLO);
  const read = async (cuts) => {
    const parts = [];
    for (let i = 0; i < cuts.length - 1; i++) parts.push(bytes.subarray(cuts[i], cuts[i + 1]));
    return (await all(readEvents((async function* () { yield* parts; })()))).map(({ data }) => data);
  };
  const whole = await read([0, bytes.length]);
  assert.equal(whole.length, 7);
  assert.equal(whole.at(-1), "[DONE]");
  for (let at = 1; at < bytes.length; at++) {
    assert.deepEqual(await read([0, at, bytes.length]), whole, `cut at ${at}`);
  }
  assert.deepEqual(await read(Array.from({ length: bytes.length + 1 }, (_, i) => i)), whole);
});

const CALL = [
  chunk({ tool_calls: [{ index: 0, id: "abc", type: "function", function: { name: "weather", arguments: "" } }] }),
  chunk({ tool_calls: [{ index: 0, function: { arguments: '{"city":' } }] }),
  chunk({ tool_calls: [{ index: 0, function: { arguments: ' "Paris"}' } }] }),
  chunk({}, "tool_calls"),
  DONE,
].join("");

test("a tool is called, and its result goes to the server", async () => {
  const answer = ({ body }, response) =>
    stream(response, body.messages.at(-1).role === "tool" ? chunk({ content: "Sunny." }, "stop") + DONE : CALL);
  await withEngine(answer, async (engine, { asked }) => {
    const tools = [{ type: "function", function: { name: "weather", parameters: WEATHER } }];
    const first = await engine.chat.completions.create({ messages, tools, tool_choice: "auto" });
    const [{ message, finish_reason }] = first.choices;
    assert.equal(finish_reason, "tool_calls");
    assert.deepEqual(message.tool_calls, [
      { id: "abc", type: "function", function: { name: "weather", arguments: '{"city": "Paris"}' } },
    ]);
    const result = { role: "tool", tool_call_id: "abc", content: "sunny" };
    const second = await engine.chat.completions.create({ messages: [...messages, message, result], tools });
    assert.equal(second.choices[0].message.content, "Sunny.");
    assert.deepEqual(asked[1].body.messages[1].tool_calls, message.tool_calls);
    const session = engine.session({ tools });
    await session.send("Hello");
    assert.equal((await session.send(result)).choices[0].message.content, "Sunny.");
    assert.equal(session.messages.length, 4);
  });
});

test("a completion has its text, several choices their seeds", async () => {
  const answer = ({ body }, response) => {
    const choices = [{ index: 0, text: ` ${body.prompt} ${body.seed}`, finish_reason: "length" }];
    stream(response, `data: ${JSON.stringify({ choices })}\n\n${DONE}`);
  };
  await withEngine(answer, async (engine, { asked }) => {
    const { choices } = await engine.completions.create({ prompt: "Once", n: 3, seed: 5, max_tokens: 8 });
    assert.deepEqual(choices.map(({ text }) => text), [" Once 5", " Once 6", " Once 7"]);
    assert.equal(choices[0].finish_reason, "length");
    assert.equal(asked[0].path, "/v1/completions");
    await engine.completions.create({ prompt_ids: [2, 5, 9] });
    assert.deepEqual(asked[3].body.prompt, [2, 5, 9]);
  });
});

test("logprobs are told as for an engine in the tab", async () => {
  const top_logprobs = [{ token: "yes", logprob: -0.1, bytes: [121, 101, 115] }];
  const logprobs = { content: [{ token: "yes", logprob: -0.1, bytes: [121, 101, 115], top_logprobs }] };
  const answer = (_, response) => stream(response, chunk({ content: "yes" }, "stop", { choice: { logprobs } }) + DONE);
  await withEngine(answer, async (engine, { asked }) => {
    const params = { messages, logprobs: true, top_logprobs: 1 };
    const { choices } = await engine.chat.completions.create(params);
    assert.deepEqual(choices[0].logprobs.content, logprobs.content);
    const chunks = await all(await engine.chat.completions.create({ ...params, stream: true }));
    assert.deepEqual(chunks.flatMap(({ choices: [one] }) => one.logprobs?.content ?? []), logprobs.content);
    assert.equal(asked[0].body.top_logprobs, 1);
  });
});

test("parameters have the names of the server, and what it has none for is refused", async () => {
  const ask = async (ownedBy, params) => {
    let body;
    await withEngine(
      helloes,
      async (engine, { asked }) => {
        await engine.chat.completions.create({ messages, ...params });
        ({ body } = asked[0]);
      },
      { ownedBy },
    );
    return body;
  };
  const params = { repetition_penalty: 1.1, min_p: 0.1, enable_thinking: true, draft_tokens: 3, drafter: "none" };
  const vllm = await ask("vllm", { ...params, regex: "a+" });
  assert.equal(vllm.repetition_penalty, 1.1);
  assert.deepEqual(vllm.chat_template_kwargs, { enable_thinking: true });
  assert.deepEqual(vllm.structured_outputs, { regex: "a+" });
  assert.equal("draft_tokens" in vllm || "drafter" in vllm, false);
  const llama = await ask("llamacpp", { ...params, grammar: 'root ::= "a"' });
  assert.equal(llama.repeat_penalty, 1.1);
  assert.equal(llama.grammar, 'root ::= "a"');
  const schema = { type: "json_schema", json_schema: { name: "x", schema: WEATHER } };
  assert.deepEqual((await ask("someone", { response_format: schema })).response_format, schema);
  for (const [owner, refused] of [
    ["someone", { enable_thinking: true }],
    ["someone", { grammar: 'root ::= "a"' }],
    ["llamacpp", { regex: "a+" }],
    ["vllm", { context_overflow: "drop_oldest" }],
    ["vllm", { reasoning_effort: "low" }],
    ["llamacpp", { embeddings: [{ start: 0, rows: new Float32Array(4) }] }],
  ]) {
    const error = await failureOf(ask(owner, refused));
    assert.equal(error.name, "RequestError");
    assert.equal(error.detail.parameter, Object.keys(refused)[0]);
  }
});

test("without a limit an adapter leaves it to the server, and more fields go with every request", async () => {
  const check = async (engine, { asked }) => {
    const { text } = await generateText({ model: leadout(engine), prompt: "Hello" });
    assert.equal(text, "Grüße, 世界 🌍");
    assert.equal("max_tokens" in asked[0].body, false);
    assert.equal(asked[0].body.priority, 3);
  };
  await withEngine(helloes, check, { body: { priority: 3 } });
});

test("a key is sent, and a refused one is named", async () => {
  const answer = ({ headers }, response) =>
    headers.authorization === "Bearer right"
      ? stream(response, HELLO)
      : json(response, 401, { error: { message: "Incorrect API key provided", code: "invalid_api_key" } });
  await withEngine(answer, (engine) => engine.chat.completions.create({ messages }), { apiKey: "right" });
  const check = async (engine) => {
    const error = await failureOf(engine.chat.completions.create({ messages }));
    assert.equal(error.name, "SourceError");
    assert.match(error.message, /Incorrect API key provided.*Check apiKey/);
    assert.equal(error.detail.status, 401);
    assert.equal(error.message.includes("wrong"), false); // the key itself is told to nobody
  };
  await withEngine(answer, check, { apiKey: "wrong" });
});

test("a busy server is asked again when it says, and named when it stays busy", async () => {
  let numAsked = 0;
  const answer = (_, response) => {
    numAsked += 1;
    if (numAsked === 1) return json(response, 429, { error: { message: "Slow down" } }, { "Retry-After": "0.05" });
    if (numAsked === 2) return json(response, 503, { error: { message: "Loading model" } }, { "Retry-After": "0" });
    return stream(response, HELLO);
  };
  await withEngine(answer, async (engine) => {
    const { choices } = await engine.chat.completions.create({ messages });
    assert.equal(choices[0].message.content, "Grüße, 世界 🌍");
    assert.equal(numAsked, 3);
  });
  const busy = (_, response) => json(response, 429, { error: { message: "Slow down" } }, { "Retry-After": "3600" });
  await withEngine(busy, async (engine, { asked }) => {
    const error = await failureOf(engine.chat.completions.create({ messages }));
    assert.deepEqual([error.name, error.detail.status, error.detail.retry_after_s], ["SourceError", 429, 3600]);
    assert.equal(asked.length, 1); // an hour is too long to wait
  });
});

test("a failing server is named, after further attempts", async () => {
  const answer = (_, response) => response.writeHead(500, { "Retry-After": "0" }).end("<html>Oops</html>");
  await withEngine(answer, async (engine, { asked }) => {
    const error = await failureOf(engine.chat.completions.create({ messages }));
    assert.deepEqual([error.name, error.detail.status], ["SourceError", 500]);
    assert.equal(asked.length, 3);
  });
});

test("bad requests, long prompts and unknown models have their own names", async () => {
  const answers = [
    [400, { error: { message: "top_k must be -1 or more", param: "top_k" } }, "RequestError"],
    [422, { detail: [{ msg: "extra fields not permitted", loc: ["body", "best"] }] }, "RequestError"],
    [400, { error: { message: "This model's maximum context length is 8192 tokens" } }, "ContextLengthError"],
    [400, { error: { message: "too long", type: "exceed_context_size_error" } }, "ContextLengthError"],
    [404, { error: { message: "The model `x` does not exist", code: "model_not_found" } }, "ModelNotFoundError"],
    [404, { detail: "Not Found" }, "SourceError"],
  ];
  let next = 0;
  const answer = (_, response) => json(response, answers[next][0], answers[next][1]);
  await withEngine(answer, async (engine, { asked }) => {
    for (; next < answers.length; next++) {
      const error = await failureOf(engine.chat.completions.create({ messages }));
      assert.equal(error.name, answers[next][2], error.message);
    }
    assert.equal(asked.length, answers.length); // none of them is tried again
  });
});

test("a connection that is cut in the middle fails by name, behind what came", async () => {
  const cutAt = HELLO.indexOf("世界");
  await withEngine((_, response) => stream(response, HELLO, { cutAt }), async (engine, { asked }) => {
    let text = "";
    const error = await failureOf(
      (async () => {
        for await (const { choices } of await engine.chat.completions.create({ messages, stream: true })) {
          text += choices[0].delta.content ?? "";
        }
      })(),
    );
    assert.equal(error.name, "SourceError");
    assert.match(error.message, /in the midst of an answer/);
    assert.equal(asked.length, 1); // nothing is said twice
    assert.ok("Grüße, ".startsWith(text), text);
  });
});

test("a stream that ends too early, or says an error, fails by name", async () => {
  const endings = [
    ["", /in the midst of an answer/, "SourceError"],
    ['data: {"error": {"message": "CUDA out of memory", "code": 500}}\n\n', /CUDA out of memory/, "SourceError"],
    ['error: {"message": "context size exceeded", "code": 400}\n\n', /context size/, "ContextLengthError"],
    ["data: <html>\n\n", /not JSON: <html>/, "SourceError"],
    [chunk({}, "content_filter") + DONE, /filter/, "SourceError"],
  ];
  let ending;
  const answer = (_, response) => stream(response, chunk({ content: "Hello" }) + ending);
  await withEngine(answer, async (engine) => {
    for (const [text, message, name] of endings) {
      ending = text;
      const error = await failureOf(engine.chat.completions.create({ messages }));
      assert.equal(error.name, name, text);
      assert.match(error.message, message);
    }
  });
});

test("an abort in the middle closes the connection", async () => {
  const answer = async (seen, response) => {
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    while (!seen.isCut) {
      response.write(chunk({ content: " word" }));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  await withEngine(answer, async (engine, { asked }) => {
    const controller = new AbortController();
    const chunks = await engine.chat.completions.create({ messages, stream: true }, { signal: controller.signal });
    const error = await failureOf(
      (async () => {
        for await (const _ of chunks) controller.abort();
      })(),
    );
    assert.equal(error.name, "AbortError");
    for await (const _ of await engine.chat.completions.create({ messages, stream: true })) break;
    while (!asked.every(({ isCut }) => isCut)) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.equal(asked.length, 2);
  });
});

test("a server that falls silent is left", async () => {
  const answer = (_, response) => {
    response.writeHead(200, { "Content-Type": "text/event-stream" }).write(chunk({ content: "Hel" }));
  };
  await withEngine(
    answer,
    async (engine) => {
      const error = await failureOf(engine.chat.completions.create({ messages }));
      assert.equal(error.name, "SourceError");
      assert.match(error.message, /silent for 0.1 s/);
    },
    { patienceMs: 100 },
  );
});

test("a server that does not stream is understood, and one that is none is named", async () => {
  const whole = { choices: [{ message: { content: "Hi." }, finish_reason: "stop" }], usage: { prompt_tokens: 3 } };
  await withEngine((_, response) => json(response, 200, whole), async (engine) => {
    const chunks = await all(await engine.chat.completions.create({ messages, stream: true }));
    assert.equal(chunks[0].choices[0].delta.content, "Hi.");
    assert.equal(chunks.at(-1).usage.prompt_tokens, 3);
  });
  const page = (_, response) => response.writeHead(200, { "Content-Type": "text/html" }).end("<html>");
  await withEngine(page, async (engine) => {
    const error = await failureOf(engine.chat.completions.create({ messages }));
    assert.match(error.message, /text\/html, not with a stream/);
  });
});

test("loads fail by name: no server, no such model, a bad address", async () => {
  const params = { baseURL: "http://127.0.0.1:9/v1", maxRetries: 0 };
  const none = await failureOf(LeadoutRemote.load(params));
  assert.equal(none.name, "SourceError");
  assert.match(none.message, /CORS/);
  const server = await serve(helloes);
  const other = await failureOf(LeadoutRemote.load({ baseURL: server.baseURL, model: "llama" }));
  assert.equal(other.name, "ModelNotFoundError");
  assert.match(other.message, /It has: gemma/);
  assert.deepEqual(await LeadoutRemote.models.list({ baseURL: server.baseURL }), [
    { id: "gemma", kind: "vllm", context_length: 8192, num_parameters: 0 },
  ]);
  server.close();
  for (const baseURL of ["/v1", "ftp://host/v1"]) {
    assert.equal((await failureOf(LeadoutRemote.load({ baseURL }))).name, "RequestError");
  }
});

test("tokenize asks the server, and what servers do not tell is refused", async () => {
  const answer = ({ path }, response) =>
    path === "/tokenize" ? json(response, 200, { tokens: [2, 5, 9] }) : stream(response, HELLO);
  await withEngine(answer, async (engine, { asked }) => {
    assert.deepEqual(await engine.tokenize("Hello"), [2, 5, 9]);
    assert.equal(asked[0].body.prompt, "Hello");
    assert.equal((await failureOf(engine.score([2, 5]))).name, "RequestError");
    assert.equal((await failureOf(engine.embeddings.create())).name, "RequestError");
  });
});

test("an engine behind leadout/server gives what it gives in its own tab", async () => {
  const tools = [{ type: "function", function: { name: "weather", parameters: WEATHER } }];
  const calls = [
    [{ text: " one two three", reasoning: "Hm. So." }, { enable_thinking: true, logprobs: true, top_logprobs: 2, n: 2 }],
    [{ text: " one two three" }, { max_tokens: 2 }],
    [{ text: "yes" }, { regex: "yes|no", context_overflow: "drop_oldest" }],
    [CALLING, { tools }],
  ];
  // Servers do not tell the ids of logprobs.
  const withoutIds = (key, value) => (key === "id" && typeof value === "number" ? undefined : value);
  const alike = ({ choices, usage }) => JSON.parse(JSON.stringify([choices, usage], withoutIds));
  for (const [options, params] of calls) {
    const engine = await createFakeEngine(options);
    const remote = await LeadoutRemote.load({
      baseURL: "http://leadout/v1",
      fetch: engineFetch(engine),
    });
    assert.equal(remote.info.context_length, 4096);
    const [own, other] = await Promise.all(
      [engine, remote].map((one) => one.chat.completions.create({ messages, ...params })),
    );
    assert.deepEqual(alike(other), alike(own));
    const chunks = await all(await remote.chat.completions.create({ messages, ...params, stream: true }));
    const texts = chunks.flatMap(({ choices }) => choices.filter(({ index }) => index === 0)).map(({ delta }) => delta.content);
    assert.equal(texts.filter(Boolean).join(""), own.choices[0].message.content ?? "");
  }
});

await runAll();
