/**
 * Named buffers on the device, with an account of their bytes, and the ring of mappable buffers
 * through which results come back.
 *
 * @module buffers
 */

import { LeadoutError, firstLine, formatBytes, withErrorScopes } from "./errors.js";

/** WebGPU's GPUBufferUsage flags. They are fixed by the standard, and Node has no such global. */
const USAGE = {
  MAP_READ: 0x01,
  COPY_SRC: 0x04,
  COPY_DST: 0x08,
  UNIFORM: 0x40,
  STORAGE: 0x80,
};
const MAP_READ = 0x01;

/** Sizes of mappable buffers are powers of two from here on, so that few sizes serve all Plans. */
const MIN_STAGING_BYTES = 256;

/** Larger mappable buffers are destroyed after use; a row of logits still fits. */
const MAX_KEPT_STAGING_BYTES = 1 << 20;

/** The most bytes that `read` maps at once. */
const READ_CHUNK_BYTES = 16 << 20;

/**
 * A range of a buffer, as Plans write it.
 * @typedef {{buffer: string, offset: number, bytes: number}} Binding
 */

/**
 * A named buffer. `serial` is unique among all that ever were, unlike its name.
 * @typedef {{name: string, serial: number, gpu: GPUBuffer, bytes: number}} NamedBuffer
 */

/** Bytes held on the device, and the most there ever were. */
export class MemoryAccount {
  bytes = 0;
  peakBytes = 0;

  /** @param {number} bytes negative when given back */
  add(bytes) {
    this.bytes += bytes;
    this.peakBytes = Math.max(this.peakBytes, this.bytes);
  }
}

export class Buffers {
  /** @type {Map<string, NamedBuffer>} */
  #buffers = new Map();
  #nextSerial = 0;

  /**
   * @param {GPUDevice} device
   * @param {MemoryAccount} account
   */
  constructor(device, account) {
    this.device = device;
    this.account = account;
  }

  /**
   * Create zeroed buffers, all or none, the largest first: a large one that fails does so before
   * the small ones have cut up the memory.
   *
   * @param {Record<string, {bytes: number}>} specs
   * @throws {LeadoutError} DeviceLimitError, OutOfMemoryError or DeviceError; nothing was kept
   */
  async allocate(specs) {
    const entries = Object.entries(specs).sort(([, a], [, b]) => b.bytes - a.bytes);
    for (const [name, { bytes }] of entries) this.#checkSpec(name, bytes);
    const askedBytes = entries.reduce((sum, [, { bytes }]) => sum + bytes, 0);
    const heldBytes = this.account.bytes;

    const made = entries.map(([name, { bytes }]) => {
      const { value, error } = withErrorScopes(this.device, () => this.#create(name, bytes));
      return { buffer: value, error };
    });
    for (const { buffer } of made) this.#keep(buffer);
    const errors = await Promise.all(made.map(({ error }) => error));
    const failed = errors.findIndex((error) => error !== null);
    if (failed < 0) return;

    this.free(entries.map(([name]) => name));
    const { name, bytes } = made[failed].buffer;
    const error = /** @type {GPUError} */ (errors[failed]);
    const reason = firstLine(error.message);
    const missingBytes = made
      .filter((_, i) => errors[i] !== null)
      .reduce((sum, { buffer }) => sum + buffer.bytes, 0);
    const detail = {
      buffer: name,
      bytes,
      asked_bytes: askedBytes,
      held_bytes: heldBytes,
      missing_bytes: missingBytes,
      reason,
    };
    if (error.constructor.name === "GPUOutOfMemoryError") {
      throw new LeadoutError(
        "OutOfMemoryError",
        `the device has no ${formatBytes(bytes)} for buffer "${name}" (${formatBytes(askedBytes)} ` +
          `asked for, ${formatBytes(heldBytes)} already held); close other tabs, or choose a ` +
          "smaller model or context",
        detail,
      );
    }
    throw new LeadoutError("DeviceError", `creating buffer "${name}" failed: ${reason}`, detail);
  }

  /**
   * @param {string} name
   * @param {number} bytes
   */
  #checkSpec(name, bytes) {
    if (this.#buffers.has(name)) {
      throw new LeadoutError("DeviceError", `there is a buffer "${name}" already; free it first`, {
        buffer: name,
      });
    }
    if (!Number.isSafeInteger(bytes) || bytes <= 0 || bytes % 4 !== 0) {
      throw new LeadoutError(
        "DeviceError",
        `buffer "${name}" is to have ${bytes} bytes; a size is a positive multiple of 4`,
        { buffer: name, bytes },
      );
    }
    const limit = this.device.limits.maxBufferSize;
    if (bytes > limit) {
      throw new LeadoutError(
        "DeviceLimitError",
        `buffer "${name}" needs ${formatBytes(bytes)}, the adapter allows ${formatBytes(limit)}`,
        { buffer: name, bytes, limit_bytes: limit },
      );
    }
  }

  /**
   * @param {string} name
   * @param {number} bytes
   * @returns {NamedBuffer}
   */
  #create(name, bytes) {
    let usage = USAGE.STORAGE | USAGE.COPY_SRC | USAGE.COPY_DST;
    if (bytes <= this.device.limits.maxUniformBufferBindingSize) usage |= USAGE.UNIFORM;
    const gpu = this.device.createBuffer({ label: name, size: bytes, usage });
    return { name, serial: this.#nextSerial++, gpu, bytes };
  }

  /** @param {NamedBuffer} buffer */
  #keep(buffer) {
    this.#buffers.set(buffer.name, buffer);
    this.account.add(buffer.bytes);
  }

  /**
   * Destroy buffers; unknown names are ignored.
   *
   * @param {Iterable<string>} names
   * @returns {Set<number>} serials of the buffers that are gone
   */
  free(names) {
    const gone = new Set();
    for (const name of names) {
      const buffer = this.#buffers.get(name);
      if (buffer === undefined) continue;
      buffer.gpu.destroy();
      this.#buffers.delete(name);
      this.account.add(-buffer.bytes);
      gone.add(buffer.serial);
    }
    return gone;
  }

  /**
   * Check a range.
   *
   * @param {Binding} range
   * @param {string} where for the message, for example a dispatch's label
   * @returns {NamedBuffer} the buffer it lies in
   * @throws {LeadoutError} DeviceError: no such buffer, or the range is not inside it
   */
  at({ buffer: name, offset, bytes }, where) {
    const buffer = this.#buffers.get(name);
    if (buffer === undefined) {
      throw new LeadoutError("DeviceError", `${where}: there is no buffer "${name}"`, {
        buffer: name,
      });
    }
    const isWord = (/** @type {number} */ n) => Number.isSafeInteger(n) && n >= 0 && n % 4 === 0;
    if (!isWord(offset) || !isWord(bytes) || bytes === 0 || offset + bytes > buffer.bytes) {
      throw new LeadoutError(
        "DeviceError",
        `${where}: ${bytes} bytes at ${offset} of buffer "${name}", which has ${buffer.bytes} ` +
          "bytes; ranges are whole words inside their buffer",
        { buffer: name, offset, bytes, buffer_bytes: buffer.bytes },
      );
    }
    return buffer;
  }

  /**
   * Write bytes in queue order: after earlier submits, before later ones. The data is copied.
   *
   * @param {string} name
   * @param {number} offset a multiple of 4
   * @param {ArrayBufferView<ArrayBuffer>} data a multiple of 4 bytes
   */
  write(name, offset, data) {
    if (data.byteLength === 0) return;
    const buffer = this.at({ buffer: name, offset, bytes: data.byteLength }, "write");
    this.device.queue.writeBuffer(buffer.gpu, offset, data);
  }

  /**
   * Copy a range back.
   *
   * @param {string} name
   * @param {number} offset a multiple of 4
   * @param {number} bytes a multiple of 4
   * @param {ReadbackRing} ring
   * @returns {Promise<Uint8Array<ArrayBuffer>>}
   */
  async read(name, offset, bytes, ring) {
    const buffer = this.at({ buffer: name, offset, bytes }, "read");
    const result = new Uint8Array(bytes);
    // All copies are queued before the first wait, so that no later submit comes between them;
    // the chunks only keep each mapping small.
    const chunks = [];
    for (let start = 0; start < bytes; start += READ_CHUNK_BYTES) {
      const staging = ring.acquire(Math.min(READ_CHUNK_BYTES, bytes - start));
      const encoder = this.device.createCommandEncoder();
      encoder.copyBufferToBuffer(buffer.gpu, offset + start, staging.gpu, 0, staging.usedBytes);
      this.device.queue.submit([encoder.finish()]);
      ring.map(staging);
      chunks.push({ staging, start });
    }
    try {
      await Promise.all(chunks.map(({ staging }) => staging.mapped));
      for (const { staging, start } of chunks) result.set(ring.bytes(staging), start);
    } finally {
      for (const { staging } of chunks) ring.release(staging);
    }
    return result;
  }
}

/**
 * A mappable buffer. `mapped` settles when the bytes of its latest use have arrived, at `arrivedMs` by
 * this thread's clock.
 * @typedef {{gpu: GPUBuffer, capacity: number, usedBytes: number, mapped: Promise<void>, arrivedMs: number}} Staging
 */

/**
 * Mappable buffers, reused once their bytes were taken. A buffer is free, or in flight from
 * `acquire` to `release`; one more is made only when none of its size is free.
 */
export class ReadbackRing {
  /** @type {Map<number, Staging[]>} */
  #free = new Map();
  /** @type {Set<Staging>} */
  #inFlight = new Set();

  /**
   * @param {GPUDevice} device
   * @param {MemoryAccount} account
   */
  constructor(device, account) {
    this.device = device;
    this.account = account;
  }

  /**
   * @param {number} bytes
   * @returns {Staging} for one copy of so many bytes; then `map`, then `release`
   */
  acquire(bytes) {
    const capacity = Math.max(MIN_STAGING_BYTES, 2 ** Math.ceil(Math.log2(bytes)));
    let staging = this.#free.get(capacity)?.pop();
    if (staging === undefined) {
      const gpu = this.device.createBuffer({
        label: "readback",
        size: capacity,
        usage: USAGE.MAP_READ | USAGE.COPY_DST,
      });
      staging = { gpu, capacity, usedBytes: 0, mapped: Promise.resolve(), arrivedMs: 0 };
      this.account.add(capacity);
    }
    staging.usedBytes = bytes;
    this.#inFlight.add(staging);
    return staging;
  }

  /** @param {Staging} staging whose copy was submitted */
  map(staging) {
    staging.mapped = staging.gpu.mapAsync(MAP_READ, 0, staging.usedBytes).then(() => {
      staging.arrivedMs = performance.now();
    });
    // Whoever collects sees a failure; a result that nobody wants must not be reported as unhandled.
    staging.mapped.catch(() => {});
  }

  /**
   * @param {Staging} staging that is mapped
   * @returns {Uint8Array<ArrayBuffer>} a view that dies with `release`
   */
  bytes(staging) {
    return new Uint8Array(staging.gpu.getMappedRange(0, staging.usedBytes));
  }

  /** @param {Staging} staging mapped, or failed to map */
  release(staging) {
    if (!this.#inFlight.delete(staging)) return;
    const free = this.#free.get(staging.capacity);
    if (staging.capacity > MAX_KEPT_STAGING_BYTES) {
      staging.gpu.destroy();
      this.account.add(-staging.capacity);
      return;
    }
    staging.gpu.unmap();
    if (free === undefined) this.#free.set(staging.capacity, [staging]);
    else free.push(staging);
  }

  /** Destroy the buffers that are not in flight. */
  trim() {
    for (const free of this.#free.values()) {
      for (const staging of free) {
        staging.gpu.destroy();
        this.account.add(-staging.capacity);
      }
    }
    this.#free.clear();
  }
}
