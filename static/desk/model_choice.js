/**
 * The choice of the model: from the site, from the hub, kept in this browser, or from a file.
 *
 * @module desk/model_choice
 */

import { startCountedWorker } from "../desk_parts.js";
import { Leadout, showHidden } from "../leadout.js";
import { formatSize } from "../sizes.js";

/** The site's name for Nano. */
const NANO = "nano";

const IS_LOCAL = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);

const part = (id) => document.getElementById(id);

export class ModelChoice {
  /** Resolves when the list of models was read. @type {Promise<void>} */
  listed;
  #chat;
  #ledger;
  /** Models by option value. `isHere`: the model loads without a further click. @type {Map<string, {model: any, isHere: boolean}>} */
  #models = new Map();

  /**
   * @param {HTMLElement} chat the <leadout-chat>
   * @param {import("./requests.js").Ledger} ledger
   */
  constructor(chat, ledger) {
    this.#chat = chat;
    this.#ledger = ledger;
    const [select, input] = [part("model"), part("model-file")];
    select.addEventListener("change", () => this.#choose(select.value, true));
    part("open-model").addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      const files = [...input.files];
      if (files.length > 0) {
        if (this.#models.size === 0) select.replaceChildren();
        this.#choose(this.#offer(files[0].name, files, true, select), true);
      }
      input.value = ""; // the same file can be chosen again
    });
    this.listed = this.#list();
  }

  get isNano() {
    return this.#chat.model === NANO;
  }

  async #list() {
    const select = part("model");
    const { supported } = await Leadout.isSupported();
    if (supported) {
      // Without WebGPU, pass no worker, because the element then shows a better message.
      const worker = () => startCountedWorker((requests) => this.#ledger.add("the model", requests));
      this.#chat.loadOptions = { ...this.#chat.loadOptions, worker };
    }
    const [site, known, kept] = await Promise.allSettled([
      Leadout.listModels(),
      Leadout.listKnownModels(),
      Leadout.models.list(),
    ]);
    if (site.status === "rejected") {
      part("models-problem").textContent = `The list of models could not be read. ${site.reason.message}`;
      part("models-problem").hidden = false;
    }
    if (this.#models.size > 0) return; // the user has already opened a file
    select.replaceChildren();
    const sources = new Set();
    for (const { name, bytes } of site.value ?? []) {
      this.#offer(`${name} (${formatSize(bytes)})`, name, name === NANO || IS_LOCAL, select);
      sources.add(name);
    }
    const group = (label) => {
      const made = document.createElement("optgroup");
      made.label = label;
      return made;
    };
    const [here, hub] = [group("Kept in this browser"), group("From the Hugging Face Hub")];
    for (const { source, name, bytes, is_complete } of kept.value ?? []) {
      if (!is_complete || source.startsWith("site:")) continue;
      this.#offer(`${name} (${formatSize(bytes)})`, source, true, here);
      sources.add(source);
    }
    for (const { name, title, hub: source } of known.value ?? []) {
      if (!sources.has(name) && !sources.has(`hf:${source}`)) this.#offer(title, name, false, hub);
    }
    select.append(...[here, hub].filter((one) => one.children.length > 0));
    if (this.#models.size === 0) {
      select.replaceChildren(new Option("No models here: open a file"));
      return;
    }
    if (!this.#models.get(select.value).isHere) {
      // Fetch nothing before the user has chosen a model.
      select.prepend(new Option("Choose a model", "", true, true));
      return;
    }
    this.#choose(select.value, false);
  }

  /**
   * @param {string} label
   * @param {any} model as for Leadout.load
   * @param {boolean} isHere whether it needs no download over the network
   * @param {HTMLElement} group
   */
  #offer(label, model, isHere, group) {
    const value = String(this.#models.size);
    this.#models.set(value, { model, isHere });
    group.append(new Option(showHidden(label), value));
    part("model").disabled = false;
    return value;
  }

  /** @param {string} value of an option @param {boolean} isWanted whether the user just chose it */
  #choose(value, isWanted) {
    const chosen = this.#models.get(value);
    if (!chosen) return;
    const { model, isHere } = chosen;
    part("model").value = value;
    this.#chat.model = model;
    // A remote download waits for one more click, on a button beside its size.
    if (isHere && (isWanted || model === NANO || IS_LOCAL)) {
      this.#chat.load();
    }
  }
}
