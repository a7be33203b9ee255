"""The device protocol over a Runtime in Chromium, so that CPython's engine runs on WebGPU."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from gpu_page import GpuRuntime

from leadout.checkpoint import MemorySource
from leadout.checkpoint.load_plan import LoadPlan
from leadout.checkpoint.page_plan import Move, PagePlan
from leadout.checkpoint.source import Source
from leadout.devices.base import CompiledPlan, DeviceInfo, PassTimes, Progress, Runnable
from leadout.lowering import Caps, lower
from leadout.ops import Program
from leadout.plan import BufferSpec, Copy, Plan
from lowered import kernels


@dataclass
class PageReadback:
    runtime: GpuRuntime
    ticket: int
    times: Sequence[PassTimes] = ()

    def __await__(self) -> Generator[object, None, Sequence[int]]:
        yield
        self.times, words = self.runtime.collect_timed(self.ticket)
        return words

    def discard(self) -> None:
        self.runtime.discard(self.ticket)


@dataclass(frozen=True)
class CompiledPagePlan:
    plan: Plan
    number: int


class PageDevice:
    """Implements `leadout.devices.base.Device`."""

    def __init__(
        self,
        runtime: GpuRuntime,
        max_binding_bytes: int | None = None,
        *,
        is_software: bool = False,
    ) -> None:
        """Wrap a runtime, perhaps pretending that it allows no larger bindings.

        Whatever computes here, a model takes the kernels for GPUs, or those for software.
        """
        self.runtime = runtime
        info = runtime.info
        self.info = DeviceInfo(
            info["name"],
            max_binding_bytes or info["max_binding_bytes"],
            info["max_buffer_bytes"],
            tuple(info["features"]),
            is_software,
            kernels(),
        )
        self.caps = Caps.of(self.info)
        self._paged: set[str] = set()

    @property
    def allocated_bytes(self) -> int:
        return self.runtime.allocated_bytes

    async def allocate(self, buffers: Mapping[str, BufferSpec]) -> None:
        self.runtime.allocate({name: spec.bytes for name, spec in buffers.items()})

    def free(self, names: Iterable[str]) -> None:
        self._paged -= set(names)
        self.runtime.free(list(names))

    async def load(
        self, load_plan: LoadPlan, sources: Sequence[Source], progress: Progress
    ) -> None:
        contents = [await source.read(0, await source.size()) for source in sources]
        assert all(isinstance(source, MemorySource) for source in sources)
        for loaded, total in self.runtime.load(load_plan.to_json(), contents):
            progress(loaded, total)

    async def page_in(
        self, pages: PagePlan, sources: Sequence[Source], moves: Sequence[Move]
    ) -> None:
        plan = {**pages.to_json(), "moves": [vars(move) for move in moves]}
        # Only the first call's sources count.
        is_open = pages.staging.buffer in self._paged
        contents = [] if is_open else [await one.read(0, await one.size()) for one in sources]
        self.runtime.page_in(plan, contents)
        self._paged.add(pages.staging.buffer)

    def lower(self, program: Program, precision: str = "accurate") -> Plan:
        return lower(program, replace(self.caps, is_fast=precision == "fast"))

    async def compile(self, runnable: Runnable) -> CompiledPagePlan:
        assert isinstance(runnable, Plan)
        return CompiledPagePlan(runnable, self.runtime.compile(runnable.to_json()))

    def write(self, buffer: str, offset: int, data: bytes) -> None:
        self.runtime.write(buffer, data, offset)

    def copy(self, copies: Sequence[Copy]) -> None:
        self.runtime.copy([asdict(one) for one in copies])

    def submit(self, compiled: CompiledPlan, num_positions: int = 0) -> PageReadback:
        assert isinstance(compiled, CompiledPagePlan)
        values = compiled.plan.values(num_positions)
        return PageReadback(self.runtime, self.runtime.submit(compiled.number, *values))

    def release(self, compiled: CompiledPlan) -> None:
        assert isinstance(compiled, CompiledPagePlan)
        self.runtime.release_plan(compiled.number)

    async def read(self, buffer: str, offset: int, num_bytes: int) -> bytes:
        return self.runtime.read(buffer, num_bytes, offset)

    def close(self) -> None:
        self.runtime.destroy()
