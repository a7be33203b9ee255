/**
 * A file of a model that goes through the store, from the moment on at which somebody wants to read it.
 *
 * @module kept_source
 */

/** @import {Source} from "../runtime/read_ahead.js" */

/** Implements Source of runtime/read_ahead.js. The disk is quick enough to read nothing ahead. */
export class KeptSource {
  #file;

  /**
   * @param {string} name
   * @param {Promise<Source>} file
   */
  constructor(name, file) {
    this.name = name;
    this.#file = file;
    file.catch(() => {}); // who reads sees it
  }

  async size() {
    return (await this.#file).size();
  }

  /**
   * @param {number} offset
   * @param {number} length
   * @param {Uint8Array<ArrayBuffer>} [into]
   */
  async read(offset, length, into) {
    return (await this.#file).read(offset, length, into);
  }

  close() {
    this.#file.then((file) => file.close?.(), () => {});
  }
}
