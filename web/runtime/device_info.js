/**
 * What Python hears of a device.
 *
 * @module device_info
 */

import { adapterName, isSoftwareAdapter } from "./adapter.js";

/** @import {RequestedDevice} from "./requested.js" */

/**
 * @typedef {object} DeviceInfo
 * @property {string} name for people, for example "NVIDIA H100" or "SwiftShader"
 * @property {string} vendor
 * @property {string} architecture
 * @property {string} description
 * @property {number} max_binding_bytes the largest range that one binding may have
 * @property {number} max_buffer_bytes
 * @property {string[]} features optional ones of the device, and of the browser's WGSL
 * @property {boolean} is_software it computes on the CPU
 */

/**
 * @param {RequestedDevice} requested
 * @param {number} maxBindingBytes pretend that it allows no larger bindings
 * @param {string[]} hiddenFeatures pretend that it does not have these
 * @returns {DeviceInfo}
 */
export function toDeviceInfo({ adapter, device, features }, maxBindingBytes, hiddenFeatures) {
  const { info } = adapter;
  const { vendor, architecture, description } = info;
  return {
    name: adapterName(info),
    vendor,
    architecture,
    description,
    max_binding_bytes: Math.min(maxBindingBytes, device.limits.maxStorageBufferBindingSize),
    max_buffer_bytes: device.limits.maxBufferSize,
    features: features.filter((name) => !hiddenFeatures.includes(name)),
    is_software: isSoftwareAdapter(info),
  };
}
