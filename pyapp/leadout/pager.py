"""Which rows of a paged table are on the device: the host's side of a `PagePlan`.

A pass can be queued before anybody knows its tokens. If a token's row of the table is not on the
device, the pass is computed without it, and `accept` ignores what such rows chose. So ids are the
same as with the whole table. A cycle whose first token has no row runs again.

    prefill    the prompt's ids are known: `bring` their rows, then submit
    cycle      when its result is read, `bring` the rows of its tokens, and those that it missed

Everything takes effect in the order of the calls. So a row can take another one's place while
passes that need the other one are still queued.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from leadout.checkpoint.page_plan import Move, PagePlan
from leadout.checkpoint.source import Source
from leadout.devices.base import Device

#: What a cycle loses when it waits for the result of the one before: with nothing queued ahead,
#: E2B's took 1.9 ms more in Node and 3.1 in Chromium, on an H100.
ROUND_TRIP_MS = 2.0

#: The share of the newest outcome in the rate of misses.
_NEWEST = 0.05


@dataclass
class PageCounts:
    """What paging did; `Stats.paging` in web/messages.js.

    Attributes:
        hits: rows that were wanted and were there.
        misses: rows that had to be read.
        read_bytes: of these, in the file.
        repeated_cycles: cycles that brought nothing, because their first token's row came later.
        single_cycles: cycles that were queued with no other, because misses were frequent.
    """

    hits: int = 0
    misses: int = 0
    read_bytes: int = 0
    repeated_cycles: int = 0
    single_cycles: int = 0


class Pager:
    """Keeps the most recently used rows of a table on a device."""

    def __init__(self, device: Device, plan: PagePlan, sources: Sequence[Source]) -> None:
        """Take the cache as loading leaves it: with the first ids' rows, which `slots` is told.

        Args:
            device: has the plan's buffers.
            plan: of the table.
            sources: of its checkpoint; none where weights are made up.
        """
        self.plan = plan
        self.counts = PageCounts()
        self._device = device
        self._sources = sources
        self._row_bytes = sum(part.bytes for part in plan.parts)
        self._miss_rate = 0.0
        count = plan.cache.num_rows
        #: id → slot, the least recently used first: at the beginning, the highest id.
        self._slots = {id_: id_ for id_ in reversed(range(count))}
        device.write(plan.slots.buffer, 0, struct.pack(f"<{count}I", *range(1, count + 1)))

    async def bring(self, ids: Iterable[int]) -> int:
        """See to it that rows are there for whatever is submitted next.

        Args:
            ids: at most as many different ones as the cache has rows.

        Returns:
            How many were not there.

        Raises:
            SourceError: a row could not be read; what was there is there still.
            TensorError: a row holds an infinity or a NaN; what was there is there still.
        """
        wanted = dict.fromkeys(ids)
        missing = [id_ for id_ in wanted if id_ not in self._slots]
        assert len(wanted) <= len(self._slots), f"{len(wanted)} rows wanted"
        for id_ in wanted:
            if id_ in self._slots:
                self._slots[id_] = self._slots.pop(id_)
        self.counts.hits += len(wanted) - len(missing)
        if missing:
            oldest = list(islice(self._slots.items(), len(missing)))
            moves = [
                Move(id_, slot, forgotten)
                for id_, (forgotten, slot) in zip(missing, oldest, strict=True)
            ]
            await self._device.page_in(self.plan, self._sources, moves)
            for move in moves:
                del self._slots[move.forgotten]
                self._slots[move.id] = move.slot
            self.counts.misses += len(moves)
            self.counts.read_bytes += len(moves) * self._row_bytes if self._sources else 0
        return len(missing)

    async def follow(self, tokens: Sequence[int], missing: Sequence[int]) -> None:
        """Bring what the next cycle may begin with, behind a cycle that gave these tokens.

        Args:
            tokens: new ids; none where the cycle has to be run again.
            missing: ids that it said were missing.
        """
        num_read = await self.bring([*tokens, *missing])
        if tokens:
            self._miss_rate += _NEWEST * (float(num_read > 0) - self._miss_rate)
        else:
            self.counts.repeated_cycles += 1

    def run_ahead(self, wanted: int, cycle_ms: float) -> int:
        """Return how many cycles to keep in flight: `wanted`, or 1 while misses are too frequent.

        Behind a miss all cycles in flight have to be run again; a cycle that is alone in flight
        waits for the one before it to be read.

        Args:
            wanted: as the request says.
            cycle_ms: what a cycle takes.
        """
        wasted_ms = self._miss_rate * (wanted - 1) * cycle_ms
        return wanted if wasted_ms <= ROUND_TRIP_MS else 1

    def counted_since(self, before: PageCounts) -> dict[str, int]:
        """Return what was counted since a copy of `counts` was taken."""
        now = dataclasses.asdict(self.counts)
        return {name: now[name] - count for name, count in dataclasses.asdict(before).items()}
