/**
 * Runs chat templates in a worker of their own, and ends it when one takes too long. The next
 * template then gets a new worker.
 *
 * @module template/runner
 */

import { LeadoutError } from "../runtime/errors.js";

/** For the worker to begin and to fetch its library. */
const START_MS = 20_000;

/**
 * A rendering, as pyapp/leadout/chat.py asks for it.
 * @typedef {{source: string, names: Record<string, unknown>, max_chars: number, max_ms: number}} Rendering
 */

export class TemplateRunner {
  #newWorker;
  #libraryUrl;
  /** @type {Promise<Worker> | null} */
  #worker = null;
  /** Ends with the last rendering that was asked for. @type {Promise<unknown>} */
  #last = Promise.resolve();

  /**
   * @param {() => Worker} newWorker starts web/template_worker.js
   * @param {string} libraryUrl where @huggingface/jinja lies as an ES module
   */
  constructor(newWorker, libraryUrl) {
    this.#newWorker = newWorker;
    this.#libraryUrl = libraryUrl;
  }

  /** Begin to start the worker; whether that fails is told by `render`. */
  prepare() {
    this.#start().catch(() => {});
  }

  /**
   * Render, one template after another: the time that one may take is its own.
   *
   * @param {Rendering} rendering
   * @returns {Promise<string>} the text
   * @throws {LeadoutError} ChatTemplateError: the template is wrong, or took too long; SourceError:
   *   the site lacks what it takes to run templates
   */
  render(rendering) {
    const rendered = this.#last.then(() => this.#render(rendering));
    this.#last = rendered.catch(() => {});
    return rendered;
  }

  /** @param {Rendering} rendering @returns {Promise<string>} */
  async #render({ source, names, max_chars, max_ms }) {
    const worker = await this.#start();
    try {
      const answer = await ask(worker, { source, names, max_chars }, max_ms);
      if (answer === null) {
        this.#end(worker);
        throw templateError(`took more than ${max_ms / 1000} s and was ended`, { max_ms });
      }
      if (typeof answer.text === "string") return answer.text;
      throw templateError(String(answer.error).slice(0, 500));
    } catch (error) {
      if (error instanceof LeadoutError) throw error;
      // The worker itself failed: it ran out of memory, most likely.
      this.#end(worker);
      throw templateError(`ended the worker that it ran in (${error})`);
    }
  }

  /** @returns {Promise<Worker>} */
  #start() {
    this.#worker ??= this.#newStarted();
    return this.#worker;
  }

  /** @returns {Promise<Worker>} */
  async #newStarted() {
    const worker = this.#newWorker();
    const answer = await ask(worker, { library: this.#libraryUrl }, START_MS).catch((error) => ({
      failed: String(error),
    }));
    if (answer?.ready) return worker;
    this.#end(worker);
    const reason = answer === null ? `no answer in ${START_MS / 1000} s` : answer.failed;
    throw new LeadoutError(
      "SourceError",
      `What runs chat templates could not be started (${reason}); reload the page.`,
      { reason },
    );
  }

  /** @param {Worker} worker */
  #end(worker) {
    worker.terminate();
    this.#worker = null;
  }
}

/**
 * @param {string} problem
 * @param {Record<string, unknown>} [detail]
 */
function templateError(problem, detail = {}) {
  const message = `the chat template: ${problem}`.replaceAll(/\s+/g, " ");
  return new LeadoutError("ChatTemplateError", message, detail);
}

/**
 * @param {Worker} worker
 * @param {object} message
 * @param {number} maxMs
 * @returns {Promise<any>} its answer, null where none came in time; rejects where the worker failed
 */
function ask(worker, message, maxMs) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, maxMs, null);
    const settle = (/** @type {() => void} */ how) => {
      clearTimeout(timer);
      worker.onmessage = worker.onerror = worker.onmessageerror = null;
      how();
    };
    worker.onmessage = ({ data }) => settle(() => resolve(data));
    worker.onerror = (event) => {
      event.preventDefault?.();
      settle(() => reject(new Error(event.message || "its script could not be started")));
    };
    worker.onmessageerror = () => settle(() => reject(new Error("its answer could not be read")));
    worker.postMessage(message);
  });
}
