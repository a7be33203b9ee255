"""The tokenizer of CPython: the `tokenizers` package behind Leadout's protocol.

Never imported in the browser, where web/tokenizer.js does the same work. The package itself is
imported only when a tokenizer is made, so that commands which need none do not wait for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from leadout.errors import RequestError, TokenizerError
from leadout.tokenizer import tokenizer_json_from_gguf
from leadout.tokenizer_parts import check_parts

if TYPE_CHECKING:
    import tokenizers


#: The name of what the package raises where its Rust code panics: a BaseException without a public
#: class, which would pass every `except Exception`.
_PANIC = "PanicException"


@contextmanager
def _named_errors() -> Iterator[None]:
    """Turn whatever the package raises into a TokenizerError."""
    try:
        yield
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != _PANIC:
            raise
        raise TokenizerError(f"the tokenizer.json is invalid: {str(error)[:300]}") from error


def _parts_of(tokenizer: tokenizers.Tokenizer) -> dict[str, object]:
    """Return what the package has understood of a tokenizer.json; see `check_parts`."""
    parts: dict[str, object] = {}
    for name in ("normalizer", "pre_tokenizer", "post_processor", "decoder"):
        part = getattr(tokenizer, name)
        parts[name] = None if part is None else json.loads(part.__getstate__())
    model = tokenizer.model
    about: dict[str, object] = {"type": type(model).__name__}
    for key in ("continuing_subword_prefix", "end_of_word_suffix", "dropout"):
        about[key] = getattr(model, key, None)
    added = tokenizer.get_added_tokens_decoder().values()
    longest = max((len(token.content) for token in added), default=0)
    return {**parts, "model": about, "longest_added_token": longest}


class HuggingFaceTokenizer:
    """A tokenizer.json, run by the `tokenizers` package. See `leadout.tokenizer.Tokenizer`."""

    def __init__(self, tokenizer: tokenizers.Tokenizer) -> None:
        # Whole texts are wanted, whatever lengths the file was last used with.
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer

    @classmethod
    def from_json(cls, text: str) -> HuggingFaceTokenizer:
        """Make a tokenizer from the text of a tokenizer.json.

        Raises:
            TokenizerError: the text is no valid tokenizer.json.
        """
        from tokenizers import Tokenizer

        with _named_errors():
            tokenizer = Tokenizer.from_str(text)
        check_parts(_parts_of(tokenizer))
        return cls(tokenizer)

    @classmethod
    def from_file(cls, path: Path) -> HuggingFaceTokenizer:
        """Make a tokenizer from a tokenizer.json on disk.

        Raises:
            TokenizerError: the file cannot be read or is no valid tokenizer.json.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise TokenizerError(f"{path.name} cannot be read: {error}") from error
        return cls.from_json(text)

    @classmethod
    def from_gguf(cls, metadata: Mapping[str, object]) -> HuggingFaceTokenizer:
        """Make a tokenizer from a GGUF's metadata.

        Raises:
            TokenizerError: the metadata has no valid tokenizer (see tokenizer_json_from_gguf).
        """
        return cls.from_json(json.dumps(tokenizer_json_from_gguf(metadata), ensure_ascii=False))

    @property
    def vocab_size(self) -> int:
        """The number of ids, added tokens included."""
        return self._tokenizer.get_vocab_size(with_added_tokens=True)

    def encode(self, text: str, add_special_tokens: bool = False) -> list[int]:
        """Return the ids of a text.

        Raises:
            RequestError: the text has a lone surrogate.
        """
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise RequestError(
                f"the text has a lone surrogate at position {error.start}, which no UTF-8 can hold",
                position=error.start,
            ) from error
        with _named_errors():
            return self._tokenizer.encode(text, add_special_tokens=add_special_tokens).ids

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = True) -> str:
        """Return the text of ids."""
        with _named_errors():
            return self._tokenizer.decode(list(ids), skip_special_tokens=skip_special_tokens)

    def id_of(self, token: str) -> int | None:
        """Return the id of exactly this token, or None."""
        return self._tokenizer.token_to_id(token)

    def pieces(self) -> list[str]:
        """Return the vocabulary by id, as in the tokenizer.json; "" for tokens that are no text.

        Keep in step with `pieces` in web/tokenizer.js: what grammars allow is made of it.
        """
        vocabulary = self._tokenizer.get_vocab(with_added_tokens=True)
        pieces = [""] * (max(vocabulary.values(), default=-1) + 1)
        for piece, id_ in vocabulary.items():
            pieces[id_] = piece
        for id_, token in self._tokenizer.get_added_tokens_decoder().items():
            pieces[id_] = "" if token.special else token.content
        return pieces
