/**
 * One list of calls, for the real engine and for the fake one of web/testing.js, and the shapes of all that comes back:
 * keys and types, which events in which order, errors' names. test_contract.py holds the two against each other.
 */

/** Fields whose keys are data. */
const MAPS = new Set(["cycle_ms", "cycle_run_ms", "cycle_runs", "logprobs.top_logprobs[]"]);

/** Null where the GPU's clock told nothing in time, which is chance. */
const BY_CHANCE = ".gpu_idle_share";

/**
 * What values that came in the same place look like: for each field the types that it had, "absent" among them where
 * some had it and others did not. "[]" stands for all items of an array, "*" for all values of a map.
 *
 * @param {unknown[]} values
 * @returns {Record<string, string[]>} by path
 */
export function shapesOf(values) {
  /** @type {Record<string, string[]>} */
  const shapes = {};
  /** @param {any[]} values @param {string} path */
  const visit = (values, path) => {
    const isByChance = path.endsWith(BY_CHANCE);
    shapes[path] = [...new Set(values.map(isByChance ? typeOfNumberOrNull : typeOf))].sort();
    const arrays = values.filter(Array.isArray);
    if (arrays.some(({ length }) => length)) visit(arrays.flat(), `${path}[]`);
    const objects = values.filter((value) => typeOf(value) === "object");
    const isMap = [...MAPS].some((name) => path.endsWith(name));
    if (isMap && objects.length) {
      const entries = objects.flatMap(Object.values);
      if (entries.length) visit(entries, `${path}.*`);
      return;
    }
    for (const key of new Set(objects.flatMap(Object.keys))) {
      const given = objects.map((object) => object[key]).filter((value) => value !== undefined);
      visit(given, `${path}.${key}`);
      if (given.length < objects.length) shapes[`${path}.${key}`].push("absent");
    }
  };
  visit(values, "");
  return shapes;
}

/** @param {unknown} value */
function typeOfNumberOrNull(value) {
  return value === null || typeof value === "number" ? "number or null" : typeOf(value);
}

/** @param {unknown} value */
function typeOf(value) {
  if (value === null || typeof value !== "object") return value === null ? "null" : typeof value;
  if (Array.isArray(value)) return "array";
  return value instanceof ArrayBuffer || ArrayBuffer.isView(value) ? value.constructor.name : "object";
}

/** @param {string[][]} orders @returns {string[]} each once */
function different(orders) {
  return [...new Set(orders.map((order) => order.join(", ")))].sort();
}

/** A worker whose messages are noted, by the request that they answer. */
export class NotedWorker {
  #worker;
  /** @type {Map<number, string>} */
  #asked = new Map();
  /** What answered each request, by the request's type. @type {Record<string, string[][]>} */
  orders = {};
  /** By request and answer. @type {Record<string, any[]>} */
  answers = {};
  /** @type {Map<number, string[]>} */
  #open = new Map();

  constructor(worker) {
    this.#worker = worker;
    worker.addEventListener("message", ({ data }) => this.#note(data));
  }

  postMessage(message) {
    const { id, type } = message;
    if (type !== "ping" && type !== "abort") {
      this.#asked.set(id, type);
      this.#open.set(id, []);
      (this.orders[type] ??= []).push(this.#open.get(id));
    }
    this.#worker.postMessage(message);
  }

  addEventListener(type, listener) {
    this.#worker.addEventListener(type, listener);
  }

  terminate() {
    this.#worker.terminate();
  }

  #note(message) {
    const asked = this.#asked.get(message.id);
    if (asked === undefined || message.type === "pong") return;
    const order = this.#open.get(message.id);
    const what = message.type === "phase" ? `phase ${message.phase}` : message.type;
    if (order.at(-1) !== what) order.push(what);
    // What an error tells in detail depends on what went wrong.
    const { detail: _, ...error } = message.error ?? {};
    const told = message.error ? { ...message, error } : message;
    (this.answers[`${asked}: ${message.type}`] ??= []).push(told);
  }
}

const nameOf = (/** @type {Promise<unknown>} */ promise) => promise.then(
  (value) => `no error: ${JSON.stringify(value)}`,
  (error) => error.name,
);

/**
 * @param {any} Leadout
 * @param {{worker: () => any, model: any, drafter: any}} load
 * @returns {Promise<{errors: Record<string, string>, orders: Record<string, string[]>,
 *   shapes: Record<string, Record<string, string[]>>}>}
 */
export async function replay(Leadout, { worker, model, drafter }) {
  const noted = [];
  const newWorker = () => {
    noted.push(new NotedWorker(worker()));
    return noted.at(-1);
  };
  const ending = new AbortController();
  const onPhase = (phase) => phase === "loading_runtime" && ending.abort();
  const aborted = { model, drafter, worker: newWorker, signal: ending.signal, onPhase };
  /** @type {Record<string, string>} */
  const errors = { "an aborted load": await nameOf(Leadout.load(aborted)) };
  noted.length = 0; // how far it came is chance
  /** All that came, by what was asked. @type {Record<string, unknown[]>} */
  const all = { progress: [], deltas: [], logits: [] };
  const onProgress = (event) => all.progress.push(event);
  const engine = await Leadout.load({ model, drafter, worker: newWorker, onProgress });
  all.info = [engine.info];
  all.tokenize = [await engine.tokenize("BTC fell")];

  const prompt = "BTC rose";
  const plain = { prompt, max_tokens: 6, temperature: 0, ignore_eos: true };
  const onDelta = (text, figures) => all.deltas.push({ text, figures });
  all.generate = [await engine.generate(plain, { onDelta })];
  const logprobs = { logprobs: true, top_logprobs: 2 };
  all["generate with logprobs"] = [await engine.generate({ ...plain, ...logprobs })];
  all["generate without a drafter"] = [await engine.generate({ ...plain, drafter: "none" })];

  const { completions } = engine;
  const chat = engine.chat.completions;
  const request = { prompt, max_tokens: 6, temperature: 0 };
  const asked = { messages: [{ role: "user", content: prompt }], max_tokens: 6, temperature: 0 };
  const noteStream = async (what, stream) => {
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    all[`${what}, first chunk`] = chunks.slice(0, 1);
    all[`${what}, chunks`] = chunks;
    all[`${what}, last chunk`] = chunks.slice(-1);
  };
  all.completion = [await completions.create({ ...request, logprobs: 2 })];
  all["two completions"] = [await completions.create({ ...request, n: 2 })];
  await noteStream("completion", await completions.create({ ...request, stream: true }));
  all.chat = [await chat.create({ ...asked, ...logprobs })];
  await noteStream("chat", await chat.create({ ...asked, stream: true, ...logprobs }));
  const stream_options = { include_usage: true };
  await noteStream("chat with usage", await chat.create({ ...asked, stream: true, stream_options }));

  const session = engine.session({ system: "Be brief.", max_tokens: 4, temperature: 0 });
  all.turn = [await session.send(prompt)];
  await noteStream("turn", await session.send("And ETH?", { stream: true }));
  all.session = [session.export()];

  const onLogits = (logits, start) => all.logits.push({ logits, start });
  all.score = [await engine.score([2, 3, 4], { onLogits })];

  errors["a wrong request"] = await nameOf(engine.generate({ ...plain, temperature: -1 }));
  errors["an unknown parameter"] = await nameOf(chat.create({ ...asked, colour: "red" }));
  errors.embeddings = await nameOf(engine.embeddings.create());
  const stopping = new AbortController();
  const { signal } = stopping;
  const long = { ...plain, max_tokens: 200 };
  errors["a stop"] = await nameOf(engine.generate(long, { signal, onDelta: () => stopping.abort() }));
  all["a request behind it"] = [await engine.generate({ ...plain, max_tokens: 1 })];
  all.unload = [await engine.unload()];
  errors["after unloading"] = await nameOf(engine.generate(plain));
  engine.dispose();

  const [{ orders, answers }] = noted;
  const named = Object.entries({ ...all, ...answers });
  return {
    errors,
    orders: Object.fromEntries(Object.entries(orders).map(([type, each]) => [type, different(each)])),
    shapes: Object.fromEntries(named.map(([what, values]) => [what, shapesOf(values)])),
  };
}
