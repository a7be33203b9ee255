/**
 * What JavaScript offers to Python, wherever Pyodide runs: in the worker, or in Node for benchmarks.
 *
 * What a load needs and what does not need Python begins when the boot does, and goes on beside it:
 * the device, the kernels and the first bytes of the model's files. Whoever asks for them later gets
 * what has come of it, a failure too.
 *
 * @module host
 */

/** @import {AssetNames, Assets} from "./assets.js" */
/** @import {ModelRef, Phase, ShapeRef, WorkerMessage} from "./messages.js" */
/** @import {RequestedDevice} from "./runtime/requested.js" */

import { resolveAssets } from "./assets.js";
import { Grammars } from "./grammar.js";
import { startModuleWorker } from "./module_worker.js";
import { addPackages, startPyodide } from "./python.js";
import { KernelLibrary } from "./runtime/pipelines.js";
import { LeadoutError } from "./runtime/errors.js";
import { Runtime } from "./runtime/device.js";
import { requestDevice } from "./runtime/requested.js";
import { BlobSource, UrlSource } from "./runtime/sources.js";
import { openKept } from "./store/kept_files.js";
import { KeptSource } from "./store/kept_source.js";
import { Pull } from "./store/pulling.js";
import { openFolders } from "./store/records.js";
import { finishPulls } from "./store/updates.js";
import { TemplateRunner } from "./template/runner.js";
import { TokenizerFile } from "./tokenizer.js";

/**
 * @typedef {object} HostOptions
 * @property {URL} base of a model's relative addresses
 * @property {Assets | string} [assets] the engine's files, or the address of the assets.json that names them; default: the
 *   one in `base`
 * @property {string | null} [version] that these files have to be of; null or absent: any
 * @property {GPU | undefined} gpu
 * @property {(message: any, transfer?: Transferable[]) => void} post sends a message to the client
 * @property {(error: unknown) => void} onFatal is told when Python's interpreter has died: nothing
 *   that was asked of it will be answered
 * @property {(url: URL) => Worker} [newWorker] starts a worker, where there is no global Worker
 */

/** For a file of the site to come, over whatever connection; a dead one says nothing. */
const SITE_MS = 600_000;

export class Host {
  #base;
  #gpu;
  #post;
  #onFatal;
  #assets;
  #kernels;
  #templates;
  /** Requested ahead, for the first runtime. @type {Promise<RequestedDevice> | null} */
  #device = null;
  /** Opened ahead, by URL, each for who opens it first. @type {Map<string, UrlSource | KeptSource>} */
  #sources = new Map();
  /** Of models that go through the store, by URL. @type {Map<string, KeptSource>} */
  #kept = new Map();
  /** Of each load: ends once its models are in the store. @type {Promise<void>[]} */
  #pulls = [];

  /**
   * @param {HostOptions} options
   * @param {Assets} assets
   * @private use Host.create
   */
  constructor({ base, gpu, post, onFatal, newWorker = newModuleWorker }, assets) {
    this.#base = base;
    this.#gpu = gpu;
    this.#post = post;
    this.#onFatal = onFatal;
    this.#assets = assets;
    const kernels = { index: assets.kernels_index, sources: assets.kernels_sources };
    this.#kernels = KernelLibrary.fromUrls(kernels, fetchWithinReason);
    this.#templates = new TemplateRunner(() => newWorker(new URL(assets.template_worker)), assets.jinja);
  }

  /**
   * @param {HostOptions} options
   * @returns {Promise<Host>}
   */
  static async create(options) {
    const { base, assets = new URL("assets.json", base).href } = options;
    if (typeof assets !== "string") return new Host(options, assets);
    const read = (/** @type {Response} */ response) => response.json();
    /** @type {AssetNames} */
    const names = await fetchFile(new URL(assets), read);
    if (options.version && names.version !== options.version) {
      throw new LeadoutError(
        "SourceError",
        `${assets} is of Leadout ${names.version}, and this page's modules are of ${options.version}: copy the ` +
          "package's assets again",
        { url: assets, found: names.version, wanted: options.version },
      );
    }
    return new Host(options, resolveAssets(names, assets));
  }

  /**
   * Start Pyodide and import the bridge.
   *
   * @param {(phase: Phase) => void} onPhase
   * @returns {Promise<any>} the bridge, a PyProxy that lives as long as the worker
   */
  async boot(onPhase) {
    onPhase("loading_runtime");
    this.#device = requestDevice(this.#gpu);
    this.#device.catch(() => {}); // createRuntime() tells
    this.#kernels.prefetch();
    const packages = Promise.all(this.#assets.packages.map(fetchPackage));
    packages.catch(() => {}); // seen below, unless Pyodide fails first
    const pyodide = await this.startPyodide();
    mark("Python runs");
    // Pyodide has no public way to hear of this; without it, promises stay open for ever.
    pyodide._api.on_fatal = this.#onFatal;
    onPhase("loading_package");
    addPackages(pyodide, await packages);
    const bridge = pyodide.pyimport("leadout.bridge");
    mark("bridge imported");
    return bridge.start(this);
  }

  /** @returns {Promise<any>} the Pyodide that the engine comes with, without the engine */
  startPyodide() {
    return withinReason(startPyodide(this.#assets));
  }

  /**
   * Put Leadout's package into another Pyodide.
   *
   * @param {any} pyodide
   * @throws {LeadoutError} DeviceUnavailableError: its Python has another version than the package was compiled for, and
   *   its sources are not here
   */
  async addTo(pyodide) {
    const { lock, packages, wheel } = this.#assets;
    const sys = pyodide.pyimport("sys");
    const version = String(sys.version).split(" ")[0];
    sys.destroy();
    const compiledFor = String(/** @type {any} */ (lock.info)?.python);
    if (!wheel && minorOf(version) !== minorOf(compiledFor)) {
      throw new LeadoutError(
        "DeviceUnavailableError",
        `This Pyodide has Python ${version}, and this copy of Leadout is compiled for ${compiledFor} alone: take a Pyodide ` +
          "with that version, or python.js of a built site, which has the sources too",
        { found: version, wanted: compiledFor },
      );
    }
    addPackages(pyodide, await Promise.all((wheel ? [wheel] : packages).map(fetchPackage)));
  }

  /**
   * Begin to fetch the models that will be loaded together. Failures are told when they are.
   *
   * @param {(ModelRef | ShapeRef | null)[]} models
   * @param {number} id of the load
   */
  prefetch(models, id) {
    /** @type {Pull[]} */
    const pulls = [];
    for (const model of models) {
      if (model === null || !("files" in model)) continue;
      if (model.source !== undefined) pulls.push(this.#pull({ ...model, source: model.source }, id));
      else this.#openFirst(model);
    }
    if (pulls.length === 0) return;
    const pulled = finishPulls(pulls);
    pulled.catch(() => {}); // settle() tells
    this.#pulls.push(pulled);
  }

  /** @param {ModelRef} model that is not kept */
  #openFirst(model) {
    for (const { name, url, file, size, token } of model.files) {
      const source = this.#newSource(name, url, size, token);
      // Not the many shards of a large model, which nobody reads for a while.
      const isFirst = /\.(gguf|json)$/i.test(name) && !/(?<!-00001)-of-\d{5}\.gguf$/i.test(name);
      if (file || this.#sources.has(source.url) || !isFirst) continue;
      this.#sources.set(source.url, source);
      source.size().catch(() => {});
    }
  }

  /**
   * Have a model that nobody will load read from the store if it is there whole, and else from its addresses.
   *
   * @param {ModelRef | ShapeRef | null} model
   */
  lookUp(model) {
    if (model === null || !("files" in model) || model.source === undefined) return;
    const { source, files } = model;
    const kept = openFolders().then((folders) => openKept(folders, { ...model, source })).catch(() => null);
    for (const [i, { name, url, size, token }] of files.entries()) {
      const remote = this.#newSource(name, url, size, token);
      this.#sources.set(remote.url, new KeptSource(name, kept.then((found) => found?.[i] ?? remote)));
    }
  }

  /**
   * Python's way to the GPU; one at a time.
   *
   * @param {number} [maxBindingBytes]
   * @returns {Promise<Runtime>}
   */
  async createRuntime(maxBindingBytes) {
    const requested = this.#device ?? requestDevice(this.#gpu);
    this.#device = null;
    return new Runtime(await requested, await this.#kernels.indexText(), {
      kernels: this.#kernels,
      maxBindingBytes,
      onLost: (error) => {
        const { name, message, detail } = error;
        this.#post({ type: "device_lost", id: 0, error: { name, message, detail } });
      },
    });
  }

  /** @param {string} json a tokenizer.json */
  readTokenizer(json) {
    return new TokenizerFile(json, this.#assets.tokenizers);
  }

  /**
   * Makes what keeps answers to grammars.
   *
   * @param {import("./tokenizer.js").Tokenizer} tokenizer
   * @param {string} json the rest of a `Vocabulary` of grammar.js
   */
  async makeGrammars(tokenizer, json) {
    const vocabulary = { pieces: tokenizer.pieces(), ...JSON.parse(json) };
    return Grammars.load(vocabulary, this.#assets.xgrammar);
  }

  /** Begin with what rendering a chat template takes. */
  prepareTemplates() {
    this.#templates.prepare();
  }

  /** @param {string} json a `Rendering` of template/runner.js */
  renderTemplate(json) {
    return this.#templates.render(JSON.parse(json));
  }

  /**
   * @param {string} name
   * @param {string} [url]
   * @param {Blob} [file]
   * @param {number | null} [size]
   * @param {string} [token]
   */
  openSource(name, url, file, size, token) {
    if (file) return new BlobSource(file, name);
    const kept = this.#kept.get(url ?? "");
    if (kept) return kept;
    const source = this.#newSource(name, url, size, token);
    const opened = this.#sources.get(source.url);
    this.#sources.delete(source.url);
    return opened ?? source;
  }

  /**
   * Wait until the models that are loaded are in the store, whole and checked.
   *
   * @throws {LeadoutError} what kept one out: its hash is not the published one, the disk is full, …
   */
  async settle() {
    const pulls = this.#pulls.splice(0);
    this.#kept.clear(); // what is loaded next is looked up anew
    await Promise.all(pulls);
  }

  /**
   * @param {import("./messages.js").KeptModelRef} model
   * @param {number} id of the load
   * @returns {Pull}
   */
  #pull(model, id) {
    const pull = new Pull(model, {
      hashing: this.#assets,
      onProgress: (event) => this.#post({ type: "fetch", id, ...event }),
    });
    for (const [i, { name, url }] of model.files.entries()) {
      this.#kept.set(url ?? "", new KeptSource(name, pull.files.then((files) => files[i])));
    }
    return pull;
  }

  /**
   * Send a message to the client.
   *
   * @param {WorkerMessage} message
   * @param {Uint8Array<ArrayBuffer>} [bytes] goes along as `data`, without a copy
   */
  post(message, bytes) {
    if (bytes) this.#post({ ...message, data: bytes.buffer }, [bytes.buffer]);
    else this.#post(message);
  }

  /**
   * Note a moment, for who measures where the time goes (tests/bench/first_token.py).
   *
   * @param {string} what
   */
  mark(what) {
    mark(what);
  }

  /**
   * @param {string} name
   * @param {string} [url]
   * @param {number | null} [size]
   * @param {string} [token]
   */
  #newSource(name, url, size, token) {
    return new UrlSource(new URL(url ?? name, this.#base).href, { size, token });
  }

}

/** @typedef {{name: string, bytes: Uint8Array}} Package */

/**
 * @param {string} address of an archive
 * @returns {Promise<Package>}
 */
async function fetchPackage(address) {
  const url = new URL(address);
  const buffer = await fetchFile(url, (response) => response.arrayBuffer());
  return { name: url.pathname.slice(url.pathname.lastIndexOf("/") + 1), bytes: new Uint8Array(buffer) };
}

/** @param {string} version of Python, such as 3.14.2 */
function minorOf(version) {
  return version.split(".").slice(0, 2).join(".");
}

/** @param {URL} url */
function newModuleWorker(url) {
  return startModuleWorker(url, "leadout-templates");
}

/** @param {string} what */
function mark(what) {
  performance.mark(`leadout: ${what}`);
}

/** @param {string | URL | Request} url of a file of the site */
function fetchWithinReason(url) {
  return fetch(url, { signal: AbortSignal.timeout(SITE_MS) });
}

/**
 * @template T
 * @param {URL} url of a file of the site
 * @param {(response: Response) => Promise<T>} read
 * @returns {Promise<T>}
 * @throws {LeadoutError} SourceError
 */
async function fetchFile(url, read) {
  let reason;
  try {
    const response = await fetchWithinReason(url.href);
    if (response.ok) return await read(response);
    reason = `status ${response.status}`;
  } catch (error) {
    reason = /** @type {Error} */ (error).message;
  }
  throw new LeadoutError(
    "SourceError",
    `${url.pathname} cannot be fetched (${reason}); ` +
      (url.origin === globalThis.origin
        ? "the site is incomplete or the connection is gone: reload the page"
        : `${url.origin} has to allow that (CORS), and so has this page's security policy (connect-src)`),
    { url: url.href, reason },
  );
}

/**
 * @template T
 * @param {Promise<T>} starting
 * @returns {Promise<T>}
 * @throws {LeadoutError} SourceError: it takes so long that nothing will come of it
 */
async function withinReason(starting) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const patience = new Promise((_, reject) => {
    const what = `Python has not started within ${SITE_MS / 60_000} minutes; the connection is gone: reload the page`;
    timer = setTimeout(() => reject(new LeadoutError("SourceError", what)), SITE_MS);
  });
  return Promise.race([starting, patience]).finally(() => clearTimeout(timer));
}
