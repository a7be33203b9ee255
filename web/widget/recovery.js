/**
 * Shows the recovery of an engine that failed.
 *
 * @module recovery
 */

/** @import {Engine, HealingEvent} from "../client.js" */
/** @import {View} from "./view.js" */

import { describeHealing, formatBytes } from "./words.js";

/**
 * Show how much memory a model takes, and the adapter that it runs on.
 *
 * @param {View} view
 * @param {Engine} engine
 */
export function showModel(view, { info }) {
  view.setFigure("memory", formatBytes(info.allocated_bytes));
  view.setFigure("adapter", info.device);
}

/**
 * @param {Engine} engine
 * @param {View} view
 * @param {(event: HealingEvent) => boolean} onHealing called for every event; returns false to not show it
 */
export function followHealing(engine, view, onHealing) {
  engine.addEventListener("healing", (event) => {
    const { detail } = /** @type {CustomEvent<HealingEvent>} */ (event);
    if (onHealing(detail)) {
      showHealing(view, detail);
      if (detail.state === "done") showModel(view, engine);
    }
  });
}

/**
 * @param {View} view
 * @param {HealingEvent} event of an engine, or of a load that started again
 */
export function showHealing(view, event) {
  const { state, reason, progress } = event;
  if (state === "done") {
    view.setLoading(null);
    view.setStatus(describeHealing(event));
    return;
  }
  if (!view.isFetching) {
    view.setLoading(describeHealing(event), progress?.total_bytes ? progress.loaded_bytes / progress.total_bytes : null);
  }
  if (!progress?.total_bytes) {
    // The start of a phase has set the status to its own text. Show the recovery instead.
    view.setStatus(describeHealing({ state: "started", reason, progress: null }));
  }
}
