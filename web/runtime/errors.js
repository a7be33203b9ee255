/**
 * The runtime's errors, and the error scopes in which everything on the device is made.
 *
 * @module errors
 */

/**
 * An error that Leadout raises on purpose. `name` is a class name of pyapp/leadout/errors.py, so
 * that the error crosses to Python as itself.
 */
export class LeadoutError extends Error {
  /**
   * @param {string} name for example "OutOfMemoryError"
   * @param {string} message what was found, what was wanted, what to do; one line
   * @param {Record<string, unknown>} [detail] the facts behind the message, JSON-serialisable
   */
  constructor(name, message, detail = {}) {
    super(message);
    this.name = name;
    this.detail = detail;
  }
}

/**
 * Say in front of an error where it happened.
 *
 * @param {unknown} error
 * @param {string} where for example a tensor's name
 * @param {Record<string, unknown>} detail added to the error's own
 * @returns {unknown} a LeadoutError of the same name; other errors as they are
 */
export function errorAt(error, where, detail) {
  if (!(error instanceof LeadoutError)) return error;
  return new LeadoutError(error.name, `${where}: ${error.message}`, { ...error.detail, ...detail });
}

/** @returns {DOMException} what an aborted operation rejects with, as fetch does */
export function abortError() {
  return new DOMException("the operation was aborted", "AbortError");
}

/**
 * Write a number of bytes for people, in units of 1000 as the pages do.
 *
 * @param {number} bytes
 * @returns {string} for example "64 bytes", "1.5 kB", "253.1 MB"
 */
export function formatBytes(bytes) {
  const units = ["kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = "bytes";
  while (value >= 1000 && units.length > 0) {
    value /= 1000;
    unit = /** @type {string} */ (units.shift());
  }
  return `${Number.isInteger(value) ? value : value.toFixed(1)} ${unit}`;
}

/**
 * The innermost scope is the last: an error goes to the first scope, from the inside, that takes it.
 * @type {GPUErrorFilter[]}
 */
const FILTERS = ["internal", "out-of-memory", "validation"];

/**
 * Run `create` inside error scopes for every kind of error.
 *
 * The scopes of a device are one stack, so `create` must not wait: scopes of calls that overlap
 * in time would otherwise take each other's errors.
 *
 * @template T
 * @param {GPUDevice} device
 * @param {() => T} create
 * @returns {{value: T, error: Promise<GPUError | null>}} the first error, once it is known
 */
export function withErrorScopes(device, create) {
  for (const filter of FILTERS) device.pushErrorScope(filter);
  /** @type {T} */
  let value;
  /** @type {Promise<(GPUError | null)[]>} */
  let popped;
  try {
    value = create();
  } finally {
    popped = Promise.all(FILTERS.map(() => device.popErrorScope()));
    // A lost device rejects; whoever awaits `error` sees that, and nobody has to.
    popped.catch(() => {});
  }
  const error = popped.then((errors) => errors.find((found) => found !== null) ?? null);
  error.catch(() => {});
  return { value, error };
}

/**
 * Name a device's error.
 *
 * @param {GPUError} error
 * @param {string} doing what failed, for example 'creating buffer "logits"'
 * @param {Record<string, unknown>} [detail]
 * @returns {LeadoutError} an OutOfMemoryError or a DeviceError
 */
export function namedGpuError(error, doing, detail = {}) {
  const isMemory = error.constructor.name === "GPUOutOfMemoryError";
  const reason = firstLine(error.message);
  return new LeadoutError(
    isMemory ? "OutOfMemoryError" : "DeviceError",
    `the device failed at ${doing}: ${reason}`,
    { ...detail, reason },
  );
}

/**
 * Shorten a driver's or compiler's message, which may go on with a backtrace.
 *
 * @param {string} message
 * @returns {string} its first line that is not empty
 */
export function firstLine(message) {
  return message.split("\n").find((line) => line.trim() !== "")?.trim() ?? "no reason given";
}

/**
 * @param {string} plan its name
 * @returns {LeadoutError}
 */
export function staleError(plan) {
  return new LeadoutError(
    "DeviceError",
    `plan "${plan}" uses a buffer that was freed; compile it again`,
    { plan },
  );
}

/**
 * @param {string} reason
 * @param {string} message
 * @returns {LeadoutError}
 */
export function lostError(reason, message) {
  return new LeadoutError(
    "DeviceLostError",
    `the graphics device was lost (${reason}: ${firstLine(message)}); load the model again`,
    { reason, driver_message: message },
  );
}
