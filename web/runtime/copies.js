/**
 * Copies on the device. Keep in step with `Copy` in pyapp/leadout/plan.py.
 *
 * @module copies
 */

import { LeadoutError } from "./errors.js";

/** @import {Binding, Buffers} from "./buffers.js" */

/** WebGPU's GPUBufferUsage flags COPY_SRC and COPY_DST. */
const COPY_BOTH_WAYS = 0x04 | 0x08;

/** WebGPU copies nothing within one buffer, so that goes through another one, by so many bytes. */
const BETWEEN_BYTES = 4 << 20;

/**
 * From one range to another of as many bytes; in one buffer they do not overlap.
 * @typedef {{source: Binding, target: Binding}} Copy
 */

/**
 * Queue copies, one after the other, as one submit.
 *
 * @param {GPUDevice} device
 * @param {Buffers} buffers
 * @param {Copy[]} copies
 * @throws {LeadoutError} DeviceError: no such buffer, a range is not inside it, or the sizes differ; nothing was
 *   queued
 */
export function copyRanges(device, buffers, copies) {
  const ranges = copies.map(({ source, target }) => {
    const from = buffers.at(source, "copy");
    const to = buffers.at(target, "copy");
    if (source.bytes !== target.bytes) {
      throw new LeadoutError("DeviceError", `copy: ${source.bytes} bytes to a range of ${target.bytes}`, {
        source,
        target,
      });
    }
    return { from: from.gpu, start: source.offset, to: to.gpu, end: target.offset, bytes: source.bytes };
  });
  const within = Math.max(0, ...ranges.map(({ from, to, bytes }) => (from === to ? bytes : 0)));
  const between =
    within > 0
      ? device.createBuffer({ label: "copy", size: Math.min(within, BETWEEN_BYTES), usage: COPY_BOTH_WAYS })
      : null;
  const encoder = device.createCommandEncoder({ label: "copy" });
  for (const { from, start, to, end, bytes } of ranges) {
    if (from !== to || between === null) {
      encoder.copyBufferToBuffer(from, start, to, end, bytes);
      continue;
    }
    for (let done = 0; done < bytes; done += between.size) {
      const size = Math.min(between.size, bytes - done);
      encoder.copyBufferToBuffer(from, start + done, between, 0, size);
      encoder.copyBufferToBuffer(between, 0, to, end + done, size);
    }
  }
  device.queue.submit([encoder.finish()]);
  between?.destroy(); // once the device is done with it
}
