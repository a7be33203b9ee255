"""Cycles in which some answers keep to a grammar.

Which ids may stand behind a draft is found on the host, between drafting and verifying:

    1. forced     text that the grammar leaves no choice of is given as drafts
    2. draft      the other streams' drafts are made in a pass of their own, and read back. The
                  first is masked on the device, later ones end where the grammar forbids one
    3. masks      behind the last known token and behind every draft
    4. verify     all streams together, with these drafts

A mask depends on the ids before it alone, and a draft that is not allowed is never equal to a
masked choice, so ids are those of the same request without drafts. The device waits while the host
works: streams without a grammar that run beside such a stream are as slow as it is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass

from leadout import state
from leadout.devices.base import PassTimes, Runnable
from leadout.errors import LeadoutError
from leadout.session.compiled import CompiledModel
from leadout.session.stream import Phase, Stream


@dataclass(frozen=True)
class GuidedCycle:
    """A cycle that is ready to be submitted.

    Attributes:
        plan: that verifies.
        streams: that take part, in the order of their groups.
        num_groups: lanes that the Plan is for.
        num_drafts: that it has rows for.
        num_drafted: that the drafter was asked for.
        forced: streams whose drafts are the grammar's.
    """

    plan: Runnable
    streams: Sequence[Stream]
    num_groups: int
    num_drafts: int
    num_drafted: int
    forced: Collection[Stream]


class Guided:
    """Prepares such cycles.

    Args:
        decoder: whose passes they are.
        collect: collects what is in flight, all of it.
        noted: told of the drafts' pass when it has ended.
        leave: ends a stream, with the error that it fails with, if any.
    """

    def __init__(
        self,
        decoder: CompiledModel,
        collect: Callable[[], Awaitable[None]],
        noted: Callable[[Sequence[PassTimes]], None],
        leave: Callable[[Stream, BaseException | None], None],
    ) -> None:
        self._decoder = decoder
        self._collect = collect
        self._noted = noted
        self._leave = leave

    async def first_mask(self, stream: Stream) -> None:
        """Say what a prompt's last pass may choose."""
        if not stream.written:
            await self._set_masks(stream, len(stream.prompt), [])

    async def prepare(
        self, streams: Sequence[Stream], num_drafts: int, has_logprobs: bool
    ) -> GuidedCycle | None:
        """Find drafts and masks; None where no stream is left.

        Args:
            streams: that decode, some of them guided.
            num_drafts: that are worth their cost, for streams without forced ids.
            has_logprobs: whether some stream wants log-probabilities.
        """
        await self._collect()
        streams = _decoding(streams)
        most = self._decoder.passes.given_counts(self._groups_for(streams))[-1]
        given: dict[Stream, list[int]] = {}
        for one in streams:
            if (
                one.guide is not None
                and one.drafts
                and (ids := one.guide.forced(min(most, one.left - 1)))
            ):
                given[one] = ids
        forced = set(given)
        undecided = [one for one in streams if one not in given]
        num_drafted = await self._draft(undecided, min(num_drafts, most), given)
        for one in _decoding(streams):
            if one.guide is not None:
                masks = await self._set_masks(one, one.most, given.get(one, ()))
                # Up to the first that is not allowed, or that ends the answer.
                given[one] = given.get(one, [])[: max(len(masks) - 1, 0)]
        streams = _decoding(streams)
        if not streams:
            return None
        num_groups = self._groups_for(streams)
        wanted = max(len(given.get(one, ())) for one in streams)
        counts = self._decoder.passes.given_counts(num_groups)
        num_rows = next(count for count in counts if count >= wanted)
        if num_rows > 0:
            plan = self._decoder.passes.given_cycles[num_groups, has_logprobs][num_rows]
        else:
            plan = self._decoder.passes.cycles_of(num_groups, has_logprobs)[0]
        await self._decoder.compile_missing([plan])
        streams = _decoding(streams)
        if not streams:
            return None
        if num_rows > 0:
            for one in streams:
                if one.lane is not None:
                    self._decoder.give(one.lane.number, given.get(one, ()))
        return GuidedCycle(plan, streams, num_groups, num_rows, num_drafted, forced)

    async def _draft(
        self, streams: Sequence[Stream], num_drafts: int, given: dict[Stream, list[int]]
    ) -> int:
        """Draft for streams; return how many tokens were asked for."""
        if not streams or num_drafts <= 0:
            return 0
        decoder = self._decoder
        num_groups = self._groups_for(streams)
        k = max(count for count in decoder.passes.given_counts(num_groups) if count <= num_drafts)
        if k == 0:
            return 0
        for one in streams:
            await self._set_masks(one, one.most, [])
        plan = decoder.passes.drafting[num_groups][k]
        await decoder.compile_missing([plan])
        streams = _decoding(streams)
        if not streams:
            return 0
        decoder.set_turns([one.lane.number for one in streams if one.lane is not None])
        readback = decoder.submit(plan, max(one.most for one in streams))
        words = await readback
        self._noted(readback.times)
        for group, one in enumerate(streams):
            given[one] = state.read_drafts(words, group, k)[: max(one.left - 1, 0)]
        return k

    async def _set_masks(
        self, stream: Stream, position: int, drafts: Sequence[int]
    ) -> Sequence[bytes]:
        """Write a guided stream's masks from a position on; end it where nothing may follow."""
        if stream.guide is None:
            return ()
        try:
            masks = await stream.guide.masks_for(drafts)
        except LeadoutError as error:
            self._leave(stream, error)
            return ()
        if stream.lane is None:  # it was closed meanwhile
            return ()
        if masks:
            self._decoder.set_masks(stream.lane.number, position, masks)
        else:
            self._leave(stream, None)
        return masks

    def _groups_for(self, streams: Sequence[Stream]) -> int:
        counts = self._decoder.passes.group_counts
        return next(count for count in counts if count >= len(streams))


def _decoding(streams: Sequence[Stream]) -> list[Stream]:
    return [one for one in streams if one.phase is Phase.DECODING and one.left > 0]
