"""Plans: what a WebGPU device has to do, as data.

A `Plan` is an ordered list of dispatches over named buffers. `lowering` makes it of a Program, once
for a model and a number of rows. It serialises to JSON, and the runtime (web/runtime/plans.js; keep
in step) records it into one command encoder, one compute pass and one submit. A Plan knows
kernels and buffers, not transformers.
"""

from __future__ import annotations

from collections.abc import Mapping
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
class Upload:
    """Bytes that the host gives with a submit: they are there before its first dispatch.

    Attributes:
        buffer: where they go.
        offset: a multiple of 4 bytes.
        data: a multiple of 4 bytes.
    """

    buffer: str
    offset: int
    data: bytes

    def lies_in(self, binding: Binding) -> bool:
        """Return whether it writes nothing outside of a range."""
        first, last = binding.offset, binding.offset + binding.bytes
        return (
            self.buffer == binding.buffer
            and first <= self.offset
            and self.offset + len(self.data) <= last
        )


@dataclass(frozen=True)
class Copy:
    """Bytes to copy from one range to another of the same size; in one buffer they do not overlap.

    Unlike what kernels bind, these begin at any multiple of 4 bytes.
    """

    source: Binding
    target: Binding

    def __post_init__(self) -> None:
        assert self.source.bytes == self.target.bytes


@dataclass(frozen=True)
class Pipeline:
    """A kernel variant (a key of index.json) with values for its `override` constants."""

    variant: str
    constants: Mapping[str, int | float] = field(default_factory=dict)

    def key(self) -> str:
        """Return a string that is equal for equal pipelines."""
        return self.variant + repr(sorted(self.constants.items()))


@dataclass(frozen=True)
class Param:
    """A number of workgroups that follows from how many positions a pass can see.

    It is ceil(positions / per), at most `most`, where first < positions <= last, else 0, which
    leaves out the dispatch that takes it.

    Attributes:
        name: in the Plan.
        per: positions a workgroup.
        first: see above.
        last: see above; None: no limit.
        most: see above; None: no limit.
    """

    name: str
    per: int
    first: int = 0
    last: int | None = None
    most: int | None = None

    def value(self, num_positions: int) -> int:
        """Return the number of workgroups."""
        if num_positions <= self.first or (self.last is not None and num_positions > self.last):
            return 0
        wanted = -(-num_positions // self.per)
        return wanted if self.most is None else min(wanted, self.most)


@dataclass(frozen=True)
class Dispatch:
    """One kernel call.

    Attributes:
        pipeline: index into `Plan.pipelines`.
        bindings: in the order of the kernel's @binding numbers.
        workgroups: x, y, z; each a count, or the name of one of `Plan.params`, whose value is
            given at submit. A kernel's result never depends on it: workgroups past the end of
            the work return at once.
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
        params: the values that every submit gives, in order.
        readback: the range copied out after the last dispatch, or None.
        buffers: scratch and constants that the dispatches need, to be allocated before.
        constants: what to write into some of these buffers once.
        inputs: ranges that the host may write with a submit.
    """

    name: str
    pipelines: tuple[Pipeline, ...]
    dispatches: tuple[Dispatch, ...]
    params: tuple[Param, ...] = ()
    readback: Binding | None = None
    buffers: Mapping[str, BufferSpec] = field(default_factory=dict)
    constants: Mapping[str, bytes] = field(default_factory=dict)
    inputs: tuple[Binding, ...] = ()

    def to_json(self) -> Json:
        """Return the form that crosses to JavaScript (snake_case on both sides)."""
        # By hand: `asdict` copies all of some thousand dispatches, deeply.
        return Json(
            {
                "name": self.name,
                "pipelines": [vars(pipeline) for pipeline in self.pipelines],
                "dispatches": [
                    {**vars(one), "bindings": [vars(binding) for binding in one.bindings]}
                    for one in self.dispatches
                ],
                "params": [param.name for param in self.params],
                "readback": None if self.readback is None else vars(self.readback),
            }
        )

    @property
    def num_steps(self) -> int:
        """How many dispatches it has."""
        return len(self.dispatches)

    def values(self, num_positions: int) -> list[int]:
        """Return the params' values where the rows of a pass see so many positions."""
        return [param.value(num_positions) for param in self.params]
