/**
 * Compute passes timed by the device's own clock.
 *
 * @module timestamps
 */

import { LeadoutError, withErrorScopes } from "./errors.js";

/** WebGPU's GPUBufferUsage flags; Node has no such global. */
const USAGE = { MAP_READ: 0x01, COPY_SRC: 0x04, COPY_DST: 0x08, QUERY_RESOLVE: 0x200 };
const MAP_READ = 0x01;

/** Timestamps in one query set, at most: 4096 is WebGPU's limit. */
const MAX_QUERIES = 4096;

/** Steps of the clock above this make single dispatches unmeasurable: browsers round timestamps. */
export const FINE_TICK_NS = 2000;

/** Passes that are timed to learn the clock's step and what an empty dispatch takes. */
const EMPTY_PASSES = 64;

const EMPTY_WGSL = "@compute @workgroup_size(1) fn main() {}";

/**
 * @typedef {object} Runs several measurements of one thing, in microseconds (or GB/s)
 * @property {number} median
 * @property {number} low
 * @property {number} high
 * @property {number} runs
 */

/**
 * @param {GPUDevice} device
 * @throws {LeadoutError} DeviceError: no timestamps
 */
export function checkTimestamps(device) {
  if (device.features.has("timestamp-query")) return;
  throw new LeadoutError(
    "DeviceError",
    "this device gives no timestamps (timestamp-query), without which a profile is not possible; in " +
      "Chromium open chrome://flags, or start it with --enable-unsafe-webgpu",
    { feature: "timestamp-query" },
  );
}

/** Times compute passes by the device's timestamps. */
export class PassTimer {
  /** @param {GPUDevice} device */
  constructor(device) {
    this.device = device;
    this.querySet = device.createQuerySet({ type: "timestamp", count: MAX_QUERIES });
    this.resolved = device.createBuffer({
      size: 8 * MAX_QUERIES,
      usage: USAGE.QUERY_RESOLVE | USAGE.COPY_SRC,
    });
    this.staging = device.createBuffer({
      size: 8 * MAX_QUERIES,
      usage: USAGE.MAP_READ | USAGE.COPY_DST,
    });
  }

  /**
   * Time passes, in order.
   *
   * @param {((pass: GPUComputePassEncoder) => void)[]} recordings one a pass
   * @param {(encoder: GPUCommandEncoder) => void} [before] records what comes first, untimed
   * @returns {Promise<number[][]>} begin and end of each pass, in nanoseconds since its first
   */
  async time(recordings, before) {
    const all = [];
    for (let start = 0; start < recordings.length; start += MAX_QUERIES / 2) {
      const part = recordings.slice(start, start + MAX_QUERIES / 2);
      all.push(...(await this.#timePart(part, start === 0 ? before : undefined)));
    }
    return all;
  }

  /**
   * @param {((pass: GPUComputePassEncoder) => void)[]} recordings
   * @param {(encoder: GPUCommandEncoder) => void} [before]
   */
  async #timePart(recordings, before) {
    const { device, querySet, resolved, staging } = this;
    const { value: commands, error } = withErrorScopes(device, () => {
      const encoder = device.createCommandEncoder({ label: "profile" });
      before?.(encoder);
      recordings.forEach((record, i) => {
        const timestampWrites = {
          querySet,
          beginningOfPassWriteIndex: 2 * i,
          endOfPassWriteIndex: 2 * i + 1,
        };
        const pass = encoder.beginComputePass({ timestampWrites });
        record(pass);
        pass.end();
      });
      encoder.resolveQuerySet(querySet, 0, 2 * recordings.length, resolved, 0);
      encoder.copyBufferToBuffer(resolved, 0, staging, 0, 16 * recordings.length);
      const buffer = encoder.finish();
      device.queue.submit([buffer]);
      return buffer;
    });
    const failure = await error;
    if (failure !== null) throw new LeadoutError("DeviceError", `profiling: ${failure.message}`, {});
    void commands;
    await staging.mapAsync(MAP_READ, 0, 16 * recordings.length);
    const stamps = new BigUint64Array(staging.getMappedRange(0, 16 * recordings.length).slice(0));
    staging.unmap();
    const [origin] = stamps;
    return recordings.map((_, i) =>
      [stamps[2 * i], stamps[2 * i + 1]].map((stamp) => Number(stamp - origin)),
    );
  }

  destroy() {
    this.querySet.destroy();
    this.resolved.destroy();
    this.staging.destroy();
  }
}

/**
 * Learn what the clock is good for.
 *
 * @param {GPUDevice} device
 * @param {PassTimer} timer
 * @returns {Promise<{emptyNs: number, tickNs: number}>} what an empty dispatch takes in a pass of its
 *   own, and the step of the clock: the greatest number that divides all times seen
 */
export async function timeEmptyPasses(device, timer) {
  const pipeline = await makePipeline(device, EMPTY_WGSL);
  const recording = (/** @type {GPUComputePassEncoder} */ pass) => {
    pass.setPipeline(pipeline);
    pass.dispatchWorkgroups(1);
  };
  const stamps = await timer.time(Array.from({ length: EMPTY_PASSES }, () => recording));
  let tickNs = 0;
  for (const [begin, end] of stamps) tickNs = divisor(divisor(tickNs, begin), end);
  return { emptyNs: median(lengths(stamps)), tickNs };
}

/**
 * @param {GPUDevice} device
 * @param {string} code
 */
export function makePipeline(device, code) {
  const module = device.createShaderModule({ label: "profile", code });
  return device.createComputePipelineAsync({ layout: "auto", compute: { module, entryPoint: "main" } });
}

/** @param {number[][]} stamps begin and end of passes */
export function lengths(stamps) {
  return stamps.map(([begin, end]) => end - begin);
}

/** @param {number} a @param {number} b @returns {number} the greatest common divisor */
function divisor(a, b) {
  return b === 0 ? a : divisor(b, a % b);
}

/** @param {number[]} values at least one */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/**
 * @param {number[]} values
 * @returns {Runs}
 */
export function runsOf(values) {
  return {
    median: median(values),
    low: Math.min(...values),
    high: Math.max(...values),
    runs: values.length,
  };
}
