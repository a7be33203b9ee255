"""The WebGPU device: web/runtime/device.js as `devices.base.Device`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

import js
from pyodide.ffi import create_proxy, to_js

from leadout.bridge.values import js_errors, parsed, plain
from leadout.checkpoint.load_plan import LoadPlan
from leadout.checkpoint.page_plan import Move, PagePlan
from leadout.devices.base import (
    CompiledPlan,
    DeviceInfo,
    PassTimes,
    Progress,
    Runnable,
    collected,
)
from leadout.lowering import Caps, lower
from leadout.ops import Program
from leadout.plan import BufferSpec, Copy, Plan


@dataclass
class WebGpuReadback:
    """A ticket of the runtime; see `devices.base.Readback`."""

    runtime: Any
    ticket: int
    times: Sequence[PassTimes] = ()

    def __await__(self) -> Generator[Any, None, Sequence[int]]:
        """Wait for the words."""
        with js_errors():
            array = yield from self.runtime.collect(self.ticket).__await__()
        self.times, words = collected(array.to_py().tolist())
        return words

    def discard(self) -> None:
        """Return the buffer unread."""
        self.runtime.discard(self.ticket)


@dataclass(frozen=True)
class CompiledWebGpuPlan:
    """A Plan and its number in the runtime."""

    plan: Plan
    number: int


class WebGpuDevice:
    """The runtime of web/runtime/device.js; implements `devices.base.Device`."""

    def __init__(self, runtime: Any) -> None:
        self._runtime = runtime
        info = plain(runtime.info)
        self.info = DeviceInfo(
            name=info["name"],
            max_binding_bytes=int(info["max_binding_bytes"]),
            max_buffer_bytes=int(info["max_buffer_bytes"]),
            features=tuple(info["features"]),
            is_software=bool(info["is_software"]),
            kernels=json.loads(runtime.kernelIndex)["variants"],
        )
        self._caps = Caps.of(self.info)
        #: Ends a running load when set; see `Bridge`.
        self.abort_signal: Any = None

    @property
    def allocated_bytes(self) -> int:
        """Bytes now held by buffers."""
        return int(self._runtime.allocatedBytes)

    @property
    def peak_bytes(self) -> int:
        """The most bytes ever held."""
        return int(self._runtime.peakBytes)

    async def allocate(self, buffers: Mapping[str, BufferSpec]) -> None:
        """Create zeroed buffers, all or none."""
        with js_errors():
            await self._runtime.allocate(
                parsed({name: {"bytes": spec.bytes} for name, spec in buffers.items()})
            )

    def free(self, names: Iterable[str]) -> None:
        """Destroy buffers."""
        self._runtime.free(parsed(list(names)))

    async def load(self, load_plan: LoadPlan, sources: Sequence[Any], progress: Progress) -> None:
        """Stream tensors into buffers."""
        proxies = to_js([source.proxy for source in sources])
        on_progress = create_proxy(progress)
        ending = js.AbortController.new()
        signals = [ending.signal, *([] if self.abort_signal is None else [self.abort_signal])]
        options = js.Object.new()
        options.onProgress = on_progress
        options.signal = js.AbortSignal.any(to_js(signals))
        try:
            with js_errors():
                loading = asyncio.ensure_future(
                    self._runtime.load(parsed(load_plan.to_json()), proxies, options)
                )
                try:
                    await asyncio.shield(loading)
                except asyncio.CancelledError:
                    # Something beside it failed: its buffers go, so it has to end first, however
                    # often it is cancelled (each `beside` around it does so once).
                    ending.abort()
                    while not loading.done():
                        with suppress(asyncio.CancelledError):
                            await asyncio.wait([loading])
                    raise
        finally:
            on_progress.destroy()

    async def page_in(self, pages: PagePlan, sources: Sequence[Any], moves: Sequence[Move]) -> None:
        """Bring rows of a paged table."""
        plan = {**pages.to_json(), "moves": [vars(move) for move in moves]}
        with js_errors():
            await self._runtime.pageIn(parsed(plan), to_js([one.proxy for one in sources]))

    def lower(self, program: Program, precision: str = "accurate") -> Plan:
        """Choose kernels for this adapter."""
        return lower(program, replace(self._caps, is_fast=precision == "fast"))

    async def compile(self, runnable: Runnable) -> CompiledWebGpuPlan:
        """Compile pipelines and build bind groups."""
        assert isinstance(runnable, Plan)
        with js_errors():
            number = await self._runtime.compile(parsed(runnable.to_json()))
        return CompiledWebGpuPlan(runnable, int(number))

    def write(self, buffer: str, offset: int, data: bytes) -> None:
        """Write bytes."""
        with js_errors():
            self._runtime.write(buffer, offset, to_js(data))

    def copy(self, copies: Sequence[Copy]) -> None:
        """Queue copies: one call into JavaScript, however many they are."""
        with js_errors():
            self._runtime.copy(parsed([asdict(one) for one in copies]))

    def submit(self, compiled: CompiledPlan, num_positions: int = 0) -> WebGpuReadback:
        """Queue a Plan: one call into JavaScript, whatever it holds."""
        assert isinstance(compiled, CompiledWebGpuPlan)
        values = compiled.plan.values(num_positions)
        with js_errors():
            return WebGpuReadback(
                self._runtime, int(self._runtime.submit(compiled.number, *values))
            )

    def release(self, compiled: CompiledPlan) -> None:
        """Forget a Plan."""
        assert isinstance(compiled, CompiledWebGpuPlan)
        self._runtime.releasePlan(compiled.number)

    async def read(self, buffer: str, offset: int, num_bytes: int) -> bytes:
        """Read a range back."""
        with js_errors():
            array = await self._runtime.read(buffer, offset, num_bytes)
        return bytes(array.to_bytes())

    async def profile(
        self, plan: Plan, params: Sequence[int], groups: Sequence[Sequence[int]]
    ) -> dict[str, Any]:
        """Time a Plan's dispatches; see `profiling.ProfilingDevice`."""
        options = parsed({"groups": [list(group) for group in groups]})
        with js_errors():
            found = await self._runtime.profile(
                parsed(plan.to_json()), to_js(list(params)), options
            )
        return dict(plain(found))

    async def bandwidth(self) -> dict[str, Any]:
        """Measure how fast the device reads."""
        with js_errors():
            return dict(plain(await self._runtime.bandwidth()))

    def close(self) -> None:
        """Destroy the device."""
        self._runtime.destroy()
