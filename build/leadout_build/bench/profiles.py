"""`leadout bench --profile`: chooses the passes to profile, and prints their tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from leadout.passes import PREFILL_ROWS
from leadout_build.bench.measures import SAMPLINGS
from leadout_build.bench.runtime import Runtime
from leadout_build.store.sizes import format_bytes

#: The number of drafts of the cycle to profile, if it is among those measured.
PROFILED_DRAFTS = 3

#: The most lines of a table; the remaining ops are summed up in one line.
MOST_LINES = 40


def profile_passes(
    runtime: Runtime,
    num_drafts: Sequence[int],
    samplings: Sequence[str],
    contexts: Sequence[int],
    parallel: int = 1,
) -> list[dict[str, Any]]:
    """Profile plain steps after each number of tokens, a cycle with drafts, and a prefill pass.

    With several requests at once, cycles of the largest number are profiled too, plain and with
    drafts.

    Args:
        runtime: the runtime, with a model loaded.
        num_drafts: the measured numbers of drafts; one of them is profiled.
        samplings: keys of SAMPLINGS; the cycle with drafts and the prefill pass use the first.
        contexts: numbers of tokens before a step; the same passes use the first.
        parallel: the most requests at once.
    """
    first = SAMPLINGS[samplings[0]]
    requests: list[tuple[str, dict[str, Any]]] = [
        (sampling, {"context_tokens": context_tokens, **SAMPLINGS[sampling]})
        for context_tokens in contexts
        for sampling in samplings
    ]
    drafted = [k for k in num_drafts if 0 < k <= PROFILED_DRAFTS] or list(num_drafts)[-1:]
    if drafted[-1:] != [0]:
        request = {"context_tokens": contexts[0], "draft_tokens": drafted[-1], **first}
        requests.append((samplings[0], request))
    for draft_tokens in sorted({0, *drafted[:1]}) if parallel > 1 else ():
        request = {"context_tokens": contexts[0], "draft_tokens": draft_tokens, **first}
        requests.append((samplings[0], request | {"parallel": parallel}))
    prefill: dict[str, Any] = {
        "kind": "prefill",
        "context_tokens": contexts[0],
        "rows": PREFILL_ROWS[-1],
    }
    requests.append((samplings[0], prefill | dict(first)))
    return [{"sampling": name, **runtime.profile(request)} for name, request in requests]


def profile_lines(profile: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a profile's table."""
    whole, bandwidth = profile["whole_us"], profile["bandwidth_gb_per_s"]
    yield (
        f"profile of {profile['plan']}, {profile['context_tokens']} tokens before it, "
        f"{profile['sampling']}: {whole['median']:,.0f} us as it runs ({whole['low']:,.0f} to "
        f"{whole['high']:,.0f}), its ops {profile['sum_us']:,.0f} us; the device reads "
        f"{bandwidth['median']:,.4g} GB/s at best"
    )
    alone = (
        f"alone: each in a pass of its own, less the {profile['empty_us']:.1f} us of an empty one"
        if profile["tick_us"] <= 2
        else f"the device's clock is rounded to {profile['tick_us']:.0f} us: no dispatch alone"
    )
    yield f"us: all of an op queued in one pass; {alone}"
    yield f"{'us':>9} {'times':>5} {'us each':>8} {'alone':>9} {'bytes':>9} {'of best':>7}  op"
    ops = profile["ops"]
    for op in ops[:MOST_LINES]:
        alone_us = "" if op["alone_us"] is None else f"{op['alone_us']:.1f}"
        share = "" if op["bandwidth_share"] is None else f"{100 * op['bandwidth_share']:.0f} %"
        yield (
            f"{op['us']:9.1f} {op['times']:5} {op['each_us']:8.2f} {alone_us:>9} "
            f"{format_bytes(op['bytes']):>9} {share:>7}  {op['op']}  {op['kernel']}"
        )
    if rest := ops[MOST_LINES:]:
        us, times = (sum(op[name] for op in rest) for name in ("us", "times"))
        yield f"{us:9.1f} {times:5}  {len(rest)} more ops"
