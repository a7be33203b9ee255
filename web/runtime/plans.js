/**
 * Plans made ready: every check done, every pipeline and bind group built, so that a replay only
 * records. pyapp/leadout/plan.py describes what a Plan is (keep in step).
 *
 * @module plans
 */

import { LeadoutError, namedGpuError, withErrorScopes } from "./errors.js";

/** @import {Binding, Buffers, NamedBuffer} from "./buffers.js" */
/** @import {Pipeline, PipelineSpec, Pipelines} from "./pipelines.js" */

/**
 * @typedef {object} PlanDispatch
 * @property {number} pipeline index into the plan's pipelines
 * @property {Binding[]} bindings in the order of the kernel's bindings
 * @property {(number | string)[]} workgroups x, y, z: counts, or names of params
 * @property {string} label
 */

/**
 * Plan.to_json() of pyapp/leadout/plan.py.
 * @typedef {object} Plan
 * @property {string} name
 * @property {PipelineSpec[]} pipelines
 * @property {PlanDispatch[]} dispatches
 * @property {string[]} params
 * @property {Binding | null} [readback]
 */

/**
 * A dispatch ready to record. `param*` is the index of the param that gives the count, or -1.
 * @typedef {object} ReadyDispatch
 * @property {GPUComputePipeline} pipeline
 * @property {GPUBindGroup} group
 * @property {[number, number, number]} counts
 * @property {[number, number, number]} params
 */

/** Bind groups of one device by what they bind, so that Plans that bind the same share them. */
export class BindGroups {
  /** @type {Map<string, {group: GPUBindGroup, serials: number[]}>} */
  #groups = new Map();

  /**
   * @param {GPUDevice} device
   * @param {Buffers} buffers
   * @param {number} maxBindingBytes
   */
  constructor(device, buffers, maxBindingBytes) {
    this.device = device;
    this.buffers = buffers;
    this.maxBindingBytes = maxBindingBytes;
  }

  /**
   * Check a kernel's bindings and give their bind group.
   *
   * @param {Pipeline} pipeline
   * @param {Binding[]} bindings
   * @param {string} where the dispatch's label, for messages
   * @returns {{group: GPUBindGroup, error: Promise<GPUError | null>, serials: number[]}}
   * @throws {LeadoutError} DeviceError or DeviceLimitError, naming the dispatch
   */
  get(pipeline, bindings, where) {
    const buffers = this.#check(pipeline, bindings, where);
    const serials = buffers.map(({ serial }) => serial);
    const ranges = bindings.map(({ offset, bytes }, i) => `${serials[i]}+${offset}:${bytes}`);
    const key = `${pipeline.signature}|${ranges.join()}`;
    const known = this.#groups.get(key);
    if (known !== undefined) return { group: known.group, error: NO_ERROR, serials };

    const { value: group, error } = withErrorScopes(this.device, () =>
      this.device.createBindGroup({
        label: where,
        layout: pipeline.layout,
        entries: bindings.map(({ offset, bytes }, i) => ({
          binding: pipeline.variant.bindings[i].index,
          resource: { buffer: buffers[i].gpu, offset, size: bytes },
        })),
      }),
    );
    this.#groups.set(key, { group, serials });
    error.then((failure) => failure && this.#groups.delete(key), () => {});
    return { group, error, serials };
  }

  /**
   * Forget the bind groups of buffers that are gone.
   *
   * @param {Set<number>} serials
   */
  forget(serials) {
    for (const [key, entry] of this.#groups) {
      if (entry.serials.some((serial) => serials.has(serial))) this.#groups.delete(key);
    }
  }

  /**
   * @param {Pipeline} pipeline
   * @param {Binding[]} bindings
   * @param {string} where
   * @returns {NamedBuffer[]}
   */
  #check({ variant }, bindings, where) {
    if (bindings.length !== variant.bindings.length) {
      const wanted = variant.bindings.map(({ name }) => name).join(", ");
      throw new LeadoutError(
        "DeviceError",
        `${where}: ${bindings.length} bindings for kernel "${variant.kernel}", which has ` +
          `${variant.bindings.length} (${wanted})`,
        { label: where, kernel: variant.kernel },
      );
    }
    const buffers = bindings.map((binding) => this.buffers.at(binding, where));
    bindings.forEach((binding, i) => this.#checkRange(binding, variant.bindings[i].name, where));
    for (let i = 0; i < bindings.length; i++) {
      for (let j = 0; j < i; j++) {
        if (buffers[i] !== buffers[j]) continue;
        const types = [variant.bindings[i].type, variant.bindings[j].type];
        if (!types.includes("storage")) continue;
        if (types[0] === types[1] && !overlap(bindings[i], bindings[j])) continue;
        throw new LeadoutError(
          "DeviceError",
          `${where}: kernel "${variant.kernel}" would write buffer "${buffers[i].name}" as ` +
            `"${variant.bindings[i].name}" and use it as "${variant.bindings[j].name}" in one ` +
            "dispatch, which WebGPU forbids",
          { label: where, kernel: variant.kernel, buffer: buffers[i].name },
        );
      }
    }
    return buffers;
  }

  /**
   * @param {Binding} binding
   * @param {string} name
   * @param {string} where
   */
  #checkRange({ buffer, offset, bytes }, name, where) {
    if (bytes > this.maxBindingBytes) {
      throw new LeadoutError(
        "DeviceLimitError",
        `${where}: binding "${name}" to buffer "${buffer}" has ${bytes} bytes, the adapter ` +
          `allows ${this.maxBindingBytes}`,
        { label: where, buffer, bytes, limit_bytes: this.maxBindingBytes },
      );
    }
    const alignment = this.device.limits.minStorageBufferOffsetAlignment;
    if (offset % alignment !== 0) {
      throw new LeadoutError(
        "DeviceError",
        `${where}: binding "${name}" starts at byte ${offset} of buffer "${buffer}"; offsets are ` +
          `multiples of ${alignment}`,
        { label: where, buffer, offset, alignment },
      );
    }
  }
}

/** Dispatches of a part; of E2B's 340, more parts or fewer were slower (tests/bench/LOG.md). */
const PART_DISPATCHES = 96;

/** @type {Promise<GPUError | null>} */
const NO_ERROR = Promise.resolve(null);

/**
 * @param {Binding} a
 * @param {Binding} b
 * @returns {boolean}
 */
function overlap(a, b) {
  return a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;
}

/** A Plan ready to be replayed any number of times. */
export class ReadyPlan {
  /**
   * @param {string} name
   * @param {string[]} params
   * @param {ReadyDispatch[]} dispatches
   * @param {{gpu: GPUBuffer, offset: number, bytes: number} | null} readback
   * @param {Set<number>} serials of all buffers that the plan touches
   */
  constructor(name, params, dispatches, readback, serials) {
    this.name = name;
    this.params = params;
    this.readback = readback;
    this.#serials = serials;
    this.#dispatches = dispatches;
  }

  /** Whether a buffer that the plan touches is gone. */
  isStale = false;
  #serials;
  #dispatches;
  /** Recorded ahead, for certain params. @type {{key: string, parts: GPUCommandBuffer[]} | null} */
  #recorded = null;

  /** What `record` records, in the Plan's order; for profile.js. */
  get dispatches() {
    return this.#dispatches;
  }

  /** @param {Set<number>} gone serials of buffers that were freed */
  forget(gone) {
    this.isStale ||= [...gone].some((serial) => this.#serials.has(serial));
  }

  /**
   * Check a Plan and build all it needs. Nothing is submitted.
   *
   * @param {Plan} plan
   * @param {{device: GPUDevice, buffers: Buffers, pipelines: Pipelines, bindGroups: BindGroups}} on
   * @returns {Promise<ReadyPlan>}
   * @throws {LeadoutError} DeviceError, DeviceLimitError or SourceError, naming the dispatch
   */
  static async compile(plan, { device, buffers, pipelines, bindGroups }) {
    const ready = await Promise.all(plan.pipelines.map((spec) => pipelines.get(spec)));
    const serials = new Set();
    const made = plan.dispatches.map((dispatch) => {
      const where = `${plan.name}: ${dispatch.label}`;
      const grid = checkGrid(dispatch.workgroups, plan.params, device, where);
      const pipeline = ready[dispatch.pipeline];
      if (pipeline === undefined) {
        throw new LeadoutError("DeviceError", `${where}: no pipeline ${dispatch.pipeline}`);
      }
      const { group, error, serials: used } = bindGroups.get(pipeline, dispatch.bindings, where);
      for (const serial of used) serials.add(serial);
      return { where, error, dispatch: { pipeline: pipeline.gpu, group, ...grid } };
    });
    const errors = await Promise.all(made.map(({ error }) => error));
    errors.forEach((error, i) => {
      if (error !== null) throw namedGpuError(error, made[i].where, { label: made[i].where });
    });

    let readback = null;
    if (plan.readback) {
      const buffer = buffers.at(plan.readback, `${plan.name}: readback`);
      serials.add(buffer.serial);
      readback = { ...plan.readback, gpu: buffer.gpu };
    }
    const dispatches = made.map(({ dispatch }) => dispatch);
    const compiled = new ReadyPlan(plan.name, plan.params, dispatches, readback, serials);
    await compiled.#rehearse(device);
    return compiled;
  }

  /**
   * Record once without submitting: what a device refuses while recording is found here.
   *
   * @param {GPUDevice} device
   */
  async #rehearse(device) {
    const { error } = withErrorScopes(device, () => {
      const encoder = device.createCommandEncoder({ label: this.name });
      this.record(encoder, this.params.map(() => 1));
      encoder.finish();
    });
    const failure = await error;
    if (failure !== null) throw namedGpuError(failure, `recording plan "${this.name}"`);
  }

  /**
   * Check the values of a submit.
   *
   * @param {number[]} values one for each of the plan's params
   * @param {number} maxWorkgroups
   */
  checkParams(values, maxWorkgroups) {
    const isCount = (/** @type {number} */ n) => Number.isInteger(n) && n >= 0 && n <= maxWorkgroups;
    if (values.length === this.params.length && values.every(isCount)) return;
    throw new LeadoutError(
      "DeviceError",
      `plan "${this.name}" takes (${this.params.join(", ")}), each 0 to ${maxWorkgroups}, and got ` +
        `(${values.join(", ")})`,
      { plan: this.name, params: this.params, values },
    );
  }

  /**
   * Record and submit the dispatches in parts, so that the device begins with the first ones while others are
   * recorded. What is likely to be submitted next, the same, is recorded ahead, while the device computes.
   *
   * @param {GPUDevice} device
   * @param {number[]} values of the params
   */
  submitInParts(device, values) {
    const key = values.join();
    const recorded = this.#recorded?.key === key ? this.#recorded.parts : null;
    const parts = recorded ?? this.#recordParts(device, values);
    for (const part of parts) device.queue.submit([part]);
    this.#recorded = { key, parts: [...this.#recordParts(device, values)] };
  }

  /**
   * @param {GPUDevice} device
   * @param {number[]} values
   * @returns {Generator<GPUCommandBuffer>}
   */
  *#recordParts(device, values) {
    const count = this.#dispatches.length;
    for (let first = 0; first < count; first += PART_DISPATCHES) {
      const encoder = device.createCommandEncoder({ label: this.name });
      this.record(encoder, values, { first, end: Math.min(first + PART_DISPATCHES, count) });
      yield encoder.finish();
    }
  }

  /**
   * Record dispatches in one compute pass: all, or those from `first` up to `end`. A dispatch with a 0 in
   * its grid is left out.
   *
   * @param {GPUCommandEncoder} encoder
   * @param {number[]} values of the params
   * @param {{timestampWrites?: GPUComputePassTimestampWrites, first?: number, end?: number}} [options]
   *   timestampWrites say when it began and ended
   */
  record(encoder, values, { timestampWrites, first = 0, end = this.#dispatches.length } = {}) {
    const pass = encoder.beginComputePass(timestampWrites && { timestampWrites });
    let pipeline = null;
    for (let at = first; at < end; at++) {
      const dispatch = this.#dispatches[at];
      const { counts, params } = dispatch;
      const x = params[0] < 0 ? counts[0] : values[params[0]];
      const y = params[1] < 0 ? counts[1] : values[params[1]];
      const z = params[2] < 0 ? counts[2] : values[params[2]];
      if (x === 0 || y === 0 || z === 0) continue;
      if (pipeline !== dispatch.pipeline) {
        pipeline = dispatch.pipeline;
        pass.setPipeline(pipeline);
      }
      pass.setBindGroup(0, dispatch.group);
      pass.dispatchWorkgroups(x, y, z);
    }
    pass.end();
  }
}

/**
 * @param {(number | string)[]} workgroups
 * @param {string[]} params
 * @param {GPUDevice} device
 * @param {string} where
 * @returns {{counts: [number, number, number], params: [number, number, number]}}
 */
export function checkGrid(workgroups, params, device, where) {
  const limit = device.limits.maxComputeWorkgroupsPerDimension;
  /** @type {[number, number, number]} */
  const counts = [0, 0, 0];
  /** @type {[number, number, number]} */
  const indices = [-1, -1, -1];
  for (let i = 0; i < 3; i++) {
    const count = workgroups[i];
    if (typeof count === "string") {
      indices[i] = params.indexOf(count);
      if (indices[i] >= 0) continue;
    } else if (Number.isInteger(count) && count >= 0 && count <= limit) {
      counts[i] = count;
      continue;
    }
    throw new LeadoutError(
      "DeviceError",
      `${where}: grid (${workgroups.join(", ")}); each is a count of at most ${limit} or one of ` +
        `the params (${params.join(", ")})`,
      { label: where, workgroups, limit },
    );
  }
  return { counts, params: indices };
}
