/**
 * Registers <leadout-chat> when it is imported.
 *
 * @module leadout-chat-define
 */

import { LeadoutChat } from "./leadout-chat.js";

// A server that renders pages has no custom elements.
if (globalThis.customElements && !customElements.get("leadout-chat")) {
  customElements.define("leadout-chat", LeadoutChat);
}

export { LeadoutChat };
