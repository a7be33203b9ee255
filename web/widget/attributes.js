/**
 * What custom elements have in common: their base, attributes and properties that have the same value.
 *
 * @module attributes
 */

/** @import {LoadParams} from "../client.js" */

/** HTMLElement. Importing must work without a DOM (on a server that renders pages). */
export const ElementBase = globalThis.HTMLElement ?? /** @type {typeof HTMLElement} */ (class {});

/**
 * A value that is kept in an attribute if it is a string, and in a property otherwise.
 *
 * @template T
 */
export class Choice {
  #element;
  #name;
  #onChange;
  /** @type {T | null} */
  #value = null;

  /**
   * @param {HTMLElement} element
   * @param {string} name the attribute's name
   * @param {() => void} onChange
   */
  constructor(element, name, onChange) {
    this.#element = element;
    this.#name = name;
    this.#onChange = onChange;
  }

  /** @returns {T | null} */
  get() {
    return this.#value ?? /** @type {T | null} */ (this.#element.getAttribute(this.#name));
  }

  /** @param {T | null} value */
  set(value) {
    if (typeof value !== "string") {
      this.#element.removeAttribute(this.#name);
      this.#value = value;
      this.#onChange();
    } else if (this.#element.getAttribute(this.#name) === value) {
      this.takeAttribute();
    } else {
      this.#element.setAttribute(this.#name, value); // the browser then calls back, and takeAttribute runs
    }
  }

  /** The attribute was set. Use its value from now on. */
  takeAttribute() {
    this.#value = null;
    this.#onChange();
  }
}

/**
 * @param {HTMLElement & {loadOptions: Partial<LoadParams>}} element
 * @returns {Partial<LoadParams>} its options, with the option that is an attribute
 */
export function loadOptionsOf(element) {
  const assets = element.getAttribute("assets");
  return assets === null ? element.loadOptions : { ...element.loadOptions, assets };
}

/**
 * Set properties again that a page set before the element was defined, so that the setters run.
 *
 * @param {HTMLElement} element
 * @param {string[]} names
 */
export function upgradeProperties(element, names) {
  const properties = /** @type {Record<string, any>} */ (/** @type {unknown} */ (element));
  for (const name of names.filter((name) => Object.hasOwn(element, name))) {
    const value = properties[name];
    delete properties[name];
    properties[name] = value;
  }
}
