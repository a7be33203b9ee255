"""What a generation had written when its engine was lost, so that another engine can continue it.

The page has already seen these tokens, so they stay. The new engine takes the text's state from
them, and rebuilds the KV cache: the prompt is read as before, and the tokens go through passes
with few rows as before, because the two kinds of passes differ in their last bits (see
speculative.py). From there on the ids are those of a generation that was never interrupted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from leadout.errors import RequestError


@dataclass(frozen=True)
class WrittenCycle:
    """What one collected pass had brought.

    Attributes:
        tokens: ids, in order.
        num_drafted: drafts that were verified.
    """

    tokens: tuple[int, ...]
    num_drafted: int = 0


@dataclass(frozen=True)
class Resumption:
    """Where a generation goes on; keep in step with `Resumption` in web/messages.js.

    Attributes:
        cycles: the passes that the page heard of, the prompt's last one first.
        ttft_ms: how long the first token took.
        decode_ms: from there to the last token that came.
    """

    cycles: tuple[WrittenCycle, ...]
    ttft_ms: float = 0.0
    decode_ms: float = 0.0

    @property
    def tokens(self) -> list[int]:
        """All ids, in order."""
        return [token for cycle in self.cycles for token in cycle.tokens]

    @classmethod
    def from_json(cls, fields: Mapping[str, object]) -> Resumption:
        """Check what crossed a boundary.

        Raises:
            RequestError: it is not of the form that is described above.
        """
        try:
            cycles = fields["cycles"]
            assert isinstance(cycles, Sequence)
            return cls(
                tuple(
                    WrittenCycle(tuple(map(int, cycle["tokens"])), int(cycle["num_drafted"]))
                    for cycle in cycles
                ),
                float(fields["ttft_ms"]),  # type: ignore[arg-type]  # refused below
                float(fields["decode_ms"]),  # type: ignore[arg-type]
            )
        except (AssertionError, KeyError, TypeError, ValueError) as error:
            raise RequestError(f"A resumption is malformed: {error!r}.") from error
