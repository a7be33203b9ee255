"""What a model takes of a device's memory, before anything is allocated.

The engine itself is asked: it loads onto a device that only notes the buffers it is to allocate,
which comes before everything that costs time. WebGPU does not say how much memory there is, so what
is missing is known in two ways: where the CPU renders, memory is the machine's; on a GPU, the
allocation fails, and says for which bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from leadout.checkpoint import Checkpoint
from leadout.devices.base import DeviceInfo
from leadout.devices.numpy import NumpyDevice
from leadout.errors import OutOfMemoryError
from leadout.loading import LoadOptions, load_model
from leadout.plan import BufferSpec

#: What a GPU's bindings and buffers may have at most, as Dawn has it. Where a device allows less,
#: matrices lie in more buffers, and take the same bytes.
_MAX_BYTES = (1 << 31) - 4


@dataclass(frozen=True)
class MemoryPlan:
    """The bytes of all buffers of a loaded model.

    Attributes:
        weights_bytes: the target's.
        drafter_bytes: the drafter's, its constants included.
        kv_cache_bytes: of all layers.
        other_bytes: activations and tables.
        largest_buffer: its name.
        largest_buffer_bytes: its size.
    """

    weights_bytes: int
    drafter_bytes: int
    kv_cache_bytes: int
    other_bytes: int
    largest_buffer: str
    largest_buffer_bytes: int

    @classmethod
    def of(cls, buffers: Mapping[str, BufferSpec]) -> MemoryPlan:
        """Sum up what the engine allocates."""
        sums = dict.fromkeys(("weights", "drafter", "kv_cache", "other"), 0)
        for name, spec in buffers.items():
            sums[_kind_of(name)] += spec.bytes
        largest = max(buffers, key=lambda name: buffers[name].bytes)
        return cls(
            **{f"{kind}_bytes": num_bytes for kind, num_bytes in sums.items()},
            largest_buffer=largest,
            largest_buffer_bytes=buffers[largest].bytes,
        )

    @property
    def total_bytes(self) -> int:
        """Bytes in all."""
        return self.weights_bytes + self.drafter_bytes + self.kv_cache_bytes + self.other_bytes

    def shown(self) -> str:
        """Return the sum and its parts, for people who compare them with a limit."""
        return (
            f"{self.total_bytes:,} bytes on the device ({self.weights_bytes:,} of weights, "
            f"{self.drafter_bytes:,} of the drafter's, {self.kv_cache_bytes:,} of KV cache, "
            f"{self.other_bytes:,} of activations and tables)"
        )


def plan_memory(
    checkpoint: Checkpoint, drafter: Checkpoint | None, options: LoadOptions
) -> MemoryPlan:
    """Return what loading would allocate.

    Raises:
        LeadoutError: as in `loading.load_model`, for what it refuses before it allocates.
    """
    device = _NotingDevice()
    loading = load_model(
        device, checkpoint, drafter, options, lambda phase: None, lambda loaded, total: None
    )
    with contextlib.suppress(_NotedError):
        asyncio.run(loading)
    return MemoryPlan.of(device.noted)


def check_memory(name: str, plan: MemoryPlan, available_bytes: int | None) -> None:
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


def shortage(name: str, plan: MemoryPlan, missing_bytes: int | None, why: str) -> OutOfMemoryError:
    """Return the error for a device that has too little memory.

    Args:
        name: of the model.
        plan: what it needs.
        missing_bytes: what it needs more than there is, at least; None where that is unknown.
        why: what was seen.
    """
    missing = "memory is" if missing_bytes is None else f"{missing_bytes:,} bytes are"
    return OutOfMemoryError(
        f"{name} needs {plan.shown()}; {missing} missing: {why}. Take a smaller model or shape, or "
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


def _kind_of(buffer: str) -> str:
    if buffer.startswith("drafter."):
        return "drafter"
    if "#" in buffer or buffer == "vectors":
        return "weights"
    return "kv_cache" if buffer.endswith((".kv.keys", ".kv.values")) else "other"


class _NotedError(Exception):
    """All buffers are known: go no further."""


class _NotingDevice(NumpyDevice):
    """Goes as far as the first allocation, which is that of all buffers."""

    def __init__(self) -> None:
        super().__init__()
        self.info = DeviceInfo("none", _MAX_BYTES, _MAX_BYTES)
        self.noted: dict[str, BufferSpec] = {}

    async def allocate(self, buffers: Mapping[str, BufferSpec]) -> None:
        self.noted = dict(buffers)
        raise _NotedError
