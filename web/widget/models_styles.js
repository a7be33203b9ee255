/**
 * The look of <leadout-models>.
 *
 * @module models_styles
 */

import { sharedSheet } from "./base_styles.js";

const CSS = `
p { margin: 0; color: var(--leadout-soft); }
.hint { max-width: 42rem; margin-top: .35rem; }
.problem { color: var(--leadout-danger); overflow-wrap: anywhere; }
ul { margin: 0; padding: 0; list-style: none; }
li {
  display: flex; flex-wrap: wrap; align-items: center; justify-content: space-between;
  gap: .5rem 1.25rem; padding: .75rem 0; border-top: 1px solid var(--leadout-line);
}
.words { flex: 1 1 16rem; min-width: 0; overflow-wrap: anywhere; }
li p { font-size: .9375rem; }
.facts { font-variant-numeric: tabular-nums; }
/* Numbers grow while there is a bar. Lines that break where they like would move what is below. */
@container (max-width: 30rem) {
  li:has(progress:not([hidden])) {
    .facts { min-height: 2lh; }
    .facts span { display: block; }
    .facts .comma { display: none; }
  }
}
progress { margin: .4rem 0; }
.buttons { display: flex; flex-wrap: wrap; gap: .5rem; }
button { border-color: var(--leadout-edge); background: var(--leadout-paper); }
button:hover { border-color: var(--leadout-accent); color: var(--leadout-accent); }
`;

export const getModelsSheet = sharedSheet(CSS);
