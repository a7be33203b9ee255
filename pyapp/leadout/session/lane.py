"""What the host knows of a lane: one sequence's share of the KV cache and of the device's tables.

The cache is never cleared: lengths say what of it counts.

A prompt that begins like a lane's last one takes over its keys and values, but only those that were
made by prefill: a pass with many rows adds in another order than one with few, and ids must not
depend on what was generated before. So the answers in a conversation are prefilled once, in the
turn after them, and the turns before never again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from leadout.kv_cache import KvCache

#: A drafter sees two positions further back than its window says; see models/gemma4_assistant.py.
_EXTRA_WINDOW = 2


@dataclass
class Lane:
    """A lane.

    Attributes:
        number: which one.
        prefilled: tokens whose keys and values were made by prefill.
        written: positions below this may hold keys and values of any kind.
        is_taken: a stream has it.
        last_use: grows with every stream that has had a lane.
    """

    number: int
    prefilled: list[int] = field(default_factory=list)
    written: int = 0
    is_taken: bool = False
    last_use: int = 0

    def reusable(self, prompt: Sequence[int], caches: Sequence[KvCache]) -> int:
        """Return how many of a prompt's first ids need no prefill here."""
        length = 0
        for a, b in zip(self.prefilled, prompt[:-1], strict=False):
            if a != b:
                break
            length += 1
        for cache in caches:
            # A ring has lost what more than its capacity of positions were written after.
            first_visible = length + 1 - cache.window - _EXTRA_WINDOW
            if cache.window and self.written - cache.capacity > max(first_visible, 0):
                return 0
        return length

    def forget(self) -> None:
        """Take nothing of the cache over."""
        self.prefilled, self.written = [], 0
