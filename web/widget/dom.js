/**
 * Build DOM without HTML strings: what a model or a file says can only become text.
 *
 * @module dom
 */

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, string | boolean>} [attributes] true sets an empty one, false none
 * @param {(Node | string)[]} children strings become text nodes
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false) {
      element.setAttribute(name, value === true ? "" : value);
    }
  }
  element.append(...children);
  return element;
}

/**
 * Add text to the end of an element; runs of drafted text are spans of their own, for a style to
 * mark.
 *
 * @param {Element} element
 * @param {string} text
 * @param {boolean} isDraft
 */
export function appendText(element, text, isDraft) {
  let target = element;
  if (isDraft) {
    const last = element.lastChild;
    const isRun = last instanceof HTMLElement && last.classList.contains("draft");
    target = isRun ? last : element.appendChild(h("span", { class: "draft" }));
  }
  if (target.lastChild instanceof Text) {
    target.lastChild.appendData(text);
  } else {
    target.append(text);
  }
}
