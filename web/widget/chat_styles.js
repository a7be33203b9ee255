/**
 * The look of a conversation: answers in Markdown, code, and the buttons of a message.
 *
 * @module chat_styles
 */

export const CHAT_CSS = `
.markdown > * { margin: 0 0 .7em; }
.markdown > :last-child { margin-bottom: 0; }
.markdown :is(p, li, h3, h4, h5, h6, td, th, blockquote) { unicode-bidi: plaintext; text-align: start; }
.markdown :is(h3, h4, h5, h6) { font-family: system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; line-height: 1.3; }
.markdown h3 { font-size: 1.2em; }
.markdown h4 { font-size: 1.08em; }
.markdown :is(h5, h6) { font-size: 1em; }
.markdown :is(ul, ol) { padding-inline-start: 1.5em; }
.markdown :is(ul, ol) :is(ul, ol) { margin: 0; }
.markdown li > p { margin: 0 0 .35em; }
.markdown blockquote {
  padding-inline-start: .9rem; border-inline-start: 3px solid var(--leadout-line); color: var(--leadout-soft);
}
.markdown blockquote > * { margin: 0 0 .5em; }
.markdown hr { border: 0; border-top: 1px solid var(--leadout-line); }
.markdown a { color: var(--leadout-accent); text-underline-offset: .2em; }
.markdown code {
  font: .85em/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace;
  overflow-wrap: anywhere;
}
.markdown :not(pre) > code {
  padding: .1em .3em; border-radius: 4px; background: color-mix(in oklab, transparent, var(--leadout-ink) 8%);
}
.markdown .code { border: 1px solid var(--leadout-line); border-radius: 8px; overflow: hidden; }
.markdown .code-head {
  display: flex; align-items: center; justify-content: space-between; min-height: 2.75rem; padding-inline-start: .9rem;
  border-bottom: 1px solid var(--leadout-line); color: var(--leadout-soft);
  background: color-mix(in oklab, transparent, var(--leadout-ink) 4%);
  font: .8125rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
}
.markdown pre { margin: 0; padding: .7rem .9rem; overflow-x: auto; scrollbar-width: thin; }
.markdown pre code { overflow-wrap: normal; white-space: pre; tab-size: 4; }
.markdown .table { overflow-x: auto; scrollbar-width: thin; }
.markdown table { border-collapse: collapse; font-size: .9em; font-variant-numeric: tabular-nums; }
.markdown :is(th, td) { padding: .3rem .7rem; border-bottom: 1px solid var(--leadout-line); overflow-wrap: normal; }
.markdown th { font-weight: 600; }
.markdown [align="right"] { text-align: right; }
.markdown [align="center"] { text-align: center; }

.earlier-turns.measured { content-visibility: auto; overflow-clip-margin: .75rem; }
.turn:not(.model) .content { white-space: pre-wrap; }
.tools { display: flex; flex-wrap: wrap; align-items: center; margin-inline-start: -.5rem; min-height: 2.75rem; }
.tools.writing { visibility: hidden; }
button.small, .copy-code { padding: 0 .5rem; font-size: .8125rem; color: var(--leadout-soft); border-radius: 6px; }
button.small { min-width: 2.75rem; }
.copy-code:hover { color: var(--leadout-ink); }
.branches { display: flex; align-items: center; font-size: .8125rem; color: var(--leadout-soft); font-variant-numeric: tabular-nums; }
.branches button { font-size: 1.125rem; }
button.earlier { display: block; margin: 0 auto 1rem; }
.editor textarea.edit {
  width: 100%; padding: .6rem .8rem; border: 1px solid var(--leadout-edge); border-radius: 8px;
  font-family: var(--leadout-text-font); font-size: 1.125rem; line-height: 1.5; field-sizing: content; max-height: 20rem;
}
.call { margin: .3rem 0; font-size: .9375rem; }
.call pre {
  margin: 0 0 .5rem; padding: .6rem .8rem; border: 1px solid var(--leadout-line); border-radius: 8px;
  font: .8125rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; white-space: pre-wrap; overflow-wrap: anywhere;
}
.field.system_prompt { grid-column: span 2; }
@container (max-width: 34rem) {
  .field.system_prompt { grid-column: 1 / -1; }
}
`;

export const SPEED_CSS = `
.speed { margin-top: .9rem; }
.speed-head { display: flex; flex-wrap: wrap; align-items: center; justify-content: space-between; gap: .5rem 1.25rem; }
.speed-head > div { flex: 1 1 16rem; }
.headline { font-size: 1.125rem; }
.speed .words { margin: .1rem 0 0; min-height: 3em; color: var(--leadout-soft); font-size: .9375rem; }
.speed .gpu { min-height: 1.5em; margin: .25rem 0 0; color: var(--leadout-soft); font-size: .9375rem; font-variant-numeric: tabular-nums; }
.speed > .drafting { border-bottom: 0; }
button.compare { border-color: var(--leadout-edge); }
button.compare:hover:enabled { border-color: var(--leadout-accent); color: var(--leadout-accent); }
.shares {
  height: .75rem; margin-top: .6rem; border-radius: 4px; overflow: hidden;
  background: color-mix(in oklab, transparent, var(--leadout-ink) 14%);
}
.guessed { display: block; width: calc(100% * var(--share, 0)); height: 100%; background: var(--leadout-accent); }

.comparison {
  margin-top: .9rem; padding: 1rem 1.3rem; border: 1px solid var(--leadout-line);
  border-radius: var(--leadout-radius); background: var(--leadout-paper);
}
.verdict { margin: 0 0 .9rem; font-size: 1.125rem; font-weight: 600; }
.same .verdict { color: var(--leadout-accent); }
.sides { display: grid; grid-template-columns: 1fr 1fr; gap: 1.25rem; }
.side { min-width: 0; }
.side-head { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 .75rem; }
.side .time { color: var(--leadout-soft); font-variant-numeric: tabular-nums; min-height: 1.5em; }
.side .bar { display: block; height: .6rem; margin: .35rem 0 .6rem; border-radius: 3px; overflow: hidden;
  background: color-mix(in oklab, transparent, var(--leadout-ink) 8%); }
.side .bar::before { content: ""; display: block; width: calc(100% * var(--share, 0)); height: 100%; background: var(--leadout-soft); }
.side.drafted .bar::before { background: var(--leadout-accent); }
.side .content {
  height: 14rem; overflow-y: auto; scrollbar-width: thin; white-space: pre-wrap; overflow-wrap: anywhere;
  font-family: var(--leadout-text-font); line-height: 1.55;
}
.share { display: flex; flex-wrap: wrap; gap: .25rem; margin: .5rem 0 0 -.75rem; }
@container (max-width: 34rem) {
  .sides { grid-template-columns: 1fr; }
  .side .content { height: 9rem; }
  .speed .words { min-height: 6em; }
  button.compare { flex: 1; }
}
@media (forced-colors: active) {
  .guessed, .side .bar::before { background: CanvasText; }
}
`;
