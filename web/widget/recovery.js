/**
 * Show that an engine comes back by itself, as it does.
 *
 * @module recovery
 */

/** @import {Engine, HealingEvent} from "../client.js" */
/** @import {View} from "./view.js" */

import { describeHealing, formatBytes } from "./words.js";

/**
 * Show what a model takes, and where it runs.
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
 * @param {(event: HealingEvent) => boolean} onHealing told of every event; false: it is not to be shown
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
 * @param {HealingEvent} event of an engine, or of a load that began again
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
    // A phase that begins had its own say.
    view.setStatus(describeHealing({ state: "started", reason, progress: null }));
  }
}
