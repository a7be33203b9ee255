/**
 * Sizes of models as pages show them.
 *
 * @module sizes
 */

/** @param {number} bytes */
export function formatSize(bytes) {
  return bytes < 1e9 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}
