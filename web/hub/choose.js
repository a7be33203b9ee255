/**
 * Which of a repository's files are the model, and which its drafter; by their names and sizes alone.
 * Keep in step with build/leadout_build/store/hub_choice.py; tests/vectors/hub has cases for both.
 *
 * @module choose
 */

import { LeadoutError } from "../client/errors.js";

/** @typedef {{path: string, size: number}} Named what is needed of a file */

/** Files of a model besides its weights. */
const CHECKPOINT_FILES = [
  "config.json",
  "model.safetensors.index.json",
  "generation_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "chat_template.jinja",
];

/** A part of a split GGUF, or of sharded safetensors. */
const PART = /^(.*)-(\d{5})-of-(\d{5})\.(gguf|safetensors)$/;

/** GGUFs that are no language model: encoders of images, statistics for quantising. */
const COMPANION = /(^|[-._])(mmproj|imatrix)/i;

/** How publishers call a drafter's GGUF. */
const DRAFTER = /(^|[-._])(assistant|mtp)([-._]|$)/i;

const QUANTISATION = /(?<=^|[-._])(I?Q\d\w*|TQ\d\w*|MXFP\d\w*|NVFP\d\w*|BF16|FP?16|FP?32)(?=$|[-._])/gi;

/** What Leadout reads of these. */
const READABLE = /^(Q4_0|Q4_1|Q5_0|Q5_1|Q8_0|Q[456]_K(_[A-Z]{1,2})?|BF16|FP?16|FP?32)$/;

/**
 * One GGUF, of one or several files.
 * @template {Named} F
 * @typedef {object} Gguf
 * @property {string} path of the first part that is there
 * @property {F[]} files in order
 * @property {number} numParts how many there should be
 * @property {number} size of all
 */

/**
 * Choose the files that are the model.
 *
 * @template {Named} F
 * @param {string} repo for messages
 * @param {F[]} files
 * @param {string | null} wanted a .gguf's path, or a quantisation; null: the safetensors, else the
 *   smallest GGUF that Leadout reads
 * @returns {F[]}
 * @throws {LeadoutError} ModelNotFoundError, CheckpointError: a part is missing
 */
export function chooseFiles(repo, files, wanted) {
  const ggufs = groupGgufs(files).filter(({ path }) => !COMPANION.test(fileName(path)));
  if (wanted !== null) {
    return complete(repo, named(repo, ggufs, wanted));
  }
  const safetensors = chooseSafetensors(repo, files);
  if (safetensors.length > 0) {
    return safetensors;
  }
  const targets = ggufs.filter(({ path }) => !isDrafterName(path));
  const models = targets.length > 0 ? targets : ggufs;
  if (models.length === 0) {
    throw new LeadoutError(
      "ModelNotFoundError",
      `${repo} holds no model that Leadout reads: wanted config.json with model*.safetensors, or a ` +
        ".gguf file.",
      { repo },
    );
  }
  const readable = models.filter(({ path }) => isReadable(path));
  if (readable.length === 0) {
    throw new LeadoutError(
      "ModelNotFoundError",
      `${repo} has no GGUF in a quantisation that Leadout reads (Q4_0 to Q8_0, Q4_K to Q6_K, F16, BF16, ` +
        `F32); it has ${listed(models)}.`,
      { repo },
    );
  }
  return complete(repo, smallest(readable));
}

/**
 * Choose the drafter among the GGUFs that lie beside one.
 *
 * @template {Named} F
 * @param {string} repo
 * @param {F[]} files
 * @param {F[]} chosen the model's
 * @returns {F[] | null}
 */
export function chooseDrafterFiles(repo, files, chosen) {
  if (!chosen.some(({ path }) => isGguf(path) && !isDrafterName(path))) {
    return null;
  }
  const drafters = groupGgufs(files).filter(({ path }) => isDrafterName(path) && isReadable(path));
  // Copies in other precisions lie in folders.
  const atRoot = drafters.filter(({ path }) => !path.includes("/"));
  const found = atRoot.length > 0 ? atRoot : drafters;
  return found.length > 0 ? complete(repo, smallest(found)) : null;
}

/**
 * Where a drafter of its own repository may be, the likeliest first: as the target's name with
 * "-assistant" behind, before or after what names a format.
 *
 * @param {string} repo
 * @returns {string[]}
 */
export function drafterRepos(repo) {
  if (/-assistant([-._]|$)/i.test(repo)) {
    return [];
  }
  const bare = repo.replace(/[-._](GGUF|MLX|\d+-?bit|bf16|fp16)$/i, "");
  return [...new Set([`${repo}-assistant`, `${bare}-assistant`])];
}

/**
 * @param {string} path of a GGUF
 * @returns {{base: string, number: number, numParts: number}} `base`: without number and suffix
 */
export function partOf(path) {
  const part = PART.exec(path);
  return part
    ? { base: part[1], number: Number(part[2]), numParts: Number(part[3]) }
    : { base: path.replace(/\.gguf$/i, ""), number: 1, numParts: 1 };
}

/** @param {string} path */
export function isGguf(path) {
  return /\.gguf$/i.test(path);
}

/** @param {string} path */
export function fileName(path) {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** @param {string} path */
function isDrafterName(path) {
  return DRAFTER.test(fileName(path).replace(/\.gguf$/i, ""));
}

/**
 * @param {string} path
 * @returns {string | null} for example "Q4_K_M", where the name says it
 */
function quantisationOf(path) {
  const stem = fileName(path).replace(/\.gguf$/i, "").replace(/-\d{5}-of-\d{5}$/, "");
  return stem.match(QUANTISATION)?.at(-1)?.toUpperCase() ?? null;
}

/** @param {string} path */
function isReadable(path) {
  const quantisation = quantisationOf(path);
  return quantisation === null || READABLE.test(quantisation);
}

/**
 * @template {Named} F
 * @param {F[]} files
 * @returns {Gguf<F>[]} by path
 */
function groupGgufs(files) {
  /** @type {Map<string, F[]>} */
  const groups = new Map();
  for (const file of files.filter(({ path }) => isGguf(path))) {
    const part = PART.exec(file.path);
    const key = part ? `${part[1]}-of-${part[3]}` : file.path;
    groups.set(key, [...(groups.get(key) ?? []), file]);
  }
  return [...groups.values()]
    .map((parts) => {
      const ordered = parts.toSorted(byPath);
      const { numParts } = partOf(ordered[0].path);
      const size = ordered.reduce((sum, file) => sum + file.size, 0);
      return { path: ordered[0].path, files: ordered, numParts, size };
    })
    .toSorted(byPath);
}

/**
 * @template {Named} F
 * @param {Gguf<F>[]} ggufs
 * @returns {Gguf<F>}
 */
function smallest(ggufs) {
  const whole = ggufs.filter(({ files, numParts }) => files.length === numParts);
  return (whole.length > 0 ? whole : ggufs).reduce((best, gguf) => (gguf.size < best.size ? gguf : best));
}

/**
 * @template {Named} F
 * @param {string} repo
 * @param {Gguf<F>[]} ggufs
 * @param {string} wanted
 * @returns {Gguf<F>}
 */
function named(repo, ggufs, wanted) {
  const exact = ggufs.find(({ files }) => files.some(({ path }) => path === wanted));
  if (exact) {
    return exact;
  }
  const quantised = ggufs.filter(
    ({ path }) => quantisationOf(path) === wanted.toUpperCase() && !isDrafterName(path),
  );
  if (quantised.length === 1) {
    return quantised[0];
  }
  throw new LeadoutError(
    "ModelNotFoundError",
    `${repo} has no file "${wanted}". Its GGUF files: ${listed(ggufs)}.`,
    { repo, file: wanted },
  );
}

/**
 * @template {Named} F
 * @param {string} repo
 * @param {Gguf<F>} gguf
 * @returns {F[]}
 */
function complete(repo, { files, numParts }) {
  requireParts(repo, files, numParts);
  return files;
}

/**
 * @param {string} repo
 * @param {Named[]} files in order
 * @param {number} numParts
 */
function requireParts(repo, files, numParts) {
  for (let number = 1; number <= numParts && numParts > 1; number++) {
    if (partOf(files[number - 1]?.path ?? "").number !== number) {
      throw new LeadoutError(
        "CheckpointError",
        `${repo} lacks part ${number} of ${numParts} of ${fileName(files[0].path)}; choose another file.`,
        { repo, part: number, numParts },
      );
    }
  }
}

/**
 * @template {Named} F
 * @param {string} repo
 * @param {F[]} files
 * @returns {F[]} empty where there is no such model
 */
function chooseSafetensors(repo, files) {
  const named = new Map(files.map((file) => [file.path, file]));
  if (!named.has("config.json")) {
    return [];
  }
  const single = named.get("model.safetensors");
  const shards = files.filter(({ path }) => PART.exec(path)?.[1] === "model" && !isGguf(path)).toSorted(byPath);
  if (!single && shards.length === 0) {
    return [];
  }
  if (!single) {
    requireParts(repo, shards, partOf(shards[0].path).numParts);
    if (!named.has("model.safetensors.index.json")) {
      throw new LeadoutError(
        "CheckpointError",
        `${repo} has shards without their model.safetensors.index.json; choose another repository.`,
        { repo },
      );
    }
  }
  const others = CHECKPOINT_FILES.filter((name) => !single || name !== "model.safetensors.index.json");
  return [
    ...others.flatMap((name) => named.get(name) ?? []),
    ...(single ? [single] : shards),
  ];
}

/**
 * @param {Gguf<Named>[]} ggufs
 * @returns {string}
 */
function listed(ggufs) {
  const paths = ggufs.map(({ path }) => path);
  const more = paths.length > 12 ? ` and ${paths.length - 12} more` : "";
  return paths.length > 0 ? paths.slice(0, 12).join(", ") + more : "none";
}

/**
 * @param {{path: string}} one
 * @param {{path: string}} other
 */
function byPath(one, other) {
  return one.path < other.path ? -1 : Number(one.path > other.path);
}
