/**
 * The page around <leadout-chat> and <leadout-models>: it chooses the model. With Nano it shows a desk (desk.js). The
 * elements do everything else.
 *
 * @module page
 */

import "./define.js";
import { showChats } from "./chats/chats.js";
import { Desk, NANO } from "./desk.js";
import { Leadout, showHidden } from "./leadout.js";
import { formatSize } from "./sizes.js";

/** A model from a server on this machine uses no mobile data, so it loads without a click. */
const IS_LOCAL = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);

/** How long after the load the service worker starts to keep the site for visits without a connection. */
const OFFLINE_AFTER_MS = 2000;

/** How long models wait until the last conversation is shown again; a database may hang. */
const RESTORE_MS = 1500;

const chat = document.getElementById("chat");
const desk = new Desk(chat);
/** Models wait for this, so that the tab's conversation from before a reload is shown before the desk's first brief. */
const restored = Promise.race([
  showChats(chat, () => desk.hasExampleOnly),
  new Promise((resolve) => setTimeout(resolve, RESTORE_MS)),
]);
const select = document.getElementById("model");
const drafterSelect = document.getElementById("drafter");
const fileInput = document.getElementById("file");
const urlButton = document.getElementById("open-url");
const urlForm = document.getElementById("url-form");
const urlInput = document.getElementById("url");
const tokenInput = document.getElementById("token");
const urlHost = document.getElementById("url-host");
const keptGroup = document.createElement("optgroup");
const keepButton = document.getElementById("keep");
const library = document.getElementById("library");
const problem = document.getElementById("models-problem");
const drop = document.getElementById("drop");

/** Whether the chosen model would have to be fetched. */
let isOffered = false;

/** Sources of models in the library, which are downloaded already. */
const keptSources = new Set();

/** Remote models, which wait for a click: model in the select → source in the library. */
const sources = new Map();

/** Models in the select, by option value: first the site's, then those that the user added. */
const models = new Map();

/**
 * @param {string} label
 * @param {string | File[]} model as for Leadout.load
 * @param {HTMLElement} [group] a group of the select
 * @returns {string} the option's value
 */
function addOption(label, model, group = select) {
  const value = String(models.size);
  models.set(value, model);
  group.append(new Option(showHidden(label), value));
  select.disabled = false;
  return value;
}

/**
 * @param {string} value of an option
 * @param {boolean} isWanted whether the user just asked to load it
 */
function choose(value, isWanted) {
  const model = models.get(value);
  select.value = value;
  if (model === NANO) {
    desk.open();
  } else {
    desk.close();
  }
  chat.toggleAttribute("autoload", IS_LOCAL && isCheap(model));
  isOffered = sources.has(model) && !isKept(model);
  keepButton.hidden = !isOffered;
  chat.model = model;
  if (isWanted) {
    chat.load();
  }
}

/**
 * @param {string | File[]} model
 * @returns {boolean} whether it may load without a click: Nano is as small as the page itself, and a file
 *   needs no download
 */
function isCheap(model) {
  return isKept(model) || typeof model !== "string" || model === NANO || (IS_LOCAL && !sources.has(model));
}

/** @param {string | File[]} model */
function isKept(model) {
  return keptSources.has(sources.get(model) ?? model);
}

/**
 * @param {string} label
 * @param {string | File[]} model
 */
function bring(label, model) {
  if (models.size === 0) {
    select.replaceChildren();
  }
  choose(addOption(label, model), isCheap(model));
}

/** @param {File[]} files */
function bringFiles(files) {
  if (files.length > 0) {
    // One of the files may be a drafter. Name the option after the model.
    const others = files.filter((file) => !/assistant/i.test(file.webkitRelativePath || file.name));
    const main = others.find((file) => file.name.endsWith(".gguf")) ?? others[0] ?? files[0];
    const name = main.webkitRelativePath.split("/").at(-2) ?? main.name;
    bring(files.length > 1 ? `${name} and ${files.length - 1} more` : name, files);
  }
}

/**
 * @param {FileSystemEntry} entry a dropped file or folder
 * @param {string} [path] the path of its folder
 * @returns {Promise<File[]>} the file, or all files in the folder and below, each with its path
 */
async function readEntry(entry, path = "") {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    if (path) {
      // Set the path as a file picker for folders does.
      Object.defineProperty(file, "webkitRelativePath", { value: path + file.name });
    }
    return [file];
  }
  const reader = entry.createReader();
  const files = [];
  for (;;) {
    const entries = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (entries.length === 0) {
      return files;
    }
    for (const inner of entries) {
      files.push(...(await readEntry(inner, `${path}${entry.name}/`)));
    }
  }
}

/**
 * @param {DataTransfer} data
 * @returns {Promise<File[]>}
 */
async function readDrop(data) {
  // Read all entries at once, because the list is empty after the first await.
  const entries = [...data.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
  const files = [...data.files];
  const isPlain = entries.every((entry) => entry.isFile);
  return isPlain ? files : (await Promise.all(entries.map((entry) => readEntry(entry)))).flat();
}

async function listSiteModels() {
  let listed = [];
  try {
    [listed] = await Promise.all([Leadout.listModels(), restored]);
  } catch (error) {
    problem.textContent = `The list of models could not be read. ${showHidden(error.message)}`;
    problem.hidden = false;
  }
  if (models.size > 0) {
    return; // the user has already added a model
  }
  if (listed.length === 0) {
    select.replaceChildren(new Option("No models here: open a file"));
    desk.close();
  } else {
    select.replaceChildren();
    for (const { name, bytes } of listed) {
      addOption(`${name} (${formatSize(bytes)})`, name);
    }
    choose("0", listed[0].name === NANO && !IS_LOCAL);
  }
  await offerKnownModels(new Set(listed.map(({ name }) => name)));
}

/** @param {Set<string>} listed names of models that the site serves */
async function offerKnownModels(listed) {
  const group = document.createElement("optgroup");
  group.label = "From the Hugging Face Hub";
  const known = await Leadout.listKnownModels();
  for (const { name, title, hub } of known.filter(({ name }) => !listed.has(name))) {
    sources.set(name, `hf:${hub}`);
    addOption(title, name, group);
  }
  select.append(group);
}

select.addEventListener("change", () => {
  // A remote download waits for one more click, on a button beside its size.
  choose(select.value, isCheap(models.get(select.value)));
});

drafterSelect.addEventListener("change", () => {
  chat.drafter = drafterSelect.value;
  const { model } = chat;
  if (chat.state === "idle" && model && isCheap(model)) {
    chat.load();
  }
});

document.getElementById("open-file").addEventListener("click", () => fileInput.click());
fileInput.addEventListener("change", () => {
  bringFiles([...fileInput.files]);
  fileInput.value = ""; // the same file can be chosen again
});

urlButton.addEventListener("click", () => {
  urlForm.hidden = !urlForm.hidden;
  urlButton.setAttribute("aria-expanded", String(!urlForm.hidden));
  if (!urlForm.hidden) {
    urlInput.focus();
  }
});
urlInput.addEventListener("input", () => {
  urlInput.setCustomValidity("");
  const host = hostOf(urlInput.value.trim());
  urlHost.textContent = host ? `This asks ${host}, and keeps the model in this browser.` : "";
});

/**
 * @param {string} text a name on the hub or a URL
 * @returns {string | null} the host to fetch it from
 */
function hostOf(text) {
  if (Leadout.isHubName(text)) {
    return "huggingface.co";
  }
  return URL.canParse(text) && /^https?:/i.test(text) ? new URL(text).host : null;
}

keepButton.addEventListener("click", () => {
  keepButton.hidden = true; // the library shows the progress
  library.pull(sources.get(chat.model));
});

/** @param {{source: string, name: string, bytes: number, is_complete: boolean}[]} kept */
function offerKept(kept) {
  for (const { source, name, bytes, is_complete } of kept) {
    if (!is_complete || keptSources.has(source) || source.startsWith("site:")) continue;
    keptSources.add(source);
    if ([...models.values()].includes(source)) continue;
    const isFirst = models.size === 0;
    if (isFirst) {
      select.replaceChildren();
    }
    if (keptGroup.parentElement === null) {
      keptGroup.label = "Kept in this browser";
      select.append(keptGroup);
    }
    const value = addOption(`${name} (${formatSize(bytes)})`, source, keptGroup);
    if (isFirst) {
      choose(value, false);
    }
  }
  if (isOffered && isKept(chat.model) && chat.state === "idle") {
    choose(select.value, false); // the offered model is downloaded now
  }
}

/** The site's models come first in the select. */
const listing = listSiteModels();

library.hub = () => ({ token: tokenInput.value || null });
library.addEventListener("leadout-models", async ({ detail }) => {
  await listing;
  offerKept(detail.models);
});
library.addEventListener("leadout-model-open", ({ detail: { source, name } }) => {
  const known = [...models].find(([, model]) => model === source)?.[0];
  choose(known ?? addOption(name, source), true);
});

urlForm.addEventListener("submit", (event) => {
  event.preventDefault();
  const text = urlInput.value.trim();
  chat.loadOptions = { ...chat.loadOptions, hub: { ...chat.loadOptions.hub, token: tokenInput.value || null } };
  if (Leadout.isHubName(text)) {
    sources.set(text, `hf:${text.replace(/^hf:/, "")}`);
    bring(text, text);
    return;
  }
  const url = hostOf(text) === null ? null : new URL(text);
  const name = url && nameOf(url);
  if (name === null) {
    const wanted = url
      ? "In a URL, % must be followed by two hex digits; write a % itself as %25"
      : "Wanted owner/name, or a URL that begins with https://";
    urlInput.setCustomValidity(wanted);
    urlInput.reportValidity();
    return;
  }
  sources.set(url.href, url.href);
  bring(name, url.href);
});

/**
 * @param {URL} url
 * @returns {string | null} the last part of its path; null if that is malformed
 */
function nameOf(url) {
  try {
    return decodeURIComponent(url.pathname.split("/").filter(Boolean).at(-1) ?? url.host);
  } catch {
    return null;
  }
}

/** Whether files are dragged, and not text of the page. @param {DragEvent} event */
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
addEventListener("drop", async (event) => {
  drop.hidden = true;
  if (hasFiles(event)) {
    event.preventDefault();
    bringFiles(await readDrop(event.dataTransfer));
  }
});

// Later, because the page's own requests come first.
addEventListener("load", () => {
  setTimeout(() => navigator.serviceWorker?.register("./offline.js").catch(console.warn), OFFLINE_AFTER_MS);
});
