/**
 * What the events of <leadout-chat> tell in their `detail`, by the events' names.
 *
 * @module events
 */

/** @import {ChunkFigures} from "../client/completions.js" */
/** @import {HealingEvent, Progress} from "../client/healing.js" */
/** @import {FetchEvent, Phase} from "../messages.js" */
/** @import {Comparison} from "./comparison.js" */
/** @import {ConversationChange} from "./conversation.js" */
/** @import {Written, WrittenPiece} from "./follow.js" */

/**
 * @typedef {object} LeadoutChatEvents
 * @property {{phase: Phase}} leadout-phase what a load waits for now
 * @property {Progress} leadout-progress of the weights
 * @property {FetchEvent} leadout-fetch of a model from afar
 * @property {HealingEvent} leadout-healing the engine failed and comes back, or has come back
 * @property {WrittenPiece & ChunkFigures} leadout-delta a piece was written
 * @property {Omit<Written, "num_tokens"> & {seed: number}} leadout-finish a text or an answer has ended
 * @property {ConversationChange} leadout-conversation messages changed; `conversation` has all of them
 * @property {Comparison} leadout-comparison the same was written without the drafter and with it
 * @property {{error: Error}} leadout-error a load or a request failed
 */

export {};
