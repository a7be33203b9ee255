"""What a model takes of a device's memory, before anything is allocated.

The engine itself is asked (forecast.py). WebGPU does not say how much memory there is, so what
is missing is known in two ways: where the CPU renders, memory is the machine's; on a GPU, the
allocation fails, and says for which bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

from leadout.checkpoint import Checkpoint
from leadout.errors import OutOfMemoryError
from leadout.forecast import Memory, forecast
from leadout.planning import LoadOptions
from leadout_build.bench.any_gpu import AnyGpu


def plan_memory(checkpoint: Checkpoint, drafter: Checkpoint | None, options: LoadOptions) -> Memory:
    """Return what loading would allocate.

    Raises:
        LeadoutError: as in `forecast.forecast`.
    """
    return asyncio.run(forecast(AnyGpu(), checkpoint, drafter, options)).memory


def shown(memory: Memory) -> str:
    """Return the sum and its parts, for people who compare them with a limit."""
    return (
        f"{memory.total_bytes:,} bytes on the device ({memory.weights_bytes:,} of weights, "
        f"{memory.drafter_bytes:,} of the drafter's, {memory.kv_cache_bytes:,} of KV cache, "
        f"{memory.other_bytes:,} of activations and tables)"
    )


def check_memory(name: str, plan: Memory, available_bytes: int | None) -> None:
    """Refuse a model that this machine's memory cannot hold; None is what nobody knows.

    Raises:
        OutOfMemoryError: with the bytes that are missing.
    """
    if available_bytes is not None and plan.total_bytes > available_bytes:
        raise shortage(
            name,
            plan,
            plan.total_bytes - available_bytes,
            f"the CPU renders here, and {available_bytes:,} bytes of memory are available",
        )


def shortage(name: str, plan: Memory, missing_bytes: int | None, why: str) -> OutOfMemoryError:
    """Return the error for a device that has too little memory.

    Args:
        name: of the model.
        plan: what it needs.
        missing_bytes: what it needs more than there is, at least; None where that is unknown.
        why: what was seen.
    """
    missing = "memory is" if missing_bytes is None else f"{missing_bytes:,} bytes are"
    return OutOfMemoryError(
        f"{name} needs {shown(plan)}; {missing} missing: {why}. Take a smaller model or shape, or "
        "another device.",
        needed_bytes=plan.total_bytes,
        missing_bytes=missing_bytes,
    )


def machine_bytes() -> int | None:
    """Return the memory that this machine has left, None where it does not say."""
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text("utf-8").splitlines()
        line = next(line for line in lines if line.startswith("MemAvailable:"))
        return 1024 * int(line.split()[1])
    with contextlib.suppress(AttributeError, OSError, ValueError):
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None
