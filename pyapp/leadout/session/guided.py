"""Cycles in which the host has a say: answers keep to a grammar, or a person's functions take part.

Which ids may come next is found on the host, so a cycle's choices wait for it. What comes before
them does not: the device computes the next cycle's logits meanwhile. A cycle is in two parts:

    open     its rows, drafts among them, and the logits behind these: queued right behind the cycle
             before, from what that one will leave on the device
    close    its choices. When the results of the cycle before have come, and the drafts:
             1. masks    behind the last known token, and behind every draft up to the first that
                         is not allowed
             2. forced   drafts for the next cycle: text that the grammar leaves no choice of, if
                         this cycle brings all its allowed drafts, and one more id of the text
             3. process  logits of streams with logits processors: read, changed, written back
             4. submit   the choices, and right behind them the next cycle's opening

Nothing else may be submitted between the parts, since passes share their scratch. So while prompts
wait, the next cycle is opened only when this one's results have come, behind a pass of a prompt.
A cycle that is open has changed nothing yet: where it cannot be closed, it is given up.

A mask depends on the ids before it alone, and a draft that is not allowed is never equal to a
masked choice, so that what is chosen behind it, by no mask of its own, does not count. Ids are
those of the same request without drafts. A stream that ended, or does not want more, while its
cycle was open is struck out of the rows: else they would be committed to a lane that may have
another stream by now. Streams without a grammar take part in the same cycles.

A person's drafter has to know all ids before it proposes more, so such a cycle is opened only when
the results of the one before have come. See own_code.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from leadout import inputs, state
from leadout.devices.base import PassTimes, Readback, Runnable
from leadout.errors import LeadoutError
from leadout.logits import FLOAT_BYTES
from leadout.plan import Upload
from leadout.scheduler import Schedule
from leadout.session.compiled import CompiledModel
from leadout.session.stream import Phase, Stream
from leadout.state import LOGITS


@dataclass(frozen=True)
class Closing:
    """The choices of a cycle, ready to be submitted.

    Attributes:
        plan: that chooses.
        streams: that take part.
        num_groups: lanes that the Plan is for.
        num_drafts: that it has rows for.
        num_drafted: that the drafter was asked for.
        forced: of streams whose drafts are the grammar's, these.
        schedule: what decided on the drafter's; None where all drafts are forced.
        uploads: what the Plan is given.
    """

    plan: Runnable
    streams: Sequence[Stream]
    num_groups: int
    num_drafts: int
    num_drafted: int
    forced: Mapping[Stream, Sequence[int]]
    schedule: Schedule | None
    uploads: Sequence[Upload]


@dataclass
class _Open:
    """A cycle that is open.

    Attributes:
        streams: in the order of their groups.
        num_groups: lanes that its Plans are for.
        num_drafts: that it has rows for.
        num_drafted: that the drafter was asked for.
        forced: of streams whose drafts are the grammar's, these.
        schedule: what decided on the drafter's.
        num_misses: of the pager, when it was opened.
        drafts: brings its rows, where a drafter drafts.
    """

    streams: Sequence[Stream]
    num_groups: int
    num_drafts: int
    num_drafted: int
    forced: dict[Stream, list[int]]
    schedule: Schedule
    num_misses: int = 0
    drafts: Readback | None = field(default=None)


class Guided:
    """Opens and closes such cycles.

    Args:
        decoder: whose passes they are.
        decide: returns what decides on drafts for streams, and how many it wants.
        is_undisturbed: whether the next cycle may be opened before this one's results have come.
        submit: submits choices, and takes note of them.
        noted: told of the drafts' pass when it has ended.
        leave: ends a stream, with the error that it fails with, if any.
    """

    def __init__(
        self,
        decoder: CompiledModel,
        decide: Callable[[Sequence[Stream]], tuple[Schedule, int]],
        is_undisturbed: Callable[[], bool],
        submit: Callable[[Closing], None],
        noted: Callable[[Sequence[PassTimes]], None],
        leave: Callable[[Stream, BaseException | None], None],
    ) -> None:
        self._decoder = decoder
        self._decide = decide
        self._is_undisturbed = is_undisturbed
        self._submit = submit
        self._noted = noted
        self._leave = leave
        self._open: _Open | None = None
        self._compiled: set[tuple[int, bool]] = set()

    @property
    def is_open(self) -> bool:
        """Whether a cycle is open: nothing but what closes it may be submitted."""
        return self._open is not None

    def give_up(self) -> None:
        """Forget the cycle that is open, if one is."""
        if self._open is not None and self._open.drafts is not None:
            self._open.drafts.discard()
        self._open = None

    async def first_mask(self, stream: Stream) -> list[Upload]:
        """Return what a prompt's last pass may choose; the stream may end here."""
        uploads: list[Upload] = []
        if not stream.written:
            await self._mask(stream, len(stream.prompt), [], uploads)
        return uploads

    async def first_choice(
        self, stream: Stream, num_rows: int, rows: Sequence[Upload], masks: Sequence[Upload]
    ) -> Readback | None:
        """Submit a prompt's last pass in parts, with its logits processed in between.

        Args:
            stream: whose prompt it is.
            num_rows: of the pass.
            rows: what its first part is given.
            masks: what its second part is given.

        Returns:
            the choice's results; None where the stream ended meanwhile.
        """
        decoder, passes = self._decoder, self._decoder.passes
        plans = passes if stream.embedded is None else passes.embedded
        opening = plans.prefill_open[num_rows]
        closing = passes.prefill_close[stream.settings.logprobs][num_rows]
        await decoder.compile_missing([opening, closing])
        num_positions = len(stream.prompt)
        decoder.submit(opening, num_positions, rows).discard()
        uploads = [*masks]
        if not await self._process(stream, 0, [], uploads):
            return None
        return decoder.submit(closing, num_positions, uploads)

    async def cycle(self, ready: Sequence[Stream]) -> None:
        """Close the cycle that is open, and open the next one; see the module's docstring.

        Args:
            ready: streams that take part, all of whose passes were collected; others' rows are
                struck out.
        """
        await self._compile(ready)
        if self._open is not None and self._has_other_pages(self._open):
            # Some of its rows were computed without theirs, which `accept` can see no more.
            self.give_up()
        if self._open is not None and not set(ready).intersection(self._open.streams):
            self.give_up()
        if self._open is None:
            ready = _decoding(ready)  # some may have ended while Plans were compiled
            if not ready or not self._compiled.issuperset(self._kinds_for(ready)):
                return
            forced = self._forced(dict.fromkeys(ready), self._most_drafts(ready))
            ready = _decoding(ready)
            if not ready:
                return
            self._open_for(ready, {one: ids for one, ids in forced.items() if one in ready})
        await self._close(ready)

    # ---- the first part ------------------------------------------------------------------------

    def _open_for(self, streams: Sequence[Stream], forced: dict[Stream, list[int]]) -> None:
        """Queue the rows and the logits of a cycle of these streams."""
        decoder, passes = self._decoder, self._decoder.passes
        num_groups = self._groups_for(streams)
        schedule, wanted = self._decide(streams)
        counts = passes.given_counts(num_groups)
        num_drafted = 0
        if len(forced) < len(streams):
            num_drafted = max(count for count in counts if count <= max(wanted, 0))
        # Rows are shared: beside a drafter's, there is room for as many forced ones.
        longest = max((len(ids) for ids in forced.values()), default=0)
        num_drafts = num_drafted or next(count for count in counts if count >= longest)
        forced = {one: ids[:num_drafts] for one, ids in forced.items()}
        lanes = [one.lane for one in streams if one.lane is not None]
        positions = 0
        uploads = decoder.turns([lane.number for lane in lanes])
        for one, lane in zip(streams, lanes, strict=True):
            seen = min(one.most + num_drafts, decoder.tables.context_length)
            lane.written = max(lane.written, seen)
            positions = max(positions, seen)
            if num_drafts > 0:
                uploads.append(inputs.drafts(lane.number, forced.get(one, ())))
        opened = _Open(streams, num_groups, num_drafts, num_drafted, forced, schedule)
        opened.num_misses = self._num_misses()
        parts = passes.parts[num_groups]
        if num_drafted:
            opened.drafts = decoder.submit(parts.draft[num_drafts], positions, uploads)
            self._open = opened
            decoder.submit(parts.forward[num_drafts], positions).discard()
        else:
            decoder.submit(parts.given[num_drafts], positions, uploads).discard()
            self._open = opened

    # ---- the second part -----------------------------------------------------------------------

    async def _close(self, ready: Sequence[Stream]) -> None:
        """Choose behind the rows that are open, and open the next cycle."""
        opened, decoder = self._open, self._decoder
        assert opened is not None
        proposed = await self._proposed(opened)
        allowed: dict[Stream, Sequence[int] | None] = {}
        uploads: list[Upload] = []
        for one in opened.streams:
            if one in ready and _is_decoding(one):
                drafts = proposed.get(one, ())[: max(one.left - 1, 0)]
                if one.guide is not None:
                    masks = await self._mask(one, one.most, drafts, uploads)
                    drafts = drafts[: max(len(masks) - 1, 0)]
                allowed[one] = drafts
        # Those alone whose rows are all there: the next cycle's logits lie in the same place.
        for group, one in enumerate(opened.streams):
            if one in allowed and one.has_processors and _is_decoding(one):
                first = group * (1 + opened.num_drafts)
                await self._process(one, first, allowed[one] or (), uploads)
        taking_part = _decoding(allowed)
        if not taking_part:
            self.give_up()
            return
        # What the next cycle takes is found before this one is submitted, so that nothing keeps the
        # device waiting between them.
        following: dict[Stream, Sequence[int] | None] = {
            one: allowed[one] for one in taking_part if one.left > 1
        }
        following |= {one: None for one in _decoding(ready) if one not in opened.streams}
        forced: dict[Stream, list[int]] = {}
        goes_on = self._may_open(list(following))
        if goes_on:
            forced = self._forced(following, self._most_drafts(list(following)))
        for group, one in enumerate(opened.streams):
            if one not in taking_part:
                uploads.append(inputs.struck_rows(group, opened.num_drafts))
        self._open = None
        has_logprobs = any(one.settings.logprobs for one in taking_part)
        plans = decoder.passes.closing[opened.num_groups, has_logprobs]
        kept = {one: ids for one, ids in opened.forced.items() if one in taking_part}
        self._submit(
            Closing(
                plans[opened.num_drafts],
                taking_part,
                opened.num_groups,
                opened.num_drafts,
                opened.num_drafted,
                kept,
                opened.schedule if len(kept) < len(taking_part) else None,
                uploads,
            )
        )
        if goes_on:
            self._open_for(list(following), forced)

    async def _proposed(self, opened: _Open) -> dict[Stream, list[int]]:
        """Return the drafts that a cycle's rows have."""
        if opened.drafts is None:
            return opened.forced
        words = await opened.drafts
        self._noted(opened.drafts.times)
        opened.drafts = None
        return {
            one: state.read_drafts(words, group, opened.num_drafts)
            for group, one in enumerate(opened.streams)
        }

    def _may_open(self, streams: Sequence[Stream]) -> bool:
        """Return whether a cycle of these streams may be opened now."""
        if not any(one.needs_host for one in streams) or not self._is_undisturbed():
            return False
        if any(one.has_own_drafter for one in streams):
            return False
        return self._compiled.issuperset(self._kinds_for(streams))

    async def _compile(self, streams: Sequence[Stream]) -> None:
        """Compile what closes the cycle that is open, and what the next one takes."""
        opened = [] if self._open is None else _decoding(self._open.streams)
        wanted = self._kinds_for(streams)
        if opened:
            wanted |= self._kinds_for([*opened, *(one for one in streams if one not in opened)])
        for kind in sorted(wanted - self._compiled):
            await self._decoder.compile_missing(self._decoder.passes.all_parts(*kind))
            self._compiled.add(kind)

    def _kinds_for(self, streams: Sequence[Stream]) -> set[tuple[int, bool]]:
        """Return for how many lanes streams take Plans, and whether with log-probabilities."""
        num_groups = self._groups_for(streams)
        return {(num_groups, bool(one.settings.logprobs)) for one in streams} | {
            (num_groups, False)
        }

    def _num_misses(self) -> int:
        pager = self._decoder.pager
        return 0 if pager is None else pager.counts.misses

    def _has_other_pages(self, opened: _Open) -> bool:
        """Return whether rows of a paged table were brought since a cycle was opened."""
        pager = self._decoder.pager
        if pager is None or pager.counts.misses == opened.num_misses:
            return False
        pager.counts.repeated_cycles += 1
        return True

    def _most_drafts(self, streams: Sequence[Stream]) -> int:
        return self._decoder.passes.given_counts(self._groups_for(streams))[-1]

    async def _mask(
        self, stream: Stream, position: int, drafts: Sequence[int], uploads: list[Upload]
    ) -> Sequence[bytes]:
        """Add a guided stream's masks from a position on; end it where nothing may follow."""
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
            tables, lane = self._decoder.tables, stream.lane.number
            uploads += inputs.masks(tables, lane, position, masks)
        else:
            self._leave(stream, None)
        return masks

    async def _process(
        self, stream: Stream, row: int, drafts: Sequence[int], uploads: list[Upload]
    ) -> bool:
        """Have a stream's processors change its rows, which begin at `row`.

        Returns:
            whether the stream goes on: not where a processor failed, or it ended meanwhile.
        """
        assert stream.own_code is not None
        device, row_bytes = self._decoder.device, FLOAT_BYTES * self._decoder.tables.vocab_size
        logits = await device.read(LOGITS, row * row_bytes, (1 + len(drafts)) * row_bytes)
        if stream.lane is None:
            return False
        try:
            changed = stream.own_code.process(drafts, logits)
        except LeadoutError as error:
            self._leave(stream, error)
            return False
        uploads.append(Upload(LOGITS, row * row_bytes, changed))
        return True

    def _forced(
        self, pending: Mapping[Stream, Sequence[int] | None], most: int
    ) -> dict[Stream, list[int]]:
        """Return the host's drafts of the next cycle, of streams that have any.

        Args:
            pending: of each stream, the allowed drafts of its cycle that is about to be submitted;
                None where it takes no part in that.
            most: drafts at most.
        """
        found: dict[Stream, list[int]] = {}
        for one, drafts in pending.items():
            left = one.left - (1 if drafts is None else 2)
            ids: list[int] = []
            if one.own_code is not None and one.own_code.drafts:
                try:
                    ids = one.own_code.propose(min(most, left))
                except LeadoutError as error:
                    self._leave(one, error)
            elif one.guide is not None and one.drafts:
                ids = one.guide.forced(min(most, left), drafts)
            if ids:
                found[one] = ids
        return found

    def _groups_for(self, streams: Sequence[Stream]) -> int:
        counts = self._decoder.passes.group_counts
        return next(count for count in counts if count >= len(streams))


def _is_decoding(stream: Stream) -> bool:
    return stream.phase is Phase.DECODING and stream.left > 0


def _decoding(streams: Iterable[Stream]) -> list[Stream]:
    return [one for one in streams if _is_decoding(one)]
