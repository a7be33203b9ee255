"""The NumPy device: runs Programs in CPython, op by op."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from leadout.checkpoint.load_plan import PARAMS_BYTES, LoadPlan
from leadout.checkpoint.page_plan import Move, PagePart, PagePlan
from leadout.checkpoint.source import Source
from leadout.devices.base import CompiledPlan, DeviceInfo, PassTimes, Progress, Runnable
from leadout.devices.numpy_ops import Memory, Words, load_meanings
from leadout.devices.numpy_ops.repack import REPACKERS, Call
from leadout.errors import DeviceError, DeviceLimitError, OutOfMemoryError, TensorError
from leadout.ops import Program
from leadout.plan import Binding, BufferSpec, Copy, Pipeline

#: No binding is limited here; the number only keeps arithmetic within what WebGPU could do.
DEFAULT_MAX_BYTES = 1 << 40


@dataclass(frozen=True)
class CompiledProgram:
    """A Program whose buffers are there."""

    plan: Program


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
        self._meanings = dict(load_meanings())  # its own, for tests that watch an op
        self._buffers: dict[str, Words] = {}
        self._memory = Memory(self._buffers)

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
        for name in names:
            self._buffers.pop(name, None)
        self._memory.forget_weights()

    async def load(
        self, load_plan: LoadPlan, sources: Sequence[Source], progress: Progress
    ) -> None:
        """Read every step and repack it; see `Device.load`."""
        self._memory.forget_weights()
        done = 0
        for step in load_plan.steps:
            payload = await sources[step.source].read(step.offset, step.bytes)
            self._repack(load_plan.pipelines[step.pipeline], step.params, payload, step.bindings)
            done += step.bytes
            progress(done, load_plan.total_bytes)

    async def page_in(
        self, pages: PagePlan, sources: Sequence[Source], moves: Sequence[Move]
    ) -> None:
        """Read rows and repack them; see `Device.page_in`."""
        read = [
            [
                await _read_finite(pages.label, part, sources, move.id)
                for part in (pages.parts if sources else ())
            ]
            for move in moves
        ]
        slots, blocks = self._memory.view(pages.slots), pages.blocks_per_row
        for move, payloads in zip(moves, read, strict=True):
            for part, payload in zip(pages.parts, payloads, strict=False):
                params = (blocks, move.slot * blocks)
                self._repack(part.pipeline, params, payload, part.bindings)
            slots[move.forgotten] = 0
            slots[move.id] = move.slot + 1

    def _repack(
        self,
        pipeline: Pipeline,
        params: Sequence[int],
        payload: bytes,
        bindings: Sequence[Binding],
    ) -> None:
        """Do a step of a load."""
        head = PARAMS_BYTES // 4
        staging = np.zeros(head + -(-len(payload) // 4), np.uint32)
        staging[: len(params)] = params
        staging.view(np.uint8)[PARAMS_BYTES : PARAMS_BYTES + len(payload)] = np.frombuffer(
            payload, np.uint8
        )
        kernel, *args = pipeline.variant.split(".")
        planes = [self._memory.view(binding) for binding in bindings]
        REPACKERS[kernel](Call(tuple(args), pipeline.constants, [staging, *planes]))

    def lower(self, program: Program, precision: str = "accurate") -> Program:
        """Return the Program: ops are run as they are, in float32 whatever the precision."""
        del precision
        return program

    async def compile(self, runnable: Runnable) -> CompiledProgram:
        """Check that the buffers are there."""
        assert isinstance(runnable, Program)
        for name, spec in runnable.buffers.items():
            self._memory.view(Binding(name, 0, spec.bytes), runnable.name)
        return CompiledProgram(runnable)

    def write(self, buffer: str, offset: int, data: bytes) -> None:
        """Write bytes into a buffer."""
        self._memory.view(Binding(buffer, offset, len(data)))[:] = np.frombuffer(data, np.uint32)

    def copy(self, copies: Sequence[Copy]) -> None:
        """Copy ranges of buffers."""
        for one in copies:
            self._memory.view(one.target)[:] = self._memory.view(one.source)

    def submit(self, compiled: CompiledPlan, num_positions: int = 0) -> NumpyReadback:  # noqa: ARG002
        """Run a Program; see `Device.submit`."""
        assert isinstance(compiled, CompiledProgram)
        program = compiled.plan
        began = time.perf_counter()
        for op in program.ops:
            try:
                self._meanings[type(op)](op, self._memory)
            except Exception as error:
                raise DeviceError(
                    f"{program.name}: {op.label} ({type(op).__name__}): {error}"
                ) from error
        words = [] if program.readback is None else self._memory.view(program.readback).tolist()
        return NumpyReadback(words, [PassTimes(1000 * began, 1000 * time.perf_counter())])

    def release(self, compiled: CompiledPlan) -> None:
        """Nothing is kept for a Program."""

    async def read(self, buffer: str, offset: int, num_bytes: int) -> bytes:
        """Read a range of a buffer."""
        return self._memory.view(Binding(buffer, offset, num_bytes)).tobytes()

    def close(self) -> None:
        """Drop everything."""
        self._buffers.clear()
        self._memory.forget_weights()


async def _read_finite(label: str, part: PagePart, sources: Sequence[Source], row: int) -> bytes:
    """Return a part of a row; as web/runtime/paging.js does it (keep in step)."""
    payload = await sources[part.source].read(part.offset + row * part.bytes, part.bytes)
    blocks = np.frombuffer(payload, "<u2").reshape(-1, part.block_bytes // 2)
    mask = part.exponents.mask
    if ((blocks[:, list(part.exponents.words)] & mask) == mask).any():
        raise TensorError(
            f"{label}: row {row} holds values that are infinite or not a number; get the "
            "checkpoint again, or another one",
            tensor=label,
            row=row,
        )
    return payload
