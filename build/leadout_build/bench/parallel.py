"""Measures several requests at once: tokens/s of each and in total, with and without drafts."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from leadout.passes import BATCH_DRAFTS
from leadout.speculative import MOST_QUEUED
from leadout_build.bench.measures import SAMPLINGS, Effort, Spread, prompt_ids
from leadout_build.bench.runtime import Runtime

#: The assumed share of accepted drafts, because made-up weights say nothing about acceptance.
ACCEPTED_SHARE = 0.65

#: How many times more tokens are timed than the effort's `cycle_tokens`, because the first and last
#: cycles have fewer streams.
_LONGER = 4


@dataclass(frozen=True)
class _Run:
    """What one round of a case gave; see `measure_parallel`."""

    ms: float
    tokens_per_s: float
    tokens_per_s_each: float

    @classmethod
    def of(cls, stats: Sequence[Mapping[str, Any]]) -> _Run:
        """Return it from the figures of its requests."""
        ms = statistics.median(one["decode_ms"] / max(one["cycles"], 1) for one in stats)
        longest_ms = max(one["decode_ms"] for one in stats)
        tokens = sum(one["decode_tokens"] for one in stats)
        each = statistics.median(1000 * one["decode_tokens"] / one["decode_ms"] for one in stats)
        return cls(ms, 1000 * tokens / longest_ms, each)


def measure_parallel(
    runtime: Runtime,
    effort: Effort,
    vocab_size: int,
    streams: Sequence[int],
    num_drafts: Sequence[int],
    *,
    context_tokens: int,
    sampling: str,
    is_shape: bool = False,
) -> list[dict[str, Any]]:
    """Time cycles of several streams, in rounds.

    Args:
        runtime: the runtime, with a model loaded for that many streams.
        effort: how much to measure.
        vocab_size: the model's vocabulary size.
        streams: numbers of requests at once.
        num_drafts: the numbers of drafts; those that cycles of several streams cannot have are
            skipped.
        context_tokens: the length of the prompt.
        sampling: a key of SAMPLINGS; every stream has a seed of its own.
        is_shape: weights are made up, so the prompt need not be prefilled.

    Returns:
        One entry per number of streams and drafts. "ms" is the time per cycle. "tokens_per_s" is
        the measured speed of all streams together, "tokens_per_s_each" the median stream's.
        "tokens_per_s_at_65" is that speed if
        ACCEPTED_SHARE of the drafts were accepted. "ratio" is relative to one stream without drafts
        in the same round.
    """
    counts = sorted({0, *(k for k in num_drafts if k in BATCH_DRAFTS)})
    prompt = prompt_ids(context_tokens, vocab_size)
    cases = [(number, k) for number in sorted({1, *streams}) for k in counts]
    runs: dict[tuple[int, int], list[_Run]] = {case: [] for case in cases}
    for round_number in range(effort.warm_up_rounds + effort.rounds):
        for number, k in cases:
            if is_shape:
                runtime.assume(prompt)
            requests = [
                {
                    "prompt_ids": prompt,
                    "max_tokens": 2 + MOST_QUEUED + _LONGER * effort.cycle_tokens,
                    "ignore_eos": True,
                    "draft_tokens": k,
                    **SAMPLINGS[sampling],
                    "seed": seed,
                }
                for seed in range(number)
            ]
            stats = [one["stats"] for one in runtime.generate_together(requests)]
            if round_number >= effort.warm_up_rounds:
                runs[number, k].append(_Run.of(stats))
    plain = [run.tokens_per_s for run in runs[1, 0]]
    return [_entry(number, k, runs[number, k], plain) for number, k in cases]


def expected_tokens(num_drafts: int, share: float = ACCEPTED_SHARE) -> float:
    """Return the tokens per cycle if this share of drafts that follow accepted ones is accepted."""
    return sum(share**i for i in range(1 + num_drafts))


def _entry(number: int, k: int, runs: Sequence[_Run], plain: Sequence[float]) -> dict[str, Any]:
    ms = Spread.of([run.ms for run in runs])
    rates = [run.tokens_per_s for run in runs]
    return {
        "streams": number,
        "draft_tokens": k,
        "ms": asdict(ms),
        "tokens_per_s": asdict(Spread.of(rates)),
        "tokens_per_s_each": asdict(Spread.of([run.tokens_per_s_each for run in runs])),
        "ratio": asdict(Spread.of([rate / one for rate, one in zip(rates, plain, strict=True)])),
        "tokens_per_s_at_65": round(1000 * number * expected_tokens(k) / ms.median, 2),
    }


def parallel_parts(entry: Mapping[str, Any]) -> list[str]:
    """Return an entry's figures as text."""
    number, k = entry["streams"], entry["draft_tokens"]
    what = f"{number} at once, {k} drafted"
    parts = [f"  {what}: {Spread(**entry['ms']).shown()} ms a cycle"]
    if k:
        share = f"{100 * ACCEPTED_SHARE:.0f} %"
        parts.append(f"{entry['tokens_per_s_at_65']:.4g} tokens/s if {share} are accepted")
    else:
        parts.append(f"{Spread(**entry['tokens_per_s']).shown()} tokens/s in all")
        parts.append(f"{entry['tokens_per_s_each']['median']:.4g} each")
        parts.append(f"× {entry['ratio']['median']:.3f}")
    return parts
