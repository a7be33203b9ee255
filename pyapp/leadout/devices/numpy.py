"""The NumPy device: runs Plans in CPython, by calling each kernel's twin in turn."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from leadout.checkpoint.load_plan import PARAMS_BYTES, LoadPlan
from leadout.checkpoint.source import Source
from leadout.devices.base import CompiledPlan, DeviceInfo, PassTimes, Progress
from leadout.devices.twins import Call, Floats, Words, load_twins
from leadout.errors import DeviceError, DeviceLimitError, OutOfMemoryError
from leadout.plan import Binding, BufferSpec, Pipeline, Plan

#: No binding is limited here; the number only keeps arithmetic within what WebGPU could do.
DEFAULT_MAX_BYTES = 1 << 40


@dataclass(frozen=True)
class CompiledNumpyPlan:
    """A Plan with its twins looked up."""

    plan: Plan
    kernels: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class NumpyReadback:
    """Words that are there already."""

    words: Sequence[int]
    times: Sequence[PassTimes]

    def __await__(self) -> Generator[object, None, Sequence[int]]:
        """Return the words, after letting others run once, as every wait on a device does."""
        yield None
        return self.words

    def discard(self) -> None:
        """Nothing to return."""


class NumpyDevice:
    """Implements `devices.base.Device` on the CPU; every verb has finished when it returns."""

    def __init__(self, max_binding_bytes: int = DEFAULT_MAX_BYTES) -> None:
        """Create a device.

        Args:
            max_binding_bytes: pretend that bindings may not be larger, as on small GPUs.
        """
        self.info = DeviceInfo(
            name=f"NumPy {np.__version__}",
            max_binding_bytes=max_binding_bytes,
            max_buffer_bytes=DEFAULT_MAX_BYTES,
        )
        self._twins = load_twins()
        self._buffers: dict[str, Words] = {}
        self._weights: dict[tuple[str, int], Floats] = {}

    @property
    def allocated_bytes(self) -> int:
        """Bytes of all buffers; unpacked copies of weights are not counted."""
        return sum(buffer.nbytes for buffer in self._buffers.values())

    async def allocate(self, buffers: Mapping[str, BufferSpec]) -> None:
        """Create zeroed buffers; see `Device.allocate`."""
        created: dict[str, Words] = {}
        for name, spec in buffers.items():
            if spec.bytes > self.info.max_buffer_bytes:
                raise DeviceLimitError(
                    f"Buffer {name} needs {spec.bytes} bytes; the device allows "
                    f"{self.info.max_buffer_bytes}.",
                    bytes=spec.bytes,
                )
            try:
                created[name] = np.zeros(spec.bytes // 4, np.uint32)
            except MemoryError as error:
                raise OutOfMemoryError(
                    f"Allocating {spec.bytes} bytes for {name} failed with "
                    f"{self.allocated_bytes} bytes held; choose a smaller model or context.",
                    bytes=spec.bytes,
                    held_bytes=self.allocated_bytes,
                ) from error
        self._buffers |= created

    def free(self, names: Iterable[str]) -> None:
        """Drop buffers."""
        gone = set(names)
        for name in gone:
            self._buffers.pop(name, None)
        self._weights = {key: w for key, w in self._weights.items() if key[0] not in gone}

    async def load(
        self, load_plan: LoadPlan, sources: Sequence[Source], progress: Progress
    ) -> None:
        """Read every step and run its repacking twin; see `Device.load`."""
        self._weights.clear()
        done = 0
        for step in load_plan.steps:
            payload = await sources[step.source].read(step.offset, step.bytes)
            params = np.zeros(PARAMS_BYTES // 4, np.uint32)
            params[: len(step.params)] = step.params
            staging = np.zeros(PARAMS_BYTES // 4 + -(-step.bytes // 4), np.uint32)
            staging[: len(params)] = params
            staging.view(np.uint8)[PARAMS_BYTES : PARAMS_BYTES + step.bytes] = np.frombuffer(
                payload, np.uint8
            )
            pipeline = load_plan.pipelines[step.pipeline]
            kernel, args = self._kernel(pipeline)
            bindings = [staging, *(self._view(binding) for binding in step.bindings)]
            self._twins[kernel](Call(args, pipeline.constants, bindings, step.workgroups))
            done += step.bytes
            progress(done, load_plan.total_bytes)

    async def compile(self, plan: Plan) -> CompiledNumpyPlan:
        """Check every dispatch and look up its twin."""
        for dispatch in plan.dispatches:
            for binding in dispatch.bindings:
                self._view(binding, dispatch.label)
        return CompiledNumpyPlan(plan, tuple(self._kernel(p) for p in plan.pipelines))

    def write(self, buffer: str, offset: int, data: bytes) -> None:
        """Write bytes into a buffer."""
        self._view(Binding(buffer, offset, len(data)))[:] = np.frombuffer(data, np.uint32)

    def submit(self, compiled: CompiledPlan, *params: int) -> NumpyReadback:
        """Run a Plan; see `Device.submit`."""
        assert isinstance(compiled, CompiledNumpyPlan)
        plan = compiled.plan
        assert len(params) == len(plan.params), f"{plan.name}: params {plan.params}"
        began = time.perf_counter()
        for dispatch in plan.dispatches:
            kernel, args = compiled.kernels[dispatch.pipeline]
            grid = [
                count if isinstance(count, int) else params[plan.params.index(count)]
                for count in dispatch.workgroups
            ]
            first = dispatch.bindings[0]
            call = Call(
                args,
                plan.pipelines[dispatch.pipeline].constants,
                [self._view(binding) for binding in dispatch.bindings],
                (grid[0], grid[1], grid[2]),
                self._weights,
                (first.buffer, first.offset),
            )
            try:
                self._twins[kernel](call)
            except Exception as error:
                raise DeviceError(f"{plan.name}: {dispatch.label} ({kernel}): {error}") from error
        words = self._view(plan.readback).tolist() if plan.readback else []
        return NumpyReadback(words, [PassTimes(1000 * began, 1000 * time.perf_counter())])

    def release(self, compiled: CompiledPlan) -> None:
        """Nothing is kept for a Plan."""

    async def read(self, buffer: str, offset: int, num_bytes: int) -> bytes:
        """Read a range of a buffer."""
        return self._view(Binding(buffer, offset, num_bytes)).tobytes()

    def close(self) -> None:
        """Drop everything."""
        self._buffers.clear()
        self._weights.clear()

    def _view(self, binding: Binding, label: str = "") -> Words:
        buffer = self._buffers.get(binding.buffer)
        end = binding.offset + binding.bytes
        if buffer is None or end > buffer.nbytes or binding.offset % 4 or binding.bytes % 4:
            held = "not allocated" if buffer is None else f"{buffer.nbytes} bytes"
            raise DeviceError(
                f"{label or 'access'}: bytes {binding.offset} to {end} of buffer "
                f"{binding.buffer}, which is {held}."
            )
        return buffer[binding.offset // 4 : end // 4]

    def _kernel(self, pipeline: Pipeline) -> tuple[str, tuple[str, ...]]:
        kernel, *args = pipeline.variant.split(".")
        if kernel not in self._twins:
            raise DeviceError(f"Kernel {kernel} has no NumPy twin.")
        return kernel, tuple(args)
