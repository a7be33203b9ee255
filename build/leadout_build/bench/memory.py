"""Says how much device memory a model needs, before anything is allocated.

The engine's own code computes it (planning.py). WebGPU does not say how much memory there is. So
there are two ways to find out what is missing. If the CPU computes, the device's memory is the
machine's memory. On a GPU, an allocation fails, and the error has its bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from leadout.checkpoint import Checkpoint
from leadout.errors import OutOfMemoryError
from leadout.forecast import Memory, without_files
from leadout.memory_advice import Saving, savings_of, shown_bytes
from leadout.planning import LoadOptions, PlannedLoad, plan_load
from leadout_build.bench.any_gpu import AnyGpu

#: The command's option for each option of a load that saves memory. It has none for the context.
_FLAGS = {
    "kv_dtype": "--kv-dtype f16",
    "placement": "--placement paged",
    "drafter": "--drafter ngram",
}


def plan_memory(
    checkpoint: Checkpoint, drafter: Checkpoint | None, options: LoadOptions
) -> PlannedLoad:
    """Return what loading would allocate, with the plan's inputs.

    Raises:
        LeadoutError: as in `planning.plan_load`.
    """
    beside = None if drafter is None else without_files(drafter)
    target = without_files(checkpoint)
    return asyncio.run(plan_load(AnyGpu(), target, beside, options, may_exceed_bindings=True))


def shown(memory: Memory) -> str:
    """Return the total and its parts as text, with exact bytes to compare with a limit."""
    return (
        f"{memory.total_bytes:,} bytes on the device ({memory.weights_bytes:,} of weights, "
        f"{memory.drafter_bytes:,} of the drafter's, {memory.kv_cache_bytes:,} of KV cache, "
        f"{memory.other_bytes:,} of activations and tables)"
    )


def check_memory(name: str, planned: PlannedLoad, available_bytes: int | None) -> None:
    """Check that a model fits into the memory of this machine, if that is known.

    Raises:
        OutOfMemoryError: it does not fit; the error has the missing bytes.
    """
    if available_bytes is not None and planned.total_bytes > available_bytes:
        missing_bytes = planned.total_bytes - available_bytes
        why = f"the CPU computes here, and {available_bytes:,} bytes of memory are available"
        raise _shortage(name, planned, missing_bytes, why, savings_of(planned, missing_bytes))


def refused(name: str, planned: PlannedLoad, error: OutOfMemoryError) -> OutOfMemoryError:
    """Return the error for a device that was found to have too little memory.

    Args:
        name: the model's name.
        planned: what the model needs.
        error: the load's error. If it lists savings, only these are suggested, because the load may
            have tried others already (such as paging).
    """
    found = error.detail.get("missing_bytes")
    missing_bytes = int(found) if isinstance(found, int | float) else None
    cause, advice = error.detail.get("cause", error.message), error.detail.get("savings")
    savings = (
        [Saving(**one) for one in advice]
        if isinstance(advice, list)
        else savings_of(planned, missing_bytes)
    )
    return _shortage(name, planned, missing_bytes, str(cause).rstrip("."), savings)


def _shortage(
    name: str,
    planned: PlannedLoad,
    missing_bytes: int | None,
    why: str,
    savings: Iterable[Saving],
) -> OutOfMemoryError:
    missing = "memory is" if missing_bytes is None else f"{missing_bytes:,} bytes are"
    ways = [
        f"{_FLAGS[saving.option]} ({shown_bytes(saving.saves_bytes)} less)"
        for saving in savings
        if saving.option in _FLAGS
    ]
    return OutOfMemoryError(
        f"{name} needs {shown(Memory.of(planned.buffers))}; {missing} missing: {why}. Take "
        f"{''.join(f'{way}, ' for way in ways)}a smaller model or shape, or another device.",
        needed_bytes=planned.total_bytes,
        missing_bytes=missing_bytes,
    )


def machine_bytes() -> int | None:
    """Return the free memory of this machine, or None if the system does not report it."""
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text("utf-8").splitlines()
        line = next(line for line in lines if line.startswith("MemAvailable:"))
        return 1024 * int(line.split()[1])
    with contextlib.suppress(AttributeError, OSError, ValueError):
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None
