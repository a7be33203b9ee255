/**
 * The settings panel: sampling, limits, stops and drafting, with the browser's own validation.
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
 * @property {number | null} seed null: a random one for each request
 * @property {number} max_tokens
 * @property {string[]} stop
 * @property {number | "auto"} draft_tokens number of tokens to draft per cycle, 0 to 7
 * @property {boolean} enable_thinking let the model reason before it answers
 * @property {boolean} mark_drafts underline drafted tokens; answers are then shown as plain text
 * @property {boolean} plain_text show answers as plain text, not as Markdown
 * @property {string} system_prompt the system turn of a chat; not used if a page sets `prepareMessages`
 */

/** Default values that give good texts with small models. @type {Readonly<Settings>} */
export const DEFAULT_SETTINGS = Object.freeze({
  temperature: 0.7,
  top_k: 64,
  top_p: 0.95,
  min_p: 0,
  repetition_penalty: 1,
  seed: null,
  max_tokens: 256,
  stop: [],
  draft_tokens: "auto",
  enable_thinking: false,
  mark_drafts: false,
  plain_text: false,
  system_prompt: "",
});

/** @typedef {"temperature" | "max_tokens" | "top_k" | "top_p" | "min_p" | "repetition_penalty" | "seed"} NumberName */

/** Keep in step with `GenerateRequest` in ../messages.js. */
const MAX_DRAFT_TOKENS = 7;

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
  #draftTokens = h(
    "select",
    { id: "draft_tokens" },
    h("option", { value: "auto" }, "Auto"),
    ...Array.from({ length: MAX_DRAFT_TOKENS + 1 }, (_, count) =>
      h("option", { value: String(count) }, String(count)),
    ),
  );
  #thinking = h("input", { id: "enable_thinking", type: "checkbox" });
  #marks = h("input", { id: "mark_drafts", type: "checkbox" });
  #plain = h("input", { id: "plain_text", type: "checkbox" });
  #system = h("textarea", { id: "system_prompt", rows: "2" });
  #draftFields = [
    field("draft_tokens", "Draft length", "tokens per cycle; 0 is off", this.#draftTokens),
    field("mark_drafts", "Mark drafted tokens", "underlined where accepted", this.#marks),
  ];
  #chatFields = [
    field("system_prompt", "System prompt", "said to the model before the chat", this.#system),
    field("enable_thinking", "Thinking", "reason before answering", this.#thinking),
    field("plain_text", "Plain text", "show answers without Markdown", this.#plain),
  ];

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
        required: name !== "seed",
      });
      this.#inputs.set(name, input);
      return field(name, label, hint, input);
    });
    const reset = h("button", { type: "button", class: "quiet" }, "Reset settings");
    reset.addEventListener("click", () => this.set(DEFAULT_SETTINGS));
    this.element = h(
      "details",
      { class: "settings", part: "settings" },
      h("summary", {}, "Settings"),
      h("slot", { name: "settings" }),
      h(
        "div",
        { class: "fields" },
        ...fields,
        field("stop", "Stop at", "one per line; \\n is a line break", this.#stop),
        ...this.#draftFields,
        ...this.#chatFields,
      ),
      reset,
    );
    this.set(DEFAULT_SETTINGS);
    this.setRelevant({ isChat: false, maxDraftTokens: null });
  }

  /**
   * Show only settings that have an effect on the loaded model. Hidden settings keep their values.
   *
   * @param {{isChat: boolean, maxDraftTokens: number | null}} model maxDraftTokens is null without a drafter
   */
  setRelevant({ isChat, maxDraftTokens }) {
    for (const element of this.#chatFields) {
      element.hidden = !isChat;
    }
    for (const element of this.#draftFields) {
      element.hidden = maxDraftTokens === null;
    }
    for (const option of this.#draftTokens.options) {
      option.disabled = maxDraftTokens !== null && Number(option.value) > maxDraftTokens;
    }
    if (this.#draftTokens.selectedOptions[0]?.disabled) {
      this.#draftTokens.value = "auto";
    }
  }

  /** @param {() => void} onChange called when a setting changes how answers look: marks, or plain text */
  onLookChange(onChange) {
    this.#marks.addEventListener("change", onChange);
    this.#plain.addEventListener("change", onChange);
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
    const { draft_tokens, enable_thinking } = settings;
    if (draft_tokens !== undefined) {
      this.#draftTokens.value = String(draft_tokens);
    }
    this.#thinking.checked = enable_thinking ?? this.#thinking.checked;
    this.#system.value = settings.system_prompt ?? this.#system.value;
    for (const name of /** @type {const} */ (["mark_drafts", "plain_text"])) {
      const box = name === "mark_drafts" ? this.#marks : this.#plain;
      const value = settings[name] ?? box.checked;
      if (value !== box.checked) {
        box.checked = value;
        box.dispatchEvent(new Event("change"));
      }
    }
  }

  /** @returns {Settings} the current settings, valid or not */
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
    const drafted = this.#draftTokens.value;
    return /** @type {Settings} */ ({
      ...numbers,
      stop,
      draft_tokens: drafted === "auto" ? "auto" : Number(drafted),
      enable_thinking: this.#thinking.checked,
      mark_drafts: this.#marks.checked,
      plain_text: this.#plain.checked,
      system_prompt: this.#system.value.trim(),
    });
  }

  /** @returns {boolean} false if a field is out of its range; then that field is shown */
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
  control.setAttribute("aria-describedby", `${id}-hint`);
  const isCheck = control.getAttribute("type") === "checkbox";
  return h(
    "div",
    { class: `field ${id}${isCheck ? " check" : ""}` },
    h("label", { for: id }, label),
    control,
    h("span", { class: "hint", id: `${id}-hint` }, hint),
  );
}
