"""What the host knows about a lane: a sequence's part of the KV cache and of the device's tables.

The cache is never cleared. Lengths say which part of it is valid.

A prompt that begins like an earlier one reuses its keys and values, but only those made by
prefill. A pass with many rows adds in another order than a pass with few, and ids must not depend
on what was generated before. So each answer of a conversation is read once, in the next turn, and
older turns never again. admission.py decides which keys and values a prompt takes from where.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from leadout.kv_cache import KvCache

#: A drafter sees two positions further back than its window says; see models/gemma4_assistant.py.
_EXTRA_WINDOW = 2


@dataclass
class Known:
    """Keys and values that are known to lie somewhere.

    Attributes:
        number: of the lane, or of the place.
        prefilled: tokens whose keys and values were made by prefill, as `Stream.keys` has them.
        written: positions below this may have been written, by passes of any kind.
        last_use: grows with every stream that takes something from it, or leaves something.
    """

    number: int
    prefilled: list[int] = field(default_factory=list)
    written: int = 0
    last_use: int = 0

    def common(self, prompt: Sequence[int]) -> int:
        """Return with how many of these tokens a prompt begins."""
        length = min(len(self.prefilled), len(prompt))
        low, high = 0, length + 1  # as many as `low` agree, `high` do not
        while high - low > 1:  # slices are compared much faster than items
            middle = length if low == 0 and high == length + 1 else (low + high) // 2
            if self.prefilled[low:middle] == list(prompt[low:middle]):
                low = middle
            else:
                high = middle
        return low

    def has_rings(self, length: int, rings: Sequence[KvCache]) -> bool:
        """Return whether rings hold all that a row sees behind so many of the tokens."""
        return not is_overwritten(length, self.written, rings)

    def forget(self) -> None:
        """Take nothing of this over."""
        self.prefilled, self.written = [], 0


@dataclass
class Lane(Known):
    """A lane.

    Attributes:
        is_taken: a stream has it.
    """

    is_taken: bool = False


@dataclass
class KeptRings(Known):
    """A place for a copy of a lane's rings; see kv_rings.py.

    It is of use while some lane has the other layers' keys and values of the same tokens.

    Attributes:
        is_shared: it was left where prompts part, so other conversations may begin with it.
    """

    is_shared: bool = False


def is_overwritten(length: int, written: int, rings: Sequence[KvCache]) -> bool:
    """Return whether rings have lost something that a row sees behind `length` positions.

    Args:
        length: positions that are to be taken over.
        written: positions below this were written.
        rings: caches of sliding layers: each holds its capacity of positions.
    """
    for ring in rings:
        first_visible = length + 1 - ring.window - _EXTRA_WINDOW
        if written - ring.capacity > max(first_visible, 0):
            return True
    return False
