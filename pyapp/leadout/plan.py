"""Plans: what a device has to do, as data.

A `Plan` is an ordered list of dispatches over named buffers. It is built once for a model and a
number of rows, serialises to JSON, and is replayed by every device alike: the WebGPU runtime
(web/runtime/plans.js; keep in step) records it into one command encoder, one compute pass and
one submit, the NumPy device calls each kernel's twin in turn. A Plan knows kernels and buffers,
not transformers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NewType

#: WebGPU's minStorageBufferOffsetAlignment on every adapter that keeps to the default limits.
BINDING_ALIGNMENT_BYTES = 256

#: The most workgroups one dimension of a dispatch may have (WebGPU's default limit).
MAX_WORKGROUPS_PER_DIMENSION = 65535

Json = NewType("Json", dict[str, object])


def align(num_bytes: int, to: int = BINDING_ALIGNMENT_BYTES) -> int:
    """Round a size or an offset up to a multiple of `to`."""
    return -(-num_bytes // to) * to


@dataclass(frozen=True)
class BufferSpec:
    """A buffer to allocate: its size in bytes (a multiple of 4), zeroed at creation."""

    bytes: int


@dataclass(frozen=True)
class Binding:
    """A range of a buffer, as a kernel sees it. `offset` is a multiple of 256 bytes."""

    buffer: str
    offset: int
    bytes: int


@dataclass(frozen=True)
class Pipeline:
    """A kernel variant (a key of index.json) with values for its `override` constants."""

    variant: str
    constants: Mapping[str, int | float] = field(default_factory=dict)

    def key(self) -> str:
        """Return a string that is equal for equal pipelines."""
        return self.variant + repr(sorted(self.constants.items()))


@dataclass(frozen=True)
class Dispatch:
    """One kernel call.

    Attributes:
        pipeline: index into `Plan.pipelines`.
        bindings: in the order of the kernel's @binding numbers.
        workgroups: x, y, z; each a count, or the name of one of `Plan.params`, whose value is
            given at submit. A kernel's result never depends on a param: workgroups past the
            end of the work return at once.
        label: for profiles and error messages, such as "layers.3.mlp.down_proj".
    """

    pipeline: int
    bindings: tuple[Binding, ...]
    workgroups: tuple[int | str, int | str, int | str]
    label: str


@dataclass(frozen=True)
class Plan:
    """An ordered list of dispatches; see the module's docstring.

    Attributes:
        name: for labels and messages, such as "decode-1".
        pipelines: what to compile, without duplicates.
        dispatches: in order; a dispatch sees all writes of those before it.
        params: names of the values that every submit gives, in order.
        readback: the range copied out after the last dispatch, or None.
    """

    name: str
    pipelines: tuple[Pipeline, ...]
    dispatches: tuple[Dispatch, ...]
    params: tuple[str, ...] = ()
    readback: Binding | None = None

    def to_json(self) -> Json:
        """Return the form that crosses to JavaScript (snake_case on both sides)."""
        return Json(dataclasses.asdict(self))


class Uniforms:
    """Numbers that kernels read instead of having them compiled in: one pipeline for many shapes.

    They lie in one buffer, which whoever allocates it writes once. Plans of one model share it.
    """

    BUFFER = "uniforms"

    def __init__(self) -> None:
        self._entries: dict[bytes, int] = {}

    def binding(self, data: bytes) -> Binding:
        """Return the place of some bytes, a multiple of 16; equal bytes share a place."""
        assert len(data) % 16 == 0, f"{len(data)} bytes"
        index = self._entries.setdefault(data, len(self._entries))
        return Binding(self.BUFFER, BINDING_ALIGNMENT_BYTES * index, len(data))

    @property
    def data(self) -> bytes:
        """What to write into the buffer."""
        padded = [entry.ljust(BINDING_ALIGNMENT_BYTES, b"\0") for entry in self._entries]
        return b"".join(padded)


class PlanBuilder:
    """Collects dispatches and the buffers they need.

    Scratch buffers are shared by name: asking twice for one keeps the larger size, so that the
    Plans of one model (prefill, decode) use the same memory, one after the other.

    Attributes:
        for_software: the Plan is for an adapter that computes on the CPU; ops choose by it among
            kernels that compute the same.
    """

    def __init__(
        self,
        name: str,
        params: Sequence[str] = (),
        uniforms: Uniforms | None = None,
        *,
        for_software: bool = False,
    ) -> None:
        self.name = name
        self.for_software = for_software
        self.uniforms = Uniforms() if uniforms is None else uniforms
        self.params = tuple(params)
        self.buffers: dict[str, BufferSpec] = {}
        self._pipelines: dict[str, int] = {}
        self._pipeline_list: list[Pipeline] = []
        self._dispatches: list[Dispatch] = []

    def scratch(self, name: str, num_bytes: int) -> Binding:
        """Reserve a scratch buffer and return a binding to its first `num_bytes`."""
        num_bytes = align(num_bytes, 4)
        known = self.buffers.get(name)
        self.buffers[name] = BufferSpec(max(num_bytes, known.bytes if known else 0))
        return Binding(name, 0, num_bytes)

    def dispatch(
        self,
        variant: str,
        constants: Mapping[str, int | float],
        bindings: Sequence[Binding],
        workgroups: tuple[int | str, int | str, int | str],
        label: str,
    ) -> None:
        """Append one kernel call."""
        for count in workgroups:
            if isinstance(count, str):
                assert count in self.params, f"{label}: unknown param {count}"
            else:
                assert 0 < count <= MAX_WORKGROUPS_PER_DIMENSION, f"{label}: grid {workgroups}"
        for binding in bindings:
            assert binding.offset % BINDING_ALIGNMENT_BYTES == 0, f"{label}: {binding}"
        pipeline = Pipeline(variant, dict(constants))
        index = self._pipelines.setdefault(pipeline.key(), len(self._pipeline_list))
        if index == len(self._pipeline_list):
            self._pipeline_list.append(pipeline)
        self._dispatches.append(Dispatch(index, tuple(bindings), workgroups, label))

    def build(self, readback: Binding | None = None) -> Plan:
        """Return the finished Plan."""
        return Plan(
            self.name,
            tuple(self._pipeline_list),
            tuple(self._dispatches),
            self.params,
            readback,
        )
