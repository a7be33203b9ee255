/**
 * When passes began and ended, by the device's own clock.
 *
 * A pass writes two timestamps; they are resolved and copied behind its results, in the same command
 * buffer, and come back in the same readback. One pair of queries serves all passes, since a queue
 * runs one command buffer behind the other. Browsers round timestamps, to 0.1 ms or less.
 *
 * @module pass_times
 */

/** WebGPU's GPUBufferUsage flags; see buffers.js. */
const COPY_SRC = 0x04;
const QUERY_RESOLVE = 0x200;

/** Two timestamps of 64 bits. */
export const TIMES_BYTES = 16;

export class PassTimes {
  #querySet;
  #resolved;
  /** For the pass that is to be timed. @type {GPUComputePassTimestampWrites} */
  writes;

  /** @param {GPUDevice} device with the feature "timestamp-query" */
  constructor(device) {
    this.#querySet = device.createQuerySet({ label: "pass times", type: "timestamp", count: 2 });
    this.#resolved = device.createBuffer({
      label: "pass times",
      size: TIMES_BYTES,
      usage: QUERY_RESOLVE | COPY_SRC,
    });
    this.writes = {
      querySet: this.#querySet,
      beginningOfPassWriteIndex: 0,
      endOfPassWriteIndex: 1,
    };
  }

  /**
   * Copy the times of the pass that was just recorded.
   *
   * @param {GPUCommandEncoder} encoder
   * @param {GPUBuffer} to
   * @param {number} offset
   */
  copy(encoder, to, offset) {
    encoder.resolveQuerySet(this.#querySet, 0, 2, this.#resolved, 0);
    encoder.copyBufferToBuffer(this.#resolved, 0, to, offset, TIMES_BYTES);
  }

  /**
   * @param {Uint8Array<ArrayBuffer>} bytes what `copy` copied
   * @returns {[number, number] | null} began and ended, in milliseconds from anywhere; null where the
   *   driver wrote no times that can be true
   */
  static read(bytes) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, TIMES_BYTES);
    const began = view.getBigUint64(0, true);
    const ended = view.getBigUint64(8, true);
    if (began === 0n || ended < began) return null;
    return [Number(began) / 1e6, Number(ended) / 1e6];
  }
}
