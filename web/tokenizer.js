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

export class Tokenizer {
  #tokenizer;

  /** @param {any} tokenizer a Tokenizer of @huggingface/tokenizers */
  constructor(tokenizer) {
    this.#tokenizer = tokenizer;
  }

  /**
   * Makes a tokenizer from the text of a tokenizer.json.
   *
   * @param {string} json
   * @param {string} libraryUrl where @huggingface/tokenizers lies as an ES module
   * @returns {Promise<Tokenizer>}
   * @throws a TokenizerError when the text is no valid tokenizer.json
   */
  static async load(json, libraryUrl) {
    const library = await import(libraryUrl);
    try {
      // Texts come out as they went in: no guesses about spaces before punctuation.
      const config = { clean_up_tokenization_spaces: false };
      const tokenizer = new library.Tokenizer(JSON.parse(json), config);
      replaceByteRunDecoder(tokenizer.decoder);
      return new Tokenizer(tokenizer);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw namedError("TokenizerError", `the tokenizer.json is invalid: ${reason}`);
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
}
