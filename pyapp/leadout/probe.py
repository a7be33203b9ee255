"""How fast a model will be here: made-up weights in its shape run for about two seconds.

Nothing is downloaded. The kernels that are compiled for it stay in the browser's cache for the
load.
"""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import pairwise
from statistics import fmean

from leadout.checkpoint import Checkpoint
from leadout.devices.base import Device, DeviceInfo
from leadout.engine import Engine
from leadout.errors import LeadoutError
from leadout.forecast import Memory, Probe, without_files
from leadout.generation import Delta
from leadout.planning import LoadOptions
from leadout.request import GenerateRequest
from leadout.stats import Stats
from leadout.tokenizer import Tokenizer

#: How long tokens are generated, per number of drafts. A device that takes longer for a token
#: gives one.
MEASURED_S = 0.7

#: Tokens before those that are timed, and at most this share of the context.
_CONTEXT_TOKENS, _CONTEXT_SHARE = 512, 2

#: Numbers of drafts whose cycles are timed, where a drafter was loaded for so many.
_DRAFTS = (0, 3)

#: The most that a probe at "auto" may take where the adapter computes on the CPU: the memory is the
#: machine's own there, and a large model would take minutes.
CHEAP_BYTES = 500_000_000


def is_wanted(asked: object, info: DeviceInfo, memory: Memory) -> bool:
    """Return whether to probe: as it was asked for, and at "auto" where that is cheap."""
    if asked == "auto":
        return not info.is_software or memory.total_bytes <= CHEAP_BYTES
    return bool(asked)


async def probe(
    device: Device, checkpoint: Checkpoint, drafter: Checkpoint | None, options: LoadOptions
) -> Probe:
    """Load made-up weights, time cycles, and free them again.

    Args:
        device: has room for the model.
        checkpoint: the target's; its files are not read.
        drafter: the drafter's.
        options: as for the load to come.

    Raises:
        LeadoutError: as of `Engine.load`, OutOfMemoryError among them.
    """
    began = time.perf_counter()
    most = options.max_draft_tokens
    if most is None or most > _DRAFTS[-1]:  # no more is compiled than is timed
        options = replace(options, max_draft_tokens=_DRAFTS[-1])
    engine = await Engine.load(
        device,
        without_files(checkpoint),
        options,
        _no_tokenizer,
        lambda phase: None,
        lambda loaded, total: None,
        None if drafter is None else without_files(drafter),
    )
    try:
        # What is compiled beside them would slow the cycles down.
        await engine.decoder.compile(engine.decoder.passes.cycles.values())
        context = engine.decoder.tables.context_length
        num_known = min(_CONTEXT_TOKENS, context // _CONTEXT_SHARE)
        cycle_ms: dict[int, float] = {}
        rate = 0.0
        for num_drafts in _DRAFTS:
            if num_drafts > engine.model.max_draft_tokens:
                continue
            # A card speeds up in the first run.
            for seconds in (0.0, MEASURED_S):
                cycle_s = await _timed(engine, num_known, num_drafts, seconds)
            cycle_ms[num_drafts] = round(1000 * cycle_s, 3)
            if num_drafts == 0:
                rate = round(1 / max(cycle_s, 1e-9), 3)
        return Probe(rate, cycle_ms, num_known, round(1000 * (time.perf_counter() - began), 1))
    finally:
        engine.close()


async def _timed(engine: Engine, num_known: int, num_drafts: int, seconds: float) -> float:
    """Generate for so long, or for one cycle; return seconds a cycle.

    Where the context is full before, it begins again behind the same tokens, for twice as long by
    the clock at most. The later half of the cycles counts: browsers compile what runs for the first
    time while it runs.
    """
    began = time.perf_counter()
    cycles: list[float] = []
    while True:
        stats, gaps = await _cycles(engine, num_known, num_drafts, seconds - sum(cycles))
        if not gaps:  # the context had room for one token
            return stats.decode_ms / 1000 / max(stats.cycles, 1)
        cycles += gaps
        if sum(cycles) >= seconds or time.perf_counter() - began >= 2 * seconds:
            return fmean(cycles[len(cycles) // 2 :])


async def _cycles(
    engine: Engine, num_known: int, num_drafts: int, seconds: float
) -> tuple[Stats, list[float]]:
    """Generate for so long behind so many tokens; return the seconds from cycle to cycle, too."""
    ids = [2 + i % 97 for i in range(num_known)]
    engine.assume(ids[:-1])
    #: When each cycle's last token came.
    came_at: list[float] = []

    def note(delta: Delta) -> None:
        if delta.tokens and not delta.is_draft:
            came_at.append(time.perf_counter())

    def is_over() -> bool:
        """Asked before every pass, and passes are submitted before the first token comes."""
        return len(came_at) > 1 and time.perf_counter() - came_at[0] > seconds

    request = GenerateRequest(
        prompt_ids=tuple(ids),
        max_tokens=engine.decoder.tables.context_length - num_known,
        ignore_eos=True,
        draft_tokens=num_drafts,
    )
    result = await engine.generate(request, note, is_aborted=is_over)
    return result.stats, [after - before for before, after in pairwise(came_at)]


async def _no_tokenizer(_text: str) -> Tokenizer:
    raise LeadoutError("made-up weights have no text")
