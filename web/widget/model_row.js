/**
 * One model of <leadout-models>: its name, what there is of it, and its buttons.
 *
 * @module model_row
 */

/** @import {StoredModel} from "../client/store.js" */
/** @import {FetchEvent} from "../messages.js" */

import { h } from "./dom.js";
import { showHidden } from "./hidden_characters.js";
import { describeError, formatBytes } from "./words.js";

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
  #amount = h("span");
  #comma = h("span", { class: "comma" }, ", ");
  #origin = h("span");
  #facts = h("p", { class: "facts", part: "facts" }, this.#amount, this.#comma, this.#origin);
  #bar = h("progress", { part: "progress" });
  #problem = h("p", { class: "problem", part: "problem", role: "alert", hidden: true });
  #open = button("open", "Open");
  #pause = button("pause", "Pause");
  #resume = button("resume", "Resume");
  #delete = button("delete", "Delete");
  #buttons = [this.#open, this.#pause, this.#resume, this.#delete];
  #buttonLine = h("div", { class: "buttons" }, ...this.#buttons);
  element = h(
    "li",
    { part: "model" },
    h("div", { class: "words" }, this.#name, this.#facts, this.#bar, this.#problem),
    this.#buttonLine,
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
    const { stored_bytes, bytes } = model.update ?? model;
    const stored = event?.stored_bytes ?? stored_bytes;
    const total = event?.total_bytes || bytes;
    const isAllHere = model.is_complete && !model.update;
    const name = showHidden(event?.source === model.source ? event.name : model.name);
    this.#name.textContent = name;
    const { amount, origin } = describe(model, event, { isHere, isElsewhere, stored, total });
    this.#amount.textContent = amount;
    this.#comma.hidden = origin === "";
    this.#origin.textContent = origin;
    this.#bar.hidden = isAllHere || (!isHere && total === 0);
    this.#bar.setAttribute("aria-label", `Downloaded part of ${name}`);
    if (total > 0) {
      this.#bar.max = total;
      this.#bar.value = stored;
    } else {
      this.#bar.removeAttribute("value");
    }
    const problem = pull?.error ? showHidden(describeProblem(pull.error)) : "";
    if (this.#problem.textContent !== problem) {
      this.#problem.textContent = problem; // only then, because it is read out each time
    }
    this.#problem.hidden = !problem;
    // Where nothing has come there is nothing to resume: the name was wrong, or the model is refused.
    this.#resume.textContent = problem && stored === 0 ? "Try again" : "Resume";
    this.#showButtons({
      open: model.is_complete,
      pause: isHere,
      resume: !isAllHere && !isHere && !isElsewhere,
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
    this.#buttonLine.hidden = this.#buttons.every((one) => one.hidden);
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
 * @param {{isHere: boolean, isElsewhere: boolean, stored: number, total: number}} state the bytes that are here, and all
 * @returns {{amount: string, origin: string}} for example "1.21 GB of 2.90 GB, paused" and "from huggingface.co". What
 *   comes to a model that is complete is called its update
 */
function describe({ host, drafter, bytes, is_complete, update }, event, { isHere, isElsewhere, stored, total }) {
  const drafts = drafter ? ", with its drafter" : "";
  const origin = host ? `from ${host}` : "";
  const whole = formatBytes(bytes) + drafts;
  if (is_complete && !update && !isHere) {
    return { amount: whole, origin };
  }
  if (isHere && (!event || event.state === "asking")) {
    return { amount: `Asking ${event?.host || host || "its server"} about its files`, origin: "" };
  }
  const what = update ? `${isHere ? "" : `${whole}. `}Update: ` : "";
  const part = `${what}${formatBytes(stored)} of ${formatBytes(total)}`;
  if (isElsewhere) {
    return { amount: `${part}, being downloaded by this page or another tab`, origin: "" };
  }
  if (event?.state === "waiting") {
    const amount = `${part}, already being downloaded by this page or another tab; if that stops, this continues`;
    return { amount, origin: "" };
  }
  if (event?.state === "checking") {
    const share = Math.round((100 * event.checked_bytes) / (event.stored_bytes || 1));
    return { amount: `${part}, checking the downloaded files: ${share} %`, origin };
  }
  if (event) {
    const speed = event.bytes_per_s > 0 ? `, ${(event.bytes_per_s / 1e6).toFixed(1)} MB/s` : "";
    return { amount: part + speed, origin: `from ${event.host}${drafts}` };
  }
  if (stored === 0) {
    return { amount: total > 0 ? `${what}${formatBytes(total)}, not downloaded yet` : "Not downloaded yet", origin };
  }
  return { amount: `${part}, paused`, origin };
}

/**
 * @param {Error} error
 * @returns {string} for example "The model cannot be kept in this browser: the disk is full: …"
 */
function describeProblem(error) {
  const { title, message } = describeError(error);
  return `${title}: ${message}`;
}
