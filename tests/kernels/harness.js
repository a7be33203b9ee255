/**
 * The page's side of tests/kernels/gpu_page.py: drives Runtimes at Python's word. Arguments and
 * results are JSON, bulk data crosses over the test server as one blob each way.
 *
 * @module harness
 */

import { Runtime } from "/web/runtime/device.js";
import { requestDevice } from "/web/runtime/requested.js";
import { KernelLibrary } from "/web/runtime/pipelines.js";
import { BlobSource, MemorySource, UrlSource } from "/web/runtime/sources.js";

/** @type {Map<number, {runtime: Runtime, lost: object[]}>} */
const runtimes = new Map();
const sources = new Map();
let nextHandle = 0;

/** A read of a few megabytes takes a fraction of a second; one whose stream is gone never ends. */
const COLLECTING_MS = 20000;

/** Each takes (args, blob) and gives a JSON value, or {value, bytes}. */
const methods = {
  async create({ options, kernels }) {
    const lost = [];
    const library = kernels
      ? KernelLibrary.fromMemory(kernels)
      : KernelLibrary.fromUrls({ index: "/kernels/index.json", sources: "/kernels/sources.json" });
    const onLost = (error) => lost.push(describe(error));
    const requested = await requestDevice(navigator.gpu);
    const index = await library.indexText();
    const runtime = new Runtime(requested, index, { ...options, kernels: library, onLost });
    runtimes.set(nextHandle, { runtime, lost });
    return nextHandle++;
  },
  async createWithGpu({ gpu }) {
    const answers = { none: [], "no adapter": [null, null], late: [null, await navigator.gpu.requestAdapter()] }[gpu];
    const asked = { requestAdapter: async () => answers.shift() };
    const { device } = await requestDevice(gpu === "none" ? undefined : asked);
    device.destroy();
  },
  async state({ handle }) {
    const { runtime, lost } = runtimes.get(handle);
    const { info, allocatedBytes, peakBytes } = runtime;
    return { info, allocated_bytes: allocatedBytes, peak_bytes: peakBytes, lost };
  },
  async destroy({ handle }) {
    runtimes.get(handle)?.runtime.destroy();
    runtimes.delete(handle);
  },
  async lose({ handle }) {
    const { device } = runtimes.get(handle).runtime;
    device.destroy();
    await device.lost;
  },
  async failUnscoped({ handle }) {
    runtimes.get(handle).runtime.device.createBuffer({ size: 4, usage: 0 });
  },
  allocate: ({ handle, specs }) => runtimes.get(handle).runtime.allocate(specs),
  free: async ({ handle, names }) => runtimes.get(handle).runtime.free(names),
  compile: ({ handle, plan }) => runtimes.get(handle).runtime.compile(plan),
  releasePlan: async ({ handle, plan }) => runtimes.get(handle).runtime.releasePlan(plan),
  write: async ({ handle, buffer, offset }, blob) =>
    runtimes.get(handle).runtime.write(buffer, offset, blob),
  copy: async ({ handle, copies }) => runtimes.get(handle).runtime.copy(copies),
  submit: async ({ handle, plan, params }) => runtimes.get(handle).runtime.submit(plan, ...params),
  collect: async ({ handle, ticket }) => ({ bytes: await runtimes.get(handle).runtime.collect(ticket) }),
  discard: async ({ handle, ticket }) => runtimes.get(handle).runtime.discard(ticket),
  read: async ({ handle, buffer, offset, bytes }) => ({
    bytes: await runtimes.get(handle).runtime.read(buffer, offset, bytes),
  }),
  idle: ({ handle }) => runtimes.get(handle).runtime.idle(),
  profile: ({ handle, plan, params, options }) =>
    runtimes.get(handle).runtime.profile(plan, params, options),
  bandwidth: ({ handle }) => runtimes.get(handle).runtime.bandwidth(),

  /** Sources: {url} or {blob: bytes} or {memory: bytes}; bytes are taken off the blob in order. */
  async load({ handle, plan, sources: specs, abortAfterBytes }, blob) {
    const abort = new AbortController();
    const progress = [];
    const made = makeSources(specs, blob);
    const onProgress = (loaded, total) => {
      progress.push([loaded, total]);
      if (abortAfterBytes !== null && loaded >= abortAfterBytes) abort.abort();
    };
    await runtimes.get(handle).runtime.load(plan, made, { onProgress, signal: abort.signal });
    return progress;
  },

  /** Sources as for `load`; a table that is paged in already keeps those it began with. */
  pageIn: ({ handle, plan, sources: specs }, blob) =>
    runtimes.get(handle).runtime.pageIn(plan, makeSources(specs, blob)),

  /** One dispatch over fresh buffers that hold the blob's parts; gives them back as they are then. */
  run({ handle, variant, constants, sizes, workgroups, label }, blob) {
    const names = sizes.map((_, i) => `binding ${i}`);
    const plan = {
      name: "test",
      pipelines: [{ variant, constants }],
      dispatches: [{ pipeline: 0, bindings: whole(names, sizes), workgroups, label }],
      params: [],
    };
    const buffers = names.map((name, i) => ({ name, bytes: sizes[i], isHeld: true }));
    return methods.runPlan({ handle, plan, buffers, params: [], read: names }, blob);
  },

  /**
   * One Plan over fresh buffers, of which those that are held have the blob's parts as contents; gives those
   * to read back as they are then, and behind them what `collect` gives.
   */
  async runPlan({ handle, plan, buffers, params, read }, blob) {
    const { runtime } = runtimes.get(handle);
    const sizes = Object.fromEntries(buffers.map(({ name, bytes }) => [name, bytes]));
    await runtime.allocate(Object.fromEntries(buffers.map(({ name, bytes }) => [name, { bytes }])));
    let compiled = -1;
    try {
      let end = 0;
      for (const { name, bytes, isHeld } of buffers) {
        if (!isHeld) continue;
        runtime.write(name, 0, blob.subarray(end, end + bytes));
        end += bytes;
      }
      compiled = await runtime.compile(plan);
      const ticket = runtime.submit(compiled, ...params);
      const reads = read.map((name) => runtime.read(name, 0, sizes[name]));
      if (ticket >= 0) reads.push(runtime.collect(ticket));
      return { bytes: new Blob(await Promise.all(reads)) };
    } finally {
      runtime.free(Object.keys(sizes));
      runtime.releasePlan(compiled);
    }
  },

  async openSource({ spec, options }, blob) {
    sources.set(nextHandle, makeSource(spec, "source", blob, options));
    return nextHandle++;
  },
  sourceSize: ({ source }) => sources.get(source).size(),
  async readSource({ source, reads }) {
    const parts = await Promise.all(reads.map(([offset, length]) => sources.get(source).read(offset, length)));
    return { bytes: new Blob(parts) };
  },
  async closeSource({ source }) {
    sources.get(source).close?.();
  },
  /** Read a new source in whole, held by nobody but the read, while garbage is collected. */
  async readCollecting({ spec, length }, blob) {
    let isDone = false;
    const reading = readOnce(spec, blob, length).finally(() => (isDone = true));
    const deadline = performance.now() + COLLECTING_MS;
    while (!isDone && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 0));
      gc();
    }
    if (!isDone) throw new Error("the read never ended");
    return { bytes: await reading };
  },
};

function makeSources(specs, blob) {
  let start = 0;
  return specs.map((spec, i) => {
    const length = spec.blob ?? spec.memory ?? 0;
    start += length;
    return makeSource(spec, `source ${i}`, blob.slice(start - length, start));
  });
}

function makeSource(spec, name, bytes, options) {
  if (spec.url !== undefined) return new UrlSource(spec.url, options);
  if (spec.blob !== undefined) return new BlobSource(new Blob([bytes]), name);
  return new MemorySource(name, bytes);
}

/** Not part of the async caller: what that once held may stay held while it waits. */
function readOnce(spec, bytes, length) {
  return makeSource(spec, "source", bytes).read(0, length);
}

function whole(names, sizes) {
  return names.map((buffer, i) => ({ buffer, offset: 0, bytes: sizes[i] }));
}

function describe(error) {
  const { name = "Error", message = String(error), detail = {}, stack = "" } = error ?? {};
  return { name, message, detail, stack };
}

/** Fewer bytes come back within the call itself; in step with gpu_page.py. */
const MAX_INLINE_BYTES = 32768;

/**
 * @param {string} upload the blob in base64 behind "data:,", or where it lies
 * @returns {Promise<Uint8Array>}
 */
async function blobOf(upload) {
  if (!upload.startsWith("data:,")) return (await fetch(upload)).bytes();
  return Uint8Array.from(atob(upload.slice(6)), (character) => character.charCodeAt(0));
}

/**
 * @param {string} method
 * @param {object} args
 * @param {string} upload see `blobOf`
 * @param {string} download where the bytes of the result go
 */
globalThis.harness = async (method, args, upload, download) => {
  try {
    const result = (await methods[method](args, await blobOf(upload))) ?? null;
    if (result?.bytes === undefined) return { value: result };
    // As a Blob: Playwright copies other bodies into its log of requests, which takes seconds.
    const body = new Blob([result.bytes]);
    if (body.size <= MAX_INLINE_BYTES) {
      return { base64: btoa(String.fromCharCode(...(await body.bytes()))) };
    }
    await fetch(download, { method: "POST", body });
    return { value: null, hasBytes: true };
  } catch (error) {
    return { error: describe(error) };
  }
};
