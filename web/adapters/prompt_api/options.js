/**
 * What sessions are made with, and what of it Leadout's models can do.
 *
 * @module adapters/prompt_api/options
 */

/** @import {PromptMessage} from "./prompts.js" */

import { requestError } from "../refusals.js";

/** @typedef {"most-predictable" | "predictable" | "balanced" | "creative" | "most-creative"} SamplingMode */

/**
 * @typedef {object} PromptTool
 * @property {string} name
 * @property {string} description
 * @property {object} inputSchema JSON Schema
 * @property {(input: any) => unknown} execute what it gives, or fails with, is told to the model
 */

/** @typedef {{type: string, languages?: string[]}} Expected */

/**
 * Languages are taken and not looked at: Gemma knows more than a list says.
 * @typedef {object} CoreOptions
 * @property {SamplingMode} [samplingMode] default "balanced"
 * @property {number} [topK] with `temperature` instead of samplingMode; browsers have both in extensions alone
 * @property {number} [temperature]
 * @property {Expected[]} [expectedInputs]
 * @property {Expected[]} [expectedOutputs]
 * @property {PromptTool[]} [tools]
 */

/**
 * @typedef {CoreOptions & {signal?: AbortSignal, monitor?: (monitor: EventTarget) => void,
 *   initialPrompts?: PromptMessage[]}} CreateOptions
 */

/** @typedef {{samplingMode: SamplingMode | null, topK: number, topP: number, temperature: number}} Sampling */

/** Gemma's own, from its generation_config. */
const TOP_K = 64;
const TOP_P = 0.95;

/** The temperature of each mode; "balanced" is Gemma's own. @type {Record<SamplingMode, number>} */
const TEMPERATURES = {
  "most-predictable": 0,
  predictable: 0.5,
  balanced: 1,
  creative: 1.25,
  "most-creative": 1.5,
};

export const PARAMS = Object.freeze({
  defaultTopK: TOP_K,
  maxTopK: 128,
  defaultTemperature: TEMPERATURES.balanced,
  maxTemperature: 2,
});

/**
 * @param {CoreOptions} options
 * @throws {TypeError} as a browser would
 */
export function checkOptions({ samplingMode, topK, temperature, tools = [] }) {
  if (samplingMode !== undefined && !Object.hasOwn(TEMPERATURES, samplingMode)) {
    const known = Object.keys(TEMPERATURES).join(", ");
    throw new TypeError(`samplingMode is "${samplingMode}"; wanted one of ${known}.`);
  }
  if (samplingMode !== undefined && (topK !== undefined || temperature !== undefined)) {
    throw new TypeError("samplingMode is given with topK or temperature; wanted one or the other.");
  }
  if (topK !== undefined && !(topK >= 1)) throw new RangeError(`topK is ${topK}; wanted 1 or more.`);
  if (temperature !== undefined && !(temperature >= 0)) {
    throw new RangeError(`temperature is ${temperature}; wanted 0 or more.`);
  }
  for (const { name, inputSchema, execute } of tools) {
    if (typeof name !== "string" || typeof inputSchema !== "object" || typeof execute !== "function") {
      throw new TypeError(`A tool wants a name, a description, an inputSchema and execute; "${name}" lacks one.`);
    }
  }
}

/**
 * @param {CoreOptions} options
 * @returns {boolean}
 */
export function isTextAlone({ expectedInputs = [], expectedOutputs = [] }) {
  return [...expectedInputs, ...expectedOutputs].every(({ type }) => type === "text");
}

/**
 * @param {CoreOptions} options
 * @returns {Sampling}
 */
export function toSampling({ samplingMode, topK, temperature }) {
  if (topK !== undefined || temperature !== undefined) {
    return {
      samplingMode: null,
      topK: Math.min(Math.floor(topK ?? TOP_K), PARAMS.maxTopK),
      topP: TOP_P,
      temperature: Math.min(temperature ?? PARAMS.defaultTemperature, PARAMS.maxTemperature),
    };
  }
  const mode = samplingMode ?? "balanced";
  return { samplingMode: mode, topK: TOP_K, topP: TOP_P, temperature: TEMPERATURES[mode] };
}

/**
 * @param {unknown} constraint JSON Schema, or a RegExp that the whole answer matches
 * @returns {Pick<import("../../client/parameters.js").ChatParams, "regex" | "response_format">}
 */
export function toConstraint(constraint) {
  if (constraint === undefined || constraint === null) return {};
  if (constraint instanceof RegExp) {
    if (/[ims]/.test(constraint.flags)) {
      throw requestError(
        `The responseConstraint /${constraint.source}/ has the flags ${constraint.flags}; Leadout knows none of i, m and s.`,
        "responseConstraint",
      );
    }
    return { regex: withoutAnchors(constraint.source) };
  }
  if (typeof constraint !== "object") {
    throw new TypeError("responseConstraint wants to be a JSON Schema or a RegExp.");
  }
  const schema = /** @type {Record<string, unknown>} */ (constraint);
  return { response_format: { type: "json_schema", json_schema: { name: "response", schema } } };
}

/**
 * @param {string} source of a regular expression
 * @returns {string} without what says that it is about the whole text, as it is in any case
 */
function withoutAnchors(source) {
  const start = source.startsWith("^") ? source.slice(1) : source;
  const [slashes] = /\\*(?=\$$)/.exec(start) ?? [""];
  return start.endsWith("$") && slashes.length % 2 === 0 ? start.slice(0, -1) : start;
}
