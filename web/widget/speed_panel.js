/**
 * Shows the speed and explains it, for users who do not know what drafting is.
 *
 * @module speed_panel
 */

/** @import {ChunkFigures} from "../client/completions.js" */
/** @import {Engine} from "../client.js" */
/** @import {SharedParams} from "../client/parameters.js" */
/** @import {DrafterInfo, Stats} from "../messages.js" */
/** @import {Request} from "./follow.js" */

import { ComparisonPanel } from "./comparison_panel.js";
import { h } from "./dom.js";
import { DraftingPanel } from "./drafting.js";
import { formatMs, formatShare } from "./words.js";

const IDLE_WORDS = "Guesses run ahead of the model; it keeps only those that it would have written itself.";

export class SpeedPanel {
  #drafting = new DraftingPanel();
  #comparison = new ComparisonPanel();
  #headline = h("strong", { class: "headline" });
  #words = h("p", { class: "words" });
  #guessed = h("span", { class: "guessed" });
  #share = h("div", { class: "shares", role: "img" }, this.#guessed);
  #gpu = h("p", { class: "gpu", "data-figure": "gpu" });
  #compare = h("button", { type: "button", class: "compare", part: "compare", disabled: true }, "Compare with and without");
  #numGuessed = 0;
  #numTokens = 0;

  /** @param {{onCompare: () => void}} handlers */
  constructor({ onCompare }) {
    this.#compare.addEventListener("click", onCompare);
    this.element = h(
      "section",
      { class: "speed", part: "speed", "aria-label": "Speed", hidden: true },
      h("div", { class: "speed-head" }, h("div", {}, this.#headline, this.#words), this.#compare),
      this.#share,
      this.#drafting.element,
      this.#gpu,
      this.#comparison.element,
    );
  }

  /** @param {DrafterInfo | null} drafter the loaded model's; null hides the panel @param {number} maxDraftTokens */
  setDrafter(drafter, maxDraftTokens) {
    this.element.hidden = !drafter;
    this.#comparison.element.hidden = true;
    this.#drafting.setDrafter(drafter, maxDraftTokens);
    this.begin();
  }

  /** @param {boolean} isComparable whether there is a text that can be written again */
  setComparable(isComparable) {
    this.#compare.disabled = !isComparable;
    this.#compare.title = isComparable ? "" : "Have the model write something first";
  }

  /** Clear the figures of the last text. */
  begin() {
    this.#numGuessed = this.#numTokens = 0;
    this.#drafting.begin();
    this.#headline.textContent = "Nothing written yet";
    this.#words.textContent = IDLE_WORDS;
    this.#gpu.textContent = "";
    this.#showShare();
    this.#compare.disabled = true;
  }

  /** @param {ChunkFigures} figures of the next piece of text */
  take(figures) {
    this.#drafting.take(figures);
    this.#numTokens += figures.tokens.length;
    this.#numGuessed += figures.is_draft ? figures.tokens.length : 0;
  }

  /** Show the counted figures; call it once per frame at most. */
  show() {
    this.#drafting.show();
    this.#showShare();
  }

  /** @param {Stats} stats the worker's counts */
  finish(stats) {
    this.#drafting.finish(stats);
    this.#showShare();
    const { cycles, decode_tokens, decode_ms, gpu_idle_share } = stats;
    if (stats.drafted_tokens > 0) {
      this.#words.textContent =
        `The model ran ${count(cycles, "time")} for ${count(decode_tokens, "token")} instead of ${decode_tokens} times. ${IDLE_WORDS}`;
    }
    const each = cycles > 0 ? decode_ms / cycles : 0;
    const facts = [
      cycles > 0 ? `${count(cycles, "cycle")} of ${formatMs(each)}` : "",
      // Without timestamps of the device this is not known.
      typeof gpu_idle_share === "number" ? `busy ${formatShare(1 - gpu_idle_share)} of the time` : "",
    ].filter(Boolean);
    this.#gpu.textContent = facts.length > 0 ? `GPU: ${facts.join(", ")}.` : "";
  }

  /**
   * @param {Engine} engine
   * @param {Request} request
   * @param {SharedParams} params
   */
  compare(engine, request, params) {
    return this.#comparison.run(engine, request, params);
  }

  #showShare() {
    const share = this.#numTokens > 0 ? this.#numGuessed / this.#numTokens : 0;
    this.#guessed.style.setProperty("--share", share.toFixed(3));
    if (this.#numTokens > 0) {
      const text = `${formatShare(share)} of the tokens were guessed ahead, and right`;
      this.#headline.textContent = text;
      this.#share.setAttribute("aria-label", text);
    } else {
      this.#share.setAttribute("aria-label", "No tokens yet");
    }
  }
}

/** @param {number} number @param {string} what */
function count(number, what) {
  return `${number.toLocaleString("en")} ${what}${number === 1 ? "" : "s"}`;
}
