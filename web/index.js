/**
 * Leadout's public interface. Importing it has no side effect.
 *
 * @module leadout
 */

export { Engine, Leadout } from "./client.js";
export { LeadoutError } from "./client/errors.js";
export { isSoftwareAdapter } from "./runtime/adapter.js";
export { showHidden } from "./widget/hidden_characters.js";
