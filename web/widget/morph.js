/**
 * Makes a part of the page equal to another one, and does not touch nodes that are equal already. So the selection, the
 * focus and scroll positions stay while an answer grows.
 *
 * @module morph
 */

/**
 * @param {Element} parent
 * @param {number} from the index of the first child that may change; all later ones may change too
 * @param {ParentNode} wanted has the new children, which are moved out of it
 */
export function morphChildren(parent, from, wanted) {
  let index = from;
  for (const next of [...wanted.childNodes]) {
    const now = parent.childNodes[index];
    if (!now) {
      parent.append(next);
    } else if (!morphNode(now, next)) {
      parent.replaceChild(next, now);
    }
    index++;
  }
  while (parent.childNodes.length > index) {
    /** @type {ChildNode} */ (parent.lastChild).remove();
  }
}

/**
 * @param {Node} now
 * @param {Node} next
 * @returns {boolean} false if one cannot be turned into the other
 */
function morphNode(now, next) {
  if (now instanceof Text && next instanceof Text) {
    if (next.data !== now.data) {
      if (next.data.startsWith(now.data)) {
        now.appendData(next.data.slice(now.data.length));
      } else {
        now.data = next.data;
      }
    }
    return true;
  }
  if (!(now instanceof Element && next instanceof Element) || now.localName !== next.localName) {
    return false;
  }
  for (const { name } of [...now.attributes]) {
    if (!next.hasAttribute(name)) now.removeAttribute(name);
  }
  for (const { name, value } of next.attributes) {
    if (now.getAttribute(name) !== value) now.setAttribute(name, value);
  }
  if (!now.classList.contains("copy-code")) {
    morphChildren(now, 0, next); // a button may show "Copied" at the moment
  }
  return true;
}
