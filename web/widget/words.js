/**
 * The widget's texts: numbers with their units, phases and errors in plain words.
 *
 * @module words
 */

/** @import {FinishReason} from "../client/completions.js" */
/** @import {FetchEvent, Phase} from "../messages.js" */
/** @import {HealingEvent} from "../client.js" */
/** @import {State} from "./leadout-chat.js" */

/** @type {Record<Phase, string>} */
const PHASE_WORDS = {
  loading_runtime: "Starting Python",
  loading_package: "Installing Leadout",
  loading_weights: "Loading weights",
  compiling_kernels: "Compiling kernels",
  warming_up: "Warming up",
  ready: "Ready",
  failed: "Failed",
};

/**
 * @param {number} bytes
 * @returns {string} for example "253 MB", in units of 1000
 */
export function formatBytes(bytes) {
  const [unit, name, digits] =
    bytes >= 1e9
      ? /** @type {const} */ ([1e9, "GB", 2])
      : bytes >= 1e6
        ? /** @type {const} */ ([1e6, "MB", 0])
        : /** @type {const} */ ([1e3, "kB", 0]);
  return `${(bytes / unit).toFixed(digits)} ${name}`;
}

/**
 * @param {number} ms
 * @returns {string} for example "120 ms" or "2.4 s"
 */
export function formatMs(ms) {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/**
 * @param {number} perSecond
 * @returns {string} for example "41.2 tokens/s"; a dash if there are fewer than two tokens
 */
export function formatSpeed(perSecond) {
  if (!(perSecond > 0)) {
    return "–";
  }
  return `${perSecond.toFixed(perSecond < 100 ? 1 : 0)} tokens/s`;
}

/**
 * @param {number} share 0 to 1
 * @returns {string} for example "60 %"
 */
export function formatShare(share) {
  return `${Math.round(100 * share)}\u202f%`;
}

/**
 * @param {Phase} phase
 * @param {{loaded_bytes: number, total_bytes: number} | null} progress
 * @returns {string} for example "Loading weights, 121 of 253 MB"
 */
export function describePhase(phase, progress) {
  const words = PHASE_WORDS[phase];
  if (!progress || progress.total_bytes <= 0) {
    return words;
  }
  return `${words}, ${formatPart(progress.loaded_bytes, progress.total_bytes)}`;
}

/**
 * @param {FetchEvent} event
 * @returns {string} for example "Fetching from huggingface.co, 1.21 of 2.90 GB, 24 MB/s"
 */
export function describeFetch({ state, host, stored_bytes, total_bytes, checked_bytes, bytes_per_s }) {
  const words = {
    asking: `Asking ${host}`,
    waiting: "This page or another tab is fetching this model already",
    checking: "Checking what is kept",
    fetching: `Fetching from ${host}`,
    done: "Kept in this browser",
  }[state];
  if (state === "asking" || total_bytes <= 0) {
    return words;
  }
  if (state === "checking") {
    return `${words}, ${formatPart(checked_bytes, stored_bytes)}`;
  }
  const speed = state === "fetching" && bytes_per_s > 0 ? `, ${formatBytes(bytes_per_s)}/s` : "";
  return `${words}, ${formatPart(stored_bytes, total_bytes)}${speed}`;
}

/**
 * @param {number} part
 * @param {number} total
 * @returns {string} for example "121 of 253 MB"
 */
export function formatPart(part, total) {
  const whole = formatBytes(total);
  const [value, unit] = formatBytes(part).split(" ");
  return `${whole.endsWith(` ${unit}`) ? value : `${value} ${unit}`} of ${whole}`;
}

/**
 * @param {FinishReason | "abort"} reason
 * @param {number} numTokens
 * @returns {string}
 */
export function describeFinish(reason, numTokens) {
  const tokens = numTokens === 1 ? "1 token" : `${numTokens} tokens`;
  const texts = {
    stop: `The text ended after ${tokens}.`,
    tool_calls: `The model called tools after ${tokens}.`,
    length: `Paused after ${tokens}, the most you allowed.`,
    abort: `Stopped after ${tokens}.`,
  };
  return texts[reason];
}

/** Titles of the named errors; their messages give the details. @type {Record<string, string>} */
const ERROR_TITLES = {
  RequestError: "That request does not work",
  ContextLengthError: "The text is too long for this model",
  ModelNotFoundError: "There is no such model",
  SourceError: "The model could not be read",
  IntegrityError: "The downloaded model is damaged",
  StoreError: "The model cannot be kept in this browser",
  CheckpointError: "This model file is damaged",
  UnsupportedFormatError: "This kind of file cannot be read",
  UnsupportedModelError: "This kind of model cannot be run yet",
  TensorError: "This model file is damaged",
  DrafterError: "This drafter does not fit the model",
  TokenizerError: "This model's tokenizer cannot be used",
  ChatTemplateError: "This model's chat template cannot be used",
  DeviceError: "The graphics device reported an error",
  DeviceUnavailableError: "WebGPU is not available",
  DeviceLimitError: "The model does not fit this graphics device",
  OutOfMemoryError: "The model does not fit into the graphics memory",
  DeviceLostError: "The graphics device was lost",
  WorkerError: "The model's worker stopped",
};

/** Advice that an error's message does not give. @type {Record<string, string>} */
const ERROR_ADVICE = {
  DrafterError: "Choose none, or the one that was made for this model.",
  DeviceLimitError: "Choose a smaller model.",
  OutOfMemoryError: "Close other tabs and programs that use the graphics card, or choose a smaller model.",
  DeviceLostError: "Your text is still here. Load the model again to go on.",
  WorkerError: "Your text is still here.",
  ContextLengthError: "Shorten the text, or allow fewer new tokens.",
};

/**
 * @param {Error} error
 * @returns {{title: string, message: string, advice: string, isNamed: boolean}} not `isNamed`:
 *   the error's message was not written for users
 */
export function describeError(error) {
  const title = ERROR_TITLES[error.name];
  if (title) {
    const advice = ERROR_ADVICE[error.name] ?? "";
    return { title, message: error.message, advice, isNamed: true };
  }
  return {
    title: "Something went wrong inside Leadout",
    // The last line of a Python traceback has the error.
    message: error.message.trim().split("\n").at(-1) ?? "",
    advice: "The browser's console has the details.",
    isNamed: false,
  };
}

/**
 * @param {HealingEvent} event
 * @returns {string} for example "The graphics device was lost. Recovering: Warming up"
 */
export function describeHealing({ state, reason, progress }) {
  const { title } = describeError(reason);
  if (state === "done") {
    return `${title}. It works again.`;
  }
  return `${title}. Recovering${progress ? `: ${describePhase(progress.phase, progress)}` : "…"}`;
}

/**
 * @param {State} state
 * @returns {string} the text of the status line
 */
export function describeState(state) {
  switch (state) {
    case "idle":
    case "unsupported":
      return "No model is loaded.";
    case "failed":
      return "The model is not loaded.";
    case "ready":
      return "Ready.";
    case "generating":
      return "Writing…";
    default:
      return "You can already write; the model is loading.";
  }
}
