/**
 * From a model's name to a channel that answers for it.
 *
 * @module loading
 */

/** @import {Forecast, LoadOptions, ModelRef, ShapeRef} from "../messages.js" */
/** @import {Places} from "../assets.js" */
/** @import {LoadParams} from "../client.js" */
/** @import {WorkerEvent, WorkerLike} from "./channel.js" */
/** @import {Loaded} from "./healing.js" */
/** @import {ModelChoice, ModelPair} from "./models.js" */

import { startModuleWorker } from "../module_worker.js";
import { Channel } from "./channel.js";
import { LeadoutError } from "./errors.js";
import { HealingChannel } from "./healing.js";
import { canKeep, persist } from "./kept.js";
import { resolveModels } from "./models.js";
import { placesOf } from "./places.js";
import { toFetchEvent } from "./store.js";
import { isSupported } from "./support.js";

/**
 * Start a worker and load a model into it.
 *
 * @param {LoadParams} params
 * @param {(event: import("./healing.js").HealingEvent) => void} onHealing told from the first failure on, while it
 *   loads as well
 * @returns {Promise<HealingChannel>}
 * @throws {LeadoutError} by name; an abort rejects with the signal's reason (an AbortError)
 */
export async function loadModel(params, onHealing) {
  const { signal, worker } = params;
  signal?.throwIfAborted();
  const places = placesOf(params.assets);
  /** @param {WorkerEvent} event */
  const onEvent = (event) => {
    if (event.type === "phase") {
      params.onPhase?.(event.phase);
    } else if (event.type === "progress") {
      const { phase, loaded_bytes, total_bytes } = event;
      params.onProgress?.({ phase, loaded_bytes, total_bytes });
    } else if (event.type === "fetch") {
      params.onFetch?.(toFetchEvent(event));
    }
  };
  const lookUp = async () => {
    const isKept = params.store !== false && (await canKeep());
    const [pair] = await Promise.all([
      resolveModels(params.model, params.drafter ?? "auto", { signal, hub: params.hub, isKept }),
      worker ? null : throwUnlessSupported(),
    ]);
    if (hasSource(pair.model) || hasSource(pair.drafter)) {
      persist();
    }
    return pair;
  };
  const options = toLoadOptions(params);
  const pair = lookUp();
  const canHeal = params.heal !== false && (worker === undefined || typeof worker === "function");
  return HealingChannel.open((events) => loadPair(startWorker(worker, places), places, pair, options, events), {
    signal,
    onEvent,
    canHeal,
    onHealing,
  });
}

/**
 * The worker starts while the model is looked up. It is told of the model before it is ready, so that it can read the
 * model's first bytes in the meantime. The first error is the one that is reported.
 *
 * @param {WorkerLike} worker
 * @param {Places} places
 * @param {Promise<ModelPair>} pair
 * @param {LoadOptions} options
 * @param {{signal?: AbortSignal | null, onEvent: (event: WorkerEvent) => void}} events
 * @returns {Promise<Loaded>}
 */
async function loadPair(worker, places, pair, options, events) {
  const channel = new Channel(worker);
  const load = async () => {
    const { model, drafter } = await pair;
    const info = await channel.request({ type: "load", model, drafter, options }, events);
    if (info.drafter && drafter) {
      info.drafter.name = drafter.name; // as the model's, which its files need not know
    }
    return info;
  };
  try {
    const booting = channel.request({ type: "boot", assets: places.assets, version: places.version }, events);
    const [info] = await Promise.all([load(), booting]);
    return { channel, info };
  } catch (error) {
    channel.close(error instanceof Error ? error : new Error(String(error)));
    throw error;
  }
}

/**
 * Say what loading a model takes, from its files' headers. A few hundred kB are downloaded, in a worker that ends
 * afterwards.
 *
 * @param {ModelChoice} model as for `load`
 * @param {Omit<LoadParams, "model"> & {probe?: boolean | "auto", onForecast?: (forecast: Forecast) => void}} [options]
 *   as for `load`. With `probe: true`, made-up weights of the model's shape run for about two seconds; "auto" leaves this
 *   out for models that are too large for an adapter on the CPU. onForecast is called with what is known before that
 * @returns {Promise<Forecast>}
 * @throws {LeadoutError} by name; an abort rejects with the signal's reason (an AbortError)
 */
export async function estimate(model, options = {}) {
  const { signal, worker, probe = false, onForecast } = options;
  const places = placesOf(options.assets);
  const channel = new Channel(startWorker(worker, places));
  try {
    const [pair] = await Promise.all([
      resolveModels(model, options.drafter ?? "auto", { signal, hub: options.hub }),
      worker ? null : throwUnlessSupported(),
      channel.request({ type: "boot", assets: places.assets, version: places.version }, { signal }),
    ]);
    const { run_ahead: _, ...load } = toLoadOptions(options);
    const request = { ...pair, options: load, probe };
    /** @param {WorkerEvent} event */
    const onEvent = (event) => {
      if (event.type === "forecast") onForecast?.(event.forecast);
    };
    return await channel.request({ type: "estimate", ...request }, { signal, onEvent });
  } finally {
    channel.close(new DOMException("The estimate has ended.", "AbortError"));
  }
}

/** @param {ModelRef | ShapeRef | null} part */
function hasSource(part) {
  return part !== null && "source" in part && part.source !== undefined;
}

/** @throws {LeadoutError} DeviceUnavailableError, which says better than the worker could what to do */
async function throwUnlessSupported() {
  const { supported, reason, advice } = await isSupported();
  if (!supported) {
    throw new LeadoutError("DeviceUnavailableError", `${reason} ${advice}`, { reason, advice });
  }
}

/**
 * @param {LoadParams["worker"]} worker
 * @param {Places} places
 * @returns {WorkerLike}
 */
function startWorker(worker, places) {
  if (typeof worker === "function") {
    return worker();
  }
  return worker ?? startModuleWorker(places.worker, "leadout");
}

/**
 * @param {Omit<LoadParams, "model">} params
 * @returns {LoadOptions}
 */
function toLoadOptions({ drafter, ...params }) {
  const { contextLength, kvDtype, precision, runAhead, maxDraftTokens, parallel } = params;
  const { placement, pagedRows, memoryBytes, keptPrompts } = params;
  // A drafter of one's own is an "mtp" one: the worker sees its files.
  const isNamed = drafter === "none" || drafter === "mtp" || drafter === "ngram";
  return {
    ...(placement !== undefined && { placement }),
    ...(pagedRows !== undefined && { paged_rows: pagedRows }),
    ...(memoryBytes !== undefined && { memory_bytes: memoryBytes }),
    ...(keptPrompts !== undefined && { kept_prompts: keptPrompts }),
    ...(isNamed && { drafter }),
    ...(maxDraftTokens !== undefined && { max_draft_tokens: maxDraftTokens }),
    ...(parallel !== undefined && { parallel }),
    ...(contextLength !== undefined && { context_length: contextLength }),
    ...(kvDtype !== undefined && { kv_dtype: kvDtype }),
    ...(precision !== undefined && { precision }),
    ...(runAhead !== undefined && { run_ahead: runAhead }),
  };
}
