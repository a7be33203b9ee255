"""A pass that was submitted, and whose results are still to come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from leadout.devices.base import Readback
from leadout.scheduler import Schedule
from leadout.session.stream import Stream


@dataclass
class QueuedPass:
    """A pass in flight.

    Attributes:
        readback: its results.
        streams: that it brings something, with their lanes.
        num_drafts: of a cycle; None of another pass.
        num_groups: lanes that its Plan is for.
        num_rows: of a prompt's pass; 0 of a cycle.
        schedule: what decided on the drafts.
        num_drafted: that the drafter was asked for, where others are not its own.
        forced: of streams whose drafts are the host's, these.
    """

    readback: Readback
    streams: Sequence[tuple[Stream, int]] = ()
    num_drafts: int | None = None
    num_groups: int = 1
    num_rows: int = 0
    schedule: Schedule | None = None
    num_drafted: int | None = None
    forced: Mapping[Stream, Sequence[int]] = field(default_factory=dict)

    def num_forced(self, stream: Stream) -> int:
        """Return how many of a stream's drafts were its grammar's."""
        return 0 if stream.has_own_drafter else len(self.forced.get(stream, ()))
