/**
 * Registers <leadout-chat> and <leadout-models> when it is imported.
 *
 * @module define
 */

import { LeadoutChat } from "./leadout-chat.js";
import { LeadoutModels } from "./leadout-models.js";

const ELEMENTS = { "leadout-chat": LeadoutChat, "leadout-models": LeadoutModels };

// A server that renders pages has no custom elements.
if (globalThis.customElements) {
  for (const [name, element] of Object.entries(ELEMENTS)) {
    if (!customElements.get(name)) {
      customElements.define(name, element);
    }
  }
}

export { LeadoutChat, LeadoutModels };
