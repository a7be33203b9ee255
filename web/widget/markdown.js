/**
 * Renders Markdown to DOM. This is the only place where a model's text becomes markup: markdown-it parses it with HTML
 * switched off, and DOMPurify allows only a short list of elements.
 *
 * Nothing is fetched. Pictures become links. A link leads to http(s) or mailto, and opens only by a click.
 *
 * @module markdown
 */

/** @import {Libraries} from "./libraries.js" */

import { h } from "./dom.js";
import { showHidden } from "./hidden_characters.js";
import { loadLibraries } from "./libraries.js";

const TAGS = [
  ...["p", "br", "hr", "strong", "em", "s", "a", "code", "pre", "blockquote", "ul", "ol", "li"],
  ...["h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"],
];

const PURIFY_OPTIONS = {
  ALLOWED_TAGS: TAGS,
  ALLOWED_ATTR: ["href", "start", "align", "class"],
  ADD_URI_SAFE_ATTR: ["start", "align"],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  ALLOWED_URI_REGEXP: /^(?:https?:\/\/|mailto:)/i,
  RETURN_DOM_FRAGMENT: true,
};

/** The allowed class for the language of a fenced block. */
const LANGUAGE = /^language-[\w+#.-]{1,30}$/;

/** Headings of an answer get lower levels than those of the page. */
const HEADING_SHIFT = 2;

/** The deepest nesting of blocks; deeper ones are shown as text. */
const MAX_NESTING = 20;

/** The lines of one top-level block of Markdown. @typedef {{start: number, end: number}} Block */

/** @type {Promise<Markdown> | null} */
let loading = null;

export class Markdown {
  #parser;
  #purify;

  /** @param {Libraries} libraries */
  constructor({ MarkdownIt, purify }) {
    this.#parser = newParser(MarkdownIt);
    this.#purify = purify;
    purify.addHook("afterSanitizeAttributes", keepOnlyOurs);
  }

  /**
   * @param {string | URL} [assets] the folder with the engine's files
   * @returns {Promise<Markdown>} the same for all elements of a page; after a failure, the next call tries again
   */
  static load(assets) {
    loading ??= loadLibraries(assets).then(
      (libraries) => new Markdown(libraries),
      (error) => {
        loading = null;
        throw error;
      },
    );
    return loading;
  }

  /**
   * Find where the last block begins. More text cannot change the blocks before it.
   *
   * @param {string} source complete lines
   * @param {object} env collects the link definitions of the source
   * @returns {number} an index; 0 if there are fewer than two blocks
   */
  findLastBlock(source, env) {
    const tokens = this.#parser.parse(source, env).filter((/** @type {any} */ { level, map }) => level === 0 && map);
    if (tokens.length < 2) {
      return 0;
    }
    const [line] = tokens.at(-1).map;
    let index = 0;
    for (let i = 0; i < line; i++) {
      index = source.indexOf("\n", index) + 1;
    }
    return index;
  }

  /**
   * @param {string} source
   * @param {object} [env] link definitions of the text before it
   * @returns {DocumentFragment} safe to insert
   */
  render(source, env = {}) {
    const fragment = this.#purify.sanitize(this.#parser.render(source, env), PURIFY_OPTIONS);
    for (const pre of fragment.querySelectorAll("pre")) {
      frameCode(pre);
    }
    for (const table of fragment.querySelectorAll("table")) {
      const frame = h("div", { class: "table", tabindex: "0", role: "group", "aria-label": "Table" });
      table.replaceWith(frame);
      frame.append(table);
    }
    return fragment;
  }
}

/** @param {any} MarkdownIt */
function newParser(MarkdownIt) {
  const parser = new MarkdownIt({ html: false, linkify: true, breaks: true, maxNesting: MAX_NESTING });
  parser.linkify.set({ fuzzyLink: false, fuzzyEmail: false });
  parser.validateLink = (/** @type {string} */ url) => PURIFY_OPTIONS.ALLOWED_URI_REGEXP.test(url.trim());
  const { rules } = parser.renderer;
  for (const rule of ["heading_open", "heading_close"]) {
    rules[rule] = (/** @type {any[]} */ tokens, /** @type {number} */ index) => {
      const token = tokens[index];
      const level = Math.min(6, Number(token.tag.slice(1)) + HEADING_SHIFT);
      return rule === "heading_open" ? `<h${level}>` : `</h${level}>`;
    };
  }
  rules.image = (/** @type {any[]} */ tokens, /** @type {number} */ index) => {
    const { escapeHtml } = parser.utils;
    const name = tokens[index].content || "picture";
    return `<a href="${escapeHtml(tokens[index].attrGet("src"))}">${escapeHtml(`${name} (picture)`)}</a>`;
  };
  for (const cell of ["th_open", "td_open"]) {
    rules[cell] = (/** @type {any[]} */ tokens, /** @type {number} */ index) => {
      // A style attribute would violate the policy.
      const side = /^text-align:(left|right|center)$/.exec(tokens[index].attrGet("style") ?? "")?.[1];
      return `<${tokens[index].tag}${side ? ` align="${side}"` : ""}>`;
    };
  }
  return parser;
}

/** @param {Element} element that DOMPurify allowed */
function keepOnlyOurs(element) {
  if (element.hasAttribute("class") && !(element.localName === "code" && LANGUAGE.test(element.className))) {
    element.removeAttribute("class");
  }
  if (element.localName === "a") {
    const href = element.getAttribute("href");
    if (href === null) {
      return;
    }
    element.setAttribute("target", "_blank");
    element.setAttribute("rel", "noopener noreferrer nofollow");
    element.setAttribute("title", showHidden(href)); // the real target, because the link's text may differ
  }
}

/** Put a code block into a frame with its language and a copy button. @param {Element} pre */
function frameCode(pre) {
  const code = pre.querySelector("code");
  const language = code?.className.replace("language-", "") ?? "";
  const frame = h(
    "div",
    { class: "code" },
    h("div", { class: "code-head" }, h("span", {}, language), h("button", { type: "button", class: "copy-code" }, "Copy")),
  );
  pre.setAttribute("tabindex", "0");
  pre.setAttribute("role", "group");
  pre.setAttribute("aria-label", language ? `Code, ${language}` : "Code");
  pre.replaceWith(frame);
  frame.append(pre);
}
