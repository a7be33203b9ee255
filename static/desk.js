/**
 * The finance desk around <leadout-chat>, shown while Nano is the model: a market table, a brief of it, and questions
 * about it. The page has it in its layout from the start, so that nothing moves when Nano turns out to be the model.
 *
 * As in Nano's training, the table goes into the first user turn of a conversation. An edited table starts a new
 * conversation. If something cannot be sent, the reason is shown beside the table, and the text stays in the input.
 *
 * @module desk
 */

import { showHidden } from "./leadout.js";
import { EXAMPLE_TABLE, estimateTokens, findTableProblem, NANO_SYSTEM } from "./market_table.js";

/** The site's name for Nano. */
export const NANO = "nano";

const BRIEF = "Write a brief.";

/** Answers copy figures, so they must not be random. */
const SETTINGS = { temperature: 0 };

/** Tokens of the context that are reserved for a brief. */
const ANSWER_TOKENS = 250;

/** Tokens of the marks around a turn. */
const TURN_TOKENS = 6;

/** The most rows of a table in Nano's training. */
const MOST_TRAINED_ROWS = 20;

export class Desk {
  #table = document.getElementById("table");
  #problem = document.getElementById("table-problem");
  #note = document.getElementById("table-note");
  #example = document.getElementById("example");
  #buttons = [...document.querySelectorAll("#write-brief, #questions button")];
  #chat;
  /** The table that the conversation is about. */
  #tableInUse = "";
  /** Whether the conversation was too long to send all of it. */
  #hasForgotten = false;
  /** Whether the first brief must still be written without a request. */
  #isFirst = true;
  /** Whether only the example's brief was written, without a request of the user. */
  #hasWrittenFirst = false;
  /** The widget's settings before the desk was opened. */
  #settingsBefore = null;

  /** @param {HTMLElement} chat the <leadout-chat> */
  constructor(chat) {
    this.#chat = chat;
    this.#table.value ||= EXAMPLE_TABLE; // a user may write before this script is here
    this.#example.hidden = this.#table.value === EXAMPLE_TABLE;
    this.#table.addEventListener("input", () => this.#takeEdit());
    this.#example.addEventListener("click", () => {
      this.#table.value = EXAMPLE_TABLE;
      this.#takeEdit();
      this.#table.focus();
    });
    for (const button of this.#buttons) {
      button.addEventListener("click", () => this.#ask(button.dataset.question ?? BRIEF));
    }
    new MutationObserver(() => this.#takeState()).observe(chat, {
      attributeFilter: ["data-state"],
    });
  }

  /** Open the desk; call it before Nano is loaded. */
  open() {
    this.#settingsBefore ??= this.#chat.settings;
    this.#chat.prepareMessages = (said) => this.#prepare(said);
    document.body.classList.add("with-desk");
    this.#chat.settings = SETTINGS;
    this.#takeState();
  }

  /** Close the desk, because another model was chosen. */
  close() {
    document.body.classList.remove("with-desk");
    this.#isFirst = false;
    this.#tableInUse = "";
    if (this.#settingsBefore) {
      this.#chat.prepareMessages = null;
      this.#chat.settings = this.#settingsBefore;
      this.#settingsBefore = null;
    }
  }

  /** Whether the conversation has only the example's brief, which is not worth keeping. */
  get hasExampleOnly() {
    return this.#hasWrittenFirst && this.#chat.messages.length <= 2;
  }

  /** @param {string} message */
  #ask(message) {
    this.#hasWrittenFirst = false;
    this.#chat.send({ message });
    if (this.#chat.state === "generating") {
      this.#chat.scrollIntoView({ block: "nearest" });
    }
  }

  #takeState() {
    const { state } = this.#chat;
    for (const button of this.#buttons) {
      button.disabled = state !== "ready";
    }
    if (state === "ready" && this.#chat.prepareMessages) {
      this.#writeFirst();
    }
    if (state === "generating") {
      this.#showNote();
    }
  }

  /** Write the example's brief as soon as Nano is ready, unless the user has begun something. */
  #writeFirst() {
    const { messages, text } = this.#chat;
    if (this.#isFirst && !messages.length && !text && this.#table.value === EXAMPLE_TABLE) {
      this.#hasWrittenFirst = true;
      this.#chat.send({ message: BRIEF });
    }
    this.#isFirst = false;
  }

  #takeEdit() {
    this.#example.hidden = this.#table.value === EXAMPLE_TABLE;
    // Show no new problem while the user types, but hide a shown one when it is fixed.
    if (!this.#problem.hidden) {
      this.#check();
    }
    this.#showNote();
  }

  #showNote() {
    const table = this.#table.value.trim();
    const isEdited = this.#chat.messages.length > 0 && table !== this.#tableInUse;
    const numRows = table.split("\n").length;
    this.#note.textContent = isEdited
      ? "The next question begins a new conversation, about this table."
      : this.#hasForgotten
        ? "The conversation is too long for Nano: it no longer sees the first questions."
        : numRows > MOST_TRAINED_ROWS + 3
          ? `Nano was trained on up to ${MOST_TRAINED_ROWS} assets; with more it errs more often.`
          : "";
    this.#note.hidden = !this.#note.textContent;
  }

  /** @returns {boolean} false if the table has a problem, which is then shown */
  #check() {
    const problem = findTableProblem(this.#table.value) ?? this.#findLengthProblem();
    this.#say(problem ?? "");
    return !problem;
  }

  /** @param {string} [question] @returns {string | null} */
  #findLengthProblem(question = BRIEF) {
    const table = this.#table.value.trim();
    const tokens = countTokens(withTable(table, [{ role: "user", content: question }]));
    const held = this.#contextLength - ANSWER_TOKENS;
    if (tokens <= held) {
      return null;
    }
    const [what, advice] =
      question.length < table.length
        ? ["The table is too long", "Leave out rows or columns."]
        : ["The question is too long", "Shorten it."];
    return `${what}: about ${tokens} tokens in all, and Nano has room for ${held} before its answer. ${advice}`;
  }

  get #contextLength() {
    return this.#chat.engine?.info.context_length ?? 2048;
  }

  /**
   * @param {{role: string, content: string}[]} said
   * @returns {{role: string, content: string}[] | null}
   */
  #prepare(said) {
    const question = said.at(-1).content;
    if (!this.#check()) {
      this.#table.scrollIntoView({ block: "nearest" });
      return null;
    }
    const tooLong = this.#findLengthProblem(question);
    if (tooLong) {
      this.#say(tooLong);
      return null;
    }
    const table = this.#table.value.trim();
    const isNew = table !== this.#tableInUse;
    let turns = isNew ? said.slice(-1) : said;
    let messages = withTable(table, turns);
    // Drop the oldest questions first, with their answers. The last question fits, as checked above.
    while (turns.length > 2 && countTokens(messages) > this.#contextLength - ANSWER_TOKENS) {
      turns = turns.slice(2);
      messages = withTable(table, turns);
    }
    this.#hasForgotten = turns.length < said.length && !isNew;
    if (isNew) {
      this.#chat.messages = [];
      this.#tableInUse = table;
    }
    return messages;
  }

  /** @param {string} problem the reason why something cannot be sent; "" is none */
  #say(problem) {
    this.#problem.textContent = showHidden(problem);
    this.#problem.hidden = !problem;
    this.#table.setAttribute("aria-invalid", String(Boolean(problem)));
  }
}

/**
 * @param {string} table
 * @param {{role: string, content: string}[]} turns the first one is the user's
 */
function withTable(table, [first, ...others]) {
  return [
    { role: "system", content: NANO_SYSTEM },
    { role: first.role, content: `${table}\n\n${first.content}` },
    ...others,
  ];
}

/** @param {{content: string}[]} messages */
function countTokens(messages) {
  return messages.reduce((sum, { content }) => sum + estimateTokens(content) + TURN_TOKENS, 0);
}
