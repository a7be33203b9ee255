/**
 * Shows a model's text after it was checked against the table. Numbers are links to their cells. False statements are
 * marked, and explained below the text.
 *
 * @module desk/checked
 */

import { showHidden } from "../leadout.js";
import { h } from "../desk_parts.js";

/**
 * @param {HTMLElement} box
 * @param {any[]} sentences the result of Desk.check
 * @param {import("./table.js").MarketTable} table the table with the cells of the links
 * @param {string} [title]
 */
export function showChecked(box, sentences, table, title) {
  const text = h("p", { class: "text" });
  const faults = h("ol", { class: "faults" });
  const count = { right: 0, wrong: 0, statements: 0, unchecked: 0 };
  for (const { pieces, faults: found, is_checked, num_right } of sentences) {
    if (is_checked === null) {
      text.append(showHidden(pieces[0].text));
      continue;
    }
    count.statements += num_right;
    count.unchecked += is_checked ? 0 : 1;
    const kind = found.length > 0 ? "false" : is_checked ? "" : "unchecked";
    const sentence = h("span", { class: `sentence ${kind}` });
    for (const piece of pieces) {
      if (!("fault" in piece)) {
        sentence.append(showHidden(piece.text));
      } else {
        count[piece.fault ? "wrong" : "right"] += 1;
        sentence.append(numberOf(piece, table));
      }
    }
    for (const fault of found) {
      faults.append(h("li", { id: `${box.id}-fault-${faults.children.length + 1}` }, showHidden(fault)));
      const number = String(faults.children.length);
      const link = h("a", { href: `#${box.id}-fault-${number}`, "aria-label": `Fault ${number}` }, number);
      link.addEventListener("click", (event) => {
        event.preventDefault();
        goTo(document.getElementById(`${box.id}-fault-${number}`));
      });
      sentence.append(h("sup", {}, link));
    }
    text.append(sentence);
  }
  box.replaceChildren();
  if (title) box.append(h("h3", {}, title));
  box.append(text, h("p", { class: "soft counts" }, inWords(count, faults.children.length)));
  if (faults.children.length > 0) {
    box.append(h("p", { class: "faults-title" }, "The table contradicts these statements:"), faults);
  }
  box.hidden = false;
}

/**
 * A number of the text: a link to its cell, or to the cell that it contradicts. A number without a cell is marked.
 *
 * @param {{text: string, fault: string | null, cell?: [string, string], is_mood?: boolean}} piece
 * @param {import("./table.js").MarketTable} table
 */
function numberOf({ text, fault, cell, is_mood }, table) {
  const place = cell ?? (is_mood ? null : undefined);
  const target = place === undefined ? null : table.cell(place);
  if (!target) {
    return h("mark", {}, showHidden(text));
  }
  const where = place === null ? "the fear-and-greed index" : `${showHidden(place[0])}, ${place[1]}`;
  const link = h("a", { href: "#table", class: fault ? "cell wrong" : "cell", title: `In the table: ${where}` }, showHidden(text));
  const light = (isLit) => table.cell(place)?.classList.toggle("lit", isLit);
  for (const [event, isLit] of [["pointerenter", true], ["focus", true], ["pointerleave", false], ["blur", false]]) {
    link.addEventListener(event, () => light(isLit));
  }
  link.addEventListener("click", (event) => {
    event.preventDefault();
    const now = table.cell(place);
    if (!now) return;
    goTo(now);
    now.classList.add("lit");
    const back = (key) => {
      if (key.key === "Escape") link.focus();
    };
    now.addEventListener("keydown", back);
    now.addEventListener("blur", () => {
      now.classList.remove("lit");
      now.removeEventListener("keydown", back);
    }, { once: true });
  });
  return link;
}

/** @param {HTMLElement} element */
function goTo(element) {
  element.tabIndex = -1;
  element.focus({ preventScroll: true });
  const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  element.scrollIntoView({ block: "nearest", inline: "nearest", behavior: isCalm ? "auto" : "smooth" });
}

/** @param {{right: number, wrong: number, statements: number, unchecked: number}} count @param {number} numFaults */
function inWords({ right, wrong, statements, unchecked }, numFaults) {
  const many = (number, one, more) => (number === 1 ? `1 ${one}` : `${number} ${more}`);
  const parts = [
    `${many(right, "number is", "numbers are")} where the table has ${right === 1 ? "it" : "them"}${wrong ? `, ${wrong} not` : ""}.`,
    `${many(statements, "statement agrees", "statements agree")} with the table.`,
    numFaults > 0 ? `${many(numFaults, "fault was", "faults were")} found.` : "",
    unchecked > 0 ? `${many(unchecked, "sentence was", "sentences were")} not checked (dotted).` : "",
  ];
  return parts.filter(Boolean).join(" ");
}
