"""What several requests at once bring: tokens/s in all, and of each, with drafts and without."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from leadout.passes import BATCH_DRAFTS
from leadout.request import DEFAULT_RUN_AHEAD
from leadout_build.bench.measures import SAMPLINGS, Effort, Spread, prompt_ids
from leadout_build.bench.runtime import Runtime

#: Drafts of a cycle that are accepted in the figure that made-up weights cannot give.
ACCEPTED_SHARE = 0.65

#: Cycles for each of the effort's: the first and last ones have fewer streams.
_LONGER = 4


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
    """Time cycles of several streams, round by round.

    Args:
        runtime: with a model loaded for as many.
        effort: how much.
        vocab_size: of the model.
        streams: numbers of requests at once.
        num_drafts: of the cycles; what no cycle of several streams drafts is left out.
        context_tokens: of the prompt behind which they decode.
        sampling: a key of SAMPLINGS; every stream has a seed of its own.
        is_shape: weights are made up, and the prompt need not be prefilled.

    Returns:
        An entry a number of streams and of drafts: "ms" of a cycle, "tokens_per_s" of all streams
        as they came, and "tokens_per_s_at_65" as they would come if ACCEPTED_SHARE of the drafts
        were accepted; "ratio" is to one stream without drafts, each within its round.
    """
    counts = sorted({0, *(k for k in num_drafts if k in BATCH_DRAFTS)})
    prompt = prompt_ids(context_tokens, vocab_size)
    cases = [(number, k) for number in sorted({1, *streams}) for k in counts]
    runs: dict[tuple[int, int], list[tuple[float, float]]] = {case: [] for case in cases}
    for round_number in range(effort.warm_up_rounds + effort.rounds):
        for number, k in cases:
            if is_shape:
                runtime.assume(prompt)
            requests = [
                {
                    "prompt_ids": prompt,
                    "max_tokens": 1 + DEFAULT_RUN_AHEAD + _LONGER * effort.cycle_tokens,
                    "ignore_eos": True,
                    "run_ahead": DEFAULT_RUN_AHEAD,
                    "draft_tokens": k,
                    **SAMPLINGS[sampling],
                    "seed": seed,
                }
                for seed in range(number)
            ]
            stats = [one["stats"] for one in runtime.generate_together(requests)]
            if round_number >= effort.warm_up_rounds:
                ms = statistics.median(one["decode_ms"] / max(one["cycles"], 1) for one in stats)
                longest_ms = max(one["decode_ms"] for one in stats)
                tokens = sum(one["decode_tokens"] for one in stats)
                runs[number, k].append((ms, 1000 * tokens / longest_ms))
    plain = [rate for _, rate in runs[1, 0]]
    return [_entry(number, k, runs[number, k], plain) for number, k in cases]


def expected_tokens(num_drafts: int, share: float = ACCEPTED_SHARE) -> float:
    """Return the tokens of a cycle if each draft behind accepted ones is accepted so often."""
    return sum(share**i for i in range(1 + num_drafts))


def _entry(
    number: int, k: int, runs: Sequence[tuple[float, float]], plain: Sequence[float]
) -> dict[str, Any]:
    ms = Spread.of([each for each, _ in runs])
    rates = [rate for _, rate in runs]
    return {
        "streams": number,
        "draft_tokens": k,
        "ms": asdict(ms),
        "tokens_per_s": asdict(Spread.of(rates)),
        "ratio": asdict(Spread.of([rate / one for rate, one in zip(rates, plain, strict=True)])),
        "tokens_per_s_at_65": round(1000 * number * expected_tokens(k) / ms.median, 2),
    }


def parallel_parts(entry: Mapping[str, Any]) -> list[str]:
    """Return an entry's figures for people."""
    number, k = entry["streams"], entry["draft_tokens"]
    what = f"{number} at once, {k} drafted"
    parts = [f"  {what}: {Spread(**entry['ms']).shown()} ms a cycle"]
    if k:
        share = f"{100 * ACCEPTED_SHARE:.0f} %"
        parts.append(f"{entry['tokens_per_s_at_65']:.4g} tokens/s if {share} are accepted")
    else:
        parts.append(f"{Spread(**entry['tokens_per_s']).shown()} tokens/s in all")
        parts.append(f"× {entry['ratio']['median']:.3f}")
    return parts
