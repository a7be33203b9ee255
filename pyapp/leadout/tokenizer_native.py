"""The tokenizer of CPython: the `tokenizers` package behind Leadout's protocol.

Never imported in the browser, where web/tokenizer.js does the same work. The package itself is
imported only when a tokenizer is made, so that commands which need none do not wait for it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from leadout.errors import RequestError, TokenizerError
from leadout.tokenizer import tokenizer_json_from_gguf

if TYPE_CHECKING:
    import tokenizers


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

        try:
            return cls(Tokenizer.from_str(text))
        except Exception as error:  # the package raises nothing narrower
            raise TokenizerError(f"the tokenizer.json is invalid: {error}") from error

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
        return self._tokenizer.encode(text, add_special_tokens=add_special_tokens).ids

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = True) -> str:
        """Return the text of ids."""
        return self._tokenizer.decode(list(ids), skip_special_tokens=skip_special_tokens)

    def id_of(self, token: str) -> int | None:
        """Return the id of exactly this token, or None."""
        return self._tokenizer.token_to_id(token)
