"""The cycle: from a prompt to a stream of token ids, with the device always ahead.

    1. begin    the lane's settings, known tokens and state are written
    2. prefill  the prompt goes through in passes of fixed sizes; the last one chooses a token
    3. cycle    draft k tokens, verify them and the last known token in one pass, accept: all on the
                device, from what the cycle before left there, so `run_ahead` of them are queued
                before the first is read; k is decided when a cycle is submitted
    4. collect  ids are read back in order; on a stop the cycles still in flight are discarded; with
                a paged table, rows that were missing are brought, and a cycle that brought nothing
                is run again (pager.py)

State machine of a lane: idle -> (begin) prefilling -> (first token) decoding -> idle. The KV cache
is never cleared: lengths say what of it counts.

A prompt that begins like the lane's last one takes over its keys and values, but only those that
were made by prefill: a pass with many rows adds in another order than one with few, and ids must
not depend on what was generated before. So the answers in a conversation are prefilled once, in
the turn after them, and the turns before never again.

A generation that goes on after another engine was lost is the other way about: its prompt is
prefilled, and the tokens that it had brought are replayed through passes with few rows.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import dataclass, field

from leadout import sampling, state
from leadout.cycle_costs import CycleCosts
from leadout.cycle_times import CycleTime, CycleTimes
from leadout.devices.base import CompiledPlan, Device, Readback, Runnable
from leadout.kv_cache import KvCache
from leadout.pager import Pager
from leadout.passes import PREFILL_ROWS, Passes
from leadout.rows import padded
from leadout.scheduler import Schedule
from leadout.state import Tables

#: Prefill passes that may be in flight; more would only delay an abort.
PREFILL_IN_FLIGHT = 2

MAX_RUN_AHEAD = 8

#: A drafter sees two positions further back than its window says; see models/gemma4_assistant.py.
_EXTRA_WINDOW = 2


@dataclass
class Cycle:
    """What one collected pass brought.

    Attributes:
        tokens: ids, in order; all but the last were drafted. Empty when the context was full.
        num_drafted: drafts that were verified.
        is_prefill: it was the prompt's last pass.
        in_flight: passes queued behind it when it was collected.
        times: of cycles that are known now, for several at once.
        logprobs: of the tokens, where the settings ask for them; else empty.
    """

    tokens: list[int]
    num_drafted: int
    is_prefill: bool
    in_flight: int
    times: Sequence[CycleTime] = ()
    logprobs: Sequence[state.TokenLogprobs] = ()


@dataclass
class _Lane:
    """What the host knows of a lane's KV cache.

    Attributes:
        prefilled: tokens whose keys and values were made by prefill.
        written: positions below this may hold keys and values of any kind.
        seen: the most positions that its rows can see in the passes so far; 0 while it is idle.
        has_logprobs: whether they are asked for.
    """

    prefilled: list[int] = field(default_factory=list)
    written: int = 0
    seen: int = 0
    has_logprobs: bool = False


@dataclass
class Decoder:
    """Runs prompts through the compiled Plans of one model.

    Attributes:
        device: where they run.
        passes: the Plans.
        caches: of the model, for what of them can be taken over.
        pager: of the model's paged table, where it has one.
        costs: of cycles; learnt from all that run.
    """

    device: Device
    passes: Passes
    caches: Sequence[KvCache]
    pager: Pager | None = None
    costs: CycleCosts = field(init=False)
    _compiled: dict[str, CompiledPlan] = field(default_factory=dict)
    _compiling: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _lanes: dict[int, _Lane] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.costs = CycleCosts(max(self.passes.cycles))

    @property
    def tables(self) -> Tables:
        """Sizes of what stays on the device."""
        return self.passes.tables

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

    async def prepare(self, num_drafts: int) -> None:
        """Compile cycles with so many drafts, where that was not done."""
        await self.compile([self.passes.cycles[num_drafts]])

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

    async def run(
        self,
        prompt: Sequence[int],
        settings: sampling.Sampling,
        max_tokens: int,
        run_ahead: int,
        is_aborted: Callable[[], bool],
        schedule: Schedule,
        lane: int = 0,
        written: Sequence[int] = (),
    ) -> AsyncGenerator[Cycle, None]:
        """Generate ids until the caller stops iterating, max_tokens or the context is reached.

        Closing the iterator discards what is in flight. All arguments but the prompt, the
        settings, max_tokens and `written` change the speed alone, never an id.

        Args:
            prompt: 1 to context_length - 1 ids.
            settings: how ids are chosen.
            max_tokens: ≥ 1; how many ids to generate at most.
            run_ahead: cycles kept in flight, 1 to MAX_RUN_AHEAD.
            is_aborted: asked between passes; ends the run early.
            schedule: says how many tokens to draft; only what was prepared is taken.
            lane: the sequence.
            written: ids that were generated before and are not generated again; max_tokens counts
                them. With them, the first `Cycle` has no tokens: it says that they are in place.
        """
        budget = min(max_tokens, self.tables.context_length - len(prompt))
        collected = len(written)
        if collected >= budget:
            return
        if written:
            await self.compile([self._replay_plan()])
        start = self.reusable(prompt, lane)
        self._begin(lane, prompt, settings)
        if settings.logprobs:
            num_tokens = len(prompt) - start
            await self.compile(self.passes.with_logprobs(num_tokens, self._compiled))
            self.begin_to_compile(self.passes.with_logprobs(num_tokens, [*self._compiling]))
        in_flight: deque[tuple[Readback, int]] = deque()
        prefills: deque[Readback] = deque()
        times = CycleTimes()
        untold: list[CycleTime] = []
        self.costs.rest()
        try:
            async for readback in self._prefill(lane, prompt, start):
                prefills.append(readback)
                if len(prefills) > PREFILL_IN_FLIGHT:
                    await prefills.popleft()
                if is_aborted():
                    return
            in_flight.append((prefills.pop(), 0))
            is_prefill = True
            if written:
                prefills.append(in_flight.pop()[0])  # that token is known
                is_prefill = False
                await self._replay(lane, prompt, written, is_aborted)
                self.stage([*prompt, *written], settings, lane, len(written))
                yield Cycle([], 0, is_prefill=True, in_flight=0)
                # What a drafter starts from is left by a cycle, so the first one has no drafts.
                in_flight.append((self._cycle(lane, len(prompt) + collected, 0), 0))
                schedule.submitted(0)
            while collected < budget:
                depth = self._depth(run_ahead)
                while len(in_flight) < depth and collected + len(in_flight) < budget:
                    # Every cycle in flight brings a token at least, or is run again.
                    left = budget - collected - len(in_flight)
                    num_drafts = self._prepared(min(schedule.choose(), left - 1))
                    known = len(prompt) + collected + sum(1 + k for _, k in in_flight)
                    in_flight.append((self._cycle(lane, known, num_drafts), num_drafts))
                    schedule.submitted(num_drafts)
                    if self.pager is not None and depth < run_ahead:
                        self.pager.counts.single_cycles += 1
                while prefills:
                    await prefills.popleft()
                readback, num_drafts = in_flight.popleft()
                words = await readback
                result = state.read_result(words, lane)
                if is_aborted():
                    return
                timed = times.collected(None if is_prefill else num_drafts, readback.times)
                untold += timed
                dearness = self._learn(timed)
                if self.pager is not None:
                    await self.pager.follow(result.tokens, result.missing)
                if result.missing and not result.tokens:
                    schedule.repeated(dearness)
                    continue
                if not is_prefill:
                    schedule.collected(num_drafts, result.num_drafted, len(result.tokens), dearness)
                tokens = result.tokens[: budget - collected]
                collected += len(tokens)
                cycle = Cycle(tokens, result.num_drafted, is_prefill, len(in_flight), untold)
                if settings.logprobs:
                    cycle.logprobs = state.read_logprobs(words, lane, len(tokens))
                yield cycle
                is_prefill, untold = False, []
                if not tokens:
                    return
        finally:
            for readback in [*prefills, *(readback for readback, _ in in_flight)]:
                readback.discard()
            self._end(lane)

    def reusable(self, prompt: Sequence[int], lane: int = 0) -> int:
        """Return how many of a prompt's first ids need no prefill."""
        known = self._lanes.get(lane, _Lane())
        length = 0
        for a, b in zip(known.prefilled, prompt[:-1], strict=False):
            if a != b:
                break
            length += 1
        for cache in self.caches:
            # A ring has lost what more than its capacity of positions were written after.
            first_visible = length + 1 - cache.window - _EXTRA_WINDOW
            if cache.window and known.written - cache.capacity > max(first_visible, 0):
                return 0
        return length

    def _depth(self, run_ahead: int) -> int:
        """Return how many cycles to keep in flight; see `Pager.run_ahead`."""
        if self.pager is None:
            return run_ahead
        return self.pager.run_ahead(run_ahead, self.costs.ms[0] if self.costs.is_known else 0.0)

    def _learn(self, timed: Sequence[CycleTime]) -> float | None:
        """Learn what cycles cost; see `CycleCosts.note`."""
        if not timed:
            return None
        resolution_ms = timed[0].resolution_ms(self.costs.ms[0])
        for cycle in timed:
            self.costs.idled(max(cycle.idle_ms or 0.0, 0.0))
        return self.costs.note(
            [(cycle.num_drafts, cycle.busy_ms) for cycle in timed], resolution_ms
        )

    def stage(
        self,
        tokens: Sequence[int],
        settings: sampling.Sampling,
        lane: int = 0,
        num_generated: int = 0,
    ) -> None:
        """Have a lane decode behind known tokens, on whatever the cache holds: to time passes."""
        self._begin(lane, tokens, settings, num_generated)
        active = state.pack_active(len(tokens), tokens[-1], settings.moves)
        self.device.write("state", lane * state.STATE_BYTES, active)

    def unstage(self, lane: int = 0) -> None:
        """Make a staged lane idle; nothing of its cache is taken over."""
        self._end(lane)
        self._lanes.pop(lane, None)

    def assume(self, prompt: Sequence[int], lane: int = 0) -> None:
        """Take a prompt as prefilled, whatever the cache holds: for figures of speed alone."""
        self._lanes[lane] = _Lane(list(prompt), len(prompt))

    def _prepared(self, num_drafts: int) -> int:
        """Return the largest number of drafts up to this one whose cycle is compiled."""
        cycles = self._cycles()
        return max(k for k in cycles if k <= num_drafts and cycles[k].name in self._compiled)

    def _cycles(self) -> dict[int, Runnable]:
        """Return the cycles that have what the lanes ask for."""
        asks = any(lane.has_logprobs for lane in self._lanes.values())
        return self.passes.cycles_with_logprobs if asks else self.passes.cycles

    def _begin(
        self,
        lane: int,
        prompt: Sequence[int],
        settings: sampling.Sampling,
        num_generated: int = 0,
    ) -> None:
        """Write a lane's tables; the last `num_generated` tokens are no part of the prompt."""
        tables, device = self.tables, self.device
        known = self._lanes.setdefault(lane, _Lane())
        known.seen, known.has_logprobs = len(prompt), settings.logprobs
        device.write("settings", lane * sampling.SETTINGS_BYTES, settings.pack())
        device.write("seen", lane * tables.seen_bytes, tables.pack_seen(prompt))
        device.write("history", lane * tables.history_bytes, state.pack_tokens(prompt))
        if settings.moves:
            generated = prompt[len(prompt) - num_generated :]
            moves = tables.pack_moves(settings.biases(), generated)
            device.write("seen", lane * tables.seen_bytes + tables.moves_offset, moves)
        before = state.pack_state(len(prompt), settings.moves)
        device.write("state", lane * state.STATE_BYTES, before)

    def _end(self, lane: int) -> None:
        """Make the lane idle, so that cycles of other lanes leave it alone."""
        if lane in self._lanes:
            self._lanes[lane].seen, self._lanes[lane].has_logprobs = 0, False
        self.device.write("state", lane * state.STATE_BYTES, bytes(state.STATE_BYTES))

    async def _prefill(
        self, lane: int, prompt: Sequence[int], start: int
    ) -> AsyncGenerator[Readback, None]:
        """Submit the prompt pass by pass, from the first token that is not in the cache."""
        known = self._lanes.setdefault(lane, _Lane())
        del known.prefilled[start:]
        while start < len(prompt):
            left = len(prompt) - start
            is_last = left <= PREFILL_ROWS[-1]
            rows = next(size for size in PREFILL_ROWS if size >= min(left, PREFILL_ROWS[-1]))
            tokens = prompt[start : start + rows]
            if self.pager is not None:
                await self.pager.bring(tokens)
            self.device.write("rows", 0, state.pack_rows(lane, start, tokens, rows))
            start += len(tokens)
            known.prefilled += tokens
            known.written = max(known.written, start)
            if is_last:
                # With the pass itself: until then it may be another lane's.
                last = state.pack_rows(lane, len(prompt) - 1, prompt[-1:], 1)
                self.device.write("last_row", 0, last)
            last_plans = self.passes.last_prefills(known.has_logprobs)
            plan = (last_plans if is_last else self.passes.prefill)[rows]
            yield self.device.submit(self._compiled[plan.name], len(prompt))

    def _replay_plan(self) -> Runnable:
        """Return the pass that tokens are replayed through.

        It is the self-test's with the most rows, so a row has the bits there that it has in cycles.
        """
        return self.passes.checks[max(self.passes.checks)]

    async def _replay(
        self,
        lane: int,
        prompt: Sequence[int],
        written: Sequence[int],
        is_aborted: Callable[[], bool],
    ) -> None:
        """Bring tokens into the cache, behind a prompt that is prefilled or being so.

        The last of them stays out, as always: the next cycle begins with it.
        """
        compiled = self._compiled[self._replay_plan().name]
        rows = max(self.passes.checks)
        table_rows = padded(rows, self.passes.min_rows)
        before: Readback | None = None
        for first in range(0, len(written) - 1, rows):
            tokens = written[first : min(first + rows, len(written) - 1)]
            start = len(prompt) + first
            end = start + len(tokens)
            if self.pager is not None:
                await self.pager.bring(tokens)
            table = state.pack_rows(lane, start, tokens, len(tokens))
            padding = bytes(state.ROW_BYTES * (table_rows - len(tokens)))
            self.device.write("cycle_rows", 0, table + padding)
            self._lanes[lane].written = max(self._lanes[lane].written, end)
            readback = self.device.submit(compiled, end)
            if before is not None:
                await before
            before = readback
            if is_aborted():
                break
        if before is not None:
            await before

    def _cycle(self, lane: int, known: int, num_drafts: int) -> Readback:
        """Submit a cycle whose lane has at most `known` tokens before it.

        All lanes that are not idle decode in it, and the longest one says how much is looked at.
        """
        last = min(known + num_drafts, self.tables.context_length)
        lane_state = self._lanes.setdefault(lane, _Lane())
        lane_state.written = max(lane_state.written, last)
        for other in self._lanes.values():
            if other is lane_state:
                other.seen = last
            elif other.seen:
                other.seen = min(other.seen + 1 + num_drafts, self.tables.context_length)
                other.written = max(other.written, other.seen)
        compiled = self._compiled[self._cycles()[num_drafts].name]
        return self.device.submit(compiled, max(one.seen for one in self._lanes.values()))

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
        self._lanes.pop(lane, None)
        compiled: CompiledPlan | None = None
        try:
            await self.device.allocate(passes.score_buffers)
            compiled = await self.device.compile(passes.score)
            for start in range(0, len(ids), rows):
                tokens = ids[start : start + rows]
                if self.pager is not None:
                    await self.pager.bring(tokens)
                self.device.write("rows", 0, state.pack_rows(lane, start, tokens, rows))
                self.device.submit(compiled).discard()
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
