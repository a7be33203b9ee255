/**
 * Sends dropped, opened and pasted files to the desk's Python, and shows the list of files with notes on each.
 *
 * @module desk/files
 */

import { showHidden } from "../leadout.js";
import { h } from "../desk_parts.js";

/** How many notes of a file are shown at first. */
const MOST_NOTES = 4;

const part = (id) => document.getElementById(id);

export class Files {
  #python;
  #onChange;
  #numFiles = 0;
  #numPasted = 0;
  #numChanges = 0;
  /** Rows of the list, by file id. @type {Map<string, HTMLElement>} */
  #rows = new Map();
  /** Ids of samples, which are removed when the user adds files. @type {Set<string>} */
  #samples = new Set();
  /** The last task; tasks run one after the other. @type {Promise<void> | null} null before the first task */
  #last = null;

  /**
   * @param {import("../desk_parts.js").DeskPython} python
   * @param {{onChange: () => Promise<void>}} handlers
   */
  constructor(python, { onChange }) {
    this.#python = python;
    this.#onChange = onChange;
    const input = part("file");
    part("open").addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      this.add([...input.files]);
      input.value = ""; // the same file can be chosen again
    });
    part("article").addEventListener("click", () => this.addSample("article"));
    part("made-up").addEventListener("click", () => this.addSample("made_up"));
    this.#takePastes();
    this.#takeDrops();
  }

  /** @param {File[]} files @param {string | null} [order] the order of day and month in dates, if the user chose it */
  add(files, order = null) {
    return this.#work(async () => {
      const problems = [];
      for (const [index, file] of files.entries()) {
        this.#say(`Reading ${showHidden(file.name)}${files.length > 1 ? ` (${index + 1} of ${files.length})` : ""}…`);
        const id = `file-${++this.#numFiles}`;
        try {
          const read = await this.#python.read(id, file.name, file, order);
          await this.#dropSamples(); // only now, so that the table stays if no file can be read
          this.#show(id, read, file);
        } catch (error) {
          problems.push(error.message);
        }
      }
      this.complain(problems);
    });
  }

  /** @param {"article" | "made_up"} which */
  addSample(which) {
    return this.#work(async () => {
      await this.#dropSamples();
      for (const read of await this.#python.sample(`sample-${++this.#numFiles}`, which)) {
        this.#samples.add(read.file_id);
        this.#show(read.file_id, read, null);
      }
      this.complain([]);
    });
  }

  /** Whether the user has not added anything yet. */
  get isUntouched() {
    return this.#last === null;
  }

  /** @param {string[]} problems the problems to show; [] hides them */
  complain(problems) {
    const list = part("problems");
    list.replaceChildren(...problems.map((text) => h("li", {}, showHidden(text))));
    list.hidden = problems.length === 0;
  }

  /** @param {{asset: string, chosen: string, files: [string, string][], is_by_rule: boolean}[]} duplicates */
  showDuplicates(duplicates) {
    const rows = duplicates.map(({ asset, chosen, files, is_by_rule }, index) => {
      const select = h("select", { id: `duplicate-${index}` });
      for (const [id, file] of files) {
        select.append(new Option(showHidden(file), id, id === chosen, id === chosen));
      }
      select.addEventListener("change", () => this.#work(() => this.#python.choose(asset, select.value)));
      const why = is_by_rule ? "The one with the newest price counts, unless you choose another one." : "You chose one.";
      const label = `${showHidden(asset)} is in ${files.length} files. ${why}`;
      return h("div", { class: "duplicate" }, h("label", { for: `duplicate-${index}` }, label), select);
    });
    part("duplicates").replaceChildren(...rows);
  }

  /** @param {() => Promise<unknown>} run a task that changes the table */
  #work(run) {
    this.#last = (this.#last ?? Promise.resolve()).then(async () => {
      try {
        await run();
        this.#say("Making the table…");
        await this.#onChange();
      } catch (error) {
        this.complain([error.message]);
      }
      this.#say("");
      part("files").dataset.changes = String(++this.#numChanges);
    });
    return this.#last;
  }

  /** @param {string} text */
  #say(text) {
    part("busy").textContent = text;
  }

  async #dropSamples() {
    for (const id of this.#samples) {
      await this.#python.remove(id);
      this.#rows.get(id)?.remove();
      this.#rows.delete(id);
    }
    this.#samples.clear();
  }

  /**
   * @param {string} id
   * @param {any} read the result of Desk.read
   * @param {File | null} file the file, to read it again when a question is answered
   */
  #show(id, read, file) {
    const name = showHidden(read.file);
    const row = h("li", {});
    const facts = [showHidden(read.kind)];
    if (read.num_assets > 1) facts.push(`${read.num_assets} assets`);
    if (read.days) facts.push(`${read.days[0]} to ${read.days[1]}`);
    const words = h("div", {}, h("strong", {}, name), h("span", { class: "soft" }, ` ${facts.join(", ")}`));
    const remove = h("button", { type: "button", "aria-label": `Remove ${name}` }, "Remove");
    remove.addEventListener("click", () =>
      this.#work(async () => {
        await this.#python.remove(id);
        this.#samples.delete(id);
        this.#rows.delete(id);
        row.remove();
      }),
    );
    const buttons = h("div", { class: "line" });
    if (read.asset !== null && read.asset !== undefined) {
      buttons.append(this.#nameField(id, read.asset, name));
    }
    buttons.append(remove);
    row.append(words, buttons);
    if (read.question) {
      row.append(this.#question(id, read, file, row));
    }
    row.append(...notes(read.notes));
    this.#rows.set(id, row);
    part("files").append(row);
  }

  /** @param {string} id @param {string} asset @param {string} file */
  #nameField(id, asset, file) {
    const field = h("input", {
      type: "text", class: "name", "aria-label": `Asset of ${file}`, maxlength: "40", autocomplete: "off",
      spellcheck: "false",
    });
    field.value = asset;
    field.addEventListener("change", () =>
      this.#work(async () => {
        field.value = await this.#python.rename(id, field.value);
      }),
    );
    return field;
  }

  /** Ask the user about dates that can be read in two ways. */
  #question(id, { question, file: name }, file, row) {
    const ask = h("div", { class: "question", role: "group", "aria-label": `Dates of ${showHidden(name)}` });
    ask.append(h("p", {}, `In this file, does ${showHidden(question.example)} begin with the day or the month? The file is not in the table yet.`));
    const buttons = question.choices.map(({ order, meaning }) => {
      const button = h("button", { type: "button" }, `${order}: ${meaning}`);
      button.addEventListener("click", () => {
        this.#rows.delete(id);
        row.remove();
        this.add([file], order);
      });
      return button;
    });
    ask.append(h("div", { class: "line" }, ...buttons));
    return ask;
  }

  #takePastes() {
    const [button, form] = [part("paste"), part("paste-form")];
    button.addEventListener("click", () => {
      form.hidden = !form.hidden;
      button.setAttribute("aria-expanded", String(!form.hidden));
      if (!form.hidden) part("paste-name").focus();
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const [name, text] = [part("paste-name"), part("paste-text")];
      if (!text.value.trim()) {
        this.complain(["There is nothing to add: paste CSV or JSON first."]);
        return;
      }
      const added = this.#paste(text.value, name.value);
      added.then(() => {
        // A text that could not be read stays in the form, so that the user can correct it.
        if (part("problems").hidden) name.value = text.value = "";
      });
    });
    document.addEventListener("paste", (event) => {
      const isField = event.composedPath().some((node) => node.matches?.("input, textarea, [contenteditable]"));
      const data = event.clipboardData;
      if (isField || !data) return;
      if (data.files.length > 0) {
        event.preventDefault();
        this.add([...data.files]);
      } else if (data.getData("text").trim()) {
        event.preventDefault();
        this.#paste(data.getData("text"), "");
      }
    });
  }

  /** @param {string} text @param {string} name */
  #paste(text, name) {
    return this.add([new File([text], name.trim() || `PASTED-${++this.#numPasted}`)]);
  }

  #takeDrops() {
    const drop = part("drop");
    const hasFiles = (event) => event.dataTransfer.types.includes("Files");
    addEventListener("dragover", (event) => {
      if (hasFiles(event)) {
        event.preventDefault();
        drop.hidden = false;
      }
    });
    addEventListener("dragleave", (event) => {
      if (event.relatedTarget === null) drop.hidden = true;
    });
    addEventListener("drop", (event) => {
      drop.hidden = true;
      if (hasFiles(event)) {
        event.preventDefault();
        this.add([...event.dataTransfer.files]);
      }
    });
  }
}

/** @param {string[]} texts */
function notes(texts) {
  if (texts.length === 0) {
    return [];
  }
  const items = texts.map((text) => h("li", {}, showHidden(text)));
  const list = h("ul", { class: "notes" }, ...items.slice(0, MOST_NOTES));
  if (items.length <= MOST_NOTES) {
    return [list];
  }
  const more = h("details", {}, h("summary", {}, `${items.length - MOST_NOTES} more notes`));
  more.append(h("ul", { class: "notes" }, ...items.slice(MOST_NOTES)));
  return [list, more];
}
