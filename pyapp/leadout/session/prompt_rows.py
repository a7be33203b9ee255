"""How many rows the next pass over a prompt has.

Alone, a prompt is read in the largest passes. While other streams decode, a pass is to hold them up
no longer than MAX_STALL_MS, as far as is known from the passes before.

Rows that see one another, as those of an image do, cannot be cut: where a pass has any, it has them
all, up to PREFILL_ROWS[-1] of them, however long that takes.
"""

from __future__ import annotations

from leadout.passes import PREFILL_ROWS
from leadout.session.queued import QueuedPass
from leadout.session.stream import Stream

#: The longest that a pass may hold up streams that decode, and its rows while nothing is known.
MAX_STALL_MS = 100.0
UNKNOWN_ROWS = 64


class PromptRows:
    """See the module's docstring.

    Attributes:
        ms_per_row: what the last pass took; 0 while none is known.
    """

    def __init__(self) -> None:
        self.ms_per_row = 0.0

    def next_pass(self, stream: Stream, *, is_alone: bool) -> tuple[int, int]:
        """Return the rows of a prompt's next pass, and the position behind its last one.

        Args:
            stream: whose prompt it is.
            is_alone: no stream decodes.
        """
        start, most = stream.position, PREFILL_ROWS[-1] if is_alone else self._most()
        end = min(len(stream.prompt), start + most)
        if stream.embedded is not None:
            end = stream.embedded.whole(start, end)
        return next(size for size in PREFILL_ROWS if size >= end - start), end

    def learn(self, one: QueuedPass) -> None:
        """Learn how long a pass took that was collected, from the device's clock if it has one."""
        if one.num_rows == 0 or not one.readback.times:
            return
        ran = one.readback.times[-1]
        if ran.began_ms is not None:
            self.ms_per_row = (ran.ended_ms - ran.began_ms) / one.num_rows

    def _most(self) -> int:
        """Return the most rows of a pass beside streams that decode."""
        if self.ms_per_row == 0:
            return UNKNOWN_ROWS
        fitting = [size for size in PREFILL_ROWS if size * self.ms_per_row <= MAX_STALL_MS]
        return max(fitting, default=PREFILL_ROWS[0])
