/**
 * The models that this browser keeps, with their sizes and buttons to fetch, pause, resume and delete them.
 *
 * @module library
 */

import { Leadout, showHidden } from "./leadout.js";

/** The shortest time between two reads of the list while a tab is fetching. */
const REFRESH_MS = 400;

/** How long the second click on Delete may take. */
const DELETE_MS = 4000;

/** @param {number} bytes */
export function formatSize(bytes) {
  return bytes < 1e9 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}

export class Library {
  #details = document.getElementById("library");
  #summary = document.getElementById("library-summary");
  #list = document.getElementById("library-list");
  #empty = document.getElementById("library-empty");
  #onOpen;
  #onList;
  #hub;
  /** Fetches of this page, running or failed, by source. */
  #pulls = new Map();
  /** Rows, by source. */
  #rows = new Map();
  #refreshing = null;
  #isStale = false;

  /**
   * @param {object} handlers
   * @param {(model: object) => void} handlers.onOpen
   * @param {(models: object[]) => void} handlers.onList
   * @param {() => {token: string | null}} handlers.hub returns the current access token
   */
  constructor({ onOpen, onList, hub }) {
    this.#onOpen = onOpen;
    this.#onList = onList;
    this.#hub = hub;
    Leadout.models.watch(() => this.refresh());
    addEventListener("online", () => {
      for (const [source, { error }] of this.#pulls) {
        if (error?.name === "SourceError") this.pull(source);
      }
    });
    this.refresh();
  }

  /**
   * Fetch a model and keep it.
   *
   * @param {string} source
   */
  async pull(source) {
    if (this.#pulls.get(source)?.controller) {
      return;
    }
    const pull = { controller: new AbortController(), event: null, error: null, name: source };
    this.#pulls.set(source, pull);
    this.#details.open = true;
    this.refresh();
    try {
      const onProgress = (event) => {
        pull.event = event;
        this.#show();
      };
      const { signal } = pull.controller;
      await Leadout.models.pull(source, { hub: this.#hub(), signal, onProgress });
      this.#pulls.delete(source);
    } catch (error) {
      pull.error = error.name === "AbortError" ? null : error;
      pull.controller = null;
      pull.event = null;
    }
    this.refresh();
  }

  /** Read the list again soon. */
  refresh() {
    if (this.#refreshing) {
      this.#isStale = true;
      return;
    }
    this.#refreshing = this.#read().finally(() => {
      setTimeout(() => {
        this.#refreshing = null;
        if (this.#isStale) {
          this.#isStale = false;
          this.refresh();
        }
      }, REFRESH_MS);
    });
  }

  async #read() {
    try {
      this.models = await Leadout.models.list();
      this.#onList(this.models);
      this.#show();
    } catch (error) {
      this.#summary.textContent = "Kept in this browser: nothing";
      this.#empty.textContent = `Models cannot be kept here: ${error.message}.`;
      this.#empty.hidden = false;
    }
  }

  #show() {
    const kept = new Map((this.models ?? []).map((model) => [model.source, model]));
    for (const [source, { name }] of this.#pulls) {
      // Before the server has answered, only the model's source is known.
      if (!kept.has(source)) {
        kept.set(source, { source, name, host: "", bytes: 0, stored_bytes: 0, is_complete: false });
      }
    }
    for (const [source, row] of this.#rows) {
      if (!kept.has(source)) {
        row.element.remove();
        this.#rows.delete(source);
      }
    }
    for (const [source, model] of kept) {
      if (!this.#rows.has(source)) {
        this.#rows.set(source, new Row());
        this.#list.append(this.#rows.get(source).element);
      }
      this.#rows.get(source).show(model, this.#pulls.get(source), this);
    }
    const isEmpty = kept.size === 0;
    this.#empty.hidden = !isEmpty;
    const bytes = [...kept.values()].reduce((sum, model) => sum + model.stored_bytes, 0);
    const count = kept.size === 1 ? "1 model" : `${kept.size} models`;
    this.#summary.textContent = isEmpty
      ? "Kept in this browser: nothing yet"
      : `Kept in this browser: ${count}, ${formatSize(bytes)}`;
  }

  /** @param {object} model */
  open(model) {
    this.#onOpen(model);
  }

  /** @param {string} source */
  pause(source) {
    this.#pulls.get(source)?.controller?.abort();
  }

  /** @param {string} source */
  resume(source) {
    this.pull(source);
  }

  /** @param {string} source */
  async remove(source) {
    const pull = this.#pulls.get(source);
    try {
      await Leadout.models.remove(source);
      this.#pulls.delete(source);
    } catch (error) {
      if (error.name === "ModelNotFoundError") {
        this.#pulls.delete(source);
      } else {
        this.#pulls.set(source, { ...pull, controller: null, event: null, error });
      }
    }
    this.refresh();
  }
}

/** One model of the list. */
class Row {
  element = document.createElement("li");
  #name = document.createElement("strong");
  #facts = document.createElement("p");
  #bar = document.createElement("progress");
  #problem = document.createElement("p");
  #open = makeButton("Open");
  #pause = makeButton("Pause");
  #resume = makeButton("Resume");
  #remove = makeButton("Delete");
  #model = null;
  #library = null;

  constructor() {
    const words = document.createElement("div");
    words.append(this.#name, this.#facts, this.#bar, this.#problem);
    const buttons = document.createElement("div");
    buttons.className = "line";
    buttons.append(this.#open, this.#pause, this.#resume, this.#remove);
    this.element.append(words, buttons);
    this.#problem.setAttribute("role", "alert");
    this.#open.addEventListener("click", () => this.#library.open(this.#model));
    this.#pause.addEventListener("click", () => this.#library.pause(this.#model.source));
    this.#resume.addEventListener("click", () => this.#library.resume(this.#model.source));
    this.#remove.addEventListener("click", () => this.#askToRemove());
  }

  show(model, pull, library) {
    this.#model = model;
    this.#library = library;
    const event = pull?.controller ? pull.event : null;
    const isHere = Boolean(pull?.controller);
    const isElsewhere = !isHere && model.is_fetching;
    const stored = event && event.source === model.source ? event.stored_bytes : model.stored_bytes;
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
    this.#problem.textContent = pull?.error ? showHidden(pull.error.message) : "";
    this.#problem.hidden = !pull?.error;
    this.#open.hidden = !model.is_complete;
    this.#pause.hidden = !isHere;
    this.#resume.hidden = model.is_complete || isHere || isElsewhere;
    this.#remove.hidden = isHere || isElsewhere;
    for (const button of [this.#open, this.#pause, this.#resume, this.#remove]) {
      button.setAttribute("aria-label", `${button.textContent} ${name}`);
    }
  }

  #askToRemove() {
    const button = this.#remove;
    if (button.dataset.asked) {
      this.#library.remove(this.#model.source);
      return;
    }
    button.dataset.asked = "yes";
    button.textContent = "Really delete";
    setTimeout(() => {
      delete button.dataset.asked;
      button.textContent = "Delete";
    }, DELETE_MS);
  }
}

/**
 * @param {object} model
 * @param {object | null} event the last event of this page's fetch
 * @param {{isHere: boolean, isElsewhere: boolean, stored: number}} state
 */
function describe({ bytes, host, drafter, is_complete }, event, { isHere, isElsewhere, stored }) {
  const drafts = drafter ? ", with its drafter" : "";
  if (is_complete && !isHere) {
    return `${formatSize(bytes)}${drafts}${host ? `, from ${host}` : ""}`;
  }
  const part = bytes > 0 ? `${formatSize(stored)} of ${formatSize(bytes)}` : "";
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
    return `${part}, checking the downloaded files`;
  }
  if (isHere) {
    const speed = event.bytes_per_s > 0 ? `, ${(event.bytes_per_s / 1e6).toFixed(1)} MB/s` : "";
    return `${part} from ${event.host}${speed}${drafts}`;
  }
  if (stored === 0) {
    return `${formatSize(bytes)}, not downloaded yet${host ? `; from ${host}` : ""}`;
  }
  return `${part}, paused${host ? `; from ${host}` : ""}`;
}

/** @param {string} text */
function makeButton(text) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = text;
  return button;
}
