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
    if (!onHealing(detail)) {
      return;
    }
    const { state, progress } = detail;
    const words = describeHealing(detail);
    if (state === "done") {
      view.setLoading(null);
      showModel(view, engine);
    } else {
      view.setLoading(words, progress?.total_bytes ? progress.loaded_bytes / progress.total_bytes : null);
    }
    if (state !== "loading") {
      view.setStatus(words);
    }
  });
}
