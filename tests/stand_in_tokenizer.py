"""A tokenizer for engines whose checkpoint has none."""

from __future__ import annotations

from collections.abc import Sequence


class LetterTokenizer:
    """A letter an id."""

    def encode(self, text: str, add_special_tokens: bool) -> list[int]:
        return [ord(char) - 0x4E00 for char in text]

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = True) -> str:
        return "".join(chr(0x4E00 + token) for token in ids)

    def id_of(self, token: str) -> int | None:
        return None
