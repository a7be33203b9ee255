/**
 * What JavaScript offers to Python, wherever Pyodide runs: in the worker, or in Node for benchmarks.
 *
 * @module host
 */

/** @import {Phase, WorkerMessage} from "./messages.js" */

import { KernelLibrary } from "./runtime/pipelines.js";
import { Runtime } from "./runtime/device.js";
import { BlobSource, UrlSource } from "./runtime/sources.js";
import { Tokenizer } from "./tokenizer.js";

/**
 * URLs of what the build vendored, relative to the folder of this module; written by the build.
 * @typedef {{pyodide: string, tokenizers: string, wheels: string[]}} Assets
 */

/**
 * @typedef {object} HostOptions
 * @property {URL} base the folder that holds kernels/ and assets.json
 * @property {GPU | undefined} gpu
 * @property {(message: any, transfer?: Transferable[]) => void} post sends a message to the client
 */

export class Host {
  #base;
  #gpu;
  #post;
  #assets;

  /**
   * @param {HostOptions} options
   * @param {Assets} assets
   * @private use Host.create
   */
  constructor({ base, gpu, post }, assets) {
    this.#base = base;
    this.#gpu = gpu;
    this.#post = post;
    this.#assets = assets;
  }

  /**
   * @param {HostOptions} options
   * @returns {Promise<Host>}
   */
  static async create(options) {
    const assets = await (await fetch(new URL("assets.json", options.base))).json();
    return new Host(options, assets);
  }

  /**
   * Start Pyodide and import the bridge.
   *
   * @param {(phase: Phase) => void} onPhase
   * @returns {Promise<any>} the bridge, a PyProxy that lives as long as the worker
   */
  async boot(onPhase) {
    onPhase("loading_runtime");
    const folder = new URL(this.#assets.pyodide, this.#base);
    const { loadPyodide } = await import(new URL("pyodide.mjs", folder).href);
    // In Node the folder is on the disk, and Pyodide wants its path.
    const isFile = folder.protocol === "file:";
    const indexURL = isFile ? decodeURIComponent(folder.pathname) : folder.href;
    const pyodide = await loadPyodide({ indexURL });
    onPhase("loading_package");
    const wheels = this.#assets.wheels.map((wheel) => new URL(wheel, this.#base).href);
    const installers = wheels.filter((url) => /\/(micropip|packaging)-/.test(url));
    await pyodide.loadPackage(installers, { messageCallback: () => {} });
    const micropip = pyodide.pyimport("micropip");
    const others = wheels.filter((url) => !installers.includes(url));
    await micropip.install.callKwargs(others, { deps: false });
    micropip.destroy();
    const bridge = pyodide.pyimport("leadout.bridge");
    return bridge.start(this);
  }

  /**
   * Python's way to the GPU; one at a time.
   *
   * @param {number} [maxBindingBytes]
   * @returns {Promise<Runtime>}
   */
  async createRuntime(maxBindingBytes) {
    return Runtime.create({
      gpu: this.#gpu,
      kernels: KernelLibrary.fromUrl(new URL("kernels/", this.#base)),
      maxBindingBytes,
      onLost: (error) => {
        const { name, message, detail } = error;
        this.#post({ type: "device_lost", id: 0, error: { name, message, detail } });
      },
    });
  }

  /** @param {string} json a tokenizer.json */
  makeTokenizer(json) {
    return Tokenizer.load(json, new URL(this.#assets.tokenizers, this.#base).href);
  }

  /**
   * @param {string} name
   * @param {string} [url]
   * @param {Blob} [file]
   */
  openSource(name, url, file) {
    if (file) return new BlobSource(file, name);
    return new UrlSource(new URL(url ?? name, this.#base).href);
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
}
