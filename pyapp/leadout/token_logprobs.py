"""Log-probabilities of tokens in the shape of OpenAI's `logprobs.content`.

They are of the model's own distribution, before temperature, penalties, biases and filters, so they
do not say how likely a token was to be chosen, and are the same whatever drafts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from leadout.state import TokenLogprobs
from leadout.tokenizer import Tokenizer

#: A token as OpenAI has it: "token", "logprob", "bytes" and, but in lists of alternatives,
#: "top_logprobs"; with its "id", and "is_reasoning" where it is no part of the answer.
Entry: TypeAlias = dict[str, object]

#: Of tokens that are as good as impossible, as OpenAI has it; JSON has no infinity.
LEAST_LOGPROB = -9999.0

_REPLACEMENT = "\ufffd"


class LogprobTexts:
    """Finds the texts of tokens, each once.

    Args:
        tokenizer: None, for checkpoints without one, gives ids as texts.
        byte_tokens: what `byte_tokens_of(tokenizer)` returns.
    """

    def __init__(self, tokenizer: Tokenizer | None, byte_tokens: Mapping[int, int] | None) -> None:
        self._tokenizer = tokenizer
        self._byte_tokens = byte_tokens or {}
        self._texts: dict[int, tuple[str, list[int] | None]] = {}

    def entries(
        self, tokens: Sequence[int], logprobs: Sequence[TokenLogprobs], is_thought: Sequence[bool]
    ) -> list[Entry]:
        """Return the entries of consecutive tokens."""
        entries = []
        for token, found, is_reasoning in zip(tokens, logprobs, is_thought, strict=True):
            entry = self._entry(token, found.logprob)
            entry["top_logprobs"] = [self._entry(*other) for other in found.top]
            if is_reasoning:
                entry["is_reasoning"] = True
            entries.append(entry)
        return entries

    def _entry(self, token: int, logprob: float) -> Entry:
        if token not in self._texts:
            self._texts[token] = self._text_of(token)
        text, data = self._texts[token]
        return {
            "id": token,
            "token": text,
            "logprob": max(logprob, LEAST_LOGPROB),
            "bytes": None if data is None else [*data],
        }

    def _text_of(self, token: int) -> tuple[str, list[int] | None]:
        """Return a token's text and bytes; None where a part of a character stands for itself."""
        if token in self._byte_tokens:
            byte = self._byte_tokens[token]
            return (chr(byte) if byte < 0x80 else f"\\x{byte:02x}"), [byte]
        if self._tokenizer is None:
            return f"token_id:{token}", None
        text = self._tokenizer.decode([token], False)
        return text, None if _REPLACEMENT in text else list(text.encode())
