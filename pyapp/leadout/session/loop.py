"""The loop. Only it submits passes, for all streams, and it hands out their tokens.

    1. admit    a waiting stream gets a free lane, and what is already known of its prompt
                (admission.py)
    2. prefill  its prompt is read in passes of fixed sizes; the last one chooses a token
    3. cycle    draft k tokens for every stream that decodes, verify them and the last known token
                in one pass, accept. All of it runs on the device, from what the cycle before left
                there. So `run_ahead` cycles are queued before the first is read back
    4. collect  passes are read back in the order in which they were queued, and each stream gets
                its tokens. With a paged table, missing rows are read, and a cycle that gave no
                token because of them runs again (pager.py)

While streams decode, passes of prompts and cycles take turns, and prompts are read in smaller
passes, so that none of them delays the others for long (prompt_rows.py, which also says where a
pass has to be larger). A stream that nobody reads, or that waits for a lane, takes no part. That
costs nothing: a cycle has rows only for streams that take part.

A row's bits depend neither on the rows beside it nor on how a prompt is cut. So ids do not depend
on what runs beside a stream, nor on when it joined.

When another engine was lost, its stream continues here: the prompt is read as before, and the
tokens that were already written go through passes with few rows, as they did the first time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from leadout import inputs, state
from leadout.beside import SharedLock
from leadout.cycle_times import CycleTimes
from leadout.devices.base import PassTimes, Runnable
from leadout.errors import RequestError
from leadout.plan import Upload
from leadout.scheduler import Schedule
from leadout.session.batch import Batch
from leadout.session.compiled import CompiledModel
from leadout.session.guided import Closing, Guided
from leadout.session.prompt_rows import PromptRows
from leadout.session.queued import QueuedPass
from leadout.session.stream import Cycle, Phase, Stream

#: Passes of prompts that may be in flight; more would only delay an abort.
PREFILL_IN_FLIGHT = 2

#: While there is nothing to do, streams are asked as often whether they are aborted: nobody tells.
_ASKED_EVERY_S = 0.1


class Loop:
    """See the module's docstring.

    Args:
        decoder: the compiled passes, the lanes, and what cycles cost.
        batch: decides on drafts where several streams take part.
    """

    def __init__(self, decoder: CompiledModel, batch: Batch) -> None:
        self._decoder = decoder
        self._batch = batch
        self._streams: list[Stream] = []
        self._in_flight: deque[QueuedPass] = deque()
        self._times = CycleTimes()
        self._work = asyncio.Event()
        self._gate = SharedLock()
        self._task: asyncio.Task[None] | None = None
        self._was_prefill = False
        self._known: set[Stream] = set()
        self._brought: list[Stream] = []
        self._prompt_rows = PromptRows()
        self._guided = Guided(
            decoder,
            self._decide,
            self._is_undisturbed,
            self._submit_choices,
            self._note_pass,
            self._leave,
        )

    async def run(self, stream: Stream) -> AsyncGenerator[Cycle, None]:
        """Take a stream in, and yield what it brings; closing the iterator ends it.

        Raises:
            LeadoutError: the device failed, of all streams alike.
        """
        async with self._gate.shared():
            self._streams.append(stream)
            if self._task is None:
                self._task = asyncio.ensure_future(self._serve())
            self._wake()
            try:
                async for cycle in stream.cycles(self._wake):
                    yield cycle
            finally:
                self._leave(stream)

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Have the device for oneself: wait for all streams, and let none begin."""
        async with self._gate.alone():
            if self._task is not None:
                await asyncio.shield(self._task)
            yield

    def _leave(self, stream: Stream, failure: BaseException | None = None) -> None:
        """End a stream; its lane is free for the next one."""
        if stream.phase is not Phase.ENDED:
            stream.end(failure)
        if stream in self._streams:
            self._streams.remove(stream)
        self._known.discard(stream)
        if stream.lane is not None:
            self._decoder.idle(stream.lane.number)
            stream.lane.is_taken = False
            stream.lane = None
        self._wake()

    def _wake(self) -> None:
        """Look for something to do again."""
        self._work.set()

    def _bring(self, stream: Stream, cycle: Cycle) -> None:
        """Give a stream a cycle, whose reader is woken behind the next submit."""
        stream.bring(cycle)
        self._brought.append(stream)

    def _tell_readers(self) -> bool:
        """Wake the readers of what was brought, if any; the device does not wait for them."""
        brought, self._brought = self._brought, []
        for stream in brought:
            stream.tell()
        return bool(brought)

    async def _serve(self) -> None:
        """Serve streams until there are none."""
        self._work = asyncio.Event()  # the last one may be another event loop's
        try:
            while self._streams:
                self._work.clear()
                for stream in [one for one in self._streams if one.is_aborted()]:
                    self._leave(stream)
                self._admit()
                has_submitted = await self._submit()
                has_told = self._tell_readers()
                if has_told and (self._was_prefill or not has_submitted):
                    await asyncio.sleep(0)  # they may want a cycle before anything else is queued
                elif has_submitted:
                    continue
                elif self._in_flight:
                    await self._collect()
                elif self._streams:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._work.wait(), _ASKED_EVERY_S)
        except BaseException as error:
            self._decoder.admission.forget()  # some of what was noted may not have come about
            for stream in list(self._streams):
                self._leave(stream, error)
            if not isinstance(error, Exception):
                raise
        finally:
            for one in self._in_flight:
                one.readback.discard()
            self._in_flight.clear()
            self._guided.give_up()
            self._times, self._batch = CycleTimes(), self._batch.anew()
            self._known.clear()
            self._brought.clear()
            self._task = None

    def _admit(self) -> None:
        """Give free lanes to streams that wait, in the order in which they came."""
        decoder = self._decoder
        for stream in self._streams:
            if stream.phase is not Phase.WAITING:
                continue
            start = decoder.admission.choose(stream.keys)
            if start is None:
                return
            decoder.copy(decoder.admission.take(start))
            stream.lane, stream.phase = start.lane, Phase.PREFILLING
            stream.position = stream.num_reused = start.length
            stream.parts_at = start.parts_at
            has_masks = stream.guide is not None
            number = start.lane.number
            decoder.begin(number, stream.prompt, stream.settings, has_masks=has_masks)

    async def _submit(self) -> bool:
        """Submit what is next; return whether there was anything."""
        num_prefills = sum(one.num_drafts is None for one in self._in_flight)
        waiting = [one for one in self._streams if one.phase in (Phase.PREFILLING, Phase.REPLAYING)]
        ready, depth, is_cycle_due = self._ready()
        if self._guided.is_open:
            if self._in_flight or not (ready or waiting):
                return False  # collect first, or wait until somebody reads
            if ready:
                await self._guided.cycle(ready)
                self._was_prefill = False
                return True
            self._guided.give_up()
        is_turn = not (self._was_prefill and is_cycle_due)
        if waiting and num_prefills < PREFILL_IN_FLIGHT and is_turn:
            stream = waiting[0]
            if stream.phase is Phase.PREFILLING:
                await self._prefill(stream)
            else:
                await self._replay(stream)
            # Prompts take turns, too.
            if stream in self._streams:
                self._streams.remove(stream)
                self._streams.append(stream)
            self._was_prefill = True
            return True
        if ready and sum(one.num_drafts is not None for one in self._in_flight) < depth:
            await self._cycle(ready, depth)
            self._was_prefill = False
            return True
        return False

    def _ready(self) -> tuple[list[Stream], int, bool]:
        """Return what there is to know of the next cycle.

        Returns:
            the streams that it may be of, how many cycles to queue, and whether there will be one:
            its streams may have to wait for what is in flight, or for readers that are not told.
        """
        decoding = [one for one in self._streams if one.phase is Phase.DECODING]
        # Where the host has a say, choices go one by one, and others' beside them: shared rows.
        is_guided = any(one.needs_host for one in decoding)
        depths = {one: 1 if is_guided else self._decoder.depth(one.run_ahead) for one in decoding}
        unfinished = [one for one in decoding if one.left > 0]
        read = [one for one in unfinished if (one.has_room if is_guided else one.wants_more)]
        # The prompt's last pass counts, too.
        ready = [one for one in read if one.in_flight < depths[one]]
        depth = min((depths[one] for one in ready), default=0)
        return ready, depth, bool(read or set(unfinished).intersection(self._brought))

    # ---- prompts -------------------------------------------------------------------------------

    async def _prefill(self, stream: Stream) -> None:
        """Submit the next pass of a prompt."""
        decoder, lane, prompt = self._decoder, stream.lane, stream.prompt
        assert lane is not None
        start = stream.position
        is_alone = not any(one.phase is Phase.DECODING for one in self._streams)
        rows, end = self._prompt_rows.next_pass(stream, is_alone=is_alone)
        is_last = end == len(prompt)
        tokens = prompt[start:end]
        passes = decoder.passes if stream.embedded is None else decoder.passes.embedded
        plans = passes.last_prefills(stream.settings.logprobs) if is_last else passes.prefill
        await decoder.compile_missing([plans[rows]])
        if decoder.pager is not None:
            await decoder.pager.bring(tokens)
        masks = await self._guided.first_mask(stream) if is_last else []
        if stream.phase is Phase.ENDED:
            return
        uploads = decoder.prompt_inputs(stream, lane.number, end, rows)
        lane.prefilled += stream.keys[start:end]
        lane.written = max(lane.written, end)
        stream.position = end
        if is_last and stream.has_processors:
            readback = await self._guided.first_choice(stream, rows, uploads, masks)
            if readback is None:
                return  # it ended meanwhile
            one = QueuedPass(readback)
        else:
            readback = decoder.submit(plans[rows], len(prompt), [*uploads, *masks])
            one = QueuedPass(readback, num_rows=rows)
        self._in_flight.append(one)
        parts_at = stream.parts_at if start < stream.parts_at <= end else 0
        if not is_last:
            decoder.copy(decoder.admission.keep_parting(lane, parts_at))
            return
        most = len(prompt) + stream.budget
        decoder.copy(decoder.admission.keep_end(lane, parts_at, most))
        if stream.written:
            stream.phase = Phase.REPLAYING  # the token that this pass chooses is known
            return
        one.streams = [(stream, lane.number)]
        stream.phase = Phase.DECODING
        stream.in_flight, stream.most = 1, len(prompt) + 1

    async def _replay(self, stream: Stream) -> None:
        """Bring known tokens into the cache, behind the prompt, or begin to decode behind them.

        The last of them stays out, as always: the next cycle begins with it.
        """
        decoder, lane = self._decoder, stream.lane
        assert lane is not None
        prompt, written = stream.prompt, stream.written
        first = stream.position - len(prompt)
        rows = max(decoder.passes.checks)
        tokens = written[first : min(first + rows, len(written) - 1)]
        if not tokens:
            known = [*prompt, *written]
            has_masks = stream.guide is not None
            decoder.stage(known, stream.settings, lane.number, len(written), has_masks)
            stream.phase = Phase.DECODING
            stream.most = len(prompt) + len(written)
            self._bring(stream, Cycle([], 0, True, 0, num_reused=stream.num_reused))
            return
        if decoder.pager is not None:
            await decoder.pager.bring(tokens)
            if stream.phase is Phase.ENDED:
                return
        start = stream.position
        stream.position = end = start + len(tokens)
        min_rows = decoder.passes.min_rows
        table = inputs.replayed_rows(lane.number, start, tokens, rows, min_rows)
        lane.written = max(lane.written, end)
        readback = decoder.submit(decoder.replay_plan, end, [table])
        self._in_flight.append(QueuedPass(readback, num_rows=rows))

    # ---- cycles --------------------------------------------------------------------------------

    async def _cycle(self, ready: Sequence[Stream], depth: int) -> None:
        """Submit a cycle of these streams."""
        if any(one.needs_host for one in ready):
            await self._guided.cycle(ready)
            return
        decoder = self._decoder
        num_groups = self._groups_for(ready)
        has_logprobs = any(one.settings.logprobs for one in ready)
        await decoder.compile_cycle(0, num_groups, has_logprobs)
        ready = [one for one in ready if one.phase is Phase.DECODING]
        if not ready:
            return
        schedule, wanted = self._decide(ready)
        num_drafts = decoder.prepared(wanted, num_groups, has_logprobs)
        plan = decoder.passes.cycles_of(num_groups, has_logprobs)[num_drafts]
        turns = decoder.turns([one.lane.number for one in ready if one.lane is not None])
        self._submit_cycle(ready, depth, plan, num_drafts, num_groups, schedule, turns)
        schedule.submitted(num_drafts)

    def _groups_for(self, streams: Sequence[Stream]) -> int:
        """Return for how many lanes the Plans are that these streams take."""
        return next(n for n in self._decoder.passes.group_counts if n >= len(streams))

    def _decide(self, streams: Sequence[Stream]) -> tuple[Schedule, int]:
        """Return what decides on the next cycle's drafts, and how many it wants."""
        num_groups = self._groups_for(streams)
        if not self._known.issuperset(streams):
            self._known.update(streams)
            self._decoder.costs_of(num_groups).rest()
        schedule = self._batch.schedule_of(streams, num_groups)
        wanted = min(schedule.choose(), max(one.left for one in streams) - 1)
        if any(one.is_first_cycle and one.written for one in streams):
            wanted = 0
        return schedule, wanted

    def _is_undisturbed(self) -> bool:
        """Return whether a cycle may be opened before the one before it was collected."""
        if any(one.phase in (Phase.PREFILLING, Phase.REPLAYING) for one in self._streams):
            return False
        return self._decoder.depth(2) > 1

    def _submit_choices(self, closing: Closing) -> None:
        """Submit the choices of a cycle in which the host has a say."""
        plan, schedule = closing.plan, closing.schedule
        counts = (closing.num_drafts, closing.num_groups)
        one = self._submit_cycle(closing.streams, 1, plan, *counts, schedule, closing.uploads)
        one.num_drafted, one.forced = closing.num_drafted, closing.forced
        if schedule is not None:
            schedule.submitted(closing.num_drafted)

    def _submit_cycle(
        self,
        ready: Sequence[Stream],
        depth: int,
        plan: Runnable,
        num_drafts: int,
        num_groups: int,
        schedule: Schedule | None,
        uploads: Sequence[Upload],
    ) -> QueuedPass:
        """Submit a cycle's Plan."""
        decoder = self._decoder
        positions = 0
        for one in ready:
            assert one.lane is not None
            seen = min(one.most + num_drafts, decoder.tables.context_length)
            one.lane.written = max(one.lane.written, seen)
            positions = max(positions, seen)
            one.in_flight += 1
            one.most += 1 + num_drafts
            one.is_first_cycle = False
            if decoder.pager is not None and depth == 1 and one.run_ahead != 1:
                decoder.pager.counts.single_cycles += 1
        readback = decoder.submit(plan, positions, uploads)
        lanes = [(one, one.lane.number) for one in ready if one.lane is not None]
        submitted = QueuedPass(readback, lanes, num_drafts, num_groups, 0, schedule)
        self._in_flight.append(submitted)
        return submitted

    # ---- results -------------------------------------------------------------------------------

    async def _collect(self) -> None:
        """Wait for the oldest pass, and hand out what it brought."""
        one = self._in_flight.popleft()
        try:
            words = await one.readback
        except BaseException:
            self._in_flight.appendleft(one)
            raise
        # What a cycle costs is learnt from those whose drafts are its own.
        timed_as = one.num_drafts if one.num_drafted is None else None
        timed = self._times.collected(timed_as, one.readback.times, one.num_groups)
        for stream, _ in one.streams:
            stream.untold += timed
        self._prompt_rows.learn(one)
        dearness = self._decoder.learn(timed, one.num_groups)
        results = [
            (stream, lane, state.read_result(words, lane))
            for stream, lane in one.streams
            if stream.phase is not Phase.ENDED
        ]
        brought = []
        for stream, lane, result in results:
            if self._decoder.pager is not None:
                await self._decoder.pager.follow(result.tokens, result.missing)
            stream.in_flight -= 1
            stream.most -= 1 + (one.num_drafts or 0) - len(result.tokens)
            if stream.phase is Phase.ENDED:
                continue
            if result.missing and not result.tokens:
                continue
            if stream not in one.forced:
                brought.append((result.num_drafted, len(result.tokens)))
            logprobs: Sequence[state.TokenLogprobs] = ()
            if stream.settings.logprobs:
                logprobs = state.read_logprobs(words, lane, len(result.tokens))
            self._tell(stream, result, one, logprobs)
        if one.schedule is None or one.num_drafts is None:
            return
        if brought:
            drafted = one.num_drafts if one.num_drafted is None else one.num_drafted
            one.schedule.collected_together(drafted, brought, dearness)
        else:  # and where its streams have ended
            one.schedule.repeated(dearness)

    def _note_pass(self, times: Sequence[PassTimes]) -> None:
        """Take note of a pass that was collected apart."""
        self._times.collected(None, times)

    def _tell(
        self,
        stream: Stream,
        result: state.Result,
        one: QueuedPass,
        logprobs: Sequence[state.TokenLogprobs],
    ) -> None:
        """Give a stream what a pass brought it."""
        is_prefill = one.num_drafts is None
        has_drafts = stream.drafts or stream in one.forced  # else they are shared rows
        tokens = result.tokens[: stream.budget - stream.collected]
        if stream.guide is not None:
            try:
                tokens = stream.guide.take(tokens, one.num_forced(stream))
            except RequestError as error:
                self._leave(stream, error)
                return
        stream.collected += len(tokens)
        self._bring(
            stream,
            Cycle(
                tokens,
                result.num_drafted if has_drafts else 0,
                is_prefill,
                stream.in_flight,
                stream.untold,
                stream.num_reused,
                logprobs,
            ),
        )
        stream.untold = []
        is_complete = stream.guide is not None and stream.guide.is_complete
        if not tokens or stream.collected >= stream.budget or is_complete:
            self._leave(stream)
