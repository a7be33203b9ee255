/**
 * Lets the loaded model write a brief of the table. Nano gets the columns of its training. Other models get the whole
 * table, as far as it fits into the context.
 *
 * @module desk/brief
 */

import { showHidden } from "../leadout.js";
import { estimateTokens, NANO_SYSTEM } from "../market_table.js";
import { showChecked } from "./checked.js";

/** The question of Nano's training; see market_table.js. */
const NANO_QUESTION = "Write a brief.";

const SYSTEM =
  "You write about one market table, in plain text without Markdown. Copy figures exactly as the table has them, with " +
  "their signs and units. Use no figure that is not in the table, do not calculate, and give no reasons and no advice. " +
  "1d, 7d and 30d are changes by day, week and month; 50d and 200d are distances from moving averages; vol is the volume " +
  "against its average.";
const QUESTION = "Write a brief of four to six sentences: what moved most, how the market stands, what is worth watching.";

/** Tokens of the context that are reserved: for the answer, and for the instructions around the table. */
const ANSWER_TOKENS = { nano: 250, any: 400 };
const TURN_TOKENS = { nano: 80, any: 300 };

/** How often the table is cut at most until it fits. */
const MOST_CUTS = 6;

/** Tokens of the marks around each turn. */
const MARK_TOKENS = 6;

const part = (id) => document.getElementById(id);

export class Brief {
  #chat;
  #python;
  #models;
  #table;
  /** The current table as text for the current model; null while it is being made. */
  #text = null;
  #textEngine = null;
  /** The table's text that the conversation is about. */
  #textInUse = null;
  #controller = null;
  #hasTable = false;

  /**
   * @param {object} parts
   * @param {HTMLElement} parts.chat the <leadout-chat>
   * @param {import("../desk_parts.js").DeskPython} parts.python
   * @param {import("./model_choice.js").ModelChoice} parts.models
   * @param {import("./table.js").MarketTable} parts.table
   */
  constructor({ chat, python, models, table }) {
    this.#chat = chat;
    this.#python = python;
    this.#models = models;
    this.#table = table;
    chat.settings = { temperature: 0 };
    chat.prepareMessages = (said) => this.#prepare(said);
    part("write").addEventListener("click", () => this.write());
    part("stop").addEventListener("click", () => this.#controller?.abort());
    new MutationObserver(() => this.#takeState()).observe(chat, { attributeFilter: ["data-state"] });
  }

  /** @param {any} made the result of Desk.table */
  async takeTable({ rows }) {
    this.#hasTable = rows.length > 0;
    this.#text = null;
    if (!part("brief").hidden && !this.#controller) {
      // Remove its links, because they would lead to other figures now.
      const text = part("brief").querySelector(".text");
      part("brief").replaceChildren(text);
      text.replaceChildren(text.textContent);
      this.#say("The table has changed since this was written.");
    }
    this.#takeState();
    this.#complain("");
    await this.#fit().catch((error) => this.#complain(error.message));
  }

  async write() {
    const { engine } = this.#chat;
    if (!engine || this.#controller) return;
    this.#controller = new AbortController();
    const { signal } = this.#controller;
    this.#takeState();
    this.#complain("");
    this.#say("Writing…");
    const box = part("brief");
    const text = document.createElement("p");
    text.className = "text";
    text.append("");
    let written = "";
    try {
      const fitted = await this.#fit();
      box.replaceChildren(text);
      box.hidden = false;
      const messages = withTable(fitted, [{ role: "user", content: fitted.kind === "nano" ? NANO_QUESTION : QUESTION }]);
      const stream = await engine.chat.completions.create(
        { messages, stream: true, temperature: 0, max_tokens: ANSWER_TOKENS[fitted.kind] },
        { signal },
      );
      for await (const chunk of stream) {
        written += chunk.choices[0]?.delta?.content ?? "";
        text.textContent = showHidden(written);
      }
      this.#say("Checking…");
      showChecked(box, await this.#python.check(written), this.#table);
      this.#say(fitted === this.#text ? "Written and checked." : "The table has changed since this was written.");
    } catch (error) {
      if (error.name === "AbortError") {
        this.#say("Stopped.");
        if (written) showChecked(box, await this.#python.check(written), this.#table);
      } else {
        this.#say("");
        this.#complain(error.message);
      }
      box.hidden = !written;
    } finally {
      this.#controller = null;
      this.#takeState();
    }
  }

  /**
   * Return the table as text for the model, cut to fit into the context.
   *
   * @returns {Promise<{kind: "nano" | "any", text: string}>}
   */
  async #fit() {
    const { engine } = this.#chat;
    if (!engine || !this.#hasTable) return null;
    if (this.#text && this.#textEngine === engine) return this.#text;
    const kind = this.#models.isNano ? "nano" : "any";
    const room = (engine.info.context_length ?? 2048) - ANSWER_TOKENS[kind] - TURN_TOKENS[kind];
    let mostRows = Math.max(this.#table.made.rows.length, 1);
    let made = await this.#python.textFor(kind, mostRows);
    for (let cut = 0; cut < MOST_CUTS && made.num_assets > 1; cut++) {
      const tokens = (await engine.tokenize(made.text)).length;
      if (tokens <= room) break;
      mostRows = Math.max(Math.min(Math.floor((made.num_assets * room) / tokens), made.num_assets - 1), 1);
      made = await this.#python.textFor(kind, mostRows);
    }
    const left = part("brief-left-out");
    left.textContent = made.left_out.length > 0 ? `Not shown to the model: ${showHidden(made.left_out.join("; "))}.` : "";
    left.hidden = made.left_out.length === 0;
    if (made.num_assets === 0) {
      throw new Error("The model can read no row of this table; choose another model, or name assets by their tickers.");
    }
    this.#textEngine = engine;
    this.#text = { kind, text: made.text };
    return this.#text;
  }

  /** Add the table to a question of the chat. @param {{role: string, content: string}[]} said */
  #prepare(said) {
    if (!this.#text) {
      this.#complain(this.#hasTable ? "The table is being made; ask again in a moment." : "Add a file first.");
      return null;
    }
    this.#complain("");
    const isNew = this.#textInUse !== this.#text;
    if (isNew) {
      this.#chat.messages = [];
      this.#textInUse = this.#text;
    }
    let turns = isNew ? said.slice(-1) : said;
    let messages = withTable(this.#text, turns);
    // Drop the oldest questions first, with their answers. The table stays.
    const { engine } = this.#chat;
    const held = (engine?.info.context_length ?? 2048) - ANSWER_TOKENS[this.#text.kind];
    while (turns.length > 2 && countTokens(messages) > held) {
      turns = turns.slice(2);
      messages = withTable(this.#text, turns);
    }
    if (!isNew && turns.length < said.length) {
      this.#complain("The conversation is too long for the model: it no longer sees the first questions.");
    }
    return messages;
  }

  #takeState() {
    const { state, engine } = this.#chat;
    part("write").disabled = !engine || state !== "ready" || !this.#hasTable || Boolean(this.#controller);
    part("stop").hidden = !this.#controller;
    if (state === "ready" && this.#textEngine !== engine) {
      this.#fit().catch((error) => this.#complain(error.message));
    }
  }

  #say(text) {
    part("brief-state").textContent = text;
  }

  #complain(text) {
    part("brief-problem").textContent = showHidden(text);
    part("brief-problem").hidden = !text;
  }
}

/**
 * @param {{kind: "nano" | "any", text: string}} table
 * @param {{role: string, content: string}[]} turns the first one is the user's
 */
function withTable({ kind, text }, [first, ...others]) {
  const system = kind === "nano" ? NANO_SYSTEM : SYSTEM;
  return [
    { role: "system", content: system },
    { role: first.role, content: `${text}\n\n${first.content}` },
    ...others,
  ];
}

/** @param {{content: string}[]} messages @returns {number} an estimate, rather too high than too low */
function countTokens(messages) {
  return messages.reduce((sum, { content }) => sum + estimateTokens(content) + MARK_TOKENS, 0);
}
