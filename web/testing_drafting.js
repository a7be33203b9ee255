/**
 * How drafting goes with the model of testing.js, which is not there.
 *
 * @module testing_drafting
 */

/** @import {DrafterInfo, GenerateRequest, Stats} from "./messages.js" */

/** What "auto" comes to here. */
const AUTO_DRAFT_TOKENS = 4;

/** Cycles of drafted tokens, some of them accepted, and one of the target's own. */
export class Drafting {
  /** @type {Stats["drafter"]} */
  #kind;
  #asked;
  #draftTokens;
  #accepts;
  #numCycles = 0;
  /** Of this cycle, how many accepted tokens are still to come; at 0 comes the target's. */
  #numLeft = -1;
  /** @type {number[]} */
  #draftedPerPosition;
  /** @type {number[]} */
  #acceptedPerPosition;

  /**
   * @param {DrafterInfo | null} drafter
   * @param {GenerateRequest} request
   * @param {{accepts: number[], maxDraftTokens: number}} options
   */
  constructor(drafter, { draft_tokens = "auto" }, { accepts, maxDraftTokens }) {
    this.#kind = drafter?.kind ?? "none";
    this.#asked = draft_tokens;
    const wanted = draft_tokens === "auto" ? AUTO_DRAFT_TOKENS : draft_tokens;
    this.#draftTokens = drafter ? Math.min(wanted, maxDraftTokens) : 0;
    this.#accepts = accepts;
    this.#draftedPerPosition = Array(this.#draftTokens).fill(0);
    this.#acceptedPerPosition = Array(this.#draftTokens).fill(0);
  }

  /** How many a cycle verifies. */
  get draftTokens() {
    return this.#draftTokens;
  }

  /** @returns {boolean} whether the next token is a drafted one */
  take() {
    if (this.#numLeft < 0) {
      const accepted = this.#accepts[this.#numCycles % this.#accepts.length];
      this.#numLeft = Math.min(accepted, this.#draftTokens);
      this.#numCycles++;
      for (let position = 0; position < this.#draftTokens; position++) {
        this.#draftedPerPosition[position]++;
        this.#acceptedPerPosition[position] += Number(position < this.#numLeft);
      }
    }
    return this.#numLeft-- > 0;
  }

  /** @param {number} numDecoded */
  toStats(numDecoded) {
    const sum = (/** @type {number[]} */ counts) => counts.reduce((a, b) => a + b, 0);
    return {
      drafter: this.#kind,
      draft_tokens: this.#kind === "none" ? 0 : this.#asked,
      cycles: this.#numCycles,
      tokens_per_cycle: this.#numCycles ? numDecoded / this.#numCycles : 0,
      drafted_tokens: sum(this.#draftedPerPosition),
      accepted_tokens: sum(this.#acceptedPerPosition),
      drafted_per_position: this.#draftedPerPosition,
      accepted_per_position: this.#acceptedPerPosition,
    };
  }
}
