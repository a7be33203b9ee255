/**
 * What Python hears of a device.
 *
 * @module device_info
 */

import { adapterName, isSoftwareAdapter } from "./adapter.js";
import { WANTED_FEATURES } from "./requested.js";

/**
 * @typedef {object} DeviceInfo
 * @property {string} name for people, for example "NVIDIA H100" or "SwiftShader"
 * @property {string} vendor
 * @property {string} architecture
 * @property {string} description
 * @property {number} max_binding_bytes the largest range that one binding may have
 * @property {number} max_buffer_bytes
 * @property {string[]} features optional features that kernels may use
 * @property {boolean} is_software it computes on the CPU
 */

/**
 * @param {GPUAdapter} adapter
 * @param {GPUDevice} device
 * @param {number} maxBindingBytes pretend that it allows no larger bindings
 * @param {string[]} hiddenFeatures pretend that it does not have these
 * @returns {DeviceInfo}
 */
export function toDeviceInfo({ info }, device, maxBindingBytes, hiddenFeatures) {
  const { vendor, architecture, description } = info;
  return {
    name: adapterName(info),
    vendor,
    architecture,
    description,
    max_binding_bytes: Math.min(maxBindingBytes, device.limits.maxStorageBufferBindingSize),
    max_buffer_bytes: device.limits.maxBufferSize,
    features: WANTED_FEATURES.filter(
      (name) => device.features.has(name) && !hiddenFeatures.includes(name),
    ),
    is_software: isSoftwareAdapter(info),
  };
}
