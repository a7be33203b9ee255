/**
 * Answers that keep to a grammar: @mlc-ai/web-xgrammar behind Leadout's verbs. It runs in the worker,
 * and in CPython in V8 (pyapp/leadout/grammar_native.py), so that masks are the same in both. Keep in
 * step with the protocol in pyapp/leadout/grammar/matcher.py.
 *
 * Nothing is imported here: CPython's V8 knows no modules.
 *
 * @module grammar
 */

/** Characters that stand for tokens as such. Keep in step with pyapp/leadout/grammar/expressions.py. */
const FIRST_MARK = 0x10f000;

/**
 * Characters that stand behind a string's opening quote and say that its length is bounded; each is
 * a token that only the library sees, behind the model's. Keep in step with FIRST_BOUND and
 * MAX_BOUNDS in pyapp/leadout/grammar/expressions.py.
 */
const FIRST_BOUND = 0x10e000;
const MAX_BOUNDS = 256;

/** The first line of a grammar with bounds: "# bounds 0-200 3-", by their characters. */
const BOUNDS_LINE = /^# bounds((?: \d+-\d*)+)\n/;

/** The first code point of plane 16: private use, so that no text has it. */
const PLANE_16 = 0x100000;

/** Byte tokens that are in no UTF-8 but that of plane 16: grammars use such bytes for other ends. */
const NO_TEXT = /^<0x(?:C[01]|F[4-9A-F])>$/;

/**
 * What the library knows of a model's tokens.
 * @typedef {object} Vocabulary
 * @property {string[]} pieces by id, as in a tokenizer.json; "" for tokens that are no text
 * @property {number} vocab_size of the model's logits; ids beyond the pieces are never allowed
 * @property {number[]} stop_ids tokens that end an answer
 * @property {number[]} mark_ids tokens that grammars may name as such, in the order of their marks
 */

/**
 * The least and the most characters of a string; `most` may be Infinity.
 * @typedef {{id: number, least: number, most: number}} Bound
 */

/** @param {string} message */
function requestError(message) {
  return Object.assign(new Error(message), { name: "RequestError", detail: {} });
}

/** The load before; loads wait for one another, because the library looks at the global scope. */
let loading = Promise.resolve();

export class Grammars {
  #library;
  #vocabulary;
  /** @type {Promise<any> | null} */
  #compiler = null;
  #lengths;

  /**
   * @param {Vocabulary} vocabulary
   * @param {any} library @mlc-ai/web-xgrammar
   */
  constructor(vocabulary, library) {
    this.#lengths = new Lengths(vocabulary);
    this.#vocabulary = vocabulary;
    this.#library = library;
  }

  /**
   * @param {Vocabulary} vocabulary
   * @param {string} libraryUrl where @mlc-ai/web-xgrammar lies
   * @returns {Promise<Grammars>}
   */
  static async load(vocabulary, libraryUrl) {
    const library = loading.then(() => loadLibrary(libraryUrl));
    loading = library.catch(() => {});
    return new Grammars(vocabulary, await library);
  }

  /**
   * Compiles a grammar; slow for large ones, and the first is slower than others.
   *
   * @param {string} ebnf with the bounds of its strings in the first line, if it has some
   * @returns {Promise<CompiledGrammar>}
   * @throws a RequestError where the library refuses it
   */
  async compile(ebnf) {
    const compiler = (this.#compiler ??= this.#makeCompiler());
    compiler.catch(() => {
      if (this.#compiler === compiler) this.#compiler = null; // failures are not kept
    });
    try {
      const handle = await (await compiler).compileGrammar(ebnf);
      const bounds = boundsOf(ebnf, this.#vocabulary.vocab_size);
      return new CompiledGrammar(this.#library, handle, this.#lengths, bounds);
    } catch (error) {
      throw requestError(`the grammar cannot be compiled: ${String(error).slice(0, 300)}`);
    }
  }

  /** Frees it. */
  close() {
    this.#compiler?.then((compiler) => compiler.dispose()).catch(() => {});
    this.#compiler = null;
  }

  async #makeCompiler() {
    const { vocab_size, stop_ids, mark_ids } = this.#vocabulary;
    const pieces = this.#vocabulary.pieces.slice(0, vocab_size);
    while (pieces.length < vocab_size) pieces.push("");
    for (const [id, piece] of pieces.entries()) {
      if (NO_TEXT.test(piece) || hasPlane16(piece)) pieces[id] = "";
    }
    for (const [place, id] of mark_ids.entries()) {
      pieces[id] = String.fromCodePoint(FIRST_MARK + place);
    }
    for (let number = 0; number < MAX_BOUNDS; number += 1) {
      pieces.push(String.fromCodePoint(FIRST_BOUND + number));
    }
    const { TokenizerInfo, GrammarCompiler } = this.#library;
    // Byte tokens become bytes, and "▁" a space.
    const kind = "byte_fallback";
    const size = pieces.length;
    const info = await TokenizerInfo.createTokenizerInfo(pieces, kind, false, size, stop_ids);
    // What is compiled is kept in Python, which bounds it.
    return GrammarCompiler.createGrammarCompiler(info, false);
  }
}

/**
 * @param {string} libraryUrl
 * @returns {Promise<any>} the library, ready to compile
 */
async function loadLibrary(libraryUrl) {
  const names = /** @type {any} */ (globalThis);
  // In Node it looks for a page's address, else for `require`, which modules do not have.
  const isNode = names.location === undefined;
  if (isNode) names.location = { href: libraryUrl };
  try {
    // As a module it exports nothing: it puts itself where scripts do. Where Node takes it for CommonJS it exports.
    const { default: exported } = await import(libraryUrl);
    const library = exported ?? names.xgrammar;
    (await library.Grammar.fromEBNF('root ::= "a"')).dispose();
    return library;
  } finally {
    if (isNode) delete names.location;
  }
}

/** @param {string} piece */
function hasPlane16(piece) {
  for (const char of piece) {
    if (/** @type {number} */ (char.codePointAt(0)) >= PLANE_16) return true;
  }
  return false;
}

/**
 * The bounds that a grammar names, the widest first.
 *
 * @param {string} ebnf
 * @param {number} vocabSize
 * @returns {Bound[]}
 */
function boundsOf(ebnf, vocabSize) {
  const names = BOUNDS_LINE.exec(ebnf)?.[1].trim().split(" ") ?? [];
  const bounds = names.map((name, number) => {
    const [least, most] = name.split("-");
    return { id: vocabSize + number, least: +least, most: most === "" ? Infinity : +most };
  });
  return bounds.sort((a, b) => (a.most === b.most ? a.least - b.least : a.most < b.most ? 1 : -1));
}

/**
 * Where a token's text stands in a string of bounded length. In JSON a backslash, in calls a "<"
 * has more of its item behind it, and counts for all of the item.
 * @typedef {"json" | "json in an item" | "call" | "call in an item"} Standing
 */

/**
 * How tokens count in a string, by id.
 * @typedef {object} Counts
 * @property {Uint16Array} numChars of the string, before what closes it
 * @property {Uint8Array} closes 1 where the string is closed
 * @property {Uint8Array} endsInItem 1 where the string goes on in the middle of an item
 * @property {number} longest the largest of numChars
 */

/** How many characters of bounded strings tokens are, and masks of those that are few enough. */
class Lengths {
  #vocabulary;
  /** @type {Map<Standing, Counts>} */
  #counts = new Map();
  /** @type {Map<string, Int32Array>} */
  #masks = new Map();

  /** @param {Vocabulary} vocabulary */
  constructor(vocabulary) {
    this.#vocabulary = vocabulary;
    this.vocabSize = vocabulary.vocab_size;
    this.marks = new Set(vocabulary.mark_ids);
  }

  /**
   * Whether a string may begin behind a token.
   *
   * @param {number} id
   * @returns {Standing | null} how the string is written, null where none begins
   */
  opened(id) {
    if (this.marks.has(id)) return "call";
    const text = this.#textOf(id);
    return text.endsWith('"') ? "json" : null;
  }

  /**
   * @param {Standing} standing
   * @returns {Counts}
   */
  counts(standing) {
    let found = this.#counts.get(standing);
    if (!found) {
      found = this.#count(standing);
      this.#counts.set(standing, found);
    }
    return found;
  }

  /**
   * Takes tokens out of a mask that would make a string too long, or end it too early.
   *
   * @param {Int32Array} words
   * @param {Place} place
   */
  narrow(words, { standing, least, most }) {
    const { numChars, closes, longest } = this.counts(standing);
    if (most < longest) {
      this.#and(words, `${standing} most ${most}`, (id) => numChars[id] <= most);
    }
    if (least > 0) {
      // No token closes a string behind more characters than the longest has.
      const wanted = Math.min(least, longest + 1);
      const isEnough = (/** @type {number} */ id) => !closes[id] || numChars[id] >= wanted;
      this.#and(words, `${standing} least ${wanted}`, isEnough);
    }
  }

  /**
   * @param {Int32Array} words
   * @param {string} name
   * @param {(id: number) => boolean} isAllowed
   */
  #and(words, name, isAllowed) {
    let mask = this.#masks.get(name);
    if (!mask) {
      mask = new Int32Array(words.length);
      for (let id = 0; id < this.vocabSize; id += 1) {
        if (isAllowed(id)) mask[id >> 5] |= 1 << (id & 31);
      }
      this.#masks.set(name, mask);
    }
    for (let at = 0; at < words.length; at += 1) words[at] &= mask[at];
  }

  /**
   * A token's text as far as it counts: byte tokens as one character of their byte's value.
   *
   * @param {number} id
   */
  #textOf(id) {
    const piece = this.#vocabulary.pieces[id] ?? "";
    const byte = /^<0x([0-9A-F]{2})>$/.exec(piece);
    return byte ? String.fromCharCode(parseInt(byte[1], 16)) : piece;
  }

  /**
   * @param {Standing} standing
   * @returns {Counts}
   */
  #count(standing) {
    const isJson = standing.startsWith("json");
    const [opensItem, weight] = isJson ? ["\\", 1] : ["<", 2];
    const numChars = new Uint16Array(this.vocabSize);
    const closes = new Uint8Array(this.vocabSize);
    const endsInItem = new Uint8Array(this.vocabSize);
    let longest = 0;
    for (let id = 0; id < this.vocabSize; id += 1) {
      if (this.marks.has(id)) {
        closes[id] = 1;
        continue;
      }
      const text = this.#textOf(id);
      const isByte = text.length === 1 && this.#vocabulary.pieces[id].length === 6;
      let isInItem = standing.endsWith("in an item");
      let num = 0;
      for (const char of text) {
        if (isByte && char >= "\x80" && char < "\xc0") continue; // goes on in a character
        if (isInItem) {
          isInItem = false;
        } else if (char === opensItem) {
          num += weight;
          isInItem = true;
        } else if (isJson && char === '"') {
          closes[id] = 1;
          break;
        } else {
          num += 1;
        }
      }
      numChars[id] = num;
      endsInItem[id] = +(isInItem && text !== "");
      longest = Math.max(longest, num);
    }
    return { numChars, closes, endsInItem, longest };
  }
}

/**
 * A place in a string of bounded length.
 * @typedef {object} Place
 * @property {Standing} standing
 * @property {number} least how many characters must still come
 * @property {number} most how many may
 */

export class CompiledGrammar {
  #library;
  #handle;
  #lengths;
  #bounds;

  /**
   * @param {any} library
   * @param {any} handle
   * @param {Lengths} lengths
   * @param {Bound[]} bounds
   */
  constructor(library, handle, lengths, bounds) {
    this.#library = library;
    this.#handle = handle;
    this.#lengths = lengths;
    this.#bounds = bounds;
  }

  /** @returns {Promise<GrammarMatcher>} one at the beginning of an answer */
  async start() {
    const handle = await this.#library.GrammarMatcher.createGrammarMatcher(this.#handle);
    return new GrammarMatcher(handle, this.#lengths, this.#bounds);
  }

  /** Frees it; matchers that were started live on. */
  dispose() {
    this.#handle.dispose();
  }
}

/**
 * A place in a grammar. The lengths of strings are counted here: for the library each would be a
 * state per character, with a table over the whole vocabulary. It only says where a bounded string
 * begins, by taking the bound's mark, which is no token of the model's.
 */
export class GrammarMatcher {
  #handle;
  #lengths;
  #bounds;
  /** @type {Place | null} null outside of strings of bounded length */
  #place = null;
  /** @type {{place: Place | null, numTaken: number}[]} by token: where it was, and what to undo */
  #history = [];

  /**
   * @param {any} handle
   * @param {Lengths} lengths
   * @param {Bound[]} bounds those of the grammar, the widest first
   */
  constructor(handle, lengths, bounds) {
    this.#handle = handle;
    this.#lengths = lengths;
    this.#bounds = bounds;
  }

  /**
   * The masks of the next position and of those behind drafts, as far as these are allowed.
   *
   * @param {Iterable<number>} drafts
   * @returns {Promise<Uint8Array>} rows of ceil(vocab_size / 32) words of 32 bits, little-endian; bit
   *   i % 32 of word floor(i / 32) says whether token i is allowed. None once the answer has ended.
   */
  async masks(drafts) {
    const rows = [];
    let numAccepted = 0;
    try {
      if (!this.#handle.isTerminated()) rows.push(await this.#mask());
      for (const draft of drafts) {
        if (!this.accept(draft)) break;
        numAccepted += 1;
        if (this.#handle.isTerminated()) break;
        rows.push(await this.#mask());
      }
    } finally {
      this.rollback(numAccepted);
    }
    const length = rows.length > 0 ? rows[0].byteLength : 0;
    const bytes = new Uint8Array(length * rows.length);
    for (const [row, words] of rows.entries()) {
      bytes.set(new Uint8Array(words.buffer, words.byteOffset, length), length * row);
    }
    return bytes;
  }

  async #mask() {
    const { vocabSize } = this.#lengths;
    const all = await this.#handle.getNextTokenBitmask();
    // Behind the model's tokens are those of the bounds.
    const words = all.subarray(0, Math.ceil(vocabSize / 32));
    const numLeft = vocabSize % 32;
    if (numLeft > 0) words[words.length - 1] &= 2 ** numLeft - 1;
    if (this.#place) this.#lengths.narrow(words, this.#place);
    return words;
  }

  /**
   * @param {number} id
   * @returns {boolean} whether the token was allowed; if not, nothing has changed
   */
  accept(id) {
    if (id < 0 || id >= this.#lengths.vocabSize || this.#handle.isTerminated()) return false;
    const place = this.#place;
    let after = place;
    if (place) {
      const { numChars, closes, endsInItem } = this.#lengths.counts(place.standing);
      const num = numChars[id];
      if (num > place.most || (closes[id] && num < place.least)) return false;
      after = closes[id] ? null : placeBehind(place, num, endsInItem[id] === 1);
    }
    if (!this.#handle.acceptToken(id)) return false;
    const opened = after === null && this.#bounds.length > 0 ? this.#lengths.opened(id) : null;
    const bound = opened && this.#bounds.find((one) => this.#handle.acceptToken(one.id));
    if (opened && bound) after = { standing: opened, least: bound.least, most: bound.most };
    this.#history.push({ place, numTaken: bound ? 2 : 1 });
    this.#place = after;
    return true;
  }

  /** @param {number} numTokens to take back, of those accepted */
  rollback(numTokens) {
    if (numTokens === 0) return;
    const undone = this.#history.splice(this.#history.length - numTokens);
    this.#place = undone[0].place;
    this.#handle.rollBack(undone.reduce((sum, { numTaken }) => sum + numTaken, 0));
  }

  /** Whether a stop token was accepted. */
  get isFinished() {
    return this.#handle.isTerminated();
  }

  /** The text that must come next, as far as it is certain; marks as their characters. */
  get forcedText() {
    if (this.#handle.isTerminated()) return "";
    const chars = Array.from(this.#handle.findJumpForwardString());
    // Where texts part in the midst of a character, its first bytes become half a surrogate pair.
    const isNoText = (/** @type {string} */ char) => {
      const codePoint = /** @type {number} */ (char.codePointAt(0));
      const isBound = codePoint >= FIRST_BOUND && codePoint < FIRST_BOUND + MAX_BOUNDS;
      return isBound || (codePoint >= 0xd800 && codePoint <= 0xdfff);
    };
    const end = chars.findIndex(isNoText);
    return (end < 0 ? chars : chars.slice(0, end)).join("");
  }

  dispose() {
    this.#handle.dispose();
  }
}

/**
 * @param {Place} place
 * @param {number} numChars that came
 * @param {boolean} isInItem whether they ended in the middle of an item
 * @returns {Place}
 */
function placeBehind({ standing, least, most }, numChars, isInItem) {
  const notation = standing.startsWith("json") ? "json" : "call";
  return {
    standing: isInItem ? `${notation} in an item` : notation,
    least: Math.max(0, least - numChars),
    most: most - numChars,
  };
}
