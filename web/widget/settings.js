/**
 * The settings panel: sampling, limits and stops, with the browser's own validation.
 *
 * @module settings
 */

import { h } from "./dom.js";

/**
 * @typedef {object} Settings
 * @property {number} temperature
 * @property {number} top_k
 * @property {number} top_p
 * @property {number} min_p
 * @property {number} repetition_penalty
 * @property {number | null} seed null = another one each time
 * @property {number} max_tokens
 * @property {string[]} stop
 */

/** A place to start that reads well with small models. @type {Readonly<Settings>} */
export const DEFAULT_SETTINGS = Object.freeze({
  temperature: 0.7,
  top_k: 64,
  top_p: 0.95,
  min_p: 0,
  repetition_penalty: 1,
  seed: null,
  max_tokens: 256,
  stop: [],
});

/** @typedef {Exclude<keyof Settings, "stop">} NumberName */

/** @type {{name: NumberName, label: string, hint: string, min: number, max: number, step: string}[]} */
const NUMBER_FIELDS = [
  { name: "temperature", label: "Temperature", hint: "0 is always the likeliest word", min: 0, max: 5, step: "0.05" },
  { name: "max_tokens", label: "Max tokens", hint: "then it pauses", min: 1, max: 131072, step: "1" },
  { name: "top_k", label: "Top-k", hint: "0 is off", min: 0, max: 1000, step: "1" },
  { name: "top_p", label: "Top-p", hint: "1 is off", min: 0.01, max: 1, step: "0.01" },
  { name: "min_p", label: "Min-p", hint: "0 is off", min: 0, max: 1, step: "0.01" },
  { name: "repetition_penalty", label: "Repetition penalty", hint: "1 is off", min: 0.1, max: 5, step: "0.05" },
  { name: "seed", label: "Seed", hint: "empty is a new one each time", min: 0, max: 4294967295, step: "1" },
];

export class SettingsPanel {
  /** @type {Map<NumberName, HTMLInputElement>} */
  #inputs = new Map();
  #stop = h("textarea", { id: "stop", rows: "2", spellcheck: "false", autocomplete: "off" });

  constructor() {
    const fields = NUMBER_FIELDS.map(({ name, label, hint, min, max, step }) => {
      const input = h("input", {
        id: name,
        type: "number",
        min: String(min),
        max: String(max),
        step,
        inputmode: step === "1" ? "numeric" : "decimal",
        autocomplete: "off",
        "aria-describedby": `${name}-hint`,
        required: name !== "seed",
      });
      this.#inputs.set(name, input);
      return field(name, label, hint, input);
    });
    this.#stop.setAttribute("aria-describedby", "stop-hint");
    const reset = h("button", { type: "button", class: "quiet" }, "Reset settings");
    reset.addEventListener("click", () => this.set(DEFAULT_SETTINGS));
    this.element = h(
      "details",
      { class: "settings", part: "settings" },
      h("summary", {}, "Settings"),
      h(
        "div",
        { class: "fields" },
        ...fields,
        field("stop", "Stop at", "one per line; \\n is a line break", this.#stop),
      ),
      reset,
    );
    this.set(DEFAULT_SETTINGS);
  }

  /** @param {Partial<Settings>} settings */
  set(settings) {
    for (const [name, input] of this.#inputs) {
      const value = settings[name];
      if (value !== undefined) {
        input.value = value === null ? "" : String(value);
      }
    }
    if (settings.stop) {
      this.#stop.value = settings.stop.map((text) => text.replaceAll("\n", "\\n")).join("\n");
    }
  }

  /** @returns {Settings} as they stand, valid or not */
  get() {
    const numbers = Object.fromEntries(
      [...this.#inputs].map(([name, input]) => [
        name,
        input.value === "" ? null : input.valueAsNumber,
      ]),
    );
    const stop = this.#stop.value
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => line.replaceAll("\\n", "\n"));
    return /** @type {Settings} */ ({ ...numbers, stop });
  }

  /** @returns {boolean} false after showing the field that is out of its range */
  validate() {
    for (const input of this.#inputs.values()) {
      if (!input.checkValidity()) {
        this.element.open = true;
        input.reportValidity();
        return false;
      }
    }
    return true;
  }
}

/**
 * @param {string} id
 * @param {string} label
 * @param {string} hint
 * @param {HTMLElement} control
 */
function field(id, label, hint, control) {
  return h(
    "div",
    { class: `field ${id}` },
    h("label", { for: id }, label),
    control,
    h("span", { class: "hint", id: `${id}-hint` }, hint),
  );
}
