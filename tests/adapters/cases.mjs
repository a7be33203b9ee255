// Runs a file's tests one after the other and prints how each went, for tests/node_cases.py.

const PATIENCE_MS = 20_000;
const cases = [];

/** Ask for a test; its name is a sentence. */
export function test(name, run) {
  cases.push([name, run]);
}

/** Run all tests of this file. */
export async function runAll() {
  const outcomes = {};
  for (const [name, run] of cases) {
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error("it takes too long")), PATIENCE_MS);
    });
    try {
      await Promise.race([run(), late]);
      outcomes[name] = "passed";
    } catch (error) {
      outcomes[name] = String(error?.stack ?? error);
    }
    clearTimeout(timer);
  }
  console.log(JSON.stringify(outcomes));
  process.exit(0);
}

/** Return all that an async iterable, or a stream, gives. */
export async function all(iterable) {
  const items = [];
  for await (const item of iterable) items.push(item);
  return items;
}

/** Return what a promise rejects with. */
export async function failureOf(promise) {
  let value;
  try {
    value = await promise;
  } catch (error) {
    return error;
  }
  throw new Error(`it did not fail, but gave ${JSON.stringify(value)}`);
}

export const WEATHER = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};

/** A model that calls a tool first, and says what it heard of it. */
export const CALLING = {
  text: ({ messages }) => (messages.at(-1).role === "tool" ? ` It is ${messages.at(-1).content} there.` : ""),
  calls: ({ messages }) =>
    messages.at(-1).role === "tool" ? [] : [{ name: "weather", arguments: '{"city": "Paris"}' }],
};

/** The requests for an answer that a FakeWorker got. */
export function requestsOf(worker) {
  return worker.messages.filter(({ type }) => type === "generate").map(({ request }) => request);
}
