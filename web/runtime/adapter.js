/**
 * What a WebGPU adapter says of itself.
 *
 * @module adapter
 */

/** Makers whose names are not written as WebGPU's lower-case ones with a capital. */
const VENDOR_NAMES = /** @type {Record<string, string>} */ ({ nvidia: "NVIDIA", amd: "AMD", arm: "ARM" });

/**
 * @param {GPUAdapterInfo} info browsers leave most of it empty
 * @returns {string} a name for people
 */
export function adapterName({ vendor, architecture, description, device }) {
  if (architecture === "swiftshader") return "SwiftShader";
  if (description) return description;
  const maker = VENDOR_NAMES[vendor] ?? vendor.charAt(0).toUpperCase() + vendor.slice(1);
  return [maker, device || architecture].filter(Boolean).join(" ") || "unnamed adapter";
}

/**
 * @param {Partial<GPUAdapterInfo>} [info]
 * @returns {boolean} whether it computes on the CPU
 */
export function isSoftwareAdapter({ isFallbackAdapter = false, architecture } = {}) {
  return isFallbackAdapter || architecture === "swiftshader";
}
