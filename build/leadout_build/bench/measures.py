"""Measures a loaded model for `leadout bench`: prefill, plain decoding, cycles with drafts."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import count
from typing import Any

from leadout.errors import RequestError
from leadout.passes import PREFILL_ROWS
from leadout.rows import FEW_ROWS, padded
from leadout.speculative import MOST_QUEUED
from leadout_build.bench.runtime import Runtime

#: The numbers of passes in flight to compare, None being the engine's own choice; ratios are
#: relative to the first.
RUN_AHEADS = (1, 2, None)

#: A prompt is not prefilled again when its prefills took this long in total.
MOST_PREFILL_MS = 20_000

#: Sampling settings by name. "greedy" takes the likeliest token. "page" has the settings of Gemma's
#: own configuration, which are the page's defaults.
SAMPLINGS: Mapping[str, Mapping[str, float]] = {
    "greedy": {"temperature": 0.0},
    "page": {"temperature": 1.0, "top_k": 64, "top_p": 0.95},
}


@dataclass(frozen=True)
class Effort:
    """How much to measure.

    Attributes:
        prefill_tokens: sizes of prompts, ascending. The first is also used to compare run-aheads.
        context_tokens: the length of the prompt when cycles are timed.
        decode_tokens: tokens after the first one, each of them one step.
        cycle_tokens: tokens that the timed cycles generate, for each number of drafts.
        warm_up_rounds: rounds that are not measured.
        rounds: rounds that are measured.
    """

    prefill_tokens: tuple[int, ...]
    context_tokens: int
    decode_tokens: int
    cycle_tokens: int
    warm_up_rounds: int
    rounds: int


FULL_EFFORT = Effort(
    (32, 256, 512, 2048),
    context_tokens=512,
    decode_tokens=32,
    cycle_tokens=32,
    warm_up_rounds=1,
    rounds=5,
)

#: For software adapters, where a token takes seconds.
SOFTWARE_EFFORT = Effort(
    PREFILL_ROWS[:2],
    context_tokens=PREFILL_ROWS[0],
    decode_tokens=3,
    cycle_tokens=4,
    warm_up_rounds=0,
    rounds=1,
)


@dataclass(frozen=True)
class Spread:
    """Statistics of several measurements of one figure."""

    median: float
    low: float
    high: float
    runs: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the statistics of at least one value."""
        rounded = [round(value, 4) for value in values]
        median = round(statistics.median(values), 4)
        return cls(median, min(rounded), max(rounded), len(rounded))

    def shown(self) -> str:
        """Return the figures as text."""
        if self.runs == 1:
            return f"{self.median:.4g}"
        return f"{self.median:.4g} ({self.low:.4g} to {self.high:.4g}, {self.runs} runs)"


def measure_passes(
    runtime: Runtime,
    effort: Effort,
    vocab_size: int,
    context_length: int,
    prompts: Sequence[int] | None = None,
) -> dict[str, Any]:
    """Run the rounds without drafts: "effort", "prefill", "decode" and "submits_per_step".

    Args:
        runtime: the runtime, with a model loaded.
        effort: how much to measure.
        vocab_size: the model's vocabulary size.
        context_length: the context length that the model was loaded with.
        prompts: sizes of prompts, instead of the effort's.

    Raises:
        RequestError: the smallest prompt, or one of `prompts`, does not fit into the context.
    """
    sizes = _fitting_prompts(effort, prompts, context_length)
    first = min(sizes[0], effort.prefill_tokens[0])
    numbers = count()

    def generate(num_prompt_tokens: int, max_tokens: int, run_ahead: int | None) -> dict[str, Any]:
        # Another prompt each time, because a prefix that the last one had is not prefilled again.
        prompt = prompt_ids(num_prompt_tokens, vocab_size, next(numbers))
        return stats_of(runtime, prompt, max_tokens, run_ahead, 0, SAMPLINGS["greedy"])

    prefill: dict[int, list[float]] = {size: [] for size in sizes}
    decode: dict[int | None, list[float]] = {run_ahead: [] for run_ahead in RUN_AHEADS}
    submits = [runtime.submits()]
    generate(first, 1, 1)
    submits.append(runtime.submits())
    generate(first, 1 + effort.decode_tokens, None)
    submits.append(runtime.submits())
    decode_submits = (submits[2] - submits[1]) - (submits[1] - submits[0])
    spent_ms = dict.fromkeys(sizes, 0.0)
    for number in range(effort.warm_up_rounds + effort.rounds):
        is_measured = number >= effort.warm_up_rounds
        for size in sizes:
            if spent_ms[size] > MOST_PREFILL_MS and prefill[size]:
                continue  # a long prompt on a slow device: two runs are enough
            stats = generate(size, 1, 1)
            spent_ms[size] += stats["prefill_ms"]
            if is_measured:
                prefill[size].append(1000 * stats["prefill_tokens"] / stats["prefill_ms"])
        for run_ahead in RUN_AHEADS:
            stats = generate(first, 1 + effort.decode_tokens, run_ahead)
            if is_measured:
                decode[run_ahead].append(stats["decode_tokens_per_s"])
    return {
        "effort": asdict(effort) | {"prefill_tokens": sizes},
        "prefill": [
            {"tokens": size, "tokens_per_s": asdict(Spread.of(values))}
            for size, values in prefill.items()
        ],
        "decode": [
            {
                "run_ahead": run_ahead,
                "tokens_per_s": asdict(Spread.of(values)),
                "ratio": asdict(Spread.of(ratios(values, decode[RUN_AHEADS[0]]))),
            }
            for run_ahead, values in decode.items()
        ],
        "submits_per_step": round(decode_submits / effort.decode_tokens, 3),
    }


@dataclass(frozen=True)
class Timed:
    """Figures of the cycles with one number of drafts, in one round.

    Attributes:
        ms: time per cycle.
        tokens_per_s: tokens generated per second.
        accepted: accepted drafts per cycle.
        idle_share: share of the time that the GPU was idle between cycles; None without timestamps.
    """

    ms: float
    tokens_per_s: float
    accepted: float
    idle_share: float | None = None

    @classmethod
    def between(cls, short: Mapping[str, Any], long: Mapping[str, Any]) -> Timed:
        """Return the figures of the cycles that only the longer of two generations has.

        Args:
            short: the stats of the shorter generation.
            long: the stats of the longer one, from the same prompt.
        """
        cycles = long["cycles"] - short["cycles"]
        ms = long["decode_ms"] - short["decode_ms"]
        tokens = long["decode_tokens"] - short["decode_tokens"]
        accepted = long["accepted_tokens"] - short["accepted_tokens"]
        if cycles <= 0 or ms <= 0:  # too few cycles, or only noise: use the whole generation
            cycles, ms = long["cycles"], long["decode_ms"]
            tokens, accepted = long["decode_tokens"], long["accepted_tokens"]
        idle_share = long.get("gpu_idle_share")
        return cls(ms / cycles, 1000 * tokens / ms, accepted / cycles, idle_share)


def measure_cycles(
    runtime: Runtime,
    effort: Effort,
    vocab_size: int,
    info: Mapping[str, Any],
    num_drafts: Sequence[int],
    *,
    context_tokens: int,
    sampling: str = "greedy",
    is_shape: bool = False,
) -> list[dict[str, Any]]:
    """Time cycles for each number of drafts, in rounds.

    Plain decoding (0 drafts) is always measured. Ratios are relative to plain decoding in the same
    round. A cycle's ratio is also the number of tokens that it must generate to be as fast as plain
    decoding.

    Args:
        runtime: the runtime, with a model loaded.
        effort: how much to measure.
        vocab_size: the model's vocabulary size.
        info: the `ModelInfo` that loading returned.
        num_drafts: the numbers of drafts, see `wanted_drafts`.
        context_tokens: the length of the prompt.
        sampling: a key of SAMPLINGS. With made-up weights, greedy decoding repeats one token. Then
            all rows of a verify pass choose the same experts, and read less than rows of a text.
        is_shape: weights are made up, so the prompt need not be prefilled.

    Raises:
        RequestError: the context is too short.
    """
    counts = sorted({0, *num_drafts})
    check_context(context_tokens, counts[-1], effort, info["context_length"])
    prompt = prompt_ids(context_tokens, vocab_size)

    def stats(max_tokens: int, k: int) -> dict[str, Any]:
        if is_shape:
            runtime.assume(prompt)
        return stats_of(runtime, prompt, max_tokens, None, k, SAMPLINGS[sampling])

    timed: dict[int, list[Timed]] = {k: [] for k in counts}
    for number in range(effort.warm_up_rounds + effort.rounds):
        for k in counts:
            short, long = (
                stats(max_tokens, k)
                for max_tokens in (untimed_tokens(k), untimed_tokens(k) + effort.cycle_tokens)
            )
            if number >= effort.warm_up_rounds:
                timed[k].append(Timed.between(short, long))
    plain_ms = [each.ms for each in timed[0]]
    return [
        {
            "draft_tokens": k,
            "rows": rows_of_cycle(k, info),
            "ms": asdict(Spread.of([each.ms for each in rounds])),
            "ratio": asdict(Spread.of(ratios([each.ms for each in rounds], plain_ms))),
            "tokens_per_s": asdict(Spread.of([each.tokens_per_s for each in rounds])),
            "accepted_per_cycle": round(statistics.mean(each.accepted for each in rounds), 3),
            "gpu_idle_share": idle_share(rounds),
        }
        for k, rounds in timed.items()
    ]


def idle_share(rounds: Sequence[Timed]) -> dict[str, Any] | None:
    """Return the spread of the GPU's idle share, or None if a round has none."""
    shares = [each.idle_share for each in rounds if each.idle_share is not None]
    return asdict(Spread.of(shares)) if len(shares) == len(rounds) else None


def wanted_drafts(
    info: Mapping[str, Any], rows: Sequence[int], draft_tokens: Sequence[int] | None
) -> list[int]:
    """Return the numbers of drafts to measure, 0 among them.

    Args:
        info: the `ModelInfo` that loading returned.
        rows: numbers of rows; measure the cycles that have such a verify pass.
        draft_tokens: exactly these numbers of drafts, instead of `rows`.

    Raises:
        RequestError: more drafts are wanted than the model was loaded for.
    """
    if draft_tokens is None:
        counts = [k for k in draft_counts(info) if rows_of_cycle(k, info) in rows]
        return sorted({0, *counts})
    if info["drafter"] is None:
        return [0]
    if max(draft_tokens) > info["max_draft_tokens"]:
        raise RequestError(
            f"--draft-tokens has {max(draft_tokens)}; the model drafts at most "
            f"{info['max_draft_tokens']}."
        )
    return sorted({0, *draft_tokens})


def check_context(
    context_tokens: int, num_drafts: int, effort: Effort, context_length: int
) -> None:
    """Check that the context is long enough for a prompt and the tokens generated after it.

    Raises:
        RequestError: the context is too short.
    """
    needed = context_tokens + tokens_behind(num_drafts, effort)
    if needed >= context_length:
        raise RequestError(
            f"The model's context of {context_length} tokens is too short to measure; wanted more "
            f"than {needed}."
        )


def tokens_behind(num_drafts: int, effort: Effort) -> int:
    """Return the most tokens that are generated after a prompt when cycles are timed."""
    return untimed_tokens(num_drafts) + effort.cycle_tokens


def untimed_tokens(num_drafts: int) -> int:
    """Return how many tokens at the start and end of a generation are not timed.

    At the start, the device's queue is empty. Near the end, cycles draft fewer tokens than asked
    for, because fewer are still wanted.
    """
    return 2 + num_drafts + MOST_QUEUED


def draft_ms(cycles: Sequence[Mapping[str, Any]]) -> float | None:
    """Return what one more draft costs if the verify pass has the same rows, in milliseconds.

    It is None if no two cycles have the same number of rows.
    """
    slopes = []
    for fewer in cycles:
        for more in cycles:
            drafts = more["draft_tokens"] - fewer["draft_tokens"]
            if drafts > 0 and more["rows"] == fewer["rows"]:
                slopes.append((more["ms"]["median"] - fewer["ms"]["median"]) / drafts)
    return round(statistics.mean(slopes), 4) if slopes else None


def draft_counts(info: Mapping[str, Any]) -> list[int]:
    """Return the numbers of drafts that the model was prepared for."""
    return sorted(int(k) for k in info["cycle_ms"])


def rows_of_cycle(num_drafts: int, info: Mapping[str, Any]) -> int:
    """Return the rows that a cycle's verify pass computes, padding included."""
    is_widest = info["self_test"] == "widest"
    return padded(1 + num_drafts, FEW_ROWS[-1] if is_widest else 1)


def ratios(values: Sequence[float], to: Sequence[float]) -> list[float]:
    """Return the ratio within each round, because a slowdown of the machine affects both values."""
    return [value / other for value, other in zip(values, to, strict=True)]


def prompt_ids(length: int, vocab_size: int, number: int = 0) -> list[int]:
    """Return ids that are spread over the vocabulary, always the same ones for a `number`.

    Two different numbers below the vocabulary size give prompts with different first ids.
    """
    return [(2 + number + 7919 * i) % vocab_size for i in range(length)]


def stats_of(
    runtime: Runtime,
    prompt: list[int],
    max_tokens: int,
    run_ahead: int | None,
    draft_tokens: int,
    sampling: Mapping[str, float],
) -> dict[str, Any]:
    """Generate, ignoring the model's end token; return the stats."""
    request = {
        "prompt_ids": prompt,
        "max_tokens": max_tokens,
        "ignore_eos": True,
        "run_ahead": run_ahead,
        "draft_tokens": draft_tokens,
        **sampling,
    }
    stats: dict[str, Any] = runtime.generate(request)["stats"]
    return stats


def _fitting_prompts(
    effort: Effort, prompts: Sequence[int] | None, context_length: int
) -> list[int]:
    """Return the prompt sizes to measure: those asked for, or those that fit into the context.

    Raises:
        RequestError: a size that was asked for does not fit, or the smallest one and a few tokens
            do not.
    """
    if prompts is not None:
        if max(prompts) + 1 >= context_length:
            raise RequestError(
                f"--prompt has {max(prompts)}; the model's context is {context_length} tokens."
            )
        return sorted(set(prompts))
    smallest = effort.prefill_tokens[0]
    sizes = [size for size in effort.prefill_tokens if size < context_length]
    if not sizes or smallest + effort.decode_tokens >= context_length:
        raise RequestError(
            f"The model's context of {context_length} tokens is too short to measure; wanted more "
            f"than {smallest + effort.decode_tokens}."
        )
    return sizes
