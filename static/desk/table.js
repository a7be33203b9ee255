/**
 * The table: one row per asset, with a cell for each figure that links can lead to, and a small chart.
 *
 * @module desk/table
 */

import { showHidden } from "../leadout.js";
import { h } from "../desk_parts.js";
import { drawSpark } from "./chart.js";

const part = (id) => document.getElementById(id);

export class MarketTable {
  /** The last result of Desk.table. */
  made = null;
  #charts;
  #onChoose;
  /** Cells by asset and column. @type {Map<string, HTMLElement>} */
  #cells = new Map();
  /** Buttons of assets. @type {Map<string, HTMLElement>} */
  #buttons = new Map();
  /** The column and direction of the sorting; null: the original order. */
  #sorting = null;
  /** Draws small charts shortly before they become visible, because a table may have hundreds. */
  #seen = new IntersectionObserver(
    (entries) => {
      for (const { isIntersecting, target } of entries) {
        if (isIntersecting) {
          this.#seen.unobserve(target);
          this.#charts.then((uPlot) => drawSpark(uPlot, target, target.values)).catch(() => {});
        }
      }
    },
    { rootMargin: "800px 0px" },
  );

  /**
   * @param {Promise<any>} charts uPlot
   * @param {{onChoose: (asset: string) => void}} handlers onChoose is called when the user chooses an asset
   */
  constructor(charts, { onChoose }) {
    this.#charts = charts;
    this.#onChoose = onChoose;
    const redraw = () => this.made && this.#draw();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  }

  /** @param {any} made the result of Desk.table */
  show(made) {
    this.made = made;
    this.#draw();
  }

  /** Mark the asset of the shown chart. @param {string | null} asset */
  mark(asset) {
    for (const [name, button] of this.#buttons) {
      button.setAttribute("aria-pressed", String(name === asset));
    }
  }

  /**
   * @param {[string, string] | null} place asset and column; null: the fear-and-greed index
   * @returns {HTMLElement | null}
   */
  cell(place) {
    return place === null ? document.getElementById("mood") : (this.#cells.get(JSON.stringify(place)) ?? null);
  }

  #draw() {
    const { columns, rows, mood, num_left_out } = this.made;
    this.#seen.disconnect();
    this.#cells.clear();
    this.#buttons.clear();
    const about = part("table-about");
    about.replaceChildren();
    if (rows.length === 0) {
      about.textContent = "No file is in the table.";
      part("table").replaceChildren();
      return;
    }
    const days = rows.map(({ last_day }) => last_day).filter(Boolean);
    const [first, last] = [days.toSorted()[0], days.toSorted().at(-1)];
    const until = days.length === 0 ? "" : first === last ? ` Prices of ${last}.` : ` Prices of ${first} to ${last}.`;
    about.append(`${rows.length === 1 ? "One asset" : `${rows.length} assets`}.${until}`);
    if (num_left_out > 0) about.append(` ${num_left_out} more are left out.`);
    if (mood !== null) {
      about.append(" Fear-and-greed index: ", h("span", { id: "mood", tabindex: "-1" }, String(mood)), ".");
    }
    if (!columns.some(({ key }) => key === "rsi")) {
      about.append(" RSI, averages and volatility need a history of 15 days and more.");
    }
    const hasSparks = rows.some(({ recent }) => recent.length > 1);
    const head = h("tr", {}, this.#header("asset", "Asset", "What the row is of."));
    if (hasSparks) head.append(h("th", { scope: "col" }, "Recent"));
    head.append(...columns.map(({ key, label, about: what }) => this.#header(key, label, what)));
    const body = h("tbody", {}, ...this.#sorted(rows).map((row) => this.#row(row, columns, hasSparks)));
    part("table").replaceChildren(h("table", {}, h("thead", {}, head), body));
  }

  #header(key, label, about) {
    const isSorted = this.#sorting?.key === key;
    const button = h("button", { type: "button", title: about }, label);
    button.addEventListener("click", () => {
      const isDown = isSorted ? !this.#sorting.isDown : key !== "asset";
      this.#sorting = { key, isDown };
      const chosen = [...this.#buttons].find(([, one]) => one.getAttribute("aria-pressed") === "true")?.[0];
      this.#draw();
      this.mark(chosen ?? null);
      part("table").querySelector(`th[data-key="${key}"] button`).focus();
    });
    const sorting = isSorted ? (this.#sorting.isDown ? "descending" : "ascending") : "none";
    return h("th", { scope: "col", "data-key": key, "aria-sort": sorting }, button);
  }

  #sorted(rows) {
    if (!this.#sorting) {
      return rows;
    }
    const { key, isDown } = this.#sorting;
    const sign = isDown ? -1 : 1;
    if (key === "asset") {
      return rows.toSorted((a, b) => sign * a.asset.localeCompare(b.asset));
    }
    // Rows without the figure come last, in both directions.
    const of = ({ cells }) => cells[key]?.number ?? -sign * Infinity * -1;
    return rows.toSorted((a, b) => sign * (of(a) - of(b)) || 0);
  }

  #row({ asset, name, file, recent, cells }, columns, hasSparks) {
    const label = showHidden(asset);
    const button = h("button", { type: "button", "aria-pressed": "false" }, h("bdi", {}, label));
    button.addEventListener("click", () => this.#onChoose(asset));
    this.#buttons.set(asset, button);
    const title = [showHidden(name), showHidden(file)].filter(Boolean).join(", ");
    const row = h("tr", {}, h("th", { scope: "row", title }, button));
    if (hasSparks) row.append(this.#spark(label, recent));
    for (const { key } of columns) {
      const cell = cells[key];
      const td = h("td", { tabindex: "-1" }, cell?.shown ?? "–");
      if (cell && /%$/.test(cell.text) && cell.number !== 0 && key !== "volatility") {
        td.className = cell.number > 0 ? "up" : "down";
      }
      if (cell) this.#cells.set(JSON.stringify([asset, key]), td);
      row.append(td);
    }
    return row;
  }

  #spark(label, recent) {
    const td = h("td", { class: "spark" });
    if (recent.length > 1) {
      const change = (recent.at(-1) / recent[0] - 1) * 100;
      const says = `${label}: ${recent.length} recent prices, ${change < 0 ? "down" : "up"} ${Math.abs(change).toFixed(1)} % in all`;
      const box = h("div", { role: "img", "aria-label": says });
      box.values = recent;
      this.#seen.observe(box);
      td.append(box);
    }
    return td;
  }
}
