/**
 * Register <leadout-chat>. Importing this file is the side effect.
 *
 * @module leadout-chat-define
 */

import { LeadoutChat } from "./leadout-chat.js";

if (!customElements.get("leadout-chat")) {
  customElements.define("leadout-chat", LeadoutChat);
}

export { LeadoutChat };
