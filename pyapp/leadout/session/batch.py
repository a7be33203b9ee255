"""How many tokens a cycle drafts when several streams take part.

Rows are shared, so there is one number for all streams. A request that runs alone gets the number
it asked for. Several together get the largest number that any of them asked for, or what the
schedule for that many streams says, if any of them leaves the choice open. Ids do not depend on
it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from leadout.scheduler import FixedSchedule, Schedule
from leadout.session.stream import Stream

#: Makes a schedule that chooses by itself for cycles of so many streams.
ScheduleFactory = Callable[[int], Schedule]


class Batch:
    """Chooses for streams that run together.

    Args:
        make_schedule: see `ScheduleFactory`.
    """

    def __init__(self, make_schedule: ScheduleFactory) -> None:
        self._make_schedule = make_schedule
        self._schedules: dict[int, Schedule] = {}

    def anew(self) -> Batch:
        """Return one that knows nothing of cycles that were never collected."""
        return Batch(self._make_schedule)

    def schedule_of(self, streams: Sequence[Stream], num_groups: int) -> Schedule:
        """Return what decides on the next cycle of these streams."""
        if len(streams) == 1:
            return streams[0].schedule
        fixed = [
            stream.schedule.num_drafts
            for stream in streams
            if isinstance(stream.schedule, FixedSchedule)
        ]
        if len(fixed) == len(streams):
            return FixedSchedule(max(fixed))
        if num_groups not in self._schedules:
            self._schedules[num_groups] = self._make_schedule(num_groups)
        shared = self._schedules[num_groups]
        return _AtLeast(shared, max(fixed, default=0))


class _AtLeast:
    """A schedule that drafts no fewer tokens than somebody fixed."""

    def __init__(self, schedule: Schedule, least: int) -> None:
        self._schedule, self._least = schedule, least
        self.submitted = schedule.submitted
        self.collected = schedule.collected
        self.collected_together = schedule.collected_together
        self.repeated = schedule.repeated

    def choose(self) -> int:
        """Return the larger number."""
        return max(self._schedule.choose(), self._least)
