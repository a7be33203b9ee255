/**
 * One model of <leadout-models>: its name, what there is of it, and its buttons.
 *
 * @module model_row
 */

/** @import {StoredModel} from "../client/store.js" */
/** @import {FetchEvent} from "../messages.js" */

import { h } from "./dom.js";
import { showHidden } from "./hidden_characters.js";
import { formatBytes } from "./words.js";

/**
 * A download of this element: running, paused or failed. Only while it runs it has a `controller`.
 * @typedef {{controller: AbortController | null, event: FetchEvent | null, error: Error | null}} Pull
 */

/**
 * @typedef {object} RowHandlers
 * @property {(model: StoredModel) => void} onOpen
 * @property {(source: string) => void} onPause
 * @property {(source: string) => void} onResume
 * @property {(source: string) => void} onDelete
 */

/** How long the second click on Delete may take. */
const DELETE_MS = 4000;

export class ModelRow {
  #name = h("strong", { part: "name" });
  #facts = h("p", { class: "facts", part: "facts" });
  #bar = h("progress", { part: "progress" });
  #problem = h("p", { class: "problem", part: "problem", role: "alert", hidden: true });
  #open = button("open", "Open");
  #pause = button("pause", "Pause");
  #resume = button("resume", "Resume");
  #delete = button("delete", "Delete");
  #buttons = [this.#open, this.#pause, this.#resume, this.#delete];
  element = h(
    "li",
    { part: "model" },
    h("div", { class: "words" }, this.#name, this.#facts, this.#bar, this.#problem),
    h("div", { class: "buttons" }, ...this.#buttons),
  );
  #model;
  /** Set between the two clicks on Delete. */
  #deleteTimer = 0;

  /** @param {StoredModel} model @param {RowHandlers} handlers */
  constructor(model, { onOpen, onPause, onResume, onDelete }) {
    this.#model = model;
    this.#open.addEventListener("click", () => onOpen(this.#model));
    this.#pause.addEventListener("click", () => onPause(this.#model.source));
    this.#resume.addEventListener("click", () => onResume(this.#model.source));
    this.#delete.addEventListener("click", () => {
      if (this.#deleteTimer) {
        onDelete(this.#model.source);
      } else {
        this.#deleteTimer = setTimeout(() => this.#setAsking(false), DELETE_MS);
        this.#setAsking(true);
      }
    });
  }

  /** @param {StoredModel} model @param {Pull} [pull] */
  show(model, pull) {
    this.#model = model;
    const isHere = Boolean(pull?.controller);
    const isElsewhere = !isHere && model.is_fetching;
    const event = isHere ? (pull?.event ?? null) : null;
    const stored = event?.source === model.source ? event.stored_bytes : model.stored_bytes;
    const name = showHidden(model.name);
    this.#name.textContent = name;
    this.#facts.textContent = describe(model, event, { isHere, isElsewhere, stored });
    this.#bar.hidden = model.is_complete || (!isHere && model.bytes === 0);
    this.#bar.setAttribute("aria-label", `Downloaded part of ${name}`);
    if (model.bytes > 0) {
      this.#bar.max = model.bytes;
      this.#bar.value = stored;
    } else {
      this.#bar.removeAttribute("value");
    }
    const problem = pull?.error ? showHidden(pull.error.message) : "";
    if (this.#problem.textContent !== problem) {
      this.#problem.textContent = problem; // only then, because it is read out each time
    }
    this.#problem.hidden = !problem;
    this.#showButtons({
      open: model.is_complete,
      pause: isHere,
      resume: !model.is_complete && !isHere && !isElsewhere,
      delete: !isHere && !isElsewhere,
    });
    this.#nameButtons();
  }

  focus() {
    this.#buttons.find((one) => !one.hidden)?.focus();
  }

  /**
   * If the button that has the focus goes, another one of this row gets it.
   *
   * @param {Record<string, boolean>} shown by the button's part
   */
  #showButtons(shown) {
    const isShown = (/** @type {HTMLButtonElement} */ one) => shown[/** @type {string} */ (one.getAttribute("part"))];
    const hadFocus = this.#buttons.some((one) => !isShown(one) && one.matches(":focus"));
    for (const one of this.#buttons) {
      one.hidden = !isShown(one);
    }
    if (hadFocus) {
      this.focus();
    }
  }

  /** @param {boolean} isAsking */
  #setAsking(isAsking) {
    if (!isAsking) {
      this.#deleteTimer = 0;
    }
    this.#delete.textContent = isAsking ? "Really delete" : "Delete";
    this.#nameButtons();
  }

  #nameButtons() {
    for (const one of this.#buttons) {
      one.setAttribute("aria-label", `${one.textContent} ${this.#name.textContent}`);
    }
  }
}

/** @param {string} part @param {string} text */
function button(part, text) {
  return h("button", { type: "button", part }, text);
}

/**
 * @param {StoredModel} model
 * @param {FetchEvent | null} event the last event of this element's download
 * @param {{isHere: boolean, isElsewhere: boolean, stored: number}} state
 * @returns {string} for example "1.21 GB of 2.90 GB, paused; from huggingface.co"
 */
function describe({ bytes, host, drafter, is_complete }, event, { isHere, isElsewhere, stored }) {
  const drafts = drafter ? ", with its drafter" : "";
  if (is_complete && !isHere) {
    return `${formatBytes(bytes)}${drafts}${host ? `, from ${host}` : ""}`;
  }
  const part = bytes > 0 ? `${formatBytes(stored)} of ${formatBytes(bytes)}` : "";
  if (isHere && (!event || event.state === "asking")) {
    return `Asking ${event?.host || host || "its server"} about its files`;
  }
  if (isElsewhere) {
    return `${part}, another tab is downloading or loading it`;
  }
  if (event?.state === "waiting") {
    return `${part}, another tab is downloading it; if that stops, this tab continues`;
  }
  if (event?.state === "checking") {
    const share = Math.round((100 * event.checked_bytes) / (event.stored_bytes || 1));
    return `${part}, checking the downloaded files: ${share} %`;
  }
  if (event) {
    const speed = event.bytes_per_s > 0 ? `, ${(event.bytes_per_s / 1e6).toFixed(1)} MB/s` : "";
    return `${part} from ${event.host}${speed}${drafts}`;
  }
  if (stored === 0) {
    return `${formatBytes(bytes)}, not downloaded yet${host ? `; from ${host}` : ""}`;
  }
  return `${part}, paused${host ? `; from ${host}` : ""}`;
}
