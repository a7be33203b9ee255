"""A compiled model: its passes, its lanes, and what its cycles cost.

Plans are compiled when they are wanted, at the same time as everything else. The loop
(session/loop.py) decides what runs and when; this is what it works with.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from leadout import inputs, sampling, state
from leadout.cycle_costs import CycleCosts
from leadout.cycle_times import CycleTime
from leadout.devices.base import CompiledPlan, Device, Readback, Runnable, submit
from leadout.embedded import EmbeddedPrompt, Embeddings
from leadout.kv_cache import KvCache
from leadout.kv_rings import KvRings
from leadout.logits import FLOAT_BYTES
from leadout.pager import Pager
from leadout.passes import PREFILL_ROWS, Passes
from leadout.plan import BufferSpec, Copy, Upload
from leadout.scheduler import FixedSchedule, Schedule
from leadout.session.admission import Admission
from leadout.session.batch import Batch, ScheduleFactory
from leadout.session.guide import Guide
from leadout.session.lane import Lane
from leadout.session.loop import Loop
from leadout.session.own_code import OwnCode
from leadout.session.stream import Cycle, Stream
from leadout.state import Tables

MAX_RUN_AHEAD = 8

#: Work of so many milliseconds is queued behind the cycle that runs, unless a request says how many
#: cycles: twice what a browser takes from a cycle's end to the next one's beginning where nothing
#: is queued (tests/bench/LOG.md) ...
QUEUED_MS = 10.0

#: ... and so many cycles at most: small models gained nothing from more.
MOST_QUEUED = 4


@dataclass
class Decoder:
    """Runs prompts through the compiled Plans of one model.

    Attributes:
        device: where they run.
        passes: the Plans.
        caches: of the model, for what of them can be taken over.
        pager: of the model's paged table, where it has one.
        make_schedule: decides on drafts where several streams run together.
        num_kept: places for copies of rings, see kv_rings.py; their buffers are there.
        lanes: what the host knows of each.
        admission: what the host knows of all that can be taken over.
        loop: submits all passes of streams.
    """

    device: Device
    passes: Passes
    caches: Sequence[KvCache]
    pager: Pager | None = None
    make_schedule: ScheduleFactory = field(default=lambda _: FixedSchedule(0))
    num_kept: int = 0
    lanes: list[Lane] = field(init=False)
    admission: Admission = field(init=False)
    loop: Loop = field(init=False)
    _costs: dict[int, CycleCosts] = field(init=False)
    _turns: bytes = b""
    _has_embeddings: bool = False
    _allocating: asyncio.Lock = field(default_factory=asyncio.Lock)
    _compiled: dict[str, CompiledPlan] = field(default_factory=dict)
    _compiling: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        most = max(self.passes.cycles)
        self._costs = {groups: CycleCosts(most) for groups in self.passes.group_counts}
        self.lanes = [Lane(number) for number in range(self.tables.num_lanes)]
        rings = KvRings.of(self.caches, self.tables.context_length, self.num_kept)
        self.admission = Admission(self.lanes, rings)
        self.loop = Loop(self, Batch(self._make_schedule))

    def _make_schedule(self, num_groups: int) -> Schedule:
        return self.make_schedule(num_groups)

    @property
    def tables(self) -> Tables:
        """Sizes of what stays on the device."""
        return self.passes.tables

    @property
    def costs(self) -> CycleCosts:
        """What cycles of one lane cost."""
        return self._costs[1]

    def costs_of(self, num_groups: int) -> CycleCosts:
        """Return what cycles of so many lanes cost; learnt from all that run."""
        return self._costs[num_groups]

    def begin_to_compile(self, plans: Iterable[Runnable]) -> None:
        """Begin to compile Plans beside one another and beside all else, the first one first."""
        for plan in plans:
            known = self._compiling.get(plan.name)
            if known is None or known.cancelled():  # the loop that it ran in may have ended
                task = asyncio.ensure_future(self._compile(plan))
                task.add_done_callback(_look_at)
                self._compiling[plan.name] = task

    async def compile(self, plans: Iterable[Runnable]) -> None:
        """Wait until Plans are compiled.

        Raises:
            DeviceError: a kernel or a binding was refused.
        """
        wanted = list(plans)
        self.begin_to_compile(wanted)
        tasks = [self._compiling[plan.name] for plan in wanted]
        # Shielded, because others may wait for the same Plan.
        await asyncio.gather(*(asyncio.shield(task) for task in tasks if not task.done()))
        for task in tasks:
            task.result()

    async def compiled_within(self, seconds: float) -> None:
        """Wait until all that was begun is compiled, but no longer than so."""
        if under_way := [task for task in self._compiling.values() if not task.done()]:
            await asyncio.wait(under_way, timeout=seconds)

    async def prepare(self, num_drafts: int) -> None:
        """Compile cycles with so many drafts, where that was not done."""
        await self.compile_cycle(num_drafts)

    async def compile_cycle(
        self, num_drafts: int, num_groups: int = 1, has_logprobs: bool = False
    ) -> None:
        """Compile the cycle of so many drafts and lanes, where that was not done."""
        await self.compile_missing([self.passes.cycles_of(num_groups, has_logprobs)[num_drafts]])

    async def compile_missing(self, plans: Iterable[Runnable]) -> None:
        """Compile Plans, where that was not done."""
        missing = [plan for plan in plans if plan.name not in self._compiled]
        if missing:
            await self.compile(missing)

    def throw_if_refused(self) -> None:
        """Raise what the device refused to compile, if anything, of what nobody waited for."""
        for task in self._compiling.values():
            if task.done() and not task.cancelled():
                task.result()

    def take_checks(self) -> dict[int, CompiledPlan]:
        """Give up the self-test's compiled Plans, by rows; who takes them releases them."""
        checks: dict[int, CompiledPlan] = {}
        for rows, plan in self.passes.checks.items():
            self._compiling.pop(plan.name, None)
            if (compiled := self._compiled.pop(plan.name, None)) is not None:
                checks[rows] = compiled
        return checks

    async def _compile(self, plan: Runnable) -> None:
        self._compiled[plan.name] = await self.device.compile(plan)

    def release(self) -> None:
        """Forget the compiled Plans, and those that are being compiled."""
        for task in self._compiling.values():
            task.cancel()
        self._compiling.clear()
        for compiled in self._compiled.values():
            self.device.release(compiled)
        self._compiled.clear()
        if self._has_embeddings:
            self.device.free([self.passes.embeddings.buffer])
            self._has_embeddings = False

    async def run(
        self,
        prompt: Sequence[int],
        settings: sampling.Sampling,
        max_tokens: int,
        run_ahead: int | None,
        is_aborted: Callable[[], bool],
        schedule: Schedule,
        written: Sequence[int] = (),
        guide: Guide | None = None,
        own_code: OwnCode | None = None,
        embeddings: Sequence[Embeddings] = (),
    ) -> AsyncGenerator[Cycle, None]:
        """Generate ids until the caller stops iterating, max_tokens or the context is reached.

        Closing the iterator discards what is in flight. All arguments but the prompt, the
        settings, max_tokens and `written` change the speed alone, never an id.

        Args:
            prompt: 1 to context_length - 1 ids.
            settings: how ids are chosen.
            max_tokens: how many ids to generate at most.
            run_ahead: cycles kept in flight, 1 to MAX_RUN_AHEAD; None: see `depth`.
            is_aborted: asked between passes; ends the run early.
            schedule: says how many tokens to draft; only what was prepared is taken.
            written: ids that were generated before and are not generated again; max_tokens counts
                them. With them, the first `Cycle` has no tokens: it says that they are in place.
            guide: says which ids may come next, behind `written`; None where the answer is free.
                Its cycles are submitted one by one, whatever `run_ahead` says.
            own_code: a person's functions; with them too, cycles are submitted one by one. Its
                processors change ids, as settings do.
            embeddings: in the place of some of the prompt's tokens'. They are part of the prompt.

        Raises:
            RequestError: embeddings do not fit the prompt or the model.
            LeadoutError: the device failed.
        """
        budget = min(max_tokens, self.tables.context_length - len(prompt))
        if len(written) >= budget:
            return
        if written:
            await self.compile([self.replay_plan])
        if settings.logprobs:
            await self.compile(self.passes.with_logprobs(self._compiled))
            self.begin_to_compile(self.passes.with_logprobs([*self._compiling]))
        if guide is not None or own_code is not None:
            run_ahead = 1
            await self.compile_missing(self.passes.all_parts(1, settings.logprobs))
        embedded = await self._embedded(prompt, embeddings) if embeddings else None
        limits = (settings, budget, run_ahead, is_aborted, schedule)
        stream = Stream(prompt, *limits, written, guide, own_code, embedded)
        async with aclosing(self.loop.run(stream)) as cycles:
            async for cycle in cycles:
                yield cycle

    async def _embedded(
        self, prompt: Sequence[int], embeddings: Sequence[Embeddings]
    ) -> EmbeddedPrompt:
        """Check embeddings, and see to it that there is memory for those of a pass."""
        binding, rows = self.passes.embeddings, PREFILL_ROWS[-1]
        embedded = EmbeddedPrompt(prompt, embeddings, self.passes.hidden_size, rows)
        async with self._allocating:
            if not self._has_embeddings:
                await self.device.allocate({binding.buffer: BufferSpec(binding.bytes)})
                self._has_embeddings = True
        return embedded

    def prompt_inputs(self, stream: Stream, lane: int, end: int, num_rows: int) -> list[Upload]:
        """Return what a pass over a stream's prompt is given, from its position to `end`.

        The tokens' rows stand at the end of the table, and so do their embeddings.
        """
        prompt, start, flags = stream.prompt, stream.position, None
        uploads = []
        if stream.embedded is not None:
            flags = stream.embedded.flags(start, end)
            row_bytes = FLOAT_BYTES * self.passes.hidden_size
            padding = num_rows - (end - start)
            for place, data in stream.embedded.pieces(start, end):
                offset = (padding + place) * row_bytes
                uploads.append(Upload(self.passes.embeddings.buffer, offset, data))
        uploads.append(inputs.prompt_rows(lane, start, prompt[start:end], num_rows, flags))
        if end == len(prompt):
            uploads.append(inputs.last_row(lane, end - 1, prompt[-1]))
        return uploads

    @property
    def replay_plan(self) -> Runnable:
        """The pass that tokens are replayed through.

        It is the self-test's with the most rows, so a row has the bits there that it has in cycles.
        """
        return self.passes.checks[max(self.passes.checks)]

    def submit(
        self, plan: Runnable, num_positions: int, uploads: Sequence[Upload] = ()
    ) -> Readback:
        """Queue a Plan that is compiled, with what the host gives it."""
        readback = submit(self.device, self._compiled[plan.name], num_positions, uploads)
        self._note(uploads)
        return readback

    def give(self, uploads: Iterable[Upload]) -> None:
        """Write what a Plan is given that is run without `submit`, in a profile."""
        for one in uploads:
            self.device.write(one.buffer, one.offset, one.data)
            self._note([one])

    def _note(self, uploads: Iterable[Upload]) -> None:
        for one in uploads:
            if one.buffer == self.tables.turns.buffer:
                self._turns = one.data

    def copy(self, copies: Sequence[Copy]) -> None:
        """Queue copies, if there are any; see `Device.copy`."""
        if copies:
            self.device.copy(copies)

    def turns(self, lanes: Sequence[int]) -> list[Upload]:
        """Return what says whose rows a cycle has, where the device does not know that already."""
        num_lanes = self.tables.num_lanes
        turns = state.pack_turns(lanes, num_lanes)
        if num_lanes == 1 or turns == self._turns:
            return []
        return [Upload(self.tables.turns.buffer, 0, turns)]

    def prepared(self, num_drafts: int, num_groups: int = 1, has_logprobs: bool = False) -> int:
        """Return the largest number of drafts up to this one whose cycle is compiled."""
        cycles = self.passes.cycles_of(num_groups, has_logprobs)
        return max(k for k in cycles if k <= num_drafts and cycles[k].name in self._compiled)

    def depth(self, run_ahead: int | None) -> int:
        """Return how many cycles to keep in flight: so many, or as many as keep the device busy.

        More than these would gain nothing, and be computed in vain behind the end of a text. For a
        paged table see `Pager.run_ahead`.
        """
        if run_ahead is None:
            behind = math.ceil(QUEUED_MS / self.costs.ms[0])
            run_ahead = 1 + min(behind, MOST_QUEUED)
        if self.pager is None:
            return run_ahead
        return self.pager.run_ahead(run_ahead, self.costs.ms[0] if self.costs.is_known else 0.0)

    def learn(self, timed: Sequence[CycleTime], num_groups: int = 1) -> float | None:
        """Learn what cycles cost; return `CycleCosts.note`'s answer for so many lanes."""
        dearness = None
        for groups in {cycle.num_groups for cycle in timed}:
            costs = self._costs[groups]
            cycles = [cycle for cycle in timed if cycle.num_groups == groups]
            resolution_ms = cycles[0].resolution_ms(costs.ms[0])
            for cycle in cycles:
                costs.idled(max(cycle.idle_ms or 0.0, 0.0))
            known = costs.note([(one.num_drafts, one.busy_ms) for one in cycles], resolution_ms)
            if groups == num_groups:
                dearness = known
        return dearness

    def begin(
        self,
        lane: int,
        prompt: Sequence[int],
        settings: sampling.Sampling,
        num_generated: int = 0,
        has_masks: bool = False,
    ) -> None:
        """Write what a lane begins with; it is not active before its prompt's last pass.

        The last `num_generated` ids are no part of the prompt. With masks, only what they allow is
        chosen; see `inputs.masks`.
        """
        tables, device = self.tables, self.device
        device.write("settings", lane * sampling.SETTINGS_BYTES, settings.pack(has_masks))
        device.write("seen", lane * tables.seen_bytes, tables.pack_seen(prompt))
        device.write("history", lane * tables.history_bytes, state.pack_tokens(prompt))
        if settings.moves:
            generated = prompt[len(prompt) - num_generated :]
            moves = tables.pack_moves(settings.biases(), generated)
            device.write("seen", lane * tables.seen_bytes + tables.moves_offset, moves)
        before = state.pack_state(len(prompt), settings.moves)
        device.write("state", lane * state.STATE_BYTES, before)

    def idle(self, lane: int) -> None:
        """Make a lane inactive, whatever is in flight."""
        self.device.write("state", lane * state.STATE_BYTES, bytes(state.STATE_BYTES))

    def stage(
        self,
        tokens: Sequence[int],
        settings: sampling.Sampling,
        lane: int = 0,
        num_generated: int = 0,
        has_masks: bool = False,
    ) -> None:
        """Have a lane decode behind known tokens, on whatever its cache holds."""
        self.begin(lane, tokens, settings, num_generated, has_masks)
        active = state.pack_active(len(tokens), tokens[-1], settings.moves)
        self.device.write("state", lane * state.STATE_BYTES, active)

    def unstage(self, lane: int = 0) -> None:
        """Make a staged lane idle; nothing of its cache is taken over."""
        self.idle(lane)
        self.lanes[lane].forget()

    def assume(self, prompt: Sequence[int]) -> None:
        """Take a prompt as prefilled in all lanes: for figures of speed alone."""
        for lane in self.lanes:
            lane.prefilled, lane.written = list(prompt), len(prompt)

    async def score(self, ids: Sequence[int], lane: int = 0) -> AsyncGenerator[bytes, None]:
        """Yield the logits of consecutive ids, for evaluation.

        Args:
            ids: 1 to context_length ids.
            lane: the sequence.

        Yields:
            [rows, vocab_size] float32 as bytes, for up to SCORE_ROWS rows at a time.
        """
        passes, rows = self.passes, self.passes.score_rows
        row_bytes = passes.score_logits.bytes // rows
        self.lanes[lane].forget()
        compiled: CompiledPlan | None = None
        try:
            await self.device.allocate(passes.score_buffers)
            compiled = await self.device.compile(passes.score)
            for start in range(0, len(ids), rows):
                tokens = ids[start : start + rows]
                if self.pager is not None:
                    await self.pager.bring(tokens)
                table = inputs.prompt_rows(lane, start, tokens, rows)
                submit(self.device, compiled, uploads=[table]).discard()
                padding = rows - len(tokens)
                yield await self.device.read(
                    passes.score_logits.buffer, padding * row_bytes, len(tokens) * row_bytes
                )
        finally:
            if compiled is not None:
                self.device.release(compiled)
            self.device.free(passes.score_buffers)


def _look_at(task: asyncio.Task[None]) -> None:
    """Take note of a failure, which is told to who waits: it is no task that was forgotten."""
    if not task.cancelled():
        task.exception()
