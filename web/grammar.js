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

/** @param {string} message */
function requestError(message) {
  return Object.assign(new Error(message), { name: "RequestError", detail: {} });
}

export class Grammars {
  #library;
  #vocabulary;
  /** @type {Promise<any> | null} */
  #compiler = null;

  /**
   * @param {Vocabulary} vocabulary
   * @param {any} library @mlc-ai/web-xgrammar
   */
  constructor(vocabulary, library) {
    this.#vocabulary = vocabulary;
    this.#library = library;
  }

  /**
   * @param {Vocabulary} vocabulary
   * @param {string} libraryUrl where @mlc-ai/web-xgrammar lies
   * @returns {Promise<Grammars>}
   */
  static async load(vocabulary, libraryUrl) {
    const names = /** @type {any} */ (globalThis);
    // In Node it looks for a page's address, else for `require`, which modules do not have.
    const isNode = names.location === undefined;
    if (isNode) names.location = { href: libraryUrl };
    try {
      // As a module it exports nothing: it puts itself where scripts do. Where Node takes it for CommonJS it exports.
      const { default: exported } = await import(libraryUrl);
      const library = exported ?? names.xgrammar;
      (await library.Grammar.fromEBNF('root ::= "a"')).dispose();
      return new Grammars(vocabulary, library);
    } finally {
      if (isNode) delete names.location;
    }
  }

  /**
   * Compiles a grammar; slow for large ones, and the first is slower than others.
   *
   * @param {string} ebnf
   * @returns {Promise<CompiledGrammar>}
   * @throws a RequestError where the library refuses it
   */
  async compile(ebnf) {
    this.#compiler ??= this.#makeCompiler();
    try {
      const handle = await (await this.#compiler).compileGrammar(ebnf);
      return new CompiledGrammar(this.#library, handle, this.#vocabulary.vocab_size);
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
    const { TokenizerInfo, GrammarCompiler } = this.#library;
    // Byte tokens become bytes, and "▁" a space.
    const kind = "byte_fallback";
    const info = await TokenizerInfo.createTokenizerInfo(pieces, kind, false, vocab_size, stop_ids);
    // What is compiled is kept in Python, which bounds it.
    return GrammarCompiler.createGrammarCompiler(info, false);
  }
}

/** @param {string} piece */
function hasPlane16(piece) {
  for (const char of piece) {
    if (/** @type {number} */ (char.codePointAt(0)) >= PLANE_16) return true;
  }
  return false;
}

export class CompiledGrammar {
  #library;
  #handle;
  #vocabSize;

  /**
   * @param {any} library
   * @param {any} handle
   * @param {number} vocabSize
   */
  constructor(library, handle, vocabSize) {
    this.#library = library;
    this.#handle = handle;
    this.#vocabSize = vocabSize;
  }

  /** @returns {Promise<GrammarMatcher>} one at the beginning of an answer */
  async start() {
    const handle = await this.#library.GrammarMatcher.createGrammarMatcher(this.#handle);
    return new GrammarMatcher(handle, this.#vocabSize);
  }

  /** Frees it; matchers that were started live on. */
  dispose() {
    this.#handle.dispose();
  }
}

export class GrammarMatcher {
  #handle;
  #vocabSize;

  /**
   * @param {any} handle
   * @param {number} vocabSize
   */
  constructor(handle, vocabSize) {
    this.#handle = handle;
    this.#vocabSize = vocabSize;
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
        if (this.#handle.isTerminated() || !this.#handle.acceptToken(draft)) break;
        numAccepted += 1;
        if (this.#handle.isTerminated()) break;
        rows.push(await this.#mask());
      }
    } finally {
      if (numAccepted > 0) this.#handle.rollBack(numAccepted);
    }
    const length = rows.length > 0 ? rows[0].byteLength : 0;
    const bytes = new Uint8Array(length * rows.length);
    for (const [row, words] of rows.entries()) {
      bytes.set(new Uint8Array(words.buffer, words.byteOffset, length), length * row);
    }
    return bytes;
  }

  async #mask() {
    const words = await this.#handle.getNextTokenBitmask();
    // The library may leave bits behind the last token set.
    const numLeft = this.#vocabSize % 32;
    if (numLeft > 0) words[words.length - 1] &= 2 ** numLeft - 1;
    return words;
  }

  /**
   * @param {number} id
   * @returns {boolean} whether the token was allowed; if not, nothing has changed
   */
  accept(id) {
    return !this.#handle.isTerminated() && this.#handle.acceptToken(id);
  }

  /** @param {number} numTokens to take back, of those accepted */
  rollback(numTokens) {
    if (numTokens > 0) this.#handle.rollBack(numTokens);
  }

  /** Whether a stop token was accepted. */
  get isFinished() {
    return this.#handle.isTerminated();
  }

  /** The text that must come next, as far as it is certain; marks as their characters. */
  get forcedText() {
    return this.#handle.isTerminated() ? "" : this.#handle.findJumpForwardString();
  }

  dispose() {
    this.#handle.dispose();
  }
}
