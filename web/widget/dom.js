/**
 * Builds DOM without HTML strings, so that text of a model or a file can only become text nodes.
 *
 * @module dom
 */

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, string | boolean>} [attributes] true sets an empty attribute, false sets none
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
 * Append text to an element. Drafted text goes into spans, so that a style can mark it.
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
