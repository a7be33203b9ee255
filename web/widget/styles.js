/**
 * The widget's look, on top of what all elements share.
 *
 * @module styles
 */

import { sharedSheet } from "./base_styles.js";
import { CHAT_CSS, SPEED_CSS } from "./chat_styles.js";

const CSS = `
:host {
  --leadout-text-font: Charter, "Bitstream Charter", "Sitka Text", Cambria, Georgia, serif;
  --leadout-sheet-height: min(52vh, 34rem);
}
:host(:disabled) { opacity: .6; }
.unseen {
  position: absolute; width: 1px; height: 1px; overflow: hidden;
  clip-path: inset(50%); white-space: nowrap;
}

button.main {
  min-width: 7.5rem; font-weight: 600;
  background: var(--leadout-accent); color: var(--leadout-on-accent);
}
button.main:hover { background: color-mix(in oklab, var(--leadout-accent), var(--leadout-ink) 14%); }
button[part="stop"] {
  background: none; color: var(--leadout-ink); border: 2px solid var(--leadout-ink);
}
button[part="stop"]:hover { background: color-mix(in oklab, transparent, var(--leadout-ink) 8%); }
button.quiet { color: var(--leadout-soft); padding: 0 .75rem; }
button.quiet:hover { color: var(--leadout-ink); background: color-mix(in oklab, transparent, var(--leadout-ink) 6%); }
button.main:disabled:hover { background: var(--leadout-accent); }
button.quiet:disabled:hover { background: none; color: var(--leadout-soft); }

.loading { margin-bottom: .9rem; }
.loading .line { display: flex; align-items: center; justify-content: space-between; gap: 1rem; }
.loading .quiet, .actions .quiet:last-child { margin-inline-end: -.75rem; }
#phase { font-variant-numeric: tabular-nums; }

.notice {
  display: flex; flex-wrap: wrap; align-items: center; justify-content: space-between;
  gap: .75rem 1.5rem; margin-bottom: 1rem; padding: .9rem 1.1rem;
  border: 1px solid var(--leadout-line); border-radius: var(--leadout-radius);
  background: var(--leadout-paper);
}
.notice .words { flex: 1 1 18rem; min-width: 0; max-height: 14rem; overflow-y: auto; overflow-wrap: anywhere; }
.notice.offer .words { max-height: none; }
.notice p { margin: .15rem 0 0; color: var(--leadout-soft); }
.notice.error, .notice.unsupported {
  border-color: color-mix(in oklab, var(--leadout-danger), transparent 55%);
  background: var(--leadout-danger-tint);
}
.notice.error strong, .notice.unsupported strong { color: var(--leadout-danger); }
.notice.error p, .notice.unsupported p { color: var(--leadout-ink); }
.notice .buttons { display: flex; flex-wrap: wrap; gap: .5rem; }

.sheet {
  display: grid; grid-template-columns: minmax(0, 1fr); /* what is in it fills it, where a page gives it a height */
  border: 1px solid var(--leadout-line); border-radius: var(--leadout-radius);
  background: var(--leadout-paper); transition: border-color .15s;
}
.sheet:focus-within { border-color: var(--leadout-accent); box-shadow: 0 0 0 1px var(--leadout-accent); }
.sheet textarea {
  display: block; width: 100%; margin: 0; border: 0; border-radius: var(--leadout-radius);
  background: none; outline: none; resize: none;
}
.sheet textarea::placeholder { color: var(--leadout-soft); opacity: 1; }
.manuscript { display: flex; flex-direction: column; }
.scroller {
  display: flex; flex: 1 0 auto; min-height: 15rem; max-height: var(--leadout-sheet-height); overflow-y: auto;
  scrollbar-width: thin;
}
.stack { display: grid; flex: 1; min-width: 0; }
.stack > * {
  grid-area: 1 / 1; padding: 1.15rem 1.3rem 1.6rem; letter-spacing: normal; word-spacing: normal;
  font-family: var(--leadout-text-font); font-size: 1.1875rem; line-height: 1.65;
  white-space: pre-wrap; overflow-wrap: break-word; tab-size: 4; text-align: start;
}
.stack textarea {
  height: 100%; overflow: hidden; color: transparent; caret-color: var(--leadout-ink);
}
.copy { pointer-events: none; }
.copy .model {
  color: var(--leadout-accent); background: var(--leadout-tint);
  box-decoration-break: clone; -webkit-box-decoration-break: clone; border-radius: 3px;
}
.marked .draft {
  text-decoration: underline 1px color-mix(in oklab, var(--leadout-accent), transparent 45%);
  text-underline-offset: .3em; text-decoration-skip-ink: none;
}
.busy .copy .end {
  display: inline-block; width: 0; height: 1.05em; vertical-align: -.15em;
  box-shadow: 2px 0 0 1px var(--leadout-accent); animation: blink 1.1s steps(2, jump-none) infinite;
}
@keyframes blink { from { opacity: 1; } to { opacity: .15; } }

.conversation { display: grid; grid-template: 1fr auto / minmax(0, 1fr); }
.log { max-height: var(--leadout-sheet-height); min-height: 9rem; overflow-y: auto; padding: 1.1rem 1.3rem .4rem; scrollbar-width: thin; }
/* The full height from the start, so that a growing text does not move the elements below it. */
.log:not(:empty) { height: var(--leadout-sheet-height); }
.log:empty::before { content: "No messages yet."; color: var(--leadout-soft); }
.turn { margin-bottom: 1.1rem; }
.turn .who { margin: 0 0 .1rem; line-height: 1.5; font-size: .8125rem; font-weight: 600; color: var(--leadout-soft); }
.turn .content {
  font-family: var(--leadout-text-font); font-size: 1.125rem; line-height: 1.6;
  white-space: pre-wrap; overflow-wrap: anywhere; min-height: 1.6em;
}
.turn .content.markdown { white-space: normal; }
.turn.model .who { color: var(--leadout-accent); }
.turn.model { padding-inline-start: .9rem; border-inline-start: 3px solid var(--leadout-accent); }
.reasoning { margin: 0 0 .45rem; font-size: .9375rem; color: var(--leadout-soft); }
.reasoning summary { font-size: .875rem; }
.reasoning.thinking summary { animation: breathe 1.6s ease-in-out infinite alternate; }
@keyframes breathe { from { opacity: 1; } to { opacity: .55; } }
.reasoning .thought {
  max-height: 16rem; overflow-y: auto; margin: .1rem 0 .6rem; padding-inline-start: .9rem;
  border-inline-start: 1px solid var(--leadout-line); line-height: 1.5;
  white-space: pre-wrap; overflow-wrap: anywhere; scrollbar-width: thin;
}
.reasoning:not([hidden]) + .content:empty { min-height: 0; }
.manuscript > .reasoning { margin: 0; padding: .1rem 1.3rem; border-top: 1px solid var(--leadout-line); }
.conversation textarea { padding: .9rem 1.3rem; border-top: 1px solid var(--leadout-line); border-radius: 0 0 var(--leadout-radius) var(--leadout-radius); }

.actions { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem .75rem; margin-top: .9rem; }
.status { flex: 1 1 0; min-width: 0; margin: 0; color: var(--leadout-soft); font-size: .9375rem; }

.figures {
  display: grid; gap: .6rem 1rem; margin: 1.25rem 0 0; padding: .9rem 0;
  /* Fixed tracks, so that figures that change while the model writes do not move each other. */
  grid-template-columns: 7.5rem 6rem 4rem 7rem minmax(0, 1fr) 6.5rem;
  border-block: 1px solid var(--leadout-line);
}
.figures dt { font-size: .8125rem; color: var(--leadout-soft); }
.figures dd { margin: 0; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }

.drafting { margin: 0; border-top: 0; grid-template-columns: minmax(0, 1fr) 9.5rem 7rem 13rem; }
.positions { display: flex; gap: .3rem; min-height: 3.1rem; margin: .2rem 0 0; padding: 0; list-style: none; }
.positions:empty::before { content: "–"; }
.positions li { flex: 0 1 2.25rem; min-width: 0; font-size: .8125rem; text-align: center; white-space: nowrap; }
.positions .bar {
  display: flex; align-items: flex-end; height: 1.75rem; border-radius: 3px; overflow: hidden;
  background: color-mix(in oklab, transparent, var(--leadout-ink) 7%);
}
.positions .bar.reached::before {
  content: ""; width: 100%; height: calc(100% * var(--share)); min-height: 2px;
  background: var(--leadout-accent);
}

.settings { margin-top: .25rem; }
.fields { display: grid; grid-template-columns: repeat(auto-fill, minmax(11.5rem, 1fr)); gap: 1rem 1.25rem; padding: .35rem 0 .9rem; }
.field { display: flex; flex-direction: column; min-width: 0; }
.field.stop { grid-column: span 1; }
.field label { font-size: .9375rem; font-weight: 600; }
.field .hint { margin-top: .2rem; font-size: .8125rem; color: var(--leadout-soft); }
.field input, .field select, .field textarea {
  width: 100%; min-height: 2.75rem; margin-top: .25rem; padding: .45rem .7rem;
  border: 1px solid var(--leadout-edge); border-radius: 8px; background: var(--leadout-paper);
}
.field textarea { resize: vertical; line-height: 1.35; height: 2.75rem; }
.field.check { display: grid; grid-template-columns: auto 1fr; align-content: center; align-items: center; column-gap: .6rem; }
.field.check input {
  grid-row: 1; grid-column: 1; width: 1.25rem; margin: 0; padding: 0; border: 0; background: none;
  accent-color: var(--leadout-accent); cursor: pointer;
}
.field.check label { grid-row: 1; grid-column: 2; padding: .6rem 0; cursor: pointer; }
.field.check .hint { grid-column: 2; margin-top: -.4rem; }
.field input:user-invalid { border-color: var(--leadout-danger); }
.settings > .quiet { margin-inline-start: -.75rem; }

:host([data-state="unsupported"]) :is(.sheet, .actions, .figures, .speed, .settings) { display: none !important; }

@container (max-width: 46rem) {
  .figures { grid-template-columns: repeat(3, 1fr); }
  .by-position { grid-column: 1 / -1; }
}
@container (max-width: 34rem) {
  .actions { gap: .5rem; }
  .status { order: 9; flex-basis: 100%; }
  .actions > button.main { flex: 1; }
  .scroller { min-height: 11rem; }
  .stack > * { padding: .9rem 1rem 1.3rem; font-size: 1.125rem; }
  .figures { grid-template-columns: 1fr 1fr; }
  .drafting > :first-child { grid-column: 1 / -1; }
  .fields { grid-template-columns: 1fr 1fr; gap: .9rem; }
  .field.stop { grid-column: 1 / -1; }
  .notice .buttons { width: 100%; }
}
@media (forced-colors: active) {
  .copy { visibility: hidden; }
  .stack textarea { color: FieldText; }
  .positions .bar.reached::before { background: CanvasText; }
  button.main, button[part="stop"] { border: 1px solid ButtonText; }
}
`;

export const getStyleSheet = sharedSheet(CSS + CHAT_CSS + SPEED_CSS);
