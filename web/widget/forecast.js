/**
 * Tells the user about a model before it is loaded: how many bytes are fetched from which host. If asked for, also how
 * much memory the model needs and how fast it will be.
 *
 * @module forecast
 */

/** @import {LoadParams} from "../client.js" */
/** @import {DrafterChoice, ModelChoice} from "../client/models.js" */
/** @import {Forecast} from "../messages.js" */
/** @import {Offer} from "./offer.js" */
/** @import {Notice} from "./view.js" */

import { Leadout } from "../client.js";
import { findOffer, nameModel } from "./offer.js";
import { describeError, formatBytes } from "./words.js";

/** The offer of a model; it is updated as soon as more is known. */
export class Offering {
  #abort = new AbortController();

  /** Stop the updates. */
  end() {
    this.#abort.abort();
  }

  /**
   * @param {object} asked
   * @param {ModelChoice} asked.model
   * @param {DrafterChoice} asked.drafter
   * @param {Partial<LoadParams>} asked.options the load's options
   * @param {boolean} asked.hasForecast whether to make a forecast from the headers of a remote model: a worker starts
   *   Python and ends with the answer; if that is cheap, a model of that shape runs for some seconds
   * @param {() => void} asked.load
   * @param {(notice: Notice) => void} show
   */
  async begin({ model, drafter, options, hasForecast, load }, show) {
    this.end();
    const { signal } = (this.#abort = new AbortController());
    const offer = await findOffer(model, drafter, options.hub);
    const isElsewhere = offer.host !== null;
    /** @param {Forecast | null} forecast @param {string[]} lines */
    const say = (forecast, ...lines) => {
      if (signal.aborted) return;
      show({
        kind: "offer",
        title: nameModel(model),
        lines: [describeOffer(offer, forecast), ...lines],
        actions: [{ label: isElsewhere ? "Get" : "Load model", run: load, isMain: true }],
      });
    };
    // A worker that the page passes serves only one load.
    if (!isElsewhere || !hasForecast || options.worker || signal.aborted) {
      say(null);
      return;
    }
    say(null, "Checking what it needs on this device…");
    try {
      const forecast = await Leadout.models.estimate(offer.load.model, {
        ...options,
        drafter: offer.load.drafter,
        signal,
        probe: "auto",
        onForecast: (first) => say(first, describeMemory(first), "Measuring its speed here…"),
      });
      say(forecast, describeMemory(forecast), describeSpeed(forecast));
    } catch (error) {
      const { title, message } = describeError(/** @type {Error} */ (error));
      say(null, `${title}: ${message}`);
    }
  }
}

/**
 * @param {Offer} offer
 * @param {Forecast | null} forecast
 * @returns {string} for example "2.90 GB to fetch from huggingface.co (x.gguf), drafter included."
 */
export function describeOffer({ bytes, host, file, isWithDrafter, isKept, smaller }, forecast) {
  const size = bytes ?? forecast?.file_bytes ?? null;
  if (host === null) {
    const here = [size === null ? "" : formatBytes(size), isKept ? "kept in this browser" : ""].filter(Boolean);
    return here.length > 0 ? `${here.join(", ")}, to be loaded into this tab.` : "To be loaded into this tab.";
  }
  const what = size === null ? `To be fetched from ${host}` : `${formatBytes(size)} to fetch from ${host}`;
  const which = file ? ` (${file})` : "";
  const drafts = isWithDrafter || forecast?.drafter ? ", drafter included" : "";
  return `${what}${which}${drafts}.${smaller ? ` The same in 4 bits: ${smaller}.` : ""}`;
}

/**
 * @param {Forecast} forecast
 * @returns {string} the GPU memory that the model needs, by context length
 */
export function describeMemory({ memory, device_bytes, context_length, contexts, problem }) {
  if (problem !== null) {
    return problem;
  }
  const of = (/** @type {number} */ length) => `${length.toLocaleString("en")} tokens of context`;
  const longer = contexts.filter((one) => one.fits && one.context_length > context_length).at(-1);
  const more = longer ? `, ${formatBytes(longer.total_bytes)} with ${longer.context_length.toLocaleString("en")}` : "";
  const there = device_bytes
    ? `there are ${formatBytes(device_bytes)}.`
    : "the browser does not say how much there is.";
  return `${formatBytes(memory.total_bytes)} of GPU memory with ${of(context_length)}${more}; ${there}`;
}

/**
 * @param {Forecast} forecast
 * @returns {string}
 */
export function describeSpeed({ probe, drafter, fits }) {
  if (!fits) {
    return "";
  }
  if (probe === null) {
    return "It will be slow here, because no graphics card is used.";
  }
  const rate = probe.decode_tokens_per_s;
  const speed = rate < 10 ? rate.toFixed(1) : rate.toFixed(0);
  return `About ${speed} tokens a second here${drafter ? ", more when drafts are accepted" : ""}.`;
}
