"""What a generation cost: the figures of design's `stats`, in milliseconds and tokens."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class Stats:
    """Figures of one generation; keep in step with `Stats` in web/messages.js.

    Attributes:
        load_ms: how long loading the model took, once.
        prefill_ms: from the request to the first token, which is also `ttft_ms`.
        prefill_tokens: tokens of the prompt.
        cached_tokens: how many of these were in the KV cache already.
        decode_ms: from the first token to the last.
        decode_tokens: tokens after the first.
        cycles: verify passes collected, plain decoding included.
        tokens_per_cycle: tokens after the first by cycles.
        run_ahead: cycles that were allowed in flight.
        drafter: "none", "mtp" or "ngram".
        draft_tokens: as the request said.
        self_test: see `loading.LoadedModel`.
        placement: of the per-layer embeddings, see `planning.PlannedLoad`.
        paging: what paging them took, see `pager.PageCounts`; None where they are not paged.
        drafted_tokens: tokens proposed and verified.
        accepted_tokens: those of them that are part of the result.
        reasoning_tokens: tokens of the result that are no part of the answer.
        drafted_per_position: the same by their place in the draft.
        accepted_per_position: likewise.
        decode_tokens_per_s: over `decode_ms`; 0 while there is only one token.
        cycle_ms: what a cycle is believed to cost at the end, by number of drafts; what the next
            request begins with.
        cycle_run_ms: what cycles of this request took on average, by number of drafts.
        gpu_idle_share: of the time between the first token and the last, what the device spent
            between passes; None where it has no clock.
    """

    device: str
    run_ahead: int
    load_ms: float = 0.0
    prefill_ms: float = 0.0
    prefill_tokens: int = 0
    cached_tokens: int = 0
    decode_ms: float = 0.0
    decode_tokens: int = 0
    cycles: int = 0
    tokens_per_cycle: float = 0.0
    drafter: str = "none"
    draft_tokens: int | str = 0
    self_test: str = "not run"
    placement: str = "none"
    paging: dict[str, int] | None = None
    drafted_tokens: int = 0
    accepted_tokens: int = 0
    reasoning_tokens: int = 0
    drafted_per_position: list[int] = field(default_factory=list)
    accepted_per_position: list[int] = field(default_factory=list)
    ttft_ms: float = 0.0
    decode_tokens_per_s: float = 0.0
    cycle_ms: dict[str, float | None] = field(default_factory=dict)
    cycle_run_ms: dict[str, float | None] = field(default_factory=dict)
    gpu_idle_share: float | None = None

    def to_json(self) -> dict[str, object]:
        """Return the figures by name, times rounded to microseconds."""
        values = dataclasses.asdict(self)
        return {k: round(v, 3) if isinstance(v, float) else v for k, v in values.items()}


class Clock:
    """Turns the moments of a generation into `Stats`."""

    def __init__(self, stats: Stats) -> None:
        self.stats = stats
        self._started = time.perf_counter()
        self._first = self._started
        self._cycles: dict[int, tuple[int, float]] = {}
        self._idle_ms = self._device_ms = 0.0

    def tokens(self, count: int, is_prefill: bool, num_drafted: int = 0) -> None:
        """Note that a pass brought tokens, all but the last of which were drafted."""
        now = time.perf_counter()
        stats = self.stats
        if is_prefill:
            self._first = now
            stats.prefill_ms = stats.ttft_ms = 1000 * (now - self._started)
            return
        stats.cycles += 1
        stats.decode_tokens += count
        stats.tokens_per_cycle = stats.decode_tokens / stats.cycles
        accepted = min(max(count - 1, 0), num_drafted)
        stats.drafted_tokens += num_drafted
        stats.accepted_tokens += accepted
        _count(stats.drafted_per_position, num_drafted, num_drafted)
        _count(stats.accepted_per_position, accepted, num_drafted)
        stats.decode_ms = 1000 * (now - self._first)
        if stats.decode_ms > 0:
            stats.decode_tokens_per_s = 1000 * stats.decode_tokens / stats.decode_ms

    def cycle(self, num_drafts: int, ms: float, idle_ms: float | None) -> None:
        """Note how long a cycle took; see `cycle_times.CycleTime`."""
        count, sum_ms = self._cycles.get(num_drafts, (0, 0.0))
        self._cycles[num_drafts] = count + 1, sum_ms + ms
        if idle_ms is not None:
            self._idle_ms += idle_ms
            self._device_ms += ms

    def finish(self) -> None:
        """Work out what can be said of cycles at the end alone."""
        stats = self.stats
        means = {k: total / count for k, (count, total) in sorted(self._cycles.items())}
        stats.cycle_run_ms = rounded(means)
        if self._device_ms > 0:
            stats.gpu_idle_share = self._idle_ms / self._device_ms


def rounded(costs: Mapping[int, float | None]) -> dict[str, float | None]:
    """Return milliseconds by number of drafts, as JSON wants them."""
    return {str(k): None if ms is None else round(ms, 3) for k, ms in costs.items()}


def _count(counts: list[int], number: int, length: int) -> None:
    """Add one to the first `number` of counts, of which there are then at least `length`."""
    counts += [0] * (length - len(counts))
    for position in range(number):
        counts[position] += 1
