"""The cycle: from a prompt to a stream of token ids, with the device always ahead.

    1. begin    the lane's settings, seen ids and state are written
    2. prefill  the prompt goes through in passes of fixed sizes; the last one chooses a token
    3. cycle    each decode pass takes its row from what the pass before left on the device, so
                `run_ahead` of them are queued before the first is read
    4. collect  ids are read back in order; on a stop the passes still in flight are discarded

State machine of a lane: idle -> (begin) prefilling -> (first token) decoding -> idle. The KV cache
is never cleared: lengths say what of it counts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from dataclasses import dataclass, field

from leadout import ops, sampling, state
from leadout.devices.base import CompiledPlan, Device, Readback
from leadout.passes import PREFILL_ROWS, Passes

#: Prefill passes that may be in flight; more would only delay an abort.
PREFILL_IN_FLIGHT = 2

MAX_RUN_AHEAD = 8


@dataclass
class Cycle:
    """What one collected pass brought.

    Attributes:
        tokens: ids, in order; empty when the context was full.
        is_prefill: it was the prompt's last pass.
        in_flight: decode passes queued behind it when it was collected.
    """

    tokens: list[int]
    is_prefill: bool
    in_flight: int


@dataclass
class Decoder:
    """Runs prompts through the compiled Plans of one model.

    Attributes:
        device: where they run.
        passes: the Plans.
        context_length: positions a lane can hold.
        vocab_size: ids.
    """

    device: Device
    passes: Passes
    context_length: int
    vocab_size: int
    _compiled: dict[str, CompiledPlan] = field(default_factory=dict)

    async def compile(self) -> None:
        """Compile all Plans."""
        for plan in self.passes.plans():
            self._compiled[plan.name] = await self.device.compile(plan)

    def release(self) -> None:
        """Forget the compiled Plans."""
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
        lane: int = 0,
    ) -> AsyncGenerator[Cycle, None]:
        """Generate ids until the caller stops iterating, max_tokens or the context is reached.

        Closing the iterator discards what is in flight.

        Args:
            prompt: 1 to context_length - 1 ids.
            settings: how ids are chosen.
            max_tokens: ≥ 1; how many ids to generate at most.
            run_ahead: passes kept in flight, 1 to MAX_RUN_AHEAD. Changes no id.
            is_aborted: asked between passes; ends the run early.
            lane: the sequence.
        """
        budget = min(max_tokens, self.context_length - len(prompt))
        self._begin(lane, len(prompt), settings)
        in_flight: deque[Readback] = deque()
        try:
            for is_last, readback in self._prefill(lane, prompt):
                in_flight.append(readback)
                if not is_last and len(in_flight) >= PREFILL_IN_FLIGHT:
                    await in_flight.popleft()
                if is_aborted():
                    return
            num_prefills = len(in_flight)
            submitted, collected = 1, 0
            while collected < budget:
                while submitted < budget and len(in_flight) < run_ahead:
                    in_flight.append(self._decode(len(prompt) + submitted - 1))
                    submitted += 1
                words = await in_flight.popleft()
                if num_prefills > 0:
                    num_prefills -= 1
                    if num_prefills > 0:
                        continue
                count, token = words[lane * state.RESULT_WORDS : lane * state.RESULT_WORDS + 2]
                if is_aborted():
                    return
                yield Cycle([token] * count, collected == 0, len(in_flight))
                collected += 1
        finally:
            for readback in in_flight:
                readback.discard()

    def _begin(self, lane: int, length: int, settings: sampling.Sampling) -> None:
        size = sampling.SETTINGS_BYTES
        self.device.write("settings", lane * size, settings.pack())
        seen = state.seen_bytes(self.vocab_size)
        self.device.write("seen", lane * seen, bytes(seen))
        self.device.write("state", lane * state.STATE_BYTES, state.pack_state(length))

    def _prefill(self, lane: int, prompt: Sequence[int]) -> Iterator[tuple[bool, Readback]]:
        """Submit the prompt pass by pass."""
        start = 0
        while start < len(prompt):
            left = len(prompt) - start
            is_last = left <= PREFILL_ROWS[-1]
            rows = next(size for size in PREFILL_ROWS if size >= min(left, PREFILL_ROWS[-1]))
            tokens = prompt[start : start + rows]
            self.device.write("rows", 0, state.pack_rows(lane, start, tokens, rows))
            plans = self.passes.prefill_last if is_last else self.passes.prefill
            yield is_last, self.device.submit(self._compiled[plans[rows].name])
            start += len(tokens)

    def _decode(self, position: int) -> Readback:
        """Submit a decode pass whose row stands at `position`."""
        compiled = self._compiled[self.passes.decode.name]
        return self.device.submit(compiled, ops.visible_tiles(position))

    async def score(self, ids: Sequence[int], lane: int = 0) -> AsyncGenerator[bytes, None]:
        """Yield the logits of consecutive ids, for evaluation.

        Args:
            ids: 1 to context_length ids.
            lane: the sequence.

        Yields:
            [rows, vocab_size] float32 as bytes, for up to SCORE_ROWS rows at a time.
        """
        passes, rows = self.passes, self.passes.score_rows
        row_bytes = ops.FLOAT_BYTES * self.vocab_size
        await self.device.allocate(passes.score_buffers)
        compiled = await self.device.compile(passes.score)
        try:
            for start in range(0, len(ids), rows):
                tokens = ids[start : start + rows]
                self.device.write("rows", 0, state.pack_rows(lane, start, tokens, rows))
                self.device.submit(compiled).discard()
                padding = rows - len(tokens)
                yield await self.device.read(
                    passes.score_logits.buffer, padding * row_bytes, len(tokens) * row_bytes
                )
        finally:
            self.device.release(compiled)
            self.device.free(passes.score_buffers)
