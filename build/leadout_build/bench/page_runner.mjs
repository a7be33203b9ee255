/**
 * Opens the built site in a running Chromium, for `leadout bench` without Playwright. Chromium must listen on a
 * debugging port (--remote-debugging-port). node.py starts this script:
 *
 *     node --experimental-websocket page_runner.mjs PORT FOLDER_OF_THE_BUILT_SITE
 *
 * It serves the site, opens a blank page of it, starts the engine's worker there and passes messages both ways, as
 * node_runner.mjs does for Node: it reads requests of web/messages.js from stdin, one JSON object per line, and writes
 * answers to stdout, each with `at_ms`. It also serves files of models (file: URLs), only to this machine. The process
 * ends when its stdin is closed. Chromium keeps running.
 *
 * There is one message more than in web/messages.js: {type: "run", source, model} calls the function with that source in
 * the page, with the model's reference, and returns its result.
 */
import { createReadStream, readFileSync } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const CONNECT_MS = 30_000;
const KINDS = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".css": "text/css",
  ".json": "application/json",
  ".wasm": "application/wasm",
  ".wgsl": "text/plain",
};

const [port, site] = process.argv.slice(2);
const { app } = JSON.parse(readFileSync(join(site, "build.json"), "utf-8"));

/** Files of models that may be served, by the name in their URL. @type {Map<string, string>} */
const modelFiles = new Map();

function post(message) {
  process.stdout.write(JSON.stringify({ ...message, at_ms: Date.now() }) + "\n");
}

function postError(id, { name = "Error", message, detail }) {
  post({ type: "error", id, error: { name, message, detail } });
}

// ---- the site -------------------------------------------------------------------------------

const server = createServer(async (request, response) => {
  const name = decodeURIComponent(new URL(request.url, "http://site").pathname);
  const path = modelFiles.get(name) ?? join(site, normalize(name));
  const found = await stat(path).catch(() => null);
  if (!found?.isFile()) {
    response.writeHead(404).end();
    return;
  }
  const headers = {
    "Content-Type": KINDS[extname(path)] ?? "application/octet-stream",
    "Accept-Ranges": "bytes",
    ETag: `"${found.mtimeMs}-${found.size}"`,
  };
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
  if (!range) {
    response.writeHead(200, { ...headers, "Content-Length": found.size });
    createReadStream(path).pipe(response);
    return;
  }
  const start = Number(range[1]);
  const end = Math.min(range[2] === "" ? Infinity : Number(range[2]), found.size - 1);
  if (start > end) {
    response.writeHead(416, { "Content-Range": `bytes */${found.size}` }).end();
    return;
  }
  response.writeHead(206, {
    ...headers,
    "Content-Length": end - start + 1,
    "Content-Range": `bytes ${start}-${end}/${found.size}`,
  });
  createReadStream(path, { start, end }).pipe(response);
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const origin = `http://127.0.0.1:${server.address().port}`;

/** Serve a model's files; return its reference with URLs that the page can fetch. */
function served(ref) {
  if (!ref?.files) return ref;
  const files = ref.files.map(({ name, url }) => {
    const path = `/files/${modelFiles.size}/${name}`;
    modelFiles.set(path, fileURLToPath(url));
    return { name, url: origin + encodeURI(path) };
  });
  return { ...ref, files };
}

// ---- the page -------------------------------------------------------------------------------

let socket;
let lastId = 0;
/** @type {Map<number, (answer: any) => void>} */
const waiting = new Map();
const listeners = [];

/** @param {string} method @param {object} [params] @param {string} [sessionId] */
function send(method, params = {}, sessionId) {
  return new Promise((resolve, reject) => {
    waiting.set(++lastId, ({ result, error }) =>
      error ? reject(new Error(`${method}: ${error.message}`)) : resolve(result),
    );
    socket.send(JSON.stringify({ id: lastId, method, params, sessionId }));
  });
}

async function connect() {
  const deadline = Date.now() + CONNECT_MS;
  let found;
  while (found === undefined) {
    try {
      found = await (await fetch(`http://127.0.0.1:${port}/json/version`)).json();
    } catch {
      if (Date.now() > deadline) throw new Error(`no Chromium answers on port ${port}`);
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  }
  socket = new WebSocket(found.webSocketDebuggerUrl);
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = () => reject(new Error(`no Chromium answers on port ${port}`));
  });
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    waiting.get(message.id)?.(message);
    waiting.delete(message.id);
    for (const listen of listeners) listen(message);
  };
  return found.Browser.replace(/^.*\//, "");
}

let page;
let worker;
let bootId = 0;

async function evaluate(expression, sessionId = page) {
  const options = { expression, awaitPromise: true, returnByValue: true };
  const { result, exceptionDetails } = await send("Runtime.evaluate", options, sessionId);
  if (exceptionDetails) {
    throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
  }
  return result.value;
}

async function openPage() {
  const deadline = Date.now() + CONNECT_MS;
  const version = await connect();
  const { targetId } = await send("Target.createTarget", { url: "about:blank" });
  ({ sessionId: page } = await send("Target.attachToTarget", { targetId, flatten: true }));
  const loaded = new Promise((resolve) => {
    listeners.push(({ method }) => method === "Page.loadEventFired" && resolve());
  });
  await send("Page.enable", {}, page);
  await send("Page.navigate", { url: `${origin}/build.json` }, page);
  await loaded;
  await send("Runtime.enable", {}, page);
  await send("Runtime.addBinding", { name: "leadoutPost" }, page);
  const attached = new Promise((resolve) => {
    listeners.push(({ method, params }) => {
      if (method === "Target.attachedToTarget" && params.targetInfo.type === "worker") {
        resolve(params.sessionId);
      } else if (method === "Runtime.bindingCalled" && params.name === "leadoutPost") {
        const message = JSON.parse(params.payload);
        const isBooted = message.type === "result" && message.id === bootId;
        post(isBooted ? { ...message, value: { chromium: version } } : message);
      }
    });
  });
  const options = { autoAttach: true, waitForDebuggerOnStart: false, flatten: true };
  await send("Target.setAutoAttach", options, page);
  await evaluate(`globalThis.bench = new Worker("/${app}/worker.js", { type: "module", name: "leadout" });
    bench.onmessage = ({ data }) => leadoutPost(JSON.stringify(data));
    bench.onerror = ({ message }) => leadoutPost(JSON.stringify({ type: "device_lost", id: 0,
      error: { name: "WorkerError", message: "the worker stopped: " + message } })); null`);
  worker = await attached;
  // A worker is attached before its global scope is complete.
  while ((await evaluate("typeof GPUQueue", worker)) === "undefined") {
    if (Date.now() > deadline) throw new Error("this Chromium's workers have no WebGPU");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await evaluate(readFileSync(new URL("./probe.mjs", import.meta.url), "utf-8"), worker);
}

async function serve(message) {
  const { id, type } = message;
  if (type === "boot") {
    bootId = id;
    await openPage();
    await evaluate(`bench.postMessage(${JSON.stringify(message)}); null`);
  } else if (type === "probe") {
    post({ type: "result", id, value: await evaluate("leadoutProbe()", worker) });
  } else if (type === "run") {
    const ref = JSON.stringify(served(message.model));
    post({ type: "result", id, value: await evaluate(`(${message.source})(${ref})`) });
  } else {
    if (type === "load") {
      message = { ...message, model: served(message.model), drafter: served(message.drafter) };
    }
    await evaluate(`bench.postMessage(${JSON.stringify(message)}); null`);
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const message = JSON.parse(line);
  serve(message).catch((error) => postError(message.id, error));
}
process.exit(0);
