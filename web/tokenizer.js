/**
 * The tokenizer of the worker: @huggingface/tokenizers behind Leadout's verbs. Keep in step with
 * the protocol in pyapp/leadout/tokenizer.py; tests/unit/test_tokenizer_js.py holds both sides to
 * the same ids and texts.
 *
 * @module tokenizer
 */

/**
 * @param {string} name a class of pyapp/leadout/errors.py
 * @param {string} message
 * @returns {Error}
 */
function namedError(name, message) {
  return Object.assign(new Error(message), { name, detail: {} });
}

/**
 * Decodes a run of byte tokens as the `tokenizers` package does: all of it, or one U+FFFD a byte.
 * The library's own decoder would also swallow a byte order mark.
 */
const byteRunDecoder = {
  utf8: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }),
  /** @param {Uint8Array} bytes */
  decode(bytes) {
    try {
      return this.utf8.decode(bytes);
    } catch {
      return "\ufffd".repeat(bytes.length);
    }
  },
};

/** @param {any} decoder a decoder of the library, perhaps a sequence of them */
function replaceByteRunDecoder(decoder) {
  for (const part of decoder?.decoders ?? [decoder]) {
    if (part?.config?.type === "ByteFallback") part.text_decoder = byteRunDecoder;
  }
}

/**
 * A tokenizer.json that was parsed and not yet made into a tokenizer: Python looks at its parts first.
 */
export class TokenizerFile {
  #json;
  #libraryUrl;

  /**
   * @param {string} text of a tokenizer.json
   * @param {string} libraryUrl where @huggingface/tokenizers lies as an ES module
   * @throws a TokenizerError when the text is not a JSON object
   */
  constructor(text, libraryUrl) {
    this.#libraryUrl = libraryUrl;
    try {
      this.#json = JSON.parse(text);
      if (typeof this.#json !== "object" || this.#json === null) throw new Error("it is no object");
    } catch (error) {
      throw invalid(error);
    }
  }

  /**
   * All but its lists of tokens and merges, as JSON; see pyapp/leadout/tokenizer_parts.py.
   *
   * @returns {string}
   * @throws a TokenizerError when it is nested too deep
   */
  parts() {
    const { added_tokens, model, ...others } = this.#json;
    const { vocab, merges, ...about } = model ?? {};
    let numChars = 0;
    for (const token of Array.isArray(added_tokens) ? added_tokens : []) {
      numChars = Math.max(numChars, String(token?.content).length);
    }
    try {
      return JSON.stringify({ ...others, model: about, longest_added_token: numChars });
    } catch (error) {
      throw invalid(error);
    }
  }

  /** @returns {Promise<Tokenizer>} */
  make() {
    return Tokenizer.make(this.#json, this.#libraryUrl);
  }
}

/** @param {unknown} error */
function invalid(error) {
  const reason = error instanceof Error ? error.message : String(error);
  return namedError("TokenizerError", `the tokenizer.json is invalid: ${reason}`);
}

export class Tokenizer {
  #tokenizer;

  /** @param {any} tokenizer a Tokenizer of @huggingface/tokenizers */
  constructor(tokenizer) {
    this.#tokenizer = tokenizer;
  }

  /**
   * @param {any} json a parsed tokenizer.json
   * @param {string} libraryUrl where @huggingface/tokenizers lies as an ES module
   * @returns {Promise<Tokenizer>}
   * @throws a TokenizerError when it is no valid tokenizer.json
   */
  static async make(json, libraryUrl) {
    const library = await import(libraryUrl);
    try {
      // Texts come out as they went in: no guesses about spaces before punctuation.
      const config = { clean_up_tokenization_spaces: false };
      const tokenizer = new library.Tokenizer(json, config);
      replaceByteRunDecoder(tokenizer.decoder);
      return new Tokenizer(tokenizer);
    } catch (error) {
      throw invalid(error);
    }
  }

  /** The number of ids, added tokens included. */
  get vocabSize() {
    return this.#tokenizer.model.vocab.length;
  }

  /**
   * Returns the ids of a text.
   *
   * @param {string} text
   * @param {boolean} [addSpecialTokens] add what the model wants around a text, such as <bos>
   * @returns {number[]}
   * @throws a RequestError when the text has a lone surrogate
   */
  encode(text, addSpecialTokens = false) {
    const lone = text.search(/\p{Surrogate}/u);
    if (lone >= 0) {
      throw namedError(
        "RequestError",
        `the text has a lone surrogate at position ${lone}, which no UTF-8 can hold`,
      );
    }
    return this.#tokenizer.encode(text, { add_special_tokens: addSpecialTokens }).ids;
  }

  /**
   * Returns the text of ids. Ids outside the vocabulary have no text.
   *
   * @param {Iterable<number>} ids
   * @param {boolean} [skipSpecialTokens] leave out tokens that steer the model and are no text
   * @returns {string}
   */
  decode(ids, skipSpecialTokens = true) {
    const known = Array.from(ids).filter((id) => this.#tokenizer.id_to_token(id) !== undefined);
    // The library refuses an empty list.
    if (known.length === 0) return "";
    return this.#tokenizer.decode(known, { skip_special_tokens: skipSpecialTokens });
  }

  /**
   * Returns the id of exactly this token, or undefined if there is no such token.
   *
   * @param {string} token
   * @returns {number | undefined}
   */
  idOf(token) {
    return this.#tokenizer.token_to_id(token);
  }

  /**
   * The vocabulary by id, as in the tokenizer.json; "" for tokens that are no text. Keep in step with
   * `pieces` in pyapp/leadout/tokenizer_native.py: what grammars allow is made of it.
   *
   * @returns {string[]}
   */
  pieces() {
    const pieces = Array.from(this.#tokenizer.model.vocab, (piece) => piece ?? "");
    for (const { id, content, special } of this.#tokenizer.added_tokens) {
      while (pieces.length <= id) pieces.push("");
      pieces[id] = special ? "" : content;
    }
    return pieces;
  }
}
