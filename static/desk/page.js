/**
 * The finance desk: it makes one table from market files, lets a model write about the table, and checks the model's text
 * against the table.
 *
 * Python reads files in the desk's own worker (web/desk/). Models run in the engine's worker. Text from files and models
 * only becomes text nodes.
 *
 * @module desk/page
 */

import "../define.js";
import { copyText, DeskPython, loadCharts } from "../desk_parts.js";
import { Brief } from "./brief.js";
import { Chart } from "./chart.js";
import { showChecked } from "./checked.js";
import { Files } from "./files.js";
import { ModelChoice } from "./model_choice.js";
import { Ledger } from "./requests.js";
import { MarketTable } from "./table.js";

/** How long after the load the service worker starts to keep the site for visits without a connection. */
const OFFLINE_AFTER_MS = 2000;

const part = (id) => document.getElementById(id);
const chat = part("chat");
const ledger = new Ledger(chat);
const python = new DeskPython({ onRequests: (requests) => ledger.add("the desk's Python", requests) });

/** Charts are drawn when their library is loaded. */
const charts = loadCharts();
const chart = new Chart(charts);
const table = new MarketTable(charts, { onChoose: (asset) => showChart(asset) });
const models = new ModelChoice(chat, ledger);
const brief = new Brief({ chat, python, models, table });
const files = new Files(python, { onChange: refresh });

/** The asset of the shown chart. */
let shown = null;

/** Make the table again, after files were added or removed. */
async function refresh() {
  const made = await python.table();
  table.show(made);
  files.showDuplicates(made.duplicates);
  for (const id of ["save-csv", "copy-markdown"]) {
    part(id).disabled = made.rows.length === 0;
  }
  await brief.takeTable(made);
  part("answer").hidden = true;
  await showChart(made.rows.some(({ asset }) => asset === shown) ? shown : (made.rows[0]?.asset ?? null));
}

/** @param {string | null} asset */
async function showChart(asset) {
  shown = asset;
  chart.show(asset === null ? null : await python.series(asset), asset);
  table.mark(asset);
}

part("save-csv").addEventListener("click", async () => {
  const text = await python.export("csv");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = "market-table.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
});

part("copy-markdown").addEventListener("click", async (event) => {
  const button = event.currentTarget; // it is null after an await
  await copyText(button, await python.export("markdown"));
});

chat.addEventListener("leadout-finish", async () => {
  const found = await python.check(chat.continuation);
  showChecked(part("answer"), found, table, "The last answer, checked");
});

async function start() {
  try {
    await python.start();
    if (files.isUntouched) await files.addSample("article");
  } catch (error) {
    files.complain([error.message]);
  }
  await Promise.allSettled([charts, models.listed]);
  ledger.begin();
}

start();

// Later, because the page's own requests come first.
addEventListener("load", () => {
  setTimeout(() => navigator.serviceWorker?.register("../offline.js").catch(console.warn), OFFLINE_AFTER_MS);
});
