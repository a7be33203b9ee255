/**
 * What the dispatches of a Plan cost, by the device's own timestamps. Loaded only when somebody asks.
 *
 * Three measurements, since none says everything:
 *   whole    the Plan as it always runs, all of it in one pass
 *   alone    every dispatch in a pass of its own, in the Plan's order, so that it finds the caches as
 *            the ones before left them; what an empty dispatch takes in a pass of its own is subtracted
 *   group    the dispatches of one kind (the same layer's part, in all layers) one behind the other in
 *            one pass, over and over until the pass is long enough for the clock
 * A dispatch that runs again reads what it wrote, which changes values and no times; what small
 * tables hold (positions, tokens, results) is put back before every run.
 *
 * @module profile
 */

import { checkTimestamps, FINE_TICK_NS, lengths, median, PassTimer, runsOf, timeEmptyPasses } from "./timestamps.js";

/** @import {Buffers} from "./buffers.js" */
/** @import {Plan, ReadyDispatch, ReadyPlan} from "./plans.js" */
/** @import {Runs} from "./timestamps.js" */

/** WebGPU's GPUBufferUsage flags; Node has no such global. */
const USAGE = { COPY_SRC: 0x04, COPY_DST: 0x08 };

/** Tables up to this size are put back before every run. */
const MAX_SAVED_BYTES = 1 << 20;

/** A group's pass is to take so long, and so many ticks of the clock. */
const TARGET_NS = 1e6;
const TARGET_TICKS = 30;

/** Where a Plan takes longer, everything is measured once. */
const SLOW_NS = 50e6;

const ROUNDS = 5;
const MAX_REPEATS = 2048;

/**
 * @typedef {object} PlanProfile
 * @property {Runs} whole_us
 * @property {number} empty_us what an empty dispatch takes in a pass of its own
 * @property {number} tick_us the step of the clock
 * @property {(number | null)[]} alone_us of each dispatch, `empty_us` subtracted; null where the clock is
 *   too coarse, 0 for one with nothing to do
 * @property {(Runs & {repeats: number})[]} group_us of each group, once through all its dispatches
 * @property {Record<string, string[]>} binding_types by variant
 */

/**
 * @typedef {object} ProfileOptions
 * @property {number[][]} groups indices of dispatches
 * @property {number} [rounds]
 */

/** Puts small tables back to what they held when this was made. */
class SavedTables {
  /** @type {{gpu: GPUBuffer, copy: GPUBuffer, bytes: number}[]} */
  #tables = [];

  /**
   * @param {GPUDevice} device
   * @param {Buffers} buffers
   * @param {Plan} plan
   * @param {Record<string, string[]>} types of bindings, by variant
   */
  constructor(device, buffers, plan, types) {
    /** @type {Map<string, {gpu: GPUBuffer, bytes: number}>} */
    const written = new Map();
    for (const { pipeline, bindings, label } of plan.dispatches) {
      const kinds = types[plan.pipelines[pipeline].variant];
      bindings.forEach((binding, i) => {
        const buffer = buffers.at(binding, label);
        if (kinds[i] === "storage" && buffer.bytes <= MAX_SAVED_BYTES) {
          written.set(buffer.name, buffer);
        }
      });
    }
    const encoder = device.createCommandEncoder();
    for (const { gpu, bytes } of written.values()) {
      const copy = device.createBuffer({ size: bytes, usage: USAGE.COPY_SRC | USAGE.COPY_DST });
      encoder.copyBufferToBuffer(gpu, 0, copy, 0, bytes);
      this.#tables.push({ gpu, copy, bytes });
    }
    device.queue.submit([encoder.finish()]);
  }

  /** @param {GPUCommandEncoder} encoder */
  putBack(encoder) {
    for (const { gpu, copy, bytes } of this.#tables) {
      encoder.copyBufferToBuffer(copy, 0, gpu, 0, bytes);
    }
  }

  destroy() {
    for (const { copy } of this.#tables) copy.destroy();
  }
}

/**
 * Measure a Plan whose tables hold what it is to begin with.
 *
 * @param {ReadyPlan} ready the Plan, compiled
 * @param {Plan} plan
 * @param {number[]} params a count for each of the plan's
 * @param {ProfileOptions} options
 * @param {{device: GPUDevice, buffers: Buffers, types: Record<string, string[]>}} on `types` of bindings by
 *   variant
 * @returns {Promise<PlanProfile>}
 * @throws {LeadoutError} DeviceError: no timestamps
 */
export async function profilePlan(ready, plan, params, options, { device, buffers, types }) {
  checkTimestamps(device);
  const timer = new PassTimer(device);
  const tables = new SavedTables(device, buffers, plan, types);
  const putBack = (/** @type {GPUCommandEncoder} */ encoder) => tables.putBack(encoder);
  const dispatches = ready.dispatches.map((dispatch) => ({ dispatch, grid: gridOf(dispatch, params) }));
  const live = dispatches.map(({ grid }) => !grid.includes(0));
  const { groups, rounds = ROUNDS } = options;

  /** @param {number[]} indices @param {number} [repeats] */
  const recording = (indices, repeats = 1) => (/** @type {GPUComputePassEncoder} */ pass) => {
    for (let repeat = 0; repeat < repeats; repeat++) {
      for (const i of indices) if (live[i]) record(pass, dispatches[i]);
    }
  };
  const everything = recording(dispatches.map((_, i) => i));
  /** @param {GPUCommandEncoder} encoder */
  const replay = (encoder) => {
    putBack(encoder);
    const pass = encoder.beginComputePass();
    everything(pass);
    pass.end();
  };

  try {
    const { emptyNs, tickNs } = await timeEmptyPasses(device, timer);
    const first = lengths(await timer.time([everything], putBack))[0];
    const isSlow = first > SLOW_NS;
    const numRounds = isSlow ? 1 : rounds;
    const wholes = isSlow ? [first] : [];
    for (let round = isSlow ? 1 : 0; round < numRounds; round++) {
      wholes.push(lengths(await timer.time([everything], putBack))[0]);
    }

    /** @type {(number | null)[]} */
    let aloneUs = dispatches.map(() => null);
    if (tickNs <= FINE_TICK_NS) {
      const each = dispatches.map((_, i) => recording([i]));
      /** @type {number[][]} */
      const timed = [];
      for (let round = 0; round < numRounds; round++) {
        timed.push(lengths(await timer.time(each, putBack)));
      }
      aloneUs = live.map((isLive, i) =>
        isLive ? Math.max(0, median(timed.map((run) => run[i])) - emptyNs) / 1e3 : 0,
      );
    }

    const groupUs = [];
    for (const indices of groups) groupUs.push(await timeGroup(indices));
    return {
      whole_us: runsOf(wholes.map((ns) => ns / 1e3)),
      empty_us: emptyNs / 1e3,
      tick_us: tickNs / 1e3,
      alone_us: aloneUs,
      group_us: groupUs,
      binding_types: types,
    };

    /** @param {number[]} indices */
    async function timeGroup(indices) {
      const count = indices.filter((i) => live[i]).length;
      if (count === 0) return { ...runsOf([0]), repeats: 0 };
      const targetNs = Math.max(TARGET_NS, TARGET_TICKS * tickNs);
      // Where the Plan is slow, values of the group before have to do.
      const before = isSlow ? putBack : replay;
      let repeats = 1;
      let ns = lengths(await timer.time([recording(indices)], before))[0];
      while (!isSlow && ns < targetNs / 2 && repeats < MAX_REPEATS) {
        // Within the clock's step nothing is known but that it was shorter.
        const seen = Math.max(ns, tickNs, 100);
        repeats = Math.min(MAX_REPEATS, Math.ceil((repeats * targetNs) / seen));
        ns = lengths(await timer.time([recording(indices, repeats)], before))[0];
      }
      const timed = isSlow ? [ns] : [];
      while (timed.length < numRounds) {
        timed.push(lengths(await timer.time([recording(indices, repeats)], before))[0]);
      }
      // The pass itself is paid once, however often it repeats.
      const passNs = Math.min(emptyNs, Math.min(...timed) / 2);
      return { ...runsOf(timed.map((one) => (one - passNs) / repeats / 1e3)), repeats };
    }
  } finally {
    timer.destroy();
    const encoder = device.createCommandEncoder();
    tables.putBack(encoder);
    device.queue.submit([encoder.finish()]);
    tables.destroy();
  }
}

/**
 * @param {GPUComputePassEncoder} pass
 * @param {{dispatch: ReadyDispatch, grid: number[]}} ready
 */
function record(pass, { dispatch, grid }) {
  pass.setPipeline(dispatch.pipeline);
  pass.setBindGroup(0, dispatch.group);
  pass.dispatchWorkgroups(grid[0], grid[1], grid[2]);
}

/**
 * @param {ReadyDispatch} dispatch
 * @param {number[]} values of the params
 * @returns {number[]}
 */
function gridOf({ counts, params }, values) {
  return params.map((param, i) => (param < 0 ? counts[i] : values[param]));
}
