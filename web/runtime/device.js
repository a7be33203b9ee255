/**
 * The runtime: one WebGPU device, and everything that Python asks of it. It knows buffers, kernels
 * and Plans, not transformers. It runs in a worker, in a window and in Node (Dawn) alike; what they
 * differ in, `gpu`, is handed in.
 *
 * Writes, copies, submits, loads and reads take effect in the order of the calls, as on one queue. Nothing but
 * the async methods waits. The shapes that cross are those of pyapp/leadout/plan.py and
 * pyapp/leadout/checkpoint/load_plan.py (keep in step).
 *
 * @module device
 */

import { Buffers, MemoryAccount, ReadbackRing } from "./buffers.js";
import { copyRanges } from "./copies.js";
import { toDeviceInfo } from "./device_info.js";
import { LeadoutError, firstLine, lostError, namedGpuError, staleError } from "./errors.js";
import { executeLoadPlan } from "./load.js";
import { RowPager } from "./paging.js";
import { PassTimes, TIMES_BYTES } from "./pass_times.js";
import { Pipelines } from "./pipelines.js";
import { BindGroups, ReadyPlan } from "./plans.js";
import { within } from "./stall.js";

/** @import {Staging} from "./buffers.js" */
/** @import {Copy} from "./copies.js" */
/** @import {DeviceInfo} from "./device_info.js" */
/** @import {LoadDevice, LoadOptions, LoadPlan} from "./load.js" */
/** @import {Move, PagePlan} from "./paging.js" */
/** @import {KernelLibrary} from "./pipelines.js" */
/** @import {Plan} from "./plans.js" */
/** @import {PlanProfile, ProfileOptions} from "./profile.js" */
/** @import {RequestedDevice} from "./requested.js" */
/** @import {Source} from "./sources.js" */

/** How long a failed mapping waits for the news that the device was lost. */
const LOST_NEWS_MS = 1000;

/** A pass that has not ended after so long never will: browsers themselves give up far earlier. */
const HANG_MS = 300_000;

/** On a CPU a pass over a large model takes minutes. */
const SOFTWARE_HANG_MS = 12 * HANG_MS;

/**
 * @typedef {object} RuntimeOptions
 * @property {KernelLibrary} kernels
 * @property {number} [maxBindingBytes] pretend that the adapter allows no larger bindings (tests)
 * @property {string[]} [hiddenFeatures] pretend that adapter and browser do not have these (tests)
 * @property {(error: LeadoutError) => void} [onLost] called once when the device goes away unasked
 * @property {number} [hangMs] a pass that takes longer counts as a lost device
 */

/**
 * A result in flight: its bytes, and behind them the times of passes, if it has any.
 * @typedef {{staging: Staging, bytes: number, hasTimes: boolean}} Ticket
 */

export class Runtime {
  /** @type {DeviceInfo} */
  info;
  /** index.json of the kernels, as text: Python chooses among them. @type {string} */
  kernelIndex;
  /** The device, for tests and profilers. */
  device;

  #account = new MemoryAccount();
  #buffers;
  #ring;
  #pipelines;
  #bindGroups;
  /** @type {Map<number, ReadyPlan>} */
  #plans = new Map();
  #nextPlan = 0;
  /** Serials of buffers freed since, for each compilation under way. @type {Set<Set<number>>} */
  #compilations = new Set();
  /** Results in flight. @type {Map<number, Ticket>} */
  #tickets = new Map();
  #nextTicket = 0;
  /** Of paged tables, by their staging buffer, and gone with it. @type {Map<string, Promise<RowPager>>} */
  #pagers = new Map();
  /** Null where the device has no timestamps, or was seen to write false ones. @type {PassTimes | null} */
  #passTimes;
  /** @type {LeadoutError | null} */
  #lost = null;
  #onLost;
  #hangMs;
  /** The first error that no scope took, until somebody waits. @type {GPUError | null} */
  #uncaptured = null;

  /**
   * @param {RequestedDevice} requested
   * @param {string} kernelIndex index.json of the kernels, as text
   * @param {RuntimeOptions} options
   */
  constructor(
    requested,
    kernelIndex,
    { kernels, maxBindingBytes = Infinity, hiddenFeatures = [], onLost = () => {}, hangMs },
  ) {
    const { device } = requested;
    this.device = device;
    this.info = toDeviceInfo(requested, maxBindingBytes, hiddenFeatures);
    this.#hangMs = hangMs ?? (this.info.is_software ? SOFTWARE_HANG_MS : HANG_MS);
    this.#onLost = onLost;
    this.kernelIndex = kernelIndex;
    this.#buffers = new Buffers(device, this.#account);
    this.#ring = new ReadbackRing(device, this.#account);
    this.#pipelines = new Pipelines(device, kernels, new Set(this.info.features));
    this.#bindGroups = new BindGroups(device, this.#buffers, this.info.max_binding_bytes);
    this.#passTimes = this.info.features.includes("timestamp-query") ? new PassTimes(device) : null;
    device.addEventListener("uncapturederror", (event) => {
      event.preventDefault();
      this.#uncaptured ??= event.error;
    });
    device.lost.then(({ reason, message }) => this.#lose(reason, message));
  }

  /** Bytes now held on the device, staging included. */
  get allocatedBytes() {
    return this.#account.bytes;
  }

  /** The most bytes ever held. */
  get peakBytes() {
    return this.#account.peakBytes;
  }

  /**
   * Create zeroed buffers, all or none.
   *
   * @param {Record<string, {bytes: number}>} specs by name
   * @throws {LeadoutError} OutOfMemoryError, DeviceLimitError or DeviceError; nothing was kept
   */
  async allocate(specs) {
    await this.#guarded(() => this.#buffers.allocate(specs));
  }

  /**
   * Destroy buffers; unknown names are ignored. Plans that use one cannot be submitted any more.
   *
   * @param {string[]} names
   */
  free(names) {
    for (const name of names) {
      this.#pagers.get(name)?.then((pager) => pager.close(), () => {});
      this.#pagers.delete(name);
    }
    const gone = this.#buffers.free(names);
    this.#bindGroups.forget(gone);
    for (const plan of this.#plans.values()) plan.forget(gone);
    for (const freed of this.#compilations) gone.forEach((serial) => freed.add(serial));
  }

  /**
   * Make a Plan ready; all its buffers must be there.
   *
   * @param {Plan} plan
   * @returns {Promise<number>} the plan's id
   * @throws {LeadoutError} DeviceError, DeviceLimitError or SourceError, naming the dispatch
   */
  async compile(plan) {
    const freed = /** @type {Set<number>} */ (new Set());
    this.#compilations.add(freed);
    const compiling = this.#guarded(() => ReadyPlan.compile(plan, this.#loadDevice));
    const ready = await compiling.finally(() => this.#compilations.delete(freed));
    ready.forget(freed);
    if (ready.isStale) throw staleError(plan.name);
    const id = this.#nextPlan++;
    this.#plans.set(id, ready);
    return id;
  }

  /**
   * Forget a Plan; unknown ids are ignored. With the last one the idle readback buffers go too.
   *
   * @param {number} id
   */
  releasePlan(id) {
    this.#plans.delete(id);
    if (this.#plans.size === 0) this.#ring.trim();
  }

  /**
   * Write bytes, seen by every later submit and by no earlier one. The data is copied at once.
   *
   * @param {string} buffer
   * @param {number} offset a multiple of 4
   * @param {ArrayBufferView<ArrayBuffer>} data a multiple of 4 bytes
   */
  write(buffer, offset, data) {
    this.#throwIfLost();
    this.#buffers.write(buffer, offset, data);
  }

  /**
   * Queue copies from buffer to buffer, one after the other; see copies.js.
   *
   * @param {Copy[]} copies
   */
  copy(copies) {
    this.#throwIfLost();
    copyRanges(this.device, this.#buffers, copies);
  }

  /**
   * Queue a Plan: one encoder, one pass, one submit. Nothing waits, and nothing is created but the
   * command buffer, unless more results are in flight than ever before.
   *
   * A Plan without a readback goes in parts. Such Plans are the first half of a cycle; meanwhile the host waits for
   * results of the cycle before, which the browser's GPU process tells between two parts.
   *
   * @param {number} id
   * @param {...number} params a count for each of the plan's params
   * @returns {number} a ticket for `collect` or `discard`; -1 if the plan has no readback
   */
  submit(id, ...params) {
    this.#throwIfLost();
    const plan = this.#plan(id);
    plan.checkParams(params, this.device.limits.maxComputeWorkgroupsPerDimension);
    const { readback } = plan;
    if (readback === null) {
      plan.submitInParts(this.device, params);
      return -1;
    }
    const encoder = this.device.createCommandEncoder({ label: plan.name });
    const times = this.#passTimes;
    plan.record(encoder, params, { timestampWrites: times?.begin() });
    const { bytes } = readback;
    const staging = this.#ring.acquire(bytes + (times ? TIMES_BYTES : 0));
    encoder.copyBufferToBuffer(readback.gpu, readback.offset, staging.gpu, 0, bytes);
    const hasTimes = times?.copy(encoder, staging.gpu, bytes) ?? false;
    this.device.queue.submit([encoder.finish()]);
    this.#ring.map(staging);
    const ticket = this.#nextTicket++;
    this.#tickets.set(ticket, { staging, bytes, hasTimes });
    return ticket;
  }

  /**
   * Wait for a result, and learn when passes ran. The numbers returned are
   *
   *     n, n times (began, ended), the readback's words
   *
   * with the times, in milliseconds, of the last n passes with a readback up to this one, 0 for most
   * results. Without timestamps n is 1, `began` is NaN and `ended` is when the result arrived, by this
   * thread's clock. Keep in step with pyapp/leadout/bridge/webgpu.py.
   *
   * @param {number} ticket from `submit`; each is collected or discarded once
   * @returns {Promise<Float64Array<ArrayBuffer>>} n = 0 and no words for -1
   * @throws {LeadoutError} DeviceLostError or DeviceError
   */
  async collect(ticket) {
    if (ticket === -1) return new Float64Array(1);
    const { staging, bytes, hasTimes } = this.#takeTicket(ticket);
    return this.#guarded(async () => {
      try {
        await this.#withinReason(staging.mapped);
        const mapped = this.#ring.bytes(staging);
        const stamps = mapped.subarray(bytes, bytes + (hasTimes ? TIMES_BYTES : 0));
        const times = this.#timesOf(staging, stamps);
        const words = new Uint32Array(mapped.buffer, mapped.byteOffset, bytes / 4);
        const collected = new Float64Array(1 + times.length + words.length);
        collected[0] = times.length / 2;
        collected.set(times, 1);
        collected.set(words, 1 + times.length);
        return collected;
      } finally {
        this.#ring.release(staging);
      }
    });
  }

  /**
   * @param {Staging} staging
   * @param {Uint8Array<ArrayBuffer>} stamps what came behind the words, if anything did
   * @returns {number[]} see `collect`
   */
  #timesOf(staging, stamps) {
    const times = PassTimes.read(stamps);
    if (times === null) this.#passTimes = null;
    return this.#passTimes === null || times === null ? [NaN, staging.arrivedMs] : times;
  }

  /**
   * Give up a result. Its buffer is used again once the device is done with it.
   *
   * @param {number} ticket
   */
  discard(ticket) {
    if (ticket === -1) return;
    const { staging } = this.#takeTicket(ticket);
    const release = () => this.#ring.release(staging);
    staging.mapped.then(release, release);
  }

  /**
   * Copy a range back, as it is after everything queued so far.
   *
   * @param {string} buffer
   * @param {number} offset a multiple of 4
   * @param {number} bytes a multiple of 4
   * @returns {Promise<Uint8Array<ArrayBuffer>>}
   */
  async read(buffer, offset, bytes) {
    return this.#guarded(() => this.#withinReason(this.#buffers.read(buffer, offset, bytes, this.#ring)));
  }

  /**
   * Stream tensors into allocated buffers, repacking on the device; see load.js.
   *
   * @param {LoadPlan} loadPlan
   * @param {Source[]} sources
   * @param {LoadOptions} [options]
   * @throws {LeadoutError | DOMException} SourceError, DeviceError or an AbortError; the buffers'
   *   contents are undefined then
   */
  async load(loadPlan, sources, options = {}) {
    const load = () => executeLoadPlan(loadPlan, sources, options, this.#loadDevice);
    await this.#guarded(load, options.signal);
  }

  /**
   * Bring rows of a paged table; see paging.js.
   *
   * @param {PagePlan & {moves: Move[]}} plan
   * @param {Source[]} sources
   */
  async pageIn(plan, sources) {
    const { moves, staging } = plan;
    const opened = this.#pagers.get(staging.buffer) ?? RowPager.open(plan, sources, this.#loadDevice);
    this.#pagers.set(staging.buffer, opened);
    await this.#guarded(async () => (await opened).bring(moves));
  }

  /**
   * Measure what each dispatch of a Plan costs, on buffers that hold what it is to begin with; see
   * profile.js.
   *
   * @param {Plan} plan
   * @param {number[]} params a count for each of the plan's params
   * @param {ProfileOptions} options
   * @returns {Promise<PlanProfile>}
   */
  async profile(plan, params, options) {
    return this.#guarded(async () => {
      const { profilePlan } = await import("./profile.js");
      const ready = await ReadyPlan.compile(plan, this.#loadDevice);
      ready.checkParams(params, this.device.limits.maxComputeWorkgroupsPerDimension);
      /** @type {Record<string, string[]>} */
      const types = {};
      for (const { variant } of plan.pipelines) {
        const { bindings } = await this.#pipelines.kernels.variant(variant);
        types[variant] = bindings.map(({ type }) => type);
      }
      const on = { device: this.device, buffers: this.#buffers, types };
      return profilePlan(ready, plan, params, options, on);
    });
  }

  /** Measure how fast the device reads; see bandwidth.js. */
  async bandwidth() {
    return this.#guarded(async () => {
      const { measureBandwidth } = await import("./bandwidth.js");
      return measureBandwidth(this.device, this.info.is_software);
    });
  }

  /** Wait until the device has done everything that was queued. */
  async idle() {
    await this.#guarded(() => this.device.queue.onSubmittedWorkDone());
  }

  /** Free everything. Pending collects reject; the runtime cannot be used afterwards. */
  destroy() {
    this.#lost ??= lostError("destroyed", "the runtime was closed");
    this.#plans.clear();
    this.#account.bytes = 0;
    this.device.destroy();
  }

  /**
   * @param {string} reason
   * @param {string} message
   */
  #lose(reason, message) {
    if (this.#lost !== null) return; // destroy() was called
    this.#lost = lostError(reason, message);
    this.#onLost(this.#lost);
  }

  /**
   * @template T
   * @param {Promise<T>} result of passes: waited for, but not for ever
   * @returns {Promise<T>}
   */
  async #withinReason(result) {
    return within(result, this.#hangMs, () => {
      this.#lose("unknown", `it has not ended a pass within ${this.#hangMs / 1000} s`);
      this.device.destroy();
      return this.#lost;
    });
  }

  /** What of it loads and Plans are given. @returns {LoadDevice} */
  get #loadDevice() {
    return {
      device: this.device,
      account: this.#account,
      buffers: this.#buffers,
      pipelines: this.#pipelines,
      bindGroups: this.#bindGroups,
    };
  }

  /**
   * @param {number} id
   * @returns {ReadyPlan}
   */
  #plan(id) {
    const plan = this.#plans.get(id);
    if (plan === undefined) {
      throw new LeadoutError("DeviceError", `there is no plan ${id}; it was released`, { id });
    }
    if (plan.isStale) {
      throw staleError(plan.name);
    }
    return plan;
  }

  /**
   * @param {number} ticket
   * @returns {Ticket}
   */
  #takeTicket(ticket) {
    const result = this.#tickets.get(ticket);
    if (result === undefined) {
      throw new LeadoutError("DeviceError", `there is no result ${ticket}; it was taken already`, {
        ticket,
      });
    }
    this.#tickets.delete(ticket);
    return result;
  }

  #throwIfLost() {
    if (this.#lost !== null) throw this.#lost;
  }

  #throwIfUncaptured() {
    if (this.#uncaptured === null) return;
    const error = this.#uncaptured;
    this.#uncaptured = null;
    throw namedGpuError(error, "earlier work");
  }

  /**
   * Run something that waits. If it fails because the device was lost, that is the error; an error
   * that no scope took, such as a failed submit, is reported by whoever waits next.
   *
   * @template T
   * @param {() => Promise<T>} run
   * @param {AbortSignal} [signal] whose abort may end it
   * @returns {Promise<T>}
   */
  async #guarded(run, signal) {
    this.#throwIfLost();
    let value;
    try {
      value = await run();
    } catch (error) {
      if (error instanceof LeadoutError || signal?.aborted || !(error instanceof DOMException)) {
        this.#throwIfLost();
        throw error;
      }
      // A mapping fails before the news arrives that the device was lost.
      await within(this.device.lost, LOST_NEWS_MS, () => null).catch(() => {});
      this.#throwIfLost();
      this.#throwIfUncaptured();
      throw new LeadoutError("DeviceError", `the device failed: ${firstLine(error.message)}`, {
        reason: error.message,
      });
    }
    this.#throwIfLost();
    this.#throwIfUncaptured();
    return value;
  }
}
