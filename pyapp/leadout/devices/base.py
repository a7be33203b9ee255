"""The device protocol: everything that Python asks of whatever computes.

Order: writes, copies, submits, loads and reads take effect in the order of the calls, as on one
WebGPU queue. Nothing but the coroutines waits. Two devices exist: `devices.numpy.NumpyDevice` and
`bridge.WebGpuDevice`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from leadout.checkpoint.load_plan import LoadPlan
from leadout.checkpoint.page_plan import Move, PagePlan
from leadout.checkpoint.source import Source
from leadout.ops import Program
from leadout.plan import Binding, BufferSpec, Copy, Upload

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
        is_software: WebGPU computes on the CPU, where other kernels are fast (see `lowering`).
        kernels: index.json of the build: what each kernel variant is, by name.
    """

    name: str
    max_binding_bytes: int
    max_buffer_bytes: int
    features: tuple[str, ...] = ()
    is_software: bool = False
    kernels: Mapping[str, Any] = field(default_factory=dict, repr=False)


class Runnable(Protocol):
    """A Program in the form that a device runs: as it is, or lowered to a Plan."""

    @property
    def name(self) -> str:
        """The Program's."""

    @property
    def buffers(self) -> Mapping[str, BufferSpec]:
        """What must be allocated beside the buffers that the Program's owner knows of."""

    @property
    def constants(self) -> Mapping[str, bytes]:
        """What to write into these once, before the first run."""

    @property
    def readback(self) -> Binding | None:
        """The range copied out at the end, or None."""

    @property
    def inputs(self) -> Sequence[Binding]:
        """The ranges that the host may write with a submit."""

    @property
    def num_steps(self) -> int:
        """Dispatches, or ops where these are run as they are."""


class CompiledPlan(Protocol):
    """A Runnable made ready by a device: pipelines compiled, bind groups built."""

    @property
    def plan(self) -> Runnable:
        """What was made ready."""


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

    async def page_in(
        self, pages: PagePlan, sources: Sequence[Source], moves: Sequence[Move]
    ) -> None:
        """Read rows of a paged table, and put them in the places of others.

        Passes that were submitted before see the table as it was. Without sources, where weights
        are made up, rows keep what is there.

        Raises:
            SourceError: reading failed; nothing was changed.
            TensorError: a row holds an infinity or a NaN; nothing was changed.
        """

    def lower(self, program: Program, precision: str = "accurate") -> Runnable:
        """Choose how a Program is run here. Nothing is compiled yet, nor allocated.

        Args:
            program: what to compute.
            precision: one of `PRECISIONS`, see `planning.LoadOptions`; where a device has nothing
                faster, it computes as accurately as ever.
        """

    async def compile(self, runnable: Runnable) -> CompiledPlan:
        """Compile pipelines and build bind groups; every buffer must be allocated.

        Raises:
            DeviceError: a kernel or a binding was refused; the message names the dispatch.
        """

    def write(self, buffer: str, offset: int, data: bytes) -> None:
        """Write bytes (offset and length multiples of 4), seen by every later submit."""

    def copy(self, copies: Sequence[Copy]) -> None:
        """Queue copies from buffer to buffer, one after the other, behind what was submitted."""

    def submit(self, compiled: CompiledPlan, num_positions: int = 0) -> Readback:
        """Queue a Plan and return at once.

        Args:
            compiled: from `compile`.
            num_positions: of the KV cache that any row of the pass can see; more does no harm
                but costs time.
        """

    def release(self, compiled: CompiledPlan) -> None:
        """Forget a compiled Plan, before its buffers are freed."""

    async def read(self, buffer: str, offset: int, num_bytes: int) -> bytes:
        """Read a range back, for tests and evaluation."""

    def close(self) -> None:
        """Free everything. The device cannot be used afterwards."""


def submit(
    device: Device,
    compiled: CompiledPlan,
    num_positions: int = 0,
    uploads: Sequence[Upload] = (),
) -> Readback:
    """Queue a Plan with what the host gives it; see `Device.submit`.

    Args:
        device: that runs it.
        compiled: the Plan.
        num_positions: see there.
        uploads: each to one of the Plan's inputs.
    """
    plan = compiled.plan
    for one in uploads:
        assert any(one.lies_in(binding) for binding in plan.inputs), (
            f"{plan.name}: {len(one.data)} bytes at {one.buffer} + {one.offset}"
        )
        device.write(one.buffer, one.offset, one.data)
    return device.submit(compiled, num_positions)


async def run_once(device: Device, program: Program) -> Sequence[int]:
    """Run a Program that nobody needs again, and return what it reads back.

    Its own buffers are allocated before and freed behind it.

    Raises:
        LeadoutError: as of `Device.allocate` and `Device.compile`.
    """
    runnable = device.lower(program)
    try:
        await device.allocate(runnable.buffers)  # it may be given up meanwhile
        for name, data in runnable.constants.items():
            device.write(name, 0, data)
        compiled = await device.compile(runnable)
        try:
            return await device.submit(compiled)
        finally:
            device.release(compiled)
    finally:
        device.free(runnable.buffers)


def collected(numbers: Sequence[float]) -> tuple[list[PassTimes], list[int]]:
    """Take apart what the runtime collects: see `collect` in web/runtime/device.js.

    Returns:
        (times, words).
    """
    end = 1 + 2 * int(numbers[0])
    pairs = zip(numbers[1:end:2], numbers[2:end:2], strict=True)
    times = [PassTimes(None if math.isnan(began) else began, ended) for began, ended in pairs]
    return times, [int(word) for word in numbers[end:]]
