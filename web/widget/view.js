/**
 * The widget's DOM: it is created once, with setters for the parts that change. It contains no logic.
 *
 * @module view
 */

import { h } from "./dom.js";
import { Fetches } from "./fetches.js";
import { showHidden } from "./hidden_characters.js";
import { SettingsPanel } from "./settings.js";
import { SpeedPanel } from "./speed_panel.js";
import { describeFetch, describePhase } from "./words.js";

/** @import {FetchEvent, Phase} from "../messages.js" */
/** @import {Conversation} from "./conversation.js" */
/** @import {Manuscript} from "./manuscript.js" */

/** @typedef {Manuscript | Conversation} Body */

/** @typedef {{label: string, run: () => void, isMain?: boolean}} Action */

/** @typedef {{kind: "offer" | "error" | "unsupported", title: string, lines: string[], actions: Action[]}} Notice */

const FIGURES = /** @type {const} */ ({
  speed: "Speed",
  first_token: "First token",
  tokens: "Tokens",
  memory: "GPU memory",
  adapter: "Adapter",
  seed: "Seed",
});

/** @typedef {keyof typeof FIGURES} FigureName */

export class View {
  settings = new SettingsPanel();
  drafting;
  send = h("button", { type: "button", class: "main", part: "send" }, "Continue");
  stop = h("button", { type: "button", class: "main", part: "stop", hidden: true }, "Stop");
  undo = h("button", { type: "button", class: "quiet", part: "undo" }, "Take back");
  clear = h("button", { type: "button", class: "quiet", part: "clear" }, "Clear");

  #bar = h("progress", { part: "progress", "aria-labelledby": "phase" });
  #fetches = new Fetches();
  #phase = h("span", { id: "phase" });
  #cancel = h("button", { type: "button", class: "quiet" }, "Cancel");
  #loading = h(
    "div",
    { class: "loading", part: "loading", hidden: true },
    h("div", { class: "line" }, this.#phase, this.#cancel),
    this.#bar,
  );
  #notice = h("div", { class: "notice", part: "notice", hidden: true });
  /** @type {Notice | null} */
  #shown = null;
  #words = h("div");
  #status = h("p", { class: "status", part: "status", role: "status" });
  #sheet = h("div", { class: "sheet", part: "sheet" });
  /** @type {Map<FigureName, HTMLElement>} */
  #figures = new Map();

  /**
   * @param {ShadowRoot} root
   * @param {Record<"onCancel" | "onSend" | "onStop" | "onUndo" | "onClear" | "onInput" | "onLook" | "onCompare", () => void>} handlers
   */
  constructor(root, { onCancel, onSend, onStop, onUndo, onClear, onInput, onLook, onCompare }) {
    this.drafting = new SpeedPanel({ onCompare });
    this.#cancel.addEventListener("click", onCancel);
    this.send.addEventListener("click", onSend);
    this.stop.addEventListener("click", onStop);
    this.undo.addEventListener("click", onUndo);
    this.clear.addEventListener("click", onClear);
    root.addEventListener("input", onInput);
    root.addEventListener("keydown", (event) => {
      const { key, ctrlKey, metaKey } = /** @type {KeyboardEvent} */ (event);
      if (key === "Enter" && (ctrlKey || metaKey)) {
        event.preventDefault();
        onSend();
      } else if (key === "Escape" && !this.stop.hidden) {
        event.preventDefault();
        onStop();
      }
    });
    this.settings.onLookChange(() => {
      this.#sheet.classList.toggle("marked", this.settings.get().mark_drafts);
      onLook();
    });
    const figures = h("dl", { class: "figures", part: "figures" });
    for (const [name, label] of Object.entries(FIGURES)) {
      const value = h("dd", { "data-figure": name }, "–");
      this.#figures.set(/** @type {FigureName} */ (name), value);
      figures.append(h("div", {}, h("dt", {}, label), value));
    }
    root.append(
      h("slot", { name: "header" }),
      this.#notice,
      this.#loading,
      this.#sheet,
      h(
        "div",
        { class: "actions", part: "actions" },
        this.send,
        this.stop,
        this.#status,
        this.undo,
        this.clear,
      ),
      figures,
      this.drafting.element,
      this.settings.element,
      h("slot", { name: "footer" }),
    );
  }

  /** Start a text. @param {number} seed */
  begin(seed) {
    this.setNotice(null);
    this.setFigure("seed", String(seed));
    this.drafting.begin();
  }

  /** @param {Body} body the sheet's contents */
  setBody(body) {
    this.#sheet.replaceChildren(body.element);
    this.send.textContent = body.sendLabel;
  }

  /** @param {string} text screen readers announce it, so never set it for each token */
  setStatus(text) {
    const shown = showHidden(text);
    if (this.#status.textContent !== shown) {
      this.#status.textContent = shown;
    }
  }

  /**
   * @param {string | null} text null hides the bar
   * @param {number | null} [fraction] null if it is not known
   */
  setLoading(text, fraction = null) {
    this.#loading.hidden = text === null;
    if (text === null) {
      this.#fetches.clear();
      return;
    }
    this.#phase.textContent = text;
    if (fraction === null) {
      this.#bar.removeAttribute("value");
    } else {
      this.#bar.value = fraction;
    }
  }

  /** Whether files are being fetched; then that progress is shown, and not the progress of reading. */
  get isFetching() {
    return this.#fetches.isOpen;
  }

  /**
   * @param {Phase} phase
   * @param {{loaded_bytes: number, total_bytes: number} | null} progress
   */
  showPhase(phase, progress) {
    if (phase === "ready") {
      this.setLoading(null);
    } else if (!this.isFetching) {
      const fraction = progress && progress.total_bytes > 0 ? progress.loaded_bytes / progress.total_bytes : null;
      this.setLoading(describePhase(phase, progress), fraction);
    }
  }

  /** @param {FetchEvent} event */
  showFetch(event) {
    const all = this.#fetches.take(event);
    this.setLoading(describeFetch(all), all.total_bytes > 0 ? all.stored_bytes / all.total_bytes : null);
  }

  /**
   * Show a notice above the sheet, or none.
   *
   * @param {Notice | null} notice
   */
  setNotice(notice) {
    const shown = this.#shown;
    this.#shown = notice;
    this.#notice.hidden = notice === null;
    if (notice?.kind === "offer" && shown?.kind === "offer" && notice.title === shown.title) {
      // The same offer with more details. The buttons and the focus stay.
      this.#words.replaceChildren(...toWords(notice));
      return;
    }
    this.#notice.replaceChildren();
    if (!notice) {
      return;
    }
    const { kind, actions } = notice;
    this.#notice.className = `notice ${kind}`;
    this.#notice.setAttribute("role", kind === "offer" ? "group" : "alert");
    this.#words = h("div", { class: "words", "aria-live": kind === "offer" && "polite" }, ...toWords(notice));
    this.#notice.append(this.#words);
    if (kind === "unsupported") {
      this.#notice.append(h("slot", { name: "unsupported" }));
    }
    if (actions.length > 0) {
      const more = kind === "offer" ? [h("slot", { name: "offer" })] : [];
      this.#notice.append(h("div", { class: "buttons" }, ...actions.map(button), ...more));
    }
  }

  /**
   * @param {FigureName} name
   * @param {string} text
   */
  setFigure(name, text) {
    const element = /** @type {HTMLElement} */ (this.#figures.get(name));
    element.textContent = showHidden(text);
    element.title = element.textContent;
  }

  /**
   * Swap Continue and Stop. If one of them has the focus, the other one gets it.
   *
   * @param {boolean} isGenerating
   */
  setGenerating(isGenerating) {
    const [shown, gone] = isGenerating ? [this.stop, this.send] : [this.send, this.stop];
    const root = /** @type {ShadowRoot} */ (gone.getRootNode());
    const hadFocus = root.activeElement === gone;
    shown.hidden = false;
    gone.hidden = true;
    if (hadFocus) {
      shown.focus();
    }
  }
}

/** @param {Notice} notice */
function toWords({ title, lines }) {
  return [h("strong", {}, showHidden(title)), ...lines.filter((line) => line).map((line) => h("p", {}, showHidden(line)))];
}

/** @param {Action} action */
function button({ label, run, isMain = false }) {
  const element = h("button", { type: "button", class: isMain ? "main" : "quiet" }, showHidden(label));
  element.addEventListener("click", run);
  return element;
}
