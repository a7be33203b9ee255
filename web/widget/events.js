/**
 * The `detail` of each event of <leadout-chat> and <leadout-models>, by the event's name.
 *
 * @module events
 */

/** @import {ChunkFigures} from "../client/completions.js" */
/** @import {HealingEvent, Progress} from "../client/healing.js" */
/** @import {StoredModel} from "../client/store.js" */
/** @import {FetchEvent, Phase} from "../messages.js" */
/** @import {Comparison} from "./comparison.js" */
/** @import {ConversationChange} from "./conversation.js" */
/** @import {Written, WrittenPiece} from "./follow.js" */

/**
 * @typedef {object} LeadoutChatEvents
 * @property {{phase: Phase}} leadout-phase the current phase of a load
 * @property {Progress} leadout-progress progress of loading the weights
 * @property {FetchEvent} leadout-fetch progress of fetching a remote model
 * @property {HealingEvent} leadout-healing the engine failed and is recovering, or has recovered
 * @property {WrittenPiece & ChunkFigures} leadout-delta a piece was written
 * @property {Omit<Written, "num_tokens"> & {seed: number}} leadout-finish a text or an answer has ended
 * @property {ConversationChange} leadout-conversation messages changed; `conversation` has all of them
 * @property {Comparison} leadout-comparison the same text was written without and with the drafter
 * @property {{error: Error}} leadout-error a load or a request failed
 */

/**
 * @typedef {object} LeadoutModelsEvents
 * @property {{models: StoredModel[]}} leadout-models the list was read, after each change in any tab
 * @property {StoredModel} leadout-model-open Open was pressed
 * @property {FetchEvent} leadout-fetch progress of a download that this element started
 * @property {{error: Error}} leadout-error the list could not be read, or a download or a deletion failed
 */

export {};
