"""Where a stream begins: which lane it gets, and which keys and values it reuses.

Layers that see all positions keep their keys and values in a lane until another prompt overwrites
them. Any lane may hold the beginning of a new prompt. The rings of sliding layers hold only the
last positions. A lane's rings can be reused until its answer has overwritten them; after that, a
copy of them can (kv_rings.py). A prompt takes both from where they are. What is in another lane is
copied, so that the conversation there keeps its own.

Copies of rings are made

    after a prompt              if its answer may overwrite them; for the next turn
    where prompts differ        if a prompt begins like another one, as conversations with the same
                                system prompt do; for the third such conversation
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from leadout.kv_cache import TILE
from leadout.kv_rings import KvRings
from leadout.passes import PREFILL_ROWS
from leadout.plan import Copy
from leadout.session.lane import KeptRings, Known, Lane, is_overwritten

#: Tokens that one pass makes again: so many of a conversation may be lost to another prompt.
_CHEAP_TOKENS = PREFILL_ROWS[-1]

#: A shorter beginning is not worth a copy.
_LEAST_SHARED = TILE

#: How far before a prompt's end the next turn's may part from it: chat templates write an answer's
#: first tokens otherwise when it has ended. Cycles in flight write behind its end, too.
_PARTS_BEFORE_END = 128


@dataclass(frozen=True)
class Start:
    """Where a stream begins.

    Attributes:
        lane: that it gets.
        length: of its prompt's ids, how many need no prefill.
        source: the lane that has the keys and values of layers that see all positions.
        rings: what has those of the others.
        parts_at: with how many of the prompt's ids another conversation begins, which then goes on
            otherwise.
    """

    lane: Lane
    length: int
    source: Lane
    rings: Known
    parts_at: int


class Admission:
    """Knows what lies in the lanes, and in the places for copies of their rings.

    Attributes:
        lanes: all lanes.
        rings: the caches.
        kept: the places.
    """

    def __init__(self, lanes: Sequence[Lane], rings: KvRings) -> None:
        self.lanes = lanes
        self.rings = rings
        self.kept = [KeptRings(number) for number in range(rings.num_places)]
        self._uses = 0

    def choose(self, prompt: Sequence[int]) -> Start | None:
        """Return where a prompt begins, by its `Stream.keys`; None while no lane is free."""
        free = [lane for lane in self.lanes if not lane.is_taken]
        if not free:
            return None
        begins = list(prompt[:-1])  # the last one is prefilled in any case: it chooses
        common = {id(one): one.common(begins) for one in (*self.lanes, *self.kept)}
        most = max(common[id(lane)] for lane in self.lanes)
        length, rings = 0, None
        for one in (*self.lanes, *self.kept):
            taken = min(common[id(one)], most)
            if taken > length and one.has_rings(taken, self.rings.rings):
                length, rings = taken, one

        def worth(lane: Lane) -> tuple[int, int, int]:
            """Rank a lane: by what is lost with it, then by what is there already, then by age."""
            known = common[id(lane)]
            lost = len(lane.prefilled) - known
            if lost == 0:
                return 0, -known, lane.last_use
            if known >= length > 0 and lost <= _CHEAP_TOKENS:
                return 1, -known, lane.last_use
            return 2, 0, lane.last_use

        lane = min(free, key=worth)
        source = lane
        if common[id(lane)] < length:
            source = next(one for one in self.lanes if common[id(one)] >= length)
        if lane.has_rings(length, self.rings.rings) and common[id(lane)] >= length:
            rings = lane
        parting = [common[id(one)] for one in self.lanes if common[id(one)] < len(one.prefilled)]
        parts_at = max(parting, default=0)
        return Start(lane, length, source, rings or lane, parts_at)

    def take(self, start: Start) -> list[Copy]:
        """Note that a stream begins there, and return what has to be copied for it."""
        lane, length, source = start.lane, start.length, start.source
        copies: list[Copy] = []
        if source is not lane:
            copies += self.rings.share(source.number, lane.number, length)
        if length and start.rings is not lane:
            where = start.rings.number
            if isinstance(start.rings, KeptRings):
                copies += self.rings.restore(where, lane.number)
            else:
                copies += self.rings.share_rings(where, lane.number)
            lane.written = start.rings.written
        if length == 0:
            lane.written = 0  # all that counts is written anew
        lane.prefilled = source.prefilled[:length]
        lane.is_taken = True
        self._uses += 1
        for one in (lane, source, start.rings):
            one.last_use = self._uses
        if start.parts_at == length:
            copies += self.keep_parting(lane, length)
        return copies

    def keep_parting(self, lane: Lane, parts_at: int) -> list[Copy]:
        """Return what keeps the rings of a lane, where prompts part, if nothing serves there."""
        rings = self.rings.rings
        if parts_at < _LEAST_SHARED or not self.kept or not lane.has_rings(parts_at, rings):
            return []
        for one in self.kept:
            begins = lane.prefilled[:parts_at]
            if one.common(begins) == parts_at and one.has_rings(parts_at, rings):
                one.is_shared = True
                return []
        return self._keep(lane, is_shared=True)

    def keep_end(self, lane: Lane, parts_at: int, most: int) -> list[Copy]:
        """Return what keeps the rings of a lane behind its prompt, if they may be overwritten.

        Args:
            lane: whose prompt has just been submitted, and nothing behind it.
            parts_at: where the prompt parted from others; 0 where that is done with.
            most: positions that the answer may write up to.
        """
        copies = self.keep_parting(lane, parts_at)
        length = max(len(lane.prefilled) - _PARTS_BEFORE_END, 0)
        is_kept = any(one.prefilled == lane.prefilled for one in self.kept)
        if not self.kept or is_kept or not is_overwritten(length, most, self.rings.rings):
            return copies
        return [*copies, *self._keep(lane, is_shared=False)]

    def forget(self) -> None:
        """Take nothing over of what there is: the device has failed."""
        for one in (*self.lanes, *self.kept):
            one.forget()

    def _keep(self, lane: Lane, *, is_shared: bool) -> list[Copy]:
        """Keep a lane's rings in the place whose copy is worth the least."""
        place = min(self.kept, key=self._worth)
        place.prefilled, place.written = list(lane.prefilled), lane.written
        place.is_shared, place.last_use = is_shared, self._uses
        return self.rings.keep(lane.number, place.number)

    def _worth(self, place: KeptRings) -> tuple[int, int]:
        """Rank a copy: of no use, one whose conversation has gone on, another, a shared one."""
        ids = place.prefilled
        of_use = max(lane.common(ids) for lane in self.lanes)  # it may go on as no lane does
        if of_use == 0 or not place.has_rings(of_use, self.rings.rings):
            return 0, place.last_use
        if place.is_shared:
            return 3, place.last_use
        has_gone_on = any(
            len(one.prefilled) > len(ids) and one.common(ids) == len(ids) for one in self.kept
        )
        return (1 if has_gone_on else 2), place.last_use
