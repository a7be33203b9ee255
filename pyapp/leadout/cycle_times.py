"""Which cycle took how long: matches times, which come for several passes together, with cycles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from leadout.devices.base import PassTimes

#: How far times may be off, in milliseconds: browsers round the device's clock ...
DEVICE_CLOCK_MS = 0.1

#: ... and results arrive when the browser looks for them, often two at a time: so many plain
#: cycles, and no less than these milliseconds.
HOST_CLOCK_MS = 1.0
HOST_CLOCK_CYCLES = 1.5


@dataclass(frozen=True)
class CycleTime:
    """How long a cycle took.

    Attributes:
        num_drafts: of the cycle.
        ms: from the end of the pass before to its own.
        idle_ms: of these, before it began; None where the device has no clock.
        num_groups: lanes that its Plan is for.
    """

    num_drafts: int
    ms: float
    idle_ms: float | None
    num_groups: int = 1

    @property
    def busy_ms(self) -> float:
        """What of `ms` the device worked, or all of it where that is not known."""
        return self.ms - max(self.idle_ms or 0.0, 0.0)

    def resolution_ms(self, plain_ms: float) -> float:
        """Return how far `ms` may be off, given what a plain cycle takes."""
        if self.idle_ms is not None:
            return DEVICE_CLOCK_MS
        return max(HOST_CLOCK_MS, HOST_CLOCK_CYCLES * plain_ms)


class CycleTimes:
    """Follows passes that run one behind the other."""

    def __init__(self) -> None:
        self._untimed: list[tuple[int | None, int]] = []
        self._before: PassTimes | None = None

    def collected(
        self, num_drafts: int | None, times: Sequence[PassTimes], num_groups: int = 1
    ) -> list[CycleTime]:
        """Take what a pass brought, in the order of submission.

        Args:
            num_drafts: of a cycle; None for another pass.
            times: its readback's.
            num_groups: lanes that its Plan is for.

        Returns:
            The times of cycles, in order, that are now known.
        """
        self._untimed.append((num_drafts, num_groups))
        if not times:
            return []
        passes, self._untimed = self._untimed, []
        length = min(len(passes), len(times))
        if length < len(passes):
            self._before = None  # some pass in between has no time
        known = []
        for (k, groups), ran in zip(passes[-length:], times[-length:], strict=True):
            before, self._before = self._before, ran
            # Two clocks cannot be compared.
            if before is None or k is None or (before.began_ms is None) != (ran.began_ms is None):
                continue
            idle_ms = None if ran.began_ms is None else ran.began_ms - before.ended_ms
            known.append(CycleTime(k, ran.ended_ms - before.ended_ms, idle_ms, groups))
        return known
