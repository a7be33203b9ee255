/**
 * Register <leadout-chat>. Importing this file is the side effect.
 *
 * @module leadout-chat-define
 */

import { LeadoutChat } from "./leadout-chat.js";

// A server that renders pages has no elements.
if (globalThis.customElements && !customElements.get("leadout-chat")) {
  customElements.define("leadout-chat", LeadoutChat);
}

export { LeadoutChat };
