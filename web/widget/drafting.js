/**
 * Shows how drafting went: the drafter, the share of accepted drafts, and that share by position in the draft.
 *
 * While the model writes, the figures cover the tokens so far. Rejected tokens are not sent to the widget, so the
 * number of drafted tokens is known only at the end.
 *
 * @module drafting
 */

/** @import {ChunkFigures} from "../client/completions.js" */
/** @import {DrafterInfo, Stats} from "../messages.js" */

import { h } from "./dom.js";
import { showHidden } from "./hidden_characters.js";
import { formatShare } from "./words.js";

export class DraftingPanel {
  #name = h("dd", { "data-figure": "drafter" });
  #accepted = h("dd", { "data-figure": "accepted" });
  #tokensPerCycle = h("dd", { "data-figure": "tokens_per_cycle" });
  #positions = h("ol", { class: "positions" });
  #numPositions = 0;
  #live = new LiveCounts();

  constructor() {
    this.element = h(
      "dl",
      { class: "figures drafting", part: "drafting", hidden: true },
      h("div", {}, h("dt", {}, "Drafter"), this.#name),
      h("div", {}, h("dt", {}, "Drafts accepted"), this.#accepted),
      h("div", {}, h("dt", {}, "Tokens per cycle"), this.#tokensPerCycle),
      h(
        "div",
        { class: "by-position" },
        h("dt", {}, "Accepted by position, %"),
        h("dd", { "data-figure": "accepted_per_position" }, this.#positions),
      ),
    );
  }

  /**
   * @param {DrafterInfo | null} drafter the loaded model's drafter; null hides the figures
   * @param {number} maxDraftTokens
   */
  setDrafter(drafter, maxDraftTokens) {
    this.element.hidden = !drafter;
    this.#numPositions = maxDraftTokens;
    const name = drafter?.kind === "mtp" ? drafter.name : "n-gram";
    this.#name.textContent = showHidden(name);
    this.#name.title = this.#name.textContent;
    this.begin();
  }

  /** Clear the figures of the last text. */
  begin() {
    this.#live = new LiveCounts();
    this.#accepted.textContent = "–";
    this.#tokensPerCycle.textContent = "–";
    this.#showPositions([]);
  }

  /** @param {ChunkFigures} figures of the next piece of text */
  take(figures) {
    this.#live.take(figures.tokens.length, figures.is_draft);
  }

  /** Show the counted figures; call it once per frame at most. */
  show() {
    const { numAccepted, numCycles, acceptedPerPosition } = this.#live;
    this.#accepted.textContent = String(numAccepted);
    if (numCycles > 0) {
      const acceptedPerCycle = acceptedPerPosition.reduce((a, b) => a + b, 0) / numCycles;
      this.#tokensPerCycle.textContent = (1 + acceptedPerCycle).toFixed(2);
      this.#showPositions(acceptedPerPosition.map((count) => count / numCycles));
    }
  }

  /** @param {Stats} stats the worker's counts */
  finish(stats) {
    const { drafted_tokens, accepted_tokens, tokens_per_cycle } = stats;
    this.#accepted.textContent =
      drafted_tokens > 0
        ? `${accepted_tokens} of ${drafted_tokens} (${formatShare(accepted_tokens / drafted_tokens)})`
        : "none drafted";
    this.#tokensPerCycle.textContent = stats.cycles > 0 ? tokens_per_cycle.toFixed(2) : "–";
    const drafted = stats.drafted_per_position.filter((count) => count > 0);
    this.#showPositions(drafted.map((count, place) => stats.accepted_per_position[place] / count));
  }

  /** @param {number[]} shares accepted share by position in the draft, 0 to 1; later positions were not reached */
  #showPositions(shares) {
    this.#positions.replaceChildren(
      ...Array.from({ length: Math.max(this.#numPositions, shares.length) }, (_, index) =>
        newPosition(shares[index] ?? null, index),
      ),
    );
  }
}

/**
 * @param {number | null} share
 * @param {number} index
 */
function newPosition(share, index) {
  const bar = h("span", { class: "bar", "aria-hidden": "true" });
  if (share !== null) {
    bar.classList.add("reached");
    bar.style.setProperty("--share", share.toFixed(3)); // a style attribute would violate the policy
  }
  const position = h("span", { class: "unseen" }, `Position ${index + 1}: `);
  return h("li", {}, bar, position, share === null ? "–" : String(Math.round(100 * share)));
}

/** Counts while the model writes. Accepted tokens lie between two tokens that the target chose itself. */
class LiveCounts {
  numAccepted = 0;
  /** The number of finished cycles. */
  numCycles = 0;
  /** Accepted drafts in the finished cycles. @type {number[]} */
  acceptedPerPosition = [];
  #hasBegun = false;
  #numInCycle = 0;

  /**
   * @param {number} numTokens
   * @param {boolean} isDraft
   */
  take(numTokens, isDraft) {
    if (isDraft) {
      this.numAccepted += numTokens;
      this.#numInCycle += numTokens;
      return;
    }
    // The first token comes from the prompt's pass, and does not end a cycle.
    const numCycles = this.#hasBegun ? numTokens : Math.max(0, numTokens - 1);
    this.#hasBegun ||= numTokens > 0;
    if (numCycles > 0) {
      this.numCycles += numCycles;
      for (let place = 0; place < this.#numInCycle; place++) {
        this.acceptedPerPosition[place] = (this.acceptedPerPosition[place] ?? 0) + 1;
      }
      this.#numInCycle = 0;
    }
  }
}
