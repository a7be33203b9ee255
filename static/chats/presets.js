/**
 * Presets of settings: built-in ones, and the user's own.
 *
 * @module chats/presets
 */

import { showHidden } from "../leadout.js";

const KEY = "leadout-presets";
const MAX_PRESETS = 50;

/** The settings of a preset, with their types. */
const KINDS = {
  temperature: "number",
  top_k: "number",
  top_p: "number",
  min_p: "number",
  repetition_penalty: "number",
  max_tokens: "number",
  enable_thinking: "boolean",
  system_prompt: "string",
};

const SAMPLING = { temperature: 0.7, top_k: 64, top_p: 0.95, min_p: 0, repetition_penalty: 1 };

const GIVEN = [
  { name: "Balanced", settings: SAMPLING },
  { name: "Precise", settings: { ...SAMPLING, temperature: 0 } },
  { name: "Creative", settings: { ...SAMPLING, temperature: 1.1, min_p: 0.05 } },
];

export class Presets {
  #chat;
  #select = document.getElementById("preset");
  #name = document.getElementById("preset-name");
  #delete = document.getElementById("preset-delete");
  #own = readOwn();

  /** @param {any} chat the <leadout-chat> */
  constructor(chat) {
    this.#chat = chat;
    this.#show("");
    this.#select.addEventListener("change", () => this.#use());
    document.getElementById("preset-save").addEventListener("click", () => this.#save());
    this.#name.addEventListener("keydown", (event) => {
      // Stop the event, because Enter would send a message in the widget.
      event.stopPropagation();
      if (event.key === "Enter" && !event.isComposing) this.#save();
    });
    this.#delete.addEventListener("click", () => {
      this.#own = this.#own.filter(({ name }) => name !== this.#select.value.slice(1));
      this.#write();
      this.#show("");
    });
  }

  /** @param {string} value of the chosen option */
  #show(value) {
    const own = document.createElement("optgroup");
    own.label = "Yours";
    own.append(...this.#own.map(({ name }) => new Option(showHidden(name), `+${name}`)));
    this.#select.replaceChildren(
      new Option("Choose…", ""),
      ...GIVEN.map(({ name }) => new Option(name, name)),
      ...(this.#own.length > 0 ? [own] : []),
    );
    this.#select.value = value;
    this.#delete.hidden = !value.startsWith("+");
  }

  #use() {
    const { value } = this.#select;
    const found = value.startsWith("+")
      ? this.#own.find(({ name }) => name === value.slice(1))
      : GIVEN.find(({ name }) => name === value);
    if (found) {
      this.#chat.settings = found.settings;
    }
    this.#delete.hidden = !value.startsWith("+");
  }

  #save() {
    const name = this.#name.value.trim();
    if (!name) {
      this.#name.focus();
      return;
    }
    const settings = pickKnown(this.#chat.settings);
    this.#own = [...this.#own.filter((one) => one.name !== name), { name, settings }].slice(-MAX_PRESETS);
    this.#write();
    this.#name.value = "";
    this.#show(`+${name}`);
  }

  #write() {
    try {
      localStorage.setItem(KEY, JSON.stringify(this.#own));
    } catch {
      // Storage is switched off or full. Then presets are lost with the page.
    }
  }
}

/** @returns {{name: string, settings: object}[]} */
function readOwn() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return kept
      .filter(({ name }) => typeof name === "string" && name)
      .map(({ name, settings }) => ({ name, settings: pickKnown(settings) }));
  } catch {
    return [];
  }
}

/** @param {any} settings */
function pickKnown(settings) {
  return Object.fromEntries(Object.entries(KINDS).flatMap(([key, kind]) => {
    const value = settings?.[key];
    return typeof value === kind ? [[key, value]] : [];
  }));
}
