/**
 * Rows of a table that stays in its file, brought to the device as they are used.
 *
 * pyapp/leadout/checkpoint/page_plan.py describes a PagePlan (keep in step), pager.py there decides
 * which rows. All rows that are asked for are read and looked at first, so that a source that fails, or a
 * value that is no number, changes nothing. Then they are staged, some at a time, and repacked by a load's
 * kernels into the rows of the cache; nobody waits for the device. Passes that were submitted before see
 * the cache as it was.
 *
 * @module paging
 */

import { LeadoutError, errorAt, namedGpuError } from "./errors.js";

/** @import {Binding} from "./buffers.js" */
/** @import {LoadDevice} from "./load.js" */
/** @import {Pipeline, PipelineSpec} from "./pipelines.js" */
/** @import {Source} from "./sources.js" */

/**
 * @typedef {object} PagePart
 * @property {number} source index into the sources
 * @property {number} offset the first row's first byte there
 * @property {number} bytes of a row
 * @property {number} block_bytes of each block in it
 * @property {{words: number[], mask: number}} exponents of the floats in a block: which 16-bit words hold one
 * @property {PipelineSpec} pipeline repacks it
 * @property {Binding[]} bindings the kernel's bindings after the first, which is the staging
 * @property {number} staged_bytes of a row, behind four words of parameters
 */

/**
 * PagePlan.to_json() of pyapp/leadout/checkpoint/page_plan.py.
 * @typedef {object} PagePlan
 * @property {string} label the table's name
 * @property {Binding} slots a word an id
 * @property {Binding} staging
 * @property {number} staged_rows
 * @property {number} blocks_per_row
 * @property {number} workgroups of a row's repacking
 * @property {PagePart[]} parts of a row
 */

/** The row of `id` is written to row `slot` of the cache, where that of `forgotten` was. */
/** @typedef {{id: number, slot: number, forgotten: number}} Move */

/** Bytes of parameters before the payload: PARAMS_BYTES of load_plan.py. */
const PARAMS_BYTES = 16;

/** Rows that are read at the same time. */
const READS_AT_ONCE = 8;

export class RowPager {
  #plan;
  #sources;
  #on;
  #pipelines;

  /**
   * @param {PagePlan} plan
   * @param {Source[]} sources none: weights are made up, and rows keep what is there
   * @param {LoadDevice} on
   * @param {Pipeline[]} pipelines of the parts
   * @private use RowPager.open
   */
  constructor(plan, sources, on, pipelines) {
    this.#plan = plan;
    this.#sources = sources;
    this.#on = on;
    this.#pipelines = pipelines;
  }

  /**
   * @param {PagePlan} plan whose buffers are allocated
   * @param {Source[]} sources
   * @param {LoadDevice} on
   */
  static async open(plan, sources, on) {
    const pipelines = await Promise.all(plan.parts.map(({ pipeline }) => on.pipelines.get(pipeline)));
    const pager = new RowPager(plan, sources, on, pipelines);
    await pager.#makeBindGroups();
    return pager;
  }

  /**
   * @param {Move[]} moves
   * @throws {LeadoutError} SourceError, StoreError or TensorError; nothing was changed
   */
  async bring(moves) {
    const { slots, staged_rows } = this.#plan;
    const rows = this.#sources.length > 0 ? await this.#read(moves) : [];
    const write = (/** @type {number} */ id, /** @type {number} */ slot) =>
      this.#on.buffers.write(slots.buffer, slots.offset + 4 * id, Uint32Array.of(slot));
    for (let first = 0; first < rows.length; first += staged_rows) {
      this.#submit(rows.slice(first, first + staged_rows));
    }
    for (const { id, slot, forgotten } of moves) {
      write(forgotten, 0);
      write(id, slot + 1);
    }
  }

  /** Let go of the files. */
  close() {
    for (const source of this.#sources) source.close?.();
  }

  /**
   * @param {Move[]} moves
   * @returns {Promise<Uint8Array<ArrayBuffer>[]>} each row as it is staged
   */
  async #read(moves) {
    const { parts, blocks_per_row } = this.#plan;
    const rows = moves.map(({ slot }) => {
      const row = new Uint8Array(parts.reduce((sum, part) => sum + part.staged_bytes, 0));
      for (const [start] of this.#starts()) {
        new Uint32Array(row.buffer, start, 2).set([blocks_per_row, slot * blocks_per_row]);
      }
      return row;
    });
    let next = 0;
    const readOn = async () => {
      while (next < moves.length) {
        const i = next++;
        for (const [start, part] of this.#starts()) {
          const payload = rows[i].subarray(start + PARAMS_BYTES, start + PARAMS_BYTES + part.bytes);
          await this.#readPart(part, moves[i].id, payload);
          this.#checkFinite(part, moves[i].id, payload);
        }
      }
    };
    await Promise.all(Array.from({ length: READS_AT_ONCE }, readOn));
    return rows;
  }

  /**
   * @param {PagePart} part
   * @param {number} id
   * @param {Uint8Array<ArrayBuffer>} payload
   */
  async #readPart({ source: index, offset, bytes }, id, payload) {
    const source = this.#sources[index];
    const at = offset + id * bytes;
    try {
      if (source.readAlone) await source.readAlone(at, payload);
      else await source.read(at, bytes, payload);
    } catch (error) {
      throw errorAt(error, this.#plan.label, { tensor: this.#plan.label, row: id });
    }
  }

  /**
   * As `_read_finite` of pyapp/leadout/devices/numpy.py does it (keep in step).
   *
   * @param {PagePart} part
   * @param {number} id
   * @param {Uint8Array<ArrayBuffer>} payload
   */
  #checkFinite({ exponents: { words, mask }, block_bytes }, id, payload) {
    const halves = new Uint16Array(payload.buffer, payload.byteOffset, payload.length / 2);
    for (const word of words) {
      for (let i = word; i < halves.length; i += block_bytes / 2) {
        if ((halves[i] & mask) !== mask) continue;
        const { label } = this.#plan;
        throw new LeadoutError(
          "TensorError",
          `${label}: row ${id} holds values that are infinite or not a number; download the checkpoint again, or take another one`,
          { tensor: label, row: id },
        );
      }
    }
  }

  /** @param {Uint8Array<ArrayBuffer>[]} rows at most as many as are staged */
  #submit(rows) {
    const { device, buffers } = this.#on;
    const { staging, workgroups } = this.#plan;
    const staged = new Uint8Array(rows.length * rows[0].length);
    rows.forEach((row, i) => staged.set(row, i * row.length));
    buffers.write(staging.buffer, staging.offset, staged);
    const encoder = device.createCommandEncoder({ label: "page in" });
    const pass = encoder.beginComputePass();
    for (let i = 0; i < rows.length; i++) {
      this.#plan.parts.forEach((_, j) => {
        pass.setPipeline(this.#pipelines[j].gpu);
        pass.setBindGroup(0, this.#groupOf(i, j).group);
        pass.dispatchWorkgroups(workgroups);
      });
    }
    pass.end();
    device.queue.submit([encoder.finish()]);
  }

  /** Make all bind groups once, where their errors can be waited for. */
  async #makeBindGroups() {
    const errors = [];
    for (let i = 0; i < this.#plan.staged_rows; i++) {
      errors.push(...this.#plan.parts.map((_, j) => this.#groupOf(i, j).error));
    }
    const error = (await Promise.all(errors)).find((found) => found !== null);
    if (error) throw namedGpuError(error, this.#plan.label);
  }

  /**
   * @param {number} i a staged row
   * @param {number} j a part of it
   */
  #groupOf(i, j) {
    const { staging, parts, label } = this.#plan;
    const starts = this.#starts();
    const rowBytes = starts[starts.length - 1][0] + parts[parts.length - 1].staged_bytes;
    const offset = staging.offset + i * rowBytes + starts[j][0];
    const bytes = Math.ceil((PARAMS_BYTES + parts[j].bytes) / 16) * 16; // kernels see vec4<u32>s
    const bindings = [{ buffer: staging.buffer, offset, bytes }, ...parts[j].bindings];
    return this.#on.bindGroups.get(this.#pipelines[j], bindings, label);
  }

  /** @returns {[number, PagePart][]} the parts with their first bytes in a staged row */
  #starts() {
    let end = 0;
    return this.#plan.parts.map((part) => {
      const start = end;
      end += part.staged_bytes;
      return [start, part];
    });
  }
}
