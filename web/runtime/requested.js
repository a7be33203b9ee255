/**
 * Asking for a device, with all that Leadout can use of the adapter.
 *
 * @module requested
 */

import { LeadoutError, firstLine } from "./errors.js";
import { sleep } from "./remote_file.js";

/**
 * Limits of which we take all that the adapter has.
 * @type {(keyof GPUSupportedLimits & string)[]}
 */
const WANTED_LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupSizeY",
  "maxComputeWorkgroupSizeZ",
  "maxComputeWorkgroupsPerDimension",
];

/**
 * Features of an adapter that are used where it has them. What kernel variants ask for of these is listed here
 * too; what they ask for of WGSL the browser has or not.
 */
export const WANTED_FEATURES = ["timestamp-query"];

/**
 * When to ask once more. A browser whose GPU process has just ended says that there is no adapter, or
 * gives one without a device, though the next one will have both.
 */
const AGAIN_MS = 1000;

/**
 * A device, what it was taken from, and which features there are: the device's, and the browser's of WGSL.
 * @typedef {{adapter: GPUAdapter, device: GPUDevice, features: string[]}} RequestedDevice
 */

/**
 * @param {GPU | undefined} gpu `navigator.gpu`, or Dawn's
 * @returns {Promise<RequestedDevice>} with all limits and features that Leadout can use
 * @throws {LeadoutError} DeviceUnavailableError
 */
export async function requestDevice(gpu) {
  if (!gpu) {
    throw new LeadoutError(
      "DeviceUnavailableError",
      "this browser has no WebGPU here; use a current Chrome, Edge, Safari or Firefox, over " +
        "https or on localhost",
    );
  }
  try {
    return await request(gpu);
  } catch {
    await sleep(AGAIN_MS);
    return request(gpu);
  }
}

/**
 * @param {GPU} gpu
 * @returns {Promise<RequestedDevice>}
 */
async function request(gpu) {
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (adapter === null) {
    throw new LeadoutError(
      "DeviceUnavailableError",
      "WebGPU found no graphics adapter; turn on hardware acceleration in the browser's " +
        "settings, update the graphics driver, or see chrome://gpu",
    );
  }
  /** @type {Record<string, number>} */
  const requiredLimits = {};
  for (const name of WANTED_LIMITS) {
    requiredLimits[name] = /** @type {number} */ (adapter.limits[name]);
  }
  const features = WANTED_FEATURES.filter((name) => adapter.features.has(name));
  const requiredFeatures = /** @type {GPUFeatureName[]} */ (features);
  try {
    const descriptor = { label: "leadout", requiredFeatures, requiredLimits };
    const device = await adapter.requestDevice(descriptor);
    // Browsers of before there were such features lack the set.
    return { adapter, device, features: [...features, ...(gpu.wgslLanguageFeatures ?? [])] };
  } catch (error) {
    const reason = firstLine(/** @type {Error} */ (error).message);
    throw new LeadoutError("DeviceUnavailableError", `the adapter gave no device: ${reason}`, {
      reason,
    });
  }
}
