/**
 * The look that all elements share: colours, buttons, bars, summaries. A host page changes it through the custom
 * properties on :host and ::part.
 *
 * @module base_styles
 */

const BASE_CSS = `
:host {
  --leadout-accent: light-dark(#0a6b57, #63d2b2);
  --leadout-on-accent: light-dark(#ffffff, #06231c);
  --leadout-ink: light-dark(#1b1f1e, #e8ecea);
  --leadout-soft: light-dark(#5a6562, #9ba7a3);
  --leadout-line: light-dark(#d5dcd9, #333b38);
  --leadout-edge: light-dark(#87928e, #6b7672);
  --leadout-paper: light-dark(#ffffff, #191d1c);
  --leadout-tint: light-dark(#e9f4f1, #1c2f29);
  --leadout-danger: light-dark(#a4262c, #ffb4ab);
  --leadout-danger-tint: light-dark(#fdf2f1, #2c1a18);
  --leadout-radius: 10px;
  display: block;
  container-type: inline-size;
  color: var(--leadout-ink);
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  font-size: 1rem;
  line-height: 1.5;
}
:host([hidden]), [hidden] { display: none !important; }
*, *::before, *::after { box-sizing: border-box; }
button, input, select, textarea { font: inherit; color: inherit; }
:focus-visible { outline: 2px solid var(--leadout-accent); outline-offset: 2px; }

button {
  min-height: 2.75rem; padding: 0 1rem; border-radius: 8px; border: 1px solid transparent;
  background: none; cursor: pointer; white-space: nowrap;
}
button:disabled { opacity: .45; cursor: default; }

progress {
  appearance: none; display: block; width: 100%; height: 6px; border: 0; border-radius: 3px;
  overflow: hidden; background: var(--leadout-line); color: var(--leadout-accent);
}
progress::-webkit-progress-bar { background: var(--leadout-line); }
progress::-webkit-progress-value { background: var(--leadout-accent); border-radius: 3px; transition: inline-size .2s linear; }
progress::-moz-progress-bar { background: var(--leadout-accent); border-radius: 3px; }
progress:indeterminate {
  background: linear-gradient(90deg, var(--leadout-line) 30%, var(--leadout-accent) 50%, var(--leadout-line) 70%)
    0 0 / 300% 100%;
  animation: slide 1.6s linear infinite;
}
progress:indeterminate::-webkit-progress-bar { background: transparent; }
progress:indeterminate::-moz-progress-bar { background: transparent; }
@keyframes slide { from { background-position: 100% 0; } to { background-position: -50% 0; } }

summary {
  display: flex; align-items: center; gap: .55rem; width: fit-content; min-height: 2.75rem;
  cursor: pointer; list-style: none; color: var(--leadout-soft); border-radius: 6px;
}
summary::-webkit-details-marker { display: none; }
summary::before {
  content: ""; width: .5em; height: .5em; border: solid currentColor; border-width: 0 2px 2px 0;
  transform: rotate(-45deg); transition: transform .15s;
}
details[open] > summary::before { transform: rotate(45deg) translate(-1px, -1px); }
summary:hover { color: var(--leadout-ink); }

@media (prefers-reduced-motion: reduce) {
  *, *::before, *::after { animation: none !important; transition: none !important; }
}
`;

/**
 * @param {string} css an element's own rules
 * @returns {() => CSSStyleSheet} gives the same sheet for all elements of a kind; it is adopted, because a strict
 *   Content-Security-Policy forbids style elements
 */
export function sharedSheet(css) {
  /** @type {CSSStyleSheet | undefined} */
  let sheet;
  return () => {
    if (!sheet) {
      sheet = new CSSStyleSheet();
      sheet.replaceSync(BASE_CSS + css);
    }
    return sheet;
  };
}
