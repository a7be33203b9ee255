"""Programs: what a model computes, as data.

A `Program` is a list of ops over tensors, in order. It says what is wanted and nothing of how:
`lowering` turns it into a Plan of kernels for one adapter, and the NumPy device runs the ops as
they are (devices/numpy_ops has the meaning of each).

Tensors are named. Asking twice for a name gives the same memory, the larger of both sizes, which
all Programs of a model share, one after the other. An op writes a tensor whole before others read
it, and never the one that it reads.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import ClassVar

from leadout.plan import Binding, BufferSpec

#: Bytes of a value, by type.
DTYPE_BYTES = {"f32": 4, "u32": 4}


@dataclass(frozen=True)
class Tensor:
    """Values on a device, row-major.

    Attributes:
        buffer: the buffer that they lie in.
        shape: sizes, the contiguous dimension last.
        dtype: a key of `DTYPE_BYTES`.
        offset: bytes before the first value, a multiple of 256.
    """

    buffer: str
    shape: tuple[int, ...]
    dtype: str = "f32"
    offset: int = 0

    @property
    def bytes(self) -> int:
        """Size in bytes."""
        size = DTYPE_BYTES[self.dtype]
        for count in self.shape:
            size *= count
        return size

    @functools.cached_property
    def binding(self) -> Binding:
        """The range that a kernel binds; the NumPy device asks at every step."""
        return Binding(self.buffer, self.offset, self.bytes)


@dataclass(frozen=True)
class Op:
    """One step of a Program.

    Attributes:
        label: for profiles and messages, such as "layers.3.mlp.down_proj".
    """

    label: str

    #: Names of the fields that it writes; all other tensors are read.
    WRITES: ClassVar[tuple[str, ...]] = ("y",)

    # Both are cached: lowering asks each op some hundred times.
    @functools.cached_property
    def written(self) -> frozenset[str]:
        """The buffers of the tensors that it writes."""
        return frozenset(one.buffer for name, one in self._tensors() if name in self.WRITES)

    @functools.cached_property
    def read(self) -> frozenset[str]:
        """The buffers of the tensors that it reads."""
        return frozenset(one.buffer for name, one in self._tensors() if name not in self.WRITES)

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Tensor):
                yield field.name, value


@dataclass(frozen=True)
class Program:
    """A list of ops; see the module's docstring.

    Attributes:
        name: for labels and messages, such as "cycle-1".
        ops: in order; an op sees all writes of those before it.
        buffers: scratch that the tensors lie in.
        readback: the range copied out after the last op, or None.
        left: buffers of tensors that another Program reads afterwards.
        inputs: ranges that the host may write with a submit.
    """

    name: str
    ops: tuple[Op, ...]
    buffers: Mapping[str, BufferSpec]
    readback: Binding | None = None
    left: frozenset[str] = frozenset()
    inputs: tuple[Binding, ...] = ()

    @property
    def num_steps(self) -> int:
        """How many ops it has."""
        return len(self.ops)

    @property
    def constants(self) -> Mapping[str, bytes]:
        """What to write into its buffers once: nothing."""
        return {}


class ProgramBuilder:
    """Collects the ops of a Program, and the tensors that they need."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._ops: list[Op] = []
        self._buffers: dict[str, BufferSpec] = {}

    def tensor(self, name: str, *shape: int, dtype: str = "f32") -> Tensor:
        """Reserve scratch memory for a tensor."""
        tensor = Tensor(name, shape, dtype)
        known = self._buffers.get(name)
        self._buffers[name] = BufferSpec(max(tensor.bytes, known.bytes if known else 0))
        return tensor

    def add(self, op: Op) -> None:
        """Append an op."""
        self._ops.append(op)

    def build(
        self,
        readback: Binding | None = None,
        left: Sequence[Tensor] = (),
        inputs: Sequence[Binding] = (),
    ) -> Program:
        """Return the finished Program; it leaves tensors for another one to read."""
        names = frozenset(tensor.buffer for tensor in left)
        return Program(
            self.name, tuple(self._ops), dict(self._buffers), readback, names, tuple(inputs)
        )
