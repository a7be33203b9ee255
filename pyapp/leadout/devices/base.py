"""The device protocol: everything that Python asks of whatever computes.

Order: writes, submits, loads and reads take effect in the order of the calls, as on one WebGPU
queue. Nothing but the coroutines waits. Two devices exist: `devices.numpy.NumpyDevice` and
`bridge.WebGpuDevice`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from leadout.checkpoint.load_plan import LoadPlan
from leadout.checkpoint.source import Source
from leadout.plan import BufferSpec, Plan

#: Called with the bytes read so far and the bytes in all.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class DeviceInfo:
    """What a device is and what it allows.

    Attributes:
        name: for people, such as "NVIDIA H100 (Vulkan)" or "NumPy 2.4".
        max_binding_bytes: the largest range one binding may have.
        max_buffer_bytes: the largest buffer.
        features: optional kernel features present, such as "subgroups" or "shader-f16".
        is_software: WebGPU computes on the CPU, where other kernels are fast (see `ops.linear`).
    """

    name: str
    max_binding_bytes: int
    max_buffer_bytes: int
    features: tuple[str, ...] = ()
    is_software: bool = False


class CompiledPlan(Protocol):
    """A Plan made ready by a device: pipelines compiled, bind groups built."""

    @property
    def plan(self) -> Plan:
        """The Plan."""


@dataclass(frozen=True)
class PassTimes:
    """When a submitted Plan ran, in milliseconds of a clock that is as good as its differences.

    Attributes:
        began_ms: by the device's clock; None where it has none.
        ended_ms: by the same clock; else when the results arrived, by the host's.
    """

    began_ms: float | None
    ended_ms: float


class Readback(Protocol):
    """The 32-bit words (unsigned) that a submitted Plan reads back, once they are there.

    Await it or discard it, once; either returns its buffer to the device.
    """

    @property
    def times(self) -> Sequence[PassTimes]:
        """When Plans ran, once the words were awaited: the last ones with a readback, up to this.

        Times may come for several Plans together, so most readbacks have none.
        """

    def __await__(self) -> Generator[object, None, Sequence[int]]:
        """Wait for the words; none when the Plan has no readback.

        Raises:
            DeviceLostError: the device was lost before they came.
        """

    def discard(self) -> None:
        """Say that the words are not wanted."""


class Device(Protocol):
    """The verbs; see the module's docstring for what they promise about order."""

    info: DeviceInfo

    @property
    def allocated_bytes(self) -> int:
        """Bytes now held by this device's buffers, staging included."""

    async def allocate(self, buffers: Mapping[str, BufferSpec]) -> None:
        """Create zeroed buffers, all or none.

        Raises:
            OutOfMemoryError: with the bytes asked for and held; nothing was kept.
            DeviceLimitError: a buffer is larger than `info.max_buffer_bytes`.
        """

    def free(self, names: Iterable[str]) -> None:
        """Destroy buffers; unknown names are ignored."""

    async def load(
        self, load_plan: LoadPlan, sources: Sequence[Source], progress: Progress
    ) -> None:
        """Stream tensors into allocated buffers, repacking on the device.

        Raises:
            SourceError: reading failed; the buffers' contents are undefined then.
        """

    async def compile(self, plan: Plan) -> CompiledPlan:
        """Compile pipelines and build bind groups; every buffer must be allocated.

        Raises:
            DeviceError: a kernel or a binding was refused; the message names the dispatch.
        """

    def write(self, buffer: str, offset: int, data: bytes) -> None:
        """Write bytes (offset and length multiples of 4), seen by every later submit."""

    def submit(self, compiled: CompiledPlan, *params: int) -> Readback:
        """Queue a Plan and return at once.

        Args:
            compiled: from `compile`.
            params: a value for each of the Plan's `params`.
        """

    def release(self, compiled: CompiledPlan) -> None:
        """Forget a compiled Plan, before its buffers are freed."""

    async def read(self, buffer: str, offset: int, num_bytes: int) -> bytes:
        """Read a range back, for tests and evaluation."""

    def close(self) -> None:
        """Free everything. The device cannot be used afterwards."""


def collected(numbers: Sequence[float]) -> tuple[list[PassTimes], list[int]]:
    """Take apart what the runtime collects: see `collect` in web/runtime/device.js.

    Returns:
        (times, words).
    """
    end = 1 + 2 * int(numbers[0])
    pairs = zip(numbers[1:end:2], numbers[2:end:2], strict=True)
    times = [PassTimes(None if math.isnan(began) else began, ended) for began, ended in pairs]
    return times, [int(word) for word in numbers[end:]]
