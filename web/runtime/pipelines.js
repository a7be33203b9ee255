/**
 * Kernels: their WGSL as the build rendered it, and the pipelines made from it.
 *
 * @module pipelines
 */

import { LeadoutError, firstLine, withErrorScopes } from "./errors.js";

/** @typedef {"storage" | "read-only-storage" | "uniform"} BindingType */

/**
 * One rendered kernel in index.json; build/leadout_build/site/kernels.py writes it (keep in step).
 * @typedef {object} Variant
 * @property {string} file the WGSL's path, relative to index.json
 * @property {string} kernel
 * @property {string} entry_point
 * @property {{index: number, name: string, type: BindingType}[]} bindings
 * @property {Record<string, unknown>} overrides by the name of the override constant
 * @property {string[]} [features] that a device must have
 */

/** @typedef {{variants: Record<string, Variant>}} KernelIndex */

/** A pipeline as Plans write it.
 * @typedef {{variant: string, constants: Record<string, number>}} PipelineSpec
 */

/** Files of the folder; build/leadout_build/site/kernels.py writes them (keep in step). */
const INDEX = "index.json";
const SOURCES = "sources.json";

/**
 * @param {Record<string, string>} sources
 * @param {string} file
 * @returns {string}
 */
function textIn(sources, file) {
  if (Object.hasOwn(sources, file)) return sources[file];
  throw new LeadoutError("SourceError", `there is no kernel file ${file}`, { file });
}

/** The rendered kernels: an index, and all WGSL in one file, each fetched once. */
export class KernelLibrary {
  #readText;
  /** @type {Promise<KernelIndex> | undefined} */
  #index;
  /** @type {Map<string, Promise<string>>} */
  #texts = new Map();

  /**
   * @param {(file: string) => Promise<string>} readText gives index.json's and a kernel's text
   */
  constructor(readText) {
    this.#readText = readText;
  }

  /**
   * @param {{index: string, sources: string}} urls of the index and of all WGSL
   * @param {typeof fetch} [fetchFile]
   * @returns {KernelLibrary}
   */
  static fromUrls(urls, fetchFile = (...args) => fetch(...args)) {
    /** @type {Map<string, Promise<any>>} */
    const fetched = new Map();
    const fetchText = async (/** @type {string} */ file) => {
      const url = file === INDEX ? urls.index : urls.sources;
      const response = await fetchFile(url).catch((error) => error);
      if (!(response instanceof Response) || !response.ok) {
        const reason = response instanceof Response ? `status ${response.status}` : response.message;
        throw new LeadoutError(
          "SourceError",
          `the kernel file ${file} cannot be fetched (${reason}); the site is incomplete or the ` +
            "connection is gone: reload the page",
          { url, reason },
        );
      }
      return response.text();
    };
    return new KernelLibrary(async (file) => {
      if (file === INDEX) return fetchText(file);
      const sources = await remember(fetched, SOURCES, () => fetchText(SOURCES).then(JSON.parse));
      return textIn(sources, file);
    });
  }

  /**
   * @param {{index: KernelIndex, sources: Record<string, string>}} content WGSL by file name
   * @returns {KernelLibrary}
   */
  static fromMemory({ index, sources }) {
    return new KernelLibrary(async (file) => {
      return file === INDEX ? JSON.stringify(index) : textIn(sources, file);
    });
  }

  /** Begin to fetch, before anybody knows which kernels. Failures are told to who asks for one. */
  prefetch() {
    this.indexText().catch(() => {});
    this.#readText("").catch(() => {});
  }

  /**
   * @param {string} name
   * @returns {Promise<Variant>}
   * @throws {LeadoutError} DeviceError: no such variant
   */
  async variant(name) {
    this.#index ??= retryable(this.indexText().then(JSON.parse), () => {
      this.#index = undefined;
    });
    const { variants } = await this.#index;
    if (!Object.hasOwn(variants, name)) {
      throw new LeadoutError("DeviceError", `there is no kernel variant "${name}"`, {
        variant: name,
      });
    }
    return variants[name];
  }

  /** @returns {Promise<string>} index.json */
  indexText() {
    return this.text(INDEX);
  }

  /**
   * @param {string} file
   * @returns {Promise<string>}
   */
  text(file) {
    return remember(this.#texts, file, () => this.#readText(file));
  }
}

/**
 * A pipeline with what is needed to bind to it.
 * @typedef {{gpu: GPUComputePipeline, layout: GPUBindGroupLayout, signature: string,
 *   variant: Variant}} Pipeline
 */

/** Where nobody says how many cores there are. */
const COMPILES_AT_ONCE = 8;

/**
 * So many at once, the others in order. A device that is given up (an aborted load) first waits for all
 * that it compiles, and the browser's other pages wait with it: so it is never given more than its cores do.
 */
class Turns {
  #free;
  /** @type {(() => void)[]} */
  #waiting = [];

  /** @param {number} count */
  constructor(count) {
    this.#free = count;
  }

  /**
   * @template T
   * @param {() => Promise<T>} start
   * @returns {Promise<T>}
   */
  async take(start) {
    if (this.#free > 0) this.#free--;
    else await new Promise((/** @type {(value: void) => void} */ go) => this.#waiting.push(go));
    try {
      return await start();
    } finally {
      const next = this.#waiting.shift();
      if (next !== undefined) next();
      else this.#free++;
    }
  }
}

/** The pipelines of one device, each compiled once. */
export class Pipelines {
  /** @type {Map<string, Promise<Pipeline>>} */
  #pipelines = new Map();
  /** @type {Map<string, Promise<GPUShaderModule>>} */
  #modules = new Map();
  /** @type {Map<string, {group: GPUBindGroupLayout, pipeline: GPUPipelineLayout}>} */
  #layouts = new Map();
  #turns = new Turns(globalThis.navigator?.hardwareConcurrency ?? COMPILES_AT_ONCE);

  /**
   * @param {GPUDevice} device
   * @param {KernelLibrary} kernels
   * @param {ReadonlySet<string>} features what variants may ask for
   */
  constructor(device, kernels, features) {
    this.device = device;
    this.kernels = kernels;
    this.features = features;
  }

  /**
   * @param {PipelineSpec} spec
   * @returns {Promise<Pipeline>} compiled off the main path, in parallel with others
   * @throws {LeadoutError} DeviceError, DeviceLimitError or SourceError
   */
  get({ variant, constants }) {
    const key = variant + JSON.stringify(Object.entries(constants).sort());
    return remember(this.#pipelines, key, () => this.#compile(variant, constants));
  }

  /**
   * @param {string} name
   * @param {Record<string, number>} constants
   * @returns {Promise<Pipeline>}
   */
  async #compile(name, constants) {
    const variant = await this.kernels.variant(name);
    this.#check(name, variant, constants);
    const module = await remember(this.#modules, name, () => this.#module(name, variant));
    const signature = variant.bindings.map(({ index, type }) => `${index}:${type}`).join();
    const layout = await this.#layout(name, variant, signature);
    try {
      const gpu = await this.#turns.take(() =>
        this.device.createComputePipelineAsync({
          label: name,
          layout: layout.pipeline,
          compute: { module, entryPoint: variant.entry_point, constants },
        }),
      );
      return { gpu, layout: layout.group, signature, variant };
    } catch (error) {
      const reason = firstLine(/** @type {Error} */ (error).message);
      throw new LeadoutError(
        "DeviceError",
        `kernel "${name}" with ${JSON.stringify(constants)} does not compile: ${reason}`,
        { variant: name, constants, reason },
      );
    }
  }

  /**
   * @param {string} name
   * @param {Variant} variant
   * @param {Record<string, number>} constants
   */
  #check(name, variant, constants) {
    const unknown = Object.keys(constants).filter((key) => !Object.hasOwn(variant.overrides, key));
    if (unknown.length > 0) {
      throw new LeadoutError(
        "DeviceError",
        `kernel "${name}" has no constant ${unknown.join(", ")}; it has ` +
          (Object.keys(variant.overrides).join(", ") || "none"),
        { variant: name, unknown },
      );
    }
    const missing = (variant.features ?? []).filter((feature) => !this.features.has(feature));
    if (missing.length > 0) {
      throw new LeadoutError(
        "DeviceError",
        `kernel "${name}" needs ${missing.join(", ")}, which this device or browser does not have`,
        { variant: name, missing },
      );
    }
    const numStorage = variant.bindings.filter(({ type }) => type !== "uniform").length;
    const limit = this.device.limits.maxStorageBuffersPerShaderStage;
    if (numStorage > limit) {
      throw new LeadoutError(
        "DeviceLimitError",
        `kernel "${name}" binds ${numStorage} storage buffers, the adapter allows ${limit}`,
        { variant: name, num_storage_buffers: numStorage, limit },
      );
    }
  }

  /**
   * @param {string} name
   * @param {Variant} variant
   * @returns {Promise<GPUShaderModule>}
   */
  async #module(name, variant) {
    const code = await this.kernels.text(variant.file);
    const { value: module, error } = withErrorScopes(this.device, () =>
      this.device.createShaderModule({ label: name, code }),
    );
    const [failure, { messages }] = await Promise.all([error, module.getCompilationInfo()]);
    const worst = messages.find(({ type }) => type === "error");
    if (worst !== undefined || failure !== null) {
      const reason = worst?.message ?? firstLine(/** @type {GPUError} */ (failure).message);
      const line = worst?.lineNum ?? 0;
      throw new LeadoutError("DeviceError", `${variant.file}:${line}: ${reason}`, {
        variant: name,
        file: variant.file,
        line,
        reason,
      });
    }
    return module;
  }

  /**
   * @param {string} name
   * @param {Variant} variant
   * @param {string} signature equal for equal layouts
   */
  async #layout(name, variant, signature) {
    const known = this.#layouts.get(signature);
    if (known !== undefined) return known;
    const { value: layout, error } = withErrorScopes(this.device, () => {
      const group = this.device.createBindGroupLayout({
        label: signature,
        entries: variant.bindings.map(({ index, type }) => ({
          binding: index,
          visibility: COMPUTE_STAGE,
          buffer: { type },
        })),
      });
      const pipeline = this.device.createPipelineLayout({
        label: signature,
        bindGroupLayouts: [group],
      });
      return { group, pipeline };
    });
    // Kept at once, so that kernels compiled in parallel share it and their bind groups too.
    this.#layouts.set(signature, layout);
    const failure = await error;
    if (failure !== null) {
      this.#layouts.delete(signature);
      const reason = firstLine(failure.message);
      throw new LeadoutError("DeviceError", `kernel "${name}": ${reason}`, { variant: name, reason });
    }
    return layout;
  }
}

/** WebGPU's GPUShaderStage.COMPUTE; Node has no such global. */
const COMPUTE_STAGE = 0x4;

/**
 * Give the promise kept under `key`, or start and keep one. A failure is not kept.
 *
 * @template T
 * @param {Map<string, Promise<T>>} cache
 * @param {string} key
 * @param {() => Promise<T>} start
 * @returns {Promise<T>}
 */
function remember(cache, key, start) {
  const known = cache.get(key);
  if (known !== undefined) return known;
  const promise = retryable(start(), () => cache.delete(key));
  cache.set(key, promise);
  return promise;
}

/**
 * @template T
 * @param {Promise<T>} promise
 * @param {() => void} forget called when it fails, so that the next caller tries again
 * @returns {Promise<T>} the promise itself
 */
function retryable(promise, forget) {
  promise.catch(forget);
  return promise;
}
