/**
 * Says whether this browser can run Leadout, and if not, what its user can do.
 *
 * @module support
 */

/**
 * @typedef {object} Support
 * @property {boolean} supported
 * @property {string} reason what is missing, in plain words; "" when supported
 * @property {string} advice what to do about it in this browser; "" when supported
 */

/**
 * @returns {Promise<Support>}
 */
export async function isSupported() {
  if (!globalThis.isSecureContext) {
    return unsupported(
      "This page came over plain HTTP, and browsers give WebGPU only to secure pages.",
      "Open it over https://, or from http://localhost on your own machine.",
    );
  }
  const gpu = /** @type {{gpu?: GPU}} */ (navigator).gpu;
  if (!gpu) {
    return unsupported("This browser has no WebGPU.", adviseBrowser(navigator.userAgent));
  }
  let adapter = null;
  try {
    adapter = await gpu.requestAdapter();
  } catch {
    // Some browsers throw where others answer null; both mean the same.
  }
  if (!adapter) {
    return unsupported(
      "This browser has WebGPU, but found no graphics adapter for it.",
      adviseAdapter(navigator.userAgent),
    );
  }
  return { supported: true, reason: "", advice: "" };
}

/**
 * @param {string} reason
 * @param {string} advice
 * @returns {Support}
 */
function unsupported(reason, advice) {
  return { supported: false, reason, advice };
}

/**
 * @param {string} userAgent
 * @returns {string} how to get WebGPU with this browser
 */
export function adviseBrowser(userAgent) {
  if (/iPhone|iPad|iPod/.test(userAgent)) {
    // Every browser there is Safari inside.
    return "Update to iOS or iPadOS 26 or newer; WebGPU comes with it, in every browser.";
  }
  if (/Firefox\//.test(userAgent)) {
    return (
      "Update Firefox: version 141 or newer has WebGPU on Windows, 145 or newer on Macs with " +
      "Apple silicon. Elsewhere, use Chrome or Edge, or switch on dom.webgpu.enabled in " +
      "about:config."
    );
  }
  if (/Chrome\/|Chromium\/|Edg\//.test(userAgent)) {
    if (/Android/.test(userAgent)) {
      return "Update Chrome to version 121 or newer, on Android 12 or newer.";
    }
    if (/Linux/.test(userAgent)) {
      return (
        "Update Chrome or Edge. If it is new already, switch on chrome://flags/#enable-unsafe-webgpu " +
        "and chrome://flags/#enable-vulkan, then restart the browser."
      );
    }
    return "Update Chrome or Edge to version 113 or newer, and restart it.";
  }
  if (/Safari\//.test(userAgent)) {
    return (
      "Update to Safari 26 on macOS 26. On Safari 18, switch on WebGPU under Develop, " +
      "Feature Flags."
    );
  }
  return "Use a current Chrome, Edge, Firefox or Safari.";
}

/**
 * @param {string} userAgent
 * @returns {string} how to get an adapter with this browser
 */
export function adviseAdapter(userAgent) {
  if (/Firefox\//.test(userAgent)) {
    return "Update the graphics driver and restart Firefox; about:support says why under WebGPU.";
  }
  if (/Chrome\/|Chromium\/|Edg\//.test(userAgent)) {
    return (
      "Switch on Settings, System, Use graphics acceleration when available; update the " +
      "graphics driver; restart the browser. chrome://gpu says more."
    );
  }
  return "Update the system and its graphics driver, and restart the browser.";
}
