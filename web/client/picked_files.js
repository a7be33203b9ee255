/**
 * From files that somebody picked or dropped to the model among them, and its drafter.
 *
 * @module picked_files
 */

/** @import {FileRef, ModelRef} from "../messages.js" */

import { partOf } from "../hub/choose.js";
import { LeadoutError } from "./errors.js";

/** How publishers call a drafter. */
const DRAFTER_NAME = /assistant/i;

/**
 * One model of possibly several: a GGUF, or a folder with config.json. Its path is that of the GGUF,
 * or of the folder.
 * @typedef {ModelRef & {path: string}} PickedModel
 */

/**
 * @param {Blob[]} blobs as a file picker or a drop gives them; files of a folder are told apart by
 *   their `webkitRelativePath`
 * @returns {{model: ModelRef, drafter: ModelRef | null}}
 * @throws {LeadoutError} they are no model, or several
 */
export function sortFiles(blobs) {
  const models = findModels(blobs);
  if (models.length === 1) {
    return { model: toModelRef(models[0]), drafter: null };
  }
  if (models.length === 0) {
    const names = blobs.map(nameOf);
    throw new LeadoutError(
      "UnsupportedFormatError",
      `Wanted a .gguf file, or config.json with its .safetensors files; the files given are: ` +
        `${names.join(", ") || "none"}.`,
      { files: names },
    );
  }
  const drafter = onlyOne(models, (path) => path.split("/").at(-1) ?? "") ?? onlyOne(models, (path) => path);
  if (models.length > 2 || !drafter) {
    const paths = models.map(({ path }) => path);
    throw new LeadoutError(
      "RequestError",
      `Several models were given: ${paths.join(", ")}. Give one, alone or with its drafter, whose ` +
        `name contains "assistant".`,
      { files: paths },
    );
  }
  const [model] = models.filter((other) => other !== drafter);
  return { model: toModelRef(model), drafter: toModelRef(drafter) };
}

/**
 * @param {PickedModel[]} models
 * @param {(path: string) => string} part of the path, that shall tell
 * @returns {PickedModel | null} the one that is called a drafter, unless none or all are
 */
function onlyOne(models, part) {
  const drafters = models.filter(({ path }) => DRAFTER_NAME.test(part(path)));
  return drafters.length === 1 ? drafters[0] : null;
}

/**
 * @param {Blob[]} blobs
 * @returns {PickedModel[]}
 */
function findModels(blobs) {
  /** @type {Map<string, FileRef[]>} */
  const folders = new Map();
  for (const file of blobs) {
    const path = file instanceof File && file.webkitRelativePath ? file.webkitRelativePath : nameOf(file);
    const folder = path.slice(0, Math.max(0, path.lastIndexOf("/")));
    folders.set(folder, [...(folders.get(folder) ?? []), { name: nameOf(file), file }]);
  }
  return [...folders].flatMap(([folder, files]) => {
    const ggufs = groupParts(files.filter(({ name }) => name.endsWith(".gguf")));
    const others = files.filter(({ name }) => !name.endsWith(".gguf"));
    const models = ggufs.map(({ name, files }) => ({
      name,
      files,
      path: folder ? `${folder}/${files[0].name}` : files[0].name,
    }));
    const hasWeights = others.some(({ name }) => name.endsWith(".safetensors"));
    // A config.json beside nothing but a GGUF describes something else: the GGUF has its own.
    if (others.some(({ name }) => name === "config.json") && (hasWeights || ggufs.length === 0)) {
      requireDistinct(others);
      const name = folder.split("/").at(-1) || "local model";
      models.push({ name, files: others, path: folder || "config.json" });
    }
    return models;
  });
}

/**
 * @param {FileRef[]} ggufs of one folder
 * @returns {ModelRef[]} the parts of a split GGUF are one model; whether all are there, its load tells
 */
function groupParts(ggufs) {
  /** @type {Map<string, FileRef[]>} */
  const groups = new Map();
  for (const file of ggufs) {
    const { base, numParts } = partOf(file.name);
    // The same file twice stays two models, which is an error.
    const key = numParts === 1 ? `${file.name}/${groups.size}` : `${base}/${numParts}`;
    groups.set(key, [...(groups.get(key) ?? []), file]);
  }
  return [...groups.values()].map((files) => {
    if (files.length > 1) {
      requireDistinct(files);
    }
    return { name: partOf(files[0].name).base, files };
  });
}

/** @param {FileRef[]} files of one folder */
function requireDistinct(files) {
  const names = files.map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice) {
    throw new LeadoutError(
      "RequestError",
      `${twice} was given twice. Give the two models' folders, so that their files can be told apart.`,
      { file: twice },
    );
  }
}

/** @param {Blob} file */
function nameOf(file) {
  return file instanceof File ? file.name : "model.gguf";
}

/**
 * @param {PickedModel} picked
 * @returns {ModelRef}
 */
function toModelRef({ name, files }) {
  return { name, files };
}
