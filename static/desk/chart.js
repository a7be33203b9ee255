/**
 * Charts with uPlot: the price of one asset with its averages, and the small charts of the table. Each chart also has a
 * description in words.
 *
 * @module desk/chart
 */

import { showHidden } from "../leadout.js";
import { h } from "../desk_parts.js";

const DAY_S = 86_400;
const RANGES = [["30 days", 30], ["1 year", 365], ["All", Infinity]];

const HOUR_S = 3600;

/** Of the time axis, by the step between its marks: a text, and one for where a year or a day begins; see uPlot. */
const TIMES = [
  [365 * DAY_S, "{YYYY}", null, null, null, null, null, null, 1],
  [28 * DAY_S, "{MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [DAY_S, "{D} {MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [HOUR_S, "{HH}:{mm}", "\n{D} {MMM} {YYYY}", null, "\n{D} {MMM}", null, null, null, 1],
];

/** The most rows of the table below the chart. */
const MOST_FIGURES = 30;

const part = (id) => document.getElementById(id);

/** @param {number} price */
function priceText(price) {
  return price.toLocaleString("en", price >= 1 ? { maximumFractionDigits: 2 } : { maximumSignificantDigits: 4 });
}

/** @param {number} seconds */
function dayText(seconds) {
  return new Date(seconds * 1000).toISOString().slice(0, 10);
}

/** Return the current value of a page's colour, because a canvas has no custom properties. @param {string} name */
function colour(name) {
  const probe = h("span", { class: `ink-${name}` });
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

/**
 * @param {any} uPlot
 * @param {HTMLElement} box
 * @param {number[]} values the oldest first
 */
export function drawSpark(uPlot, box, values) {
  const isUp = values.at(-1) >= values[0];
  const plain = { show: false };
  new uPlot(
    {
      width: 96,
      height: 28,
      legend: plain,
      cursor: plain,
      select: plain,
      scales: { x: { time: false } },
      axes: [plain, plain],
      padding: [2, 2, 2, 2],
      series: [{}, { stroke: colour(isUp ? "up" : "down"), width: 1.5, points: plain }],
    },
    [values.map((_, index) => index), values],
    box,
  );
}

export class Chart {
  #charts;
  /** The shown series, a result of Desk.series. */
  #series = null;
  #plot = null;
  #range = "All";

  /** @param {Promise<any>} charts uPlot */
  constructor(charts) {
    this.#charts = charts;
    for (const [label] of RANGES) {
      const button = h("button", { type: "button", "aria-pressed": String(label === this.#range) }, label);
      button.addEventListener("click", () => {
        this.#range = label;
        for (const other of part("ranges").children) {
          other.setAttribute("aria-pressed", String(other === button));
        }
        this.#draw();
      });
      part("ranges").append(button);
    }
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#draw());
    new ResizeObserver(([{ contentRect }]) => {
      if (this.#plot && contentRect.width > 0) {
        this.#plot.setSize({ width: contentRect.width, height: this.#plot.height });
      }
    }).observe(part("chart"));
  }

  /**
   * @param {{asset: string, seconds: number[], prices: number[], averages: Record<string, (number | null)[]>} | null} series
   * @param {string | null} asset
   */
  show(series, asset) {
    this.#series = series;
    part("chart-part").hidden = series === null;
    if (series) {
      part("chart-title").textContent = `Price of ${showHidden(asset)}`;
      this.#draw();
    }
  }

  async #draw() {
    const series = this.#series;
    if (!series) return;
    const data = this.#cut(series);
    this.#describe(data);
    let uPlot;
    try {
      uPlot = await this.#charts;
    } catch (error) {
      part("chart-about").append(` The chart cannot be drawn: ${error.message}.`);
      return;
    }
    if (series !== this.#series) return;
    this.#plot?.destroy();
    const box = part("chart");
    const [ink, grid] = [colour("soft"), colour("line")];
    const axis = { stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 }, font: "12px system-ui" };
    const sizes = Object.keys(series.averages);
    const value = (_, price) => (price === null || price === undefined ? "–" : priceText(price));
    this.#plot = new uPlot(
      {
        width: box.clientWidth,
        height: 260,
        tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
        axes: [{ ...axis, values: TIMES }, { ...axis, size: 72, values: (_, prices) => prices.map(priceText) }],
        series: [
          { value: (_, seconds) => (seconds === null ? "–" : dayText(seconds)) },
          { label: "Price", stroke: colour("accent"), width: 2, value },
          ...sizes.map((size, index) => ({
            label: `MA ${size}`, stroke: colour(index ? "long" : "short"), width: 1.5, dash: index ? [2, 4] : [7, 4], value,
            points: { show: false },
          })),
        ],
      },
      [data.seconds, data.prices, ...sizes.map((size) => data.averages[size])],
      box,
    );
  }

  /** Return the part of the series in the chosen range. */
  #cut({ seconds, prices, averages }) {
    const days = RANGES.find(([label]) => label === this.#range)[1];
    const first = seconds.findIndex((one) => one >= seconds.at(-1) - days * DAY_S);
    const from = (list) => list.slice(Math.max(first, 0));
    const cut = Object.entries(averages).map(([size, list]) => [size, from(list)]);
    return { seconds: from(seconds), prices: from(prices), averages: Object.fromEntries(cut) };
  }

  /** Describe the chart in words. */
  #describe({ seconds, prices }) {
    const asset = showHidden(this.#series.asset);
    const low = prices.reduce((a, b) => Math.min(a, b));
    const high = prices.reduce((a, b) => Math.max(a, b));
    const on = (price) => dayText(seconds[prices.indexOf(price)]);
    const words =
      `${asset} from ${dayText(seconds[0])} to ${dayText(seconds.at(-1))}: first ${priceText(prices[0])}, ` +
      `last ${priceText(prices.at(-1))}; lowest ${priceText(low)} on ${on(low)}, highest ${priceText(high)} on ${on(high)}.`;
    part("chart").setAttribute("aria-label", `Line chart of the price. ${words}`);
    part("chart-about").textContent = words;
    const rows = seconds.slice(-MOST_FIGURES).map((second, index, { length }) => {
      const price = prices[prices.length - length + index];
      return h("tr", {}, h("th", { scope: "row" }, dayText(second)), h("td", {}, priceText(price)));
    });
    const head = h("tr", {}, h("th", { scope: "col" }, "Day (UTC)"), h("th", { scope: "col" }, "Price"));
    const list = h("table", {}, h("thead", {}, head), h("tbody", {}, ...rows.reverse()));
    part("chart-figures").querySelector("div").replaceChildren(list);
  }
}
