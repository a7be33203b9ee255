/**
 * Shows a text without and with the drafter side by side, with buttons to save the comparison.
 *
 * @module comparison_panel
 */

/** @import {Engine} from "../client.js" */
/** @import {SharedParams} from "../client/parameters.js" */
/** @import {Request, WrittenPiece} from "./follow.js" */
/** @import {Card} from "./comparison.js" */

import { AnswerText } from "./answer_text.js";
import { describeSameness, describeSpeedup, drawCard, saveFile } from "./card.js";
import { compareDrafting, toCard } from "./comparison.js";
import { h } from "./dom.js";
import { formatMs, formatSpeed } from "./words.js";

export class ComparisonPanel {
  #verdict = h("p", { class: "verdict", role: "status" });
  #sides = { without: new SideView("Without drafting", "without"), drafted: new SideView("With drafting", "drafted") };
  #image = h("button", { type: "button", class: "quiet" }, "Save as picture");
  #json = h("button", { type: "button", class: "quiet" }, "Save as JSON");
  #close = h("button", { type: "button", class: "quiet" }, "Close");
  #share = h("div", { class: "share", hidden: true }, this.#image, this.#json, this.#close);
  /** @type {Card | null} */
  #card = null;

  constructor() {
    this.element = h(
      "section",
      { class: "comparison", part: "comparison", "aria-label": "With and without drafting", hidden: true },
      this.#verdict,
      h("div", { class: "sides" }, this.#sides.without.element, this.#sides.drafted.element),
      this.#share,
    );
    this.#close.addEventListener("click", () => {
      this.element.hidden = true;
    });
    this.#json.addEventListener("click", () => {
      const json = JSON.stringify(this.#card, null, 1);
      saveFile(new Blob([json], { type: "application/json" }), "leadout-comparison.json");
    });
    this.#image.addEventListener("click", async () => {
      saveFile(await drawCard(/** @type {Card} */ (this.#card)), "leadout-comparison.png");
    });
  }

  /**
   * @param {Engine} engine
   * @param {Request} request
   * @param {SharedParams} params
   * @returns {Promise<Card | null>} null: it was stopped
   */
  async run(engine, request, params) {
    this.element.hidden = false;
    this.#share.hidden = true;
    const { without, drafted } = this.#sides;
    without.begin();
    drafted.begin();
    this.#verdict.textContent = "Writing without drafting first…";
    let hasTold = false;
    try {
      const found = await compareDrafting(engine, request, params, (side, piece, ms) => {
        if (side === "drafted" && !hasTold) {
          hasTold = true;
          this.#verdict.textContent = "Now writing with drafting…";
        }
        this.#sides[side].take(piece, ms);
      });
      if (!found) {
        this.element.hidden = true;
        return null;
      }
      const card = toCard(found, engine.info);
      const longest = Math.max(card.without.total_ms, card.drafted.total_ms);
      without.finish(card.without, longest);
      drafted.finish(card.drafted, longest);
      this.#verdict.textContent = `${describeSameness(card)} ${describeSpeedup(card)}`;
      this.element.classList.toggle("same", card.identical);
      this.#card = card;
      this.#share.hidden = false;
      return card;
    } catch (error) {
      this.element.hidden = true;
      throw error;
    }
  }
}

/** One of the two texts, while it is written. */
class SideView {
  #text = new AnswerText();
  #time = h("span", { class: "time" });
  #bar = h("span", { class: "bar", "aria-hidden": "true" });
  /** @type {WrittenPiece[]} */
  #unshown = [];
  #frame = 0;
  #ms = 0;

  /** @param {string} title @param {string} name */
  constructor(title, name) {
    this.#text.element.tabIndex = 0;
    this.#text.element.setAttribute("role", "group");
    this.#text.element.setAttribute("aria-label", title);
    this.element = h(
      "div",
      { class: `side ${name} marked` },
      h("div", { class: "side-head" }, h("strong", {}, title), this.#time),
      this.#bar,
      this.#text.element,
    );
  }

  begin() {
    this.#text.set("");
    this.#time.textContent = "";
    this.#setShare(0);
  }

  /** @param {WrittenPiece} piece @param {number} ms since the request */
  take(piece, ms) {
    this.#unshown.push({ ...piece, text: piece.reasoning + piece.text });
    this.#ms = ms;
    this.#frame ||= requestAnimationFrame(() => this.#show());
  }

  /** @param {{total_ms: number, tokens_per_s: number}} figures @param {number} longestMs the longer time of both */
  finish({ total_ms, tokens_per_s }, longestMs) {
    cancelAnimationFrame(this.#frame);
    this.#show();
    this.#time.textContent = `${formatMs(total_ms)}, ${formatSpeed(tokens_per_s)}`;
    this.#setShare(total_ms / longestMs);
  }

  #show() {
    this.#frame = 0;
    const { element } = this.#text;
    this.#text.append(this.#unshown);
    this.#unshown = [];
    element.scrollTop = element.scrollHeight;
    this.#time.textContent = formatMs(this.#ms);
  }

  /** @param {number} share */
  #setShare(share) {
    this.#bar.style.setProperty("--share", share.toFixed(3)); // a style attribute would violate the policy
  }
}
