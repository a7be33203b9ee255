/**
 * A ring of mapped buffers through which bytes go to the device.
 *
 * Whoever has bytes writes them straight into memory that the device's process sees too. In Chromium
 * on an NVIDIA H100, a file that is read so arrives at 2,200 to 2,900 MB/s; `queue.writeBuffer`, which
 * copies them into its commands, brings 370 to 710 MB/s (tests/bench/LOG.md).
 *
 * @module uploads
 */

import { LeadoutError, firstLine, namedGpuError, withErrorScopes } from "./errors.js";

/** @import {MemoryAccount} from "./buffers.js" */

/** WebGPU's GPUBufferUsage and GPUMapMode flags; Node has no such globals. */
const MAP_WRITE = 0x02;
const COPY_SRC = 0x04;
const MODE_WRITE = 0x02;

/** Buffers in the ring: one being written while the device works on the others. */
const NUM_BUFFERS = 3;

/**
 * A buffer of the ring; `mapped` settles once it may be written.
 * @typedef {{gpu: GPUBuffer, mapped: Promise<void>}} Upload
 */

export class Uploads {
  #device;
  #account;
  /** @type {Upload[]} */
  #ring = [];
  #next = 0;

  /**
   * @param {GPUDevice} device
   * @param {MemoryAccount} account
   * @param {number} bytes of a buffer, a multiple of 4
   */
  constructor(device, account, bytes) {
    this.#device = device;
    this.#account = account;
    this.bytes = bytes;
  }

  /**
   * @returns {Promise<{upload: Upload, host: Uint8Array<ArrayBuffer>}>} the next buffer, and its memory, with
   *   whatever was in it; the caller ends with `send`
   * @throws {LeadoutError} OutOfMemoryError or DeviceError
   */
  async next() {
    const upload = this.#ring[this.#next] ?? (await this.#create());
    this.#next = (this.#next + 1) % NUM_BUFFERS;
    await upload.mapped;
    return { upload, host: new Uint8Array(upload.gpu.getMappedRange()) };
  }

  /**
   * Record and submit what reads a buffer; its memory is gone from here on.
   *
   * @param {Upload} upload
   * @param {(encoder: GPUCommandEncoder, source: GPUBuffer) => void} record
   * @returns {Promise<void>} once the device is done with the buffer
   */
  send(upload, record) {
    upload.gpu.unmap();
    const encoder = this.#device.createCommandEncoder({ label: "upload" });
    record(encoder, upload.gpu);
    this.#device.queue.submit([encoder.finish()]);
    upload.mapped = upload.gpu.mapAsync(MODE_WRITE).catch((error) => {
      throw new LeadoutError("DeviceError", `uploading stopped: ${firstLine(error.message)}`);
    });
    upload.mapped.catch(() => {}); // seen when the buffer is next used, or by who waits for it
    return upload.mapped;
  }

  /** Destroy all buffers. */
  destroy() {
    for (const { gpu } of this.#ring.splice(0)) {
      gpu.destroy();
      this.#account.add(-this.bytes);
    }
  }

  /** @returns {Promise<Upload>} */
  async #create() {
    const { value, error } = withErrorScopes(this.#device, () =>
      this.#device.createBuffer({
        label: "upload",
        size: this.bytes,
        usage: MAP_WRITE | COPY_SRC,
        mappedAtCreation: true,
      }),
    );
    const upload = { gpu: value, mapped: Promise.resolve() };
    this.#ring.push(upload);
    this.#account.add(this.bytes);
    const failure = await error;
    if (failure !== null) throw namedGpuError(failure, "a buffer to upload through");
    return upload;
  }
}
