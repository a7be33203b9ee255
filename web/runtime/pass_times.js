/**
 * When passes began and ended, by the device's own clock.
 *
 * Every pass writes two timestamps. Resolving them costs the browser some 50 us each time, so it is done
 * for several passes together, in the last one's command buffer, and the times come back behind that
 * one's results. The queries are used again by the passes after it, since a queue runs one command
 * buffer behind the other. Browsers round timestamps, to 0.1 ms or less.
 *
 * @module pass_times
 */

/** WebGPU's GPUBufferUsage flags; see buffers.js. */
const COPY_SRC = 0x04;
const QUERY_RESOLVE = 0x200;

/** Passes whose times come back together. */
const PASSES = 4;

/** Two timestamps of 64 bits. */
const PAIR_BYTES = 16;

/** What `copy` copies, if anything. */
export const TIMES_BYTES = PASSES * PAIR_BYTES;

export class PassTimes {
  #querySet;
  #resolved;
  #next = 0;

  /** @param {GPUDevice} device with the feature "timestamp-query" */
  constructor(device) {
    const label = "pass times";
    this.#querySet = device.createQuerySet({ label, type: "timestamp", count: 2 * PASSES });
    const usage = QUERY_RESOLVE | COPY_SRC;
    this.#resolved = device.createBuffer({ label, size: TIMES_BYTES, usage });
  }

  /** @returns {GPUComputePassTimestampWrites} for the pass that comes next */
  begin() {
    const pass = this.#next;
    this.#next = (pass + 1) % PASSES;
    return {
      querySet: this.#querySet,
      beginningOfPassWriteIndex: 2 * pass,
      endOfPassWriteIndex: 2 * pass + 1,
    };
  }

  /**
   * Copy the times, if the pass that `begin` was called for last completes them.
   *
   * @param {GPUCommandEncoder} encoder
   * @param {GPUBuffer} to
   * @param {number} offset
   * @returns {boolean} whether they were
   */
  copy(encoder, to, offset) {
    if (this.#next !== 0) return false;
    encoder.resolveQuerySet(this.#querySet, 0, 2 * PASSES, this.#resolved, 0);
    encoder.copyBufferToBuffer(this.#resolved, 0, to, offset, TIMES_BYTES);
    return true;
  }

  /**
   * @param {Uint8Array<ArrayBuffer>} bytes what `copy` copied
   * @returns {number[] | null} began and ended of each pass, in milliseconds from anywhere; null where
   *   the driver wrote no times that can be true
   */
  static read(bytes) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const times = [];
    for (let offset = 0; offset < bytes.byteLength; offset += PAIR_BYTES) {
      const began = view.getBigUint64(offset, true);
      const ended = view.getBigUint64(offset + 8, true);
      if (began === 0n || ended < began) return null;
      times.push(Number(began) / 1e6, Number(ended) / 1e6);
    }
    return times;
  }
}
