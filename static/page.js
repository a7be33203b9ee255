/**
 * The page around <leadout-chat>: which model it shall load. Everything else is the widget's.
 *
 * @module page
 */

import "./define.js";
import { Leadout } from "./leadout.js";

/** A model on this machine's own server costs nobody's data plan: it loads without a click. */
const IS_LOCAL = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);

const chat = document.getElementById("chat");
const select = document.getElementById("model");
const fileInput = document.getElementById("file");
const urlButton = document.getElementById("open-url");
const urlForm = document.getElementById("url-form");
const urlInput = document.getElementById("url");
const problem = document.getElementById("models-problem");
const drop = document.getElementById("drop");

/** Models that the select offers, by option value: the site's, then what the person brought. */
const models = new Map();

/**
 * @param {string} label
 * @param {string | File[]} model as Leadout.load takes it
 * @returns {string} the option's value
 */
function addOption(label, model) {
  const value = String(models.size);
  models.set(value, model);
  select.append(new Option(label, value));
  select.disabled = false;
  return value;
}

/**
 * @param {string} value of an option
 * @param {boolean} isWanted whether somebody just asked for it to load
 */
function choose(value, isWanted) {
  select.value = value;
  chat.model = models.get(value);
  if (isWanted) {
    chat.load();
  }
}

/**
 * @param {string} label
 * @param {string | File[]} model
 */
function bring(label, model) {
  if (models.size === 0) {
    select.replaceChildren();
  }
  choose(addOption(label, model), true);
}

/** @param {FileList} list */
function bringFiles(list) {
  const files = [...list];
  if (files.length > 0) {
    const main = files.find((file) => file.name.endsWith(".gguf")) ?? files[0];
    bring(files.length > 1 ? `${main.name} and ${files.length - 1} more` : main.name, files);
  }
}

/** @param {number} bytes */
function formatSize(bytes) {
  return bytes < 1e9 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}

async function listSiteModels() {
  let listed = [];
  try {
    listed = await Leadout.listModels();
  } catch (error) {
    problem.textContent = `The list of models could not be read. ${error.message}`;
    problem.hidden = false;
  }
  if (models.size > 0) {
    return; // somebody was faster with a model of their own
  }
  if (listed.length === 0) {
    select.replaceChildren(new Option("None here: open a file"));
    return;
  }
  select.replaceChildren();
  for (const { name, bytes } of listed) {
    addOption(`${name} (${formatSize(bytes)})`, name);
  }
  chat.toggleAttribute("autoload", IS_LOCAL);
  choose("0", false);
}

select.addEventListener("change", () => {
  const model = models.get(select.value);
  // A download from afar waits for one more click, on a button that names its size.
  choose(select.value, IS_LOCAL || typeof model !== "string");
});

document.getElementById("open-file").addEventListener("click", () => fileInput.click());
fileInput.addEventListener("change", () => {
  bringFiles(fileInput.files);
  fileInput.value = ""; // the same file can be chosen again
});

urlButton.addEventListener("click", () => {
  urlForm.hidden = !urlForm.hidden;
  urlButton.setAttribute("aria-expanded", String(!urlForm.hidden));
  if (!urlForm.hidden) {
    urlInput.focus();
  }
});
urlForm.addEventListener("submit", (event) => {
  event.preventDefault();
  const url = new URL(urlInput.value);
  bring(decodeURIComponent(url.pathname.split("/").filter(Boolean).at(-1) ?? url.host), url.href);
});

/** Files over the page, not text dragged within it. @param {DragEvent} event */
function hasFiles(event) {
  return event.dataTransfer.types.includes("Files");
}

addEventListener("dragover", (event) => {
  if (hasFiles(event)) {
    event.preventDefault();
    drop.hidden = false;
  }
});
addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) {
    drop.hidden = true;
  }
});
addEventListener("drop", (event) => {
  drop.hidden = true;
  if (hasFiles(event)) {
    event.preventDefault();
    bringFiles(event.dataTransfer.files);
  }
});

listSiteModels();
