/**
 * Loading: a checkpoint's bytes become weights on the device.
 *
 * 1. Steps are grouped, in order, into batches that fit one staging slot. Small tensors lie side by
 *    side in the file, so one batch holds many of them.
 * 2. A batch's bytes are read straight into the mapped memory of the next upload, each step's four words
 *    of parameters before its payload. Sources read ahead, so the next bytes arrive while the device works.
 * 3. The device copies them to the staging slot, from which the batch's repacking kernels take them, all in
 *    one submit; the queue keeps what several batches do in the slot in order.
 * 4. Before an upload is used again the loader waits until the device is done with it. That bounds what
 *    is in flight, whatever the speed of the source and of the device.
 *
 * pyapp/leadout/checkpoint/load_plan.py describes what a LoadPlan is (keep in step).
 *
 * @module load
 */

import { LeadoutError, abortError, errorAt, namedGpuError, withErrorScopes } from "./errors.js";
import { checkGrid } from "./plans.js";
import { Uploads } from "./uploads.js";

/** @import {Binding, Buffers, MemoryAccount} from "./buffers.js" */
/** @import {Pipeline, PipelineSpec, Pipelines} from "./pipelines.js" */
/** @import {BindGroups} from "./plans.js" */
/** @import {Source} from "./sources.js" */
/** @import {Upload} from "./uploads.js" */

/**
 * @typedef {object} LoadStep
 * @property {number} source index into the sources
 * @property {number} offset first byte in that source
 * @property {number} bytes
 * @property {number[]} params up to four words, written before the payload
 * @property {number} pipeline index into the plan's pipelines
 * @property {Binding[]} bindings the kernel's bindings after the first, which is the staging
 * @property {number[]} workgroups x, y, z
 * @property {string} label the tensor's name
 */

/**
 * LoadPlan.to_json() of pyapp/leadout/checkpoint/load_plan.py.
 * @typedef {object} LoadPlan
 * @property {PipelineSpec[]} pipelines
 * @property {LoadStep[]} steps in file order
 * @property {number} total_bytes
 */

/**
 * @typedef {object} LoadOptions
 * @property {(loadedBytes: number, totalBytes: number) => void} [onProgress]
 * @property {AbortSignal} [signal] looked at before every step and while waiting for bytes
 */

/**
 * What of the runtime a load needs.
 * @typedef {{device: GPUDevice, account: MemoryAccount, buffers: Buffers, pipelines: Pipelines,
 *   bindGroups: BindGroups}} LoadDevice
 */

/** Bytes of parameters before the payload: PARAMS_BYTES of load_plan.py. */
const PARAMS_BYTES = 16;

/** A slot holds a few large steps, or a great many small ones. */
const MIN_SLOT_BYTES = 8 << 20;

/** Batches in flight whose errors are not known yet. */
const MOST_SENT = 3;

/** Offsets of bindings are multiples of this, on every adapter that keeps to the default limits. */
const ALIGNMENT_BYTES = 256;

/** The staging slot's name among the runtime's buffers, which no Plan uses. */
const SLOT_NAME = "(load staging)";

/**
 * A step placed in a slot. `bytes` covers parameters and payload, up to a multiple of 16 so that a
 * kernel can see the slice as vec4<u32>; what is past the payload is zero.
 * @typedef {{step: LoadStep, start: number, bytes: number}} PlacedStep
 */

/**
 * @param {LoadPlan} plan whose buffers are allocated
 * @param {Source[]} sources their read-ahead is dropped at the end, whatever the end
 * @param {LoadOptions} options
 * @param {LoadDevice} on
 * @throws {LeadoutError | DOMException} SourceError, DeviceError or an AbortError
 */
export async function executeLoadPlan(plan, sources, { onProgress = () => {}, signal }, on) {
  throwIfAborted(signal);
  for (const step of plan.steps) checkStep(step, plan, sources, on.device);
  const pipelines = await Promise.all(plan.pipelines.map((spec) => on.pipelines.get(spec)));
  const { batches, slotBytes } = placeSteps(plan.steps);

  await on.buffers.allocate({ [SLOT_NAME]: { bytes: slotBytes } });
  const uploads = new Uploads(on.device, on.account, slotBytes);
  /** @type {Promise<void>[]} */
  const sent = [];
  let loadedBytes = 0;
  let source = plan.steps[0]?.source;
  try {
    onProgress(0, plan.total_bytes);
    for (const batch of batches) {
      const { upload, host } = await uploads.next();
      for (const placed of batch) {
        if (placed.step.source !== source) {
          sources[source].close?.(); // one shard is done: so is its read-ahead
          source = placed.step.source;
        }
        await readStep(placed, sources, host, signal);
        loadedBytes += placed.step.bytes;
        onProgress(loadedBytes, plan.total_bytes);
      }
      throwIfAborted(signal);
      if (sent.length >= MOST_SENT) await sent.shift();
      const done = submitBatch(batch, uploads, upload, pipelines, on);
      done.catch(() => {}); // seen a few batches later, or at the end
      sent.push(done);
    }
    await Promise.all(sent);
    await on.device.queue.onSubmittedWorkDone();
  } finally {
    for (const used of sources) used.close?.();
    uploads.destroy();
    on.bindGroups.forget(on.buffers.free([SLOT_NAME]));
  }
}

/**
 * @param {LoadStep} step
 * @param {LoadPlan} plan
 * @param {Source[]} sources
 * @param {GPUDevice} device
 */
function checkStep(step, plan, sources, device) {
  const { label, source, pipeline, params } = step;
  checkGrid(step.workgroups, [], device, label);
  if (sources[source] === undefined || plan.pipelines[pipeline] === undefined || params.length > 4) {
    throw new LeadoutError(
      "DeviceError",
      `${label}: source ${source} of ${sources.length}, pipeline ${pipeline} of ` +
        `${plan.pipelines.length}, ${params.length} params of at most 4`,
      { label },
    );
  }
}

/**
 * @param {LoadStep[]} steps
 * @returns {{batches: PlacedStep[][], slotBytes: number}}
 */
function placeSteps(steps) {
  const sizes = steps.map(({ bytes }) => roundUp(PARAMS_BYTES + bytes, 16));
  const slotBytes = roundUp(Math.max(MIN_SLOT_BYTES, ...sizes), ALIGNMENT_BYTES);
  /** @type {PlacedStep[][]} */
  const batches = [];
  let end = Infinity;
  for (const [i, step] of steps.entries()) {
    const bytes = sizes[i];
    let start = roundUp(end, ALIGNMENT_BYTES);
    if (start + bytes > slotBytes) {
      batches.push([]);
      start = 0;
    }
    batches[batches.length - 1].push({ step, start, bytes });
    end = start + bytes;
  }
  return { batches, slotBytes };
}

/**
 * @param {PlacedStep} placed
 * @param {Source[]} sources
 * @param {Uint8Array<ArrayBuffer>} host
 * @param {AbortSignal | undefined} signal
 */
async function readStep({ step, start, bytes }, sources, host, signal) {
  throwIfAborted(signal);
  const words = new Uint32Array(host.buffer, start, PARAMS_BYTES / 4);
  words.fill(0);
  words.set(step.params);
  const payload = host.subarray(start + PARAMS_BYTES, start + PARAMS_BYTES + step.bytes);
  try {
    const reading = sources[step.source].read(step.offset, step.bytes, payload);
    const read = await orAbort(reading, signal);
    if (read.length !== step.bytes) {
      throw new LeadoutError(
        "SourceError",
        `source gave ${read.length} of ${step.bytes} bytes at ${step.offset}`,
        { offset: step.offset, wanted_bytes: step.bytes, read_bytes: read.length },
      );
    }
    if (read.buffer !== host.buffer) payload.set(read);
  } catch (error) {
    throw errorAt(error, step.label, { tensor: step.label });
  }
  host.fill(0, start + PARAMS_BYTES + step.bytes, start + bytes);
}

/**
 * Have a batch copied to the slot, and queue its kernels.
 *
 * @param {PlacedStep[]} batch
 * @param {Uploads} uploads
 * @param {Upload} upload that holds it
 * @param {Pipeline[]} pipelines
 * @param {LoadDevice} on
 * @returns {Promise<void>} once the device is done with the upload
 */
function submitBatch(batch, uploads, upload, pipelines, { device, buffers, bindGroups }) {
  const last = batch[batch.length - 1];
  const bytes = last.start + last.bytes;
  const groups = batch.map(({ step, start, bytes }) => {
    const staging = { buffer: SLOT_NAME, offset: start, bytes };
    return bindGroups.get(pipelines[step.pipeline], [staging, ...step.bindings], step.label);
  });
  const slot = buffers.at({ buffer: SLOT_NAME, offset: 0, bytes }, "load").gpu;
  const { value: done, error } = withErrorScopes(device, () =>
    uploads.send(upload, (encoder, source) => {
      encoder.copyBufferToBuffer(source, 0, slot, 0, bytes);
      const pass = encoder.beginComputePass();
      for (const [i, { step }] of batch.entries()) {
        pass.setPipeline(pipelines[step.pipeline].gpu);
        pass.setBindGroup(0, groups[i].group);
        pass.dispatchWorkgroups(step.workgroups[0], step.workgroups[1], step.workgroups[2]);
      }
      pass.end();
    }),
  );
  const errors = [...groups.map((group) => group.error), error];
  const labels = [...batch.map(({ step }) => step.label), `${batch[0].step.label} and on`];
  return batchDone(errors, labels, done);
}

/**
 * @param {Promise<GPUError | null>[]} errors
 * @param {string[]} labels where each error happened
 * @param {Promise<void>} done
 */
async function batchDone(errors, labels, done) {
  const [found] = await Promise.all([Promise.all(errors), done]);
  found.forEach((error, i) => {
    if (error !== null) throw namedGpuError(error, labels[i], { tensor: labels[i] });
  });
}

/**
 * Wait for a promise, or for the abort. What is under way goes on without anybody waiting.
 *
 * @template T
 * @param {Promise<T>} promise
 * @param {AbortSignal | undefined} signal
 * @returns {Promise<T>}
 */
function orAbort(promise, signal) {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(abortError());
    signal.addEventListener("abort", onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

/** @param {AbortSignal | undefined} signal */
function throwIfAborted(signal) {
  if (signal?.aborted) throw abortError();
}

/**
 * @param {number} bytes
 * @param {number} to
 * @returns {number}
 */
function roundUp(bytes, to) {
  return Math.ceil(bytes / to) * to;
}
