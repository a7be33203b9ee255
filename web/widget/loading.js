/**
 * Loads or fetches the model that the widget's attributes and properties name.
 *
 * @module loading
 */

/** @import {Engine, LoadParams} from "../client.js" */
/** @import {DrafterChoice, ModelChoice} from "../client/models.js" */
/** @import {FetchEvent, Phase} from "../messages.js" */
/** @import {View} from "./view.js" */

import { Leadout } from "../client.js";
import { showHealing } from "./recovery.js";

/**
 * @param {object} asked
 * @param {ModelChoice} asked.model
 * @param {DrafterChoice} asked.drafter
 * @param {AbortSignal} asked.signal
 * @param {string | null} asked.store "only": fetch the model and do not load it; "off": do not keep it
 * @param {Partial<LoadParams>} asked.options
 * @param {View} view
 * @param {{takePhase: (phase: Phase) => void, emit: (name: "fetch" | "progress" | "healing", detail: object) => boolean}} told
 * @returns {Promise<Engine | null>} null if the model was only to be fetched
 */
export async function loadEngine({ model, drafter, signal, store, options }, view, { takePhase, emit }) {
  const onFetch = (/** @type {FetchEvent} */ event) => {
    view.showFetch(event);
    emit("fetch", event);
  };
  if (store === "only") {
    const { hub, assets } = options;
    await Leadout.models.pull(model, { drafter, signal, hub, assets, onProgress: onFetch });
    return null;
  }
  return Leadout.load({
    ...(store === "off" && { store: false }),
    ...options,
    model,
    drafter,
    signal,
    onPhase: (phase) => phase !== "ready" && takePhase(phase),
    onProgress: (progress) => {
      view.showPhase(progress.phase, progress);
      emit("progress", progress);
    },
    onFetch,
    onHealing: (event) => emit("healing", event) && showHealing(view, event),
  });
}
