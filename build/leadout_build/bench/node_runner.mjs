/**
 * Runs the engine in Node, on Dawn, as a browser's worker does for a page. It is for benchmarks on machines
 * without a browser. node.py starts it:
 *
 *     node node_runner.mjs FOLDER_OF_THE_BUILT_APP FOLDER_TO_RESOLVE_WEBGPU_FROM
 *
 * It reads requests of web/messages.js from stdin, one JSON object per line, and writes answers to stdout in the same
 * way, each with `at_ms`, the time. "score" is not supported, because its answers are bytes. A further request, "probe",
 * returns the result of probe.mjs. The process ends when its stdin is closed.
 */
import { open, stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";
import { Worker as NodeWorker } from "node:worker_threads";

const FILE_CHUNK_BYTES = 1 << 20;

const [appFolder, webFolder] = process.argv.slice(2);

/** @param {object} message */
function post(message) {
  process.stdout.write(JSON.stringify({ ...message, at_ms: Date.now() }) + "\n");
}

/** @param {number} id @param {any} error */
function postError(id, error) {
  const { name = "Error", message = String(error), detail } = error ?? {};
  post({ type: "error", id, error: { name, message, detail } });
}

// stdout is only for answers, but Pyodide and its packages log there, too.
console.log = console.error;

// Node's fetch refuses file: URLs, and the host and its sources request only these here. Byte ranges are answered as
// by a server, so that loading runs the same code as in a browser.
globalThis.fetch = async function fetchFile(url, { headers = {} } = {}) {
  const path = fileURLToPath(url);
  const found = await stat(path).catch(() => null);
  if (found === null) return new Response(null, { status: 404 });
  const range = /^bytes=(\d+)-(\d+)$/.exec(new Headers(headers).get("Range") ?? "");
  const start = range ? Number(range[1]) : 0;
  const end = Math.min(range ? Number(range[2]) : Infinity, found.size - 1);
  if (range && start > end) {
    const unsatisfied = { "Content-Range": `bytes */${found.size}` };
    return new Response(null, { status: 416, headers: unsatisfied });
  }
  const body = streamOf(path, start, end + 1);
  if (!range) return new Response(body);
  const partial = { "Content-Range": `bytes ${start}-${end}/${found.size}` };
  return new Response(body, { status: 206, headers: partial });
};

/**
 * A body that is read into the reader's own memory, as in browsers. Node's own file streams allocate new memory for every
 * piece. V8 keeps tens of megabytes of it before it collects them, and the heap's figures would include that.
 *
 * @param {string} path
 * @param {number} start
 * @param {number} end index after the last byte
 */
function streamOf(path, start, end) {
  let file = null;
  let at = start;
  return new ReadableStream({
    type: "bytes",
    autoAllocateChunkSize: FILE_CHUNK_BYTES,
    async pull(controller) {
      file ??= await open(path);
      const { byobRequest } = controller;
      const bytes = Math.min(byobRequest.view.byteLength, FILE_CHUNK_BYTES, end - at);
      const got = bytes > 0 ? (await file.read(byobRequest.view, 0, bytes, at)).bytesRead : 0;
      at += got;
      if (got === 0) {
        await file.close();
        controller.close();
      }
      byobRequest.respond(got);
    },
    cancel: () => file?.close(),
  });
}

/** @returns {Promise<any>} a host with the WebGPU runtime of this process */
async function createHost() {
  // Search as Node does for packages: node_modules in this folder or above, then NODE_PATH.
  const require = createRequire(join(webFolder, "index.js"));
  const { create, globals } = await import(pathToFileURL(require.resolve("webgpu")).href);
  Object.assign(globalThis, globals);
  await import("./probe.mjs");
  const base = pathToFileURL(join(appFolder, "/"));
  const { Host } = await import(new URL("host.js", base).href);
  // The host must keep the object of create(), because Dawn ends when it is garbage-collected.
  const gpu = create(["disable-dawn-features=timestamp_quantization"]);
  const onFatal = (error) => {
    console.error(error);
    process.exit(1);
  };
  return Host.create({ base, gpu, post, onFatal, newWorker });
}

/** @param {URL} url of a module for a browser's worker */
function newWorker(url) {
  const worker = new NodeWorker(new URL("./node_worker.mjs", import.meta.url), {
    workerData: url.href,
  });
  const adapted = {
    onmessage: null,
    onerror: null,
    postMessage: (message) => worker.postMessage(message),
    terminate: () => void worker.terminate(),
  };
  worker.on("message", (data) => adapted.onmessage?.({ data }));
  worker.on("error", (error) => adapted.onerror?.({ message: String(error) }));
  worker.unref(); // the process must end with its stdin
  return adapted;
}

/** @returns {Record<string, string>} */
function versions() {
  const require = createRequire(join(webFolder, "index.js"));
  const manifest = join(dirname(require.resolve("webgpu")), "package.json");
  return { node: process.versions.node, webgpu: require(manifest).version };
}

let bridge = null;

/** @param {any} message */
async function serve(message) {
  const { id, type } = message;
  if (type === "boot") {
    const host = await createHost();
    bridge = await host.boot((phase) => post({ type: "phase", id, phase }));
    post({ type: "result", id, value: versions() });
  } else if (type === "probe") {
    post({ type: "result", id, value: globalThis.leadoutProbe() });
  } else {
    await bridge.handle(message);
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const message = JSON.parse(line);
  // Not awaited, because an "abort" must be handled while a request runs.
  serve(message).catch((error) => postError(message.id, error));
}
process.exit(0);
