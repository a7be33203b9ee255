/**
 * Converts the settings to a request's parameters.
 *
 * @module params
 */

/** @import {SharedParams} from "../client/parameters.js" */
/** @import {DrafterChoice} from "../client/models.js" */
/** @import {ModelInfo} from "../messages.js" */
/** @import {PrepareMessages} from "./conversation.js" */
/** @import {Settings} from "./settings.js" */

/**
 * @param {Settings} settings
 * @param {{info: ModelInfo, drafter: DrafterChoice, isChat: boolean}} context the model and the request; a
 *   request can leave out a drafter that is loaded
 * @returns {SharedParams & {enable_thinking?: boolean, seed: number}} with a seed (a random one if none is
 *   set), and without parameters that have no effect
 */
export function toParams(settings, { info, drafter, isChat }) {
  const { mark_drafts: _marks, plain_text: _plain, system_prompt: _said, ...rest } = settings;
  const { draft_tokens, enable_thinking, ...sampling } = rest;
  const hasDrafter = Boolean(info.drafter);
  return {
    ...sampling,
    seed: sampling.seed ?? crypto.getRandomValues(new Uint32Array(1))[0],
    ...(isChat && enable_thinking && { enable_thinking }),
    ...(hasDrafter && drafter === "none" && { drafter }),
    ...(hasDrafter && draft_tokens !== "auto" && { draft_tokens }),
  };
}

/**
 * @param {string} text
 * @returns {PrepareMessages | null} a function that puts the text before a chat; null if there is no text
 */
export function withSystemPrompt(text) {
  return text ? (said) => [{ role: "system", content: text }, ...said] : null;
}
