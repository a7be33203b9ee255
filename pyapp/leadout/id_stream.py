"""A completion without text: for checkpoints that have no tokenizer."""

from __future__ import annotations

from collections.abc import Collection, Iterable


class IdStream:
    """Collects ids up to an end-of-sequence id; stands in for `text_stream.TextStream`.

    Attributes:
        stopped: whether an end-of-sequence id has come. Later ids are ignored.
        tokens: the ids before it.
        text: always empty.
        stop_string: always None.
        is_waiting: always false.
    """

    def __init__(self, eos_ids: Collection[int]) -> None:
        self.stopped = False
        self.tokens: list[int] = []
        self.text = ""
        self.stop_string: str | None = None
        self.is_waiting = False
        self._eos_ids = frozenset(eos_ids)

    def push(self, ids: Iterable[int]) -> str:
        """Take the next ids; there is never text."""
        for token in ids:
            self.stopped = self.stopped or token in self._eos_ids
            if not self.stopped:
                self.tokens.append(token)
        return ""

    def flush(self) -> str:
        """Nothing waits."""
        return ""
