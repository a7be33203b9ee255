"""LoadPlans: how a checkpoint's bytes become weights on a device, as data.

A `LoadPlan` is made in Python from parsed headers and executed by the device (on WebGPU by
web/runtime/load.js; keep in step). Each step reads one byte range of one source into the staging
buffer, behind four words of parameters, and runs one repacking kernel over it. Steps are in the
order of the file's bytes, and none is larger than `STEP_BYTES`, so that neither Python nor
JavaScript ever holds more than a few steps of a checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import lcm, prod
from typing import Protocol, TypeVar

from leadout.errors import DeviceLimitError, TensorError, UnsupportedFormatError
from leadout.layouts import (
    BLOCK,
    FORMATS,
    LAYOUTS,
    READABLE,
    Format,
    Layout,
    Matrix,
    Part,
    Shard,
    Vector,
)
from leadout.plan import Binding, BufferSpec, Json, Pipeline, align
from leadout.shown import shown

#: The most bytes one step reads.
STEP_BYTES = 4 << 20

#: Bytes of parameters before the payload in the staging buffer: four 32-bit words.
PARAMS_BYTES = 16

#: The buffer that all vectors share.
VECTORS_BUFFER = "vectors"

#: Blocks that one workgroup of a repacking kernel writes: 64 threads, two blocks each; keep in step
#: with web/kernels/repack_*.wgsl.
BLOCKS_PER_WORKGROUP = 128

#: The most blocks of a step: a grid has no more workgroups than 65,535.
_MAX_BLOCKS = 1 << 22

#: Values of a vector that one workgroup of repack_vector writes, one a thread; keep in step.
VALUES_PER_WORKGROUP = 64


@dataclass(frozen=True)
class LoadStep:
    """Read one range, repack it.

    Attributes:
        source: index of the source (a shard of the checkpoint).
        offset: first byte in that source.
        bytes: how many, at most `STEP_BYTES`.
        params: up to four unsigned words, written before the payload; the repacking kernels
            take (blocks of 32 columns in this step, first block in the destination), and
            repack_vector the same two numbers in values.
        pipeline: index into `LoadPlan.pipelines`.
        bindings: the kernel's bindings after the first, which is always the staging buffer.
        workgroups: x, y, z.
        label: the tensor's name.
    """

    source: int
    offset: int
    bytes: int
    params: tuple[int, ...]
    pipeline: int
    bindings: tuple[Binding, ...]
    workgroups: tuple[int, int, int]
    label: str


@dataclass(frozen=True)
class Placed:
    """Where a matrix's shard or a vector came to lie: its name, its layout and its planes."""

    name: str
    layout: str
    planes: tuple[Binding, ...]


@dataclass(frozen=True)
class LoadPlan:
    """Everything a device needs to load a model; see the module's docstring.

    Attributes:
        buffers: the weights' buffers, by name.
        pipelines: repacking pipelines, without duplicates.
        steps: in file order.
        placed: what the steps write, piece by piece; stays in Python.
    """

    buffers: Mapping[str, BufferSpec]
    pipelines: tuple[Pipeline, ...]
    steps: tuple[LoadStep, ...]
    placed: tuple[Placed, ...] = ()

    @property
    def total_bytes(self) -> int:
        """Bytes that all steps read."""
        return sum(step.bytes for step in self.steps)

    def to_json(self) -> Json:
        """Return the form that crosses to JavaScript (snake_case on both sides)."""
        return Json(
            {
                "pipelines": [vars(pipeline) for pipeline in self.pipelines],
                "steps": [
                    {**vars(step), "bindings": [vars(binding) for binding in step.bindings]}
                    for step in self.steps
                ],
                "total_bytes": self.total_bytes,
            }
        )


class TensorLike(Protocol):
    """What the builder asks of a tensor in a checkpoint."""

    @property
    def name(self) -> str:
        """Its name in the checkpoint, for messages."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape, the dimension that lies contiguous in the file last: (rows, columns)."""

    @property
    def format(self) -> str:
        """A key of `layouts.FORMATS`."""

    @property
    def source(self) -> int:
        """Index of the source that holds it."""

    @property
    def offset(self) -> int:
        """Its first byte in that source."""

    @property
    def bytes(self) -> int:
        """Its size, in all parts of its format."""

    @property
    def ranges(self) -> tuple[tuple[int, int], ...]:
        """(source, first byte) of every part."""


_Tensor = TypeVar("_Tensor", bound=TensorLike)


def group_by_layout(tensors: Iterable[_Tensor]) -> list[tuple[_Tensor, ...]]:
    """Split tensors into runs of neighbours that share a layout, each fit for one matrix."""
    return [tuple(run) for _, run in groupby(tensors, lambda tensor: format_of(tensor).layout)]


def format_of(tensor: TensorLike) -> Format:
    """Return what is known of a tensor's format.

    Raises:
        UnsupportedFormatError: nothing is.
    """
    known = FORMATS.get(tensor.format)
    if known is None:
        raise UnsupportedFormatError(
            f"{shown(tensor.name)} is stored as {shown(tensor.format)};"
            f" wanted one of {', '.join(READABLE)}",
            tensor=tensor.name,
            format=tensor.format,
        )
    return known


class LoadPlanBuilder:
    """Collects the weights of a model: where each lies on the device, and the steps that load it.

    Args:
        max_binding_bytes: the device's limit. A matrix with a larger plane is split by rows.
        max_buffer_bytes: the device's limit, or None where it does not bind: a shard's planes
            share a buffer.
        prefix: before the names of all buffers, so that two models can lie on one device.
    """

    def __init__(
        self, max_binding_bytes: int, max_buffer_bytes: int | None = None, prefix: str = ""
    ) -> None:
        self.prefix = prefix
        self._max_binding_bytes = max_binding_bytes
        self._max_buffer_bytes = max_buffer_bytes
        self._buffers: dict[str, BufferSpec] = {}
        self._vectors_bytes = 0
        self._pipelines: dict[str, int] = {}
        self._pipeline_list: list[Pipeline] = []
        self._steps: list[LoadStep] = []
        self._placed: list[Placed] = []

    def matrix(self, name: str, tensors: Sequence[TensorLike], rows_together: int = 2) -> Matrix:
        """Place one matrix, made of tensors stacked by rows.

        Args:
            name: the matrix's; its buffers are "<name>#0", "<name>#1", ...
            tensors: one or more, [num_rows, num_cols] each, equal in num_cols and in layout
                (see `group_by_layout`), though perhaps not in format.
            rows_together: where so many rows can be bound, shards are multiples of them.

        Returns:
            The matrix: one shard where every plane can be bound, else several. Every shard but
            the last has an even number of rows.

        Raises:
            TensorError: a tensor is not a matrix, or num_cols does not fit the format.
            DeviceLimitError: not even two rows can be bound.
        """
        layout = LAYOUTS[format_of(tensors[0]).layout]
        num_cols = tensors[0].shape[-1] if tensors[0].shape else 0
        num_rows = 0
        row_starts = []
        for tensor in tensors:
            _check_matrix(tensor, num_cols, above=num_rows)
            assert format_of(tensor).layout == layout.name, f"{name}: {tensor.name}'s layout"
            row_starts.append(num_rows)
            num_rows += tensor.shape[0]

        shards: list[Shard] = []
        rows_per_shard = self._rows_per_shard(name, layout, num_rows, num_cols, rows_together)
        for row_start in range(0, num_rows, rows_per_shard):
            row_end = min(row_start + rows_per_shard, num_rows)
            buffer = f"{self.prefix}{name}#{len(shards)}"
            shard = self._place(buffer, layout, row_start, row_end, num_cols)
            shards.append(shard)
            self._placed.append(Placed(name, layout.name, shard.planes))
            for tensor, tensor_start in zip(tensors, row_starts, strict=True):
                first = max(row_start, tensor_start)
                end = min(row_end, tensor_start + tensor.shape[0])
                if first < end:
                    rows = range(first - tensor_start, end - tensor_start)
                    self._read_rows(tensor, rows, shard, first - row_start)
        return Matrix(name, num_rows, num_cols, layout.name, tuple(shards))

    def vector(self, name: str, tensor: TensorLike, add: float = 0.0) -> Vector:
        """Place one float32 vector.

        Args:
            name: the vector's.
            tensor: F32, F16 or BF16, of any shape, taken as one run of values.
            add: added to every value, in float32.

        Raises:
            UnsupportedFormatError: the tensor is quantised.
        """
        known = format_of(tensor)
        if known.columns != 1:
            raise UnsupportedFormatError(
                f"{shown(tensor.name)} is {tensor.format}; a vector is wanted as F32, F16 or BF16",
                tensor=tensor.name,
            )
        length = prod(tensor.shape)
        assert length > 0, f"{tensor.name} is empty"
        assert tensor.bytes == length * known.bytes, f"{tensor.name}: {tensor.bytes} bytes"
        binding = Binding(self.prefix + VECTORS_BUFFER, align(self._vectors_bytes), 4 * length)
        self._vectors_bytes = binding.offset + binding.bytes
        self._placed.append(Placed(name, "f32", (binding,)))
        pipeline = self._pipeline(Pipeline(f"repack_vector.{known.layout}", {"ADD": add}))
        for start, count in _steps(length, STEP_BYTES // known.bytes):
            self._steps.append(
                LoadStep(
                    source=tensor.source,
                    offset=tensor.offset + start * known.bytes,
                    bytes=count * known.bytes,
                    params=(count, start),
                    pipeline=pipeline,
                    bindings=(binding,),
                    workgroups=(-(-count // VALUES_PER_WORKGROUP), 1, 1),
                    label=tensor.name,
                )
            )
        return Vector(name, length, binding)

    def reserve(self, name: str, num_bytes: int) -> Binding:
        """Add a buffer that goes with the weights and that no step fills."""
        binding = Binding(self.prefix + name, 0, num_bytes)
        self._buffers[binding.buffer] = BufferSpec(num_bytes)
        return binding

    def build(self) -> LoadPlan:
        """Return the finished LoadPlan."""
        buffers = dict(self._buffers)
        if self._vectors_bytes:
            buffers[self.prefix + VECTORS_BUFFER] = BufferSpec(self._vectors_bytes)
        steps = sorted(self._steps, key=lambda step: (step.source, step.offset))
        return LoadPlan(buffers, tuple(self._pipeline_list), tuple(steps), tuple(self._placed))

    def _rows_per_shard(
        self, name: str, layout: Layout, num_rows: int, num_cols: int, rows_together: int
    ) -> int:
        """Return how many rows a shard may have: all, or an even number."""
        blocks_per_row = num_cols // BLOCK
        plane_words = max(plane.words_per_block for plane in layout.planes)
        max_blocks = self._max_binding_bytes // 4 // plane_words
        if self._max_buffer_bytes is not None:
            padding = align(1) * len(layout.planes)
            all_words = sum(plane.words_per_block for plane in layout.planes)
            max_blocks = min(max_blocks, (self._max_buffer_bytes - padding) // 4 // all_words)
        rows = max_blocks // blocks_per_row
        if rows >= num_rows:
            return num_rows
        whole = lcm(2, rows_together)
        # Kernels write two blocks, and some two rows, at a time.
        rows -= rows % (whole if rows >= whole else 2)
        if rows <= 0:
            least_rows = min(2, num_rows)
            needed_bytes = layout.bytes(least_rows, num_cols)
            raise DeviceLimitError(
                f"{name}: as few as {least_rows} rows of {num_cols} columns take {needed_bytes}"
                f" bytes as {layout.name}, but a binding has at most {self._max_binding_bytes} here"
                f" and a buffer {self._max_buffer_bytes or 'no limit'};"
                " use a device that allows more",
                needed_bytes=needed_bytes,
                max_binding_bytes=self._max_binding_bytes,
                max_buffer_bytes=self._max_buffer_bytes,
            )
        return rows

    def _place(
        self, buffer: str, layout: Layout, row_start: int, row_end: int, num_cols: int
    ) -> Shard:
        """Lay a shard's planes out in a buffer of its own."""
        assert buffer not in self._buffers, f"{buffer} is placed twice"
        num_blocks = (row_end - row_start) * (num_cols // BLOCK)
        bindings = []
        end = 0
        for plane in layout.planes:
            bindings.append(Binding(buffer, align(end), plane.bytes(num_blocks)))
            end = bindings[-1].offset + bindings[-1].bytes
        self._buffers[buffer] = BufferSpec(end)
        return Shard(row_start, row_end - row_start, tuple(bindings))

    def _read_rows(self, tensor: TensorLike, rows: range, shard: Shard, shard_row: int) -> None:
        """Add the steps that bring a tensor's rows to a shard, from its row `shard_row` on."""
        known = format_of(tensor)
        num_cols = tensor.shape[-1]
        first_block = rows.start * num_cols // BLOCK
        num_blocks = len(rows) * num_cols // BLOCK
        for part, (source, offset) in zip(known.parts, tensor.ranges, strict=True):
            # What steps may be cut into: whole blocks of the format, whole pairs of 32 columns.
            unit_blocks = max(2, part.columns // BLOCK)
            unit_bytes = bytes_of_blocks(part, unit_blocks)
            pipeline = self._pipeline(part.repack)
            planes = shard.planes if part.plane is None else (shard.planes[part.plane],)
            most = min(STEP_BYTES // unit_bytes * unit_blocks, _MAX_BLOCKS)
            for start, count in _steps(num_blocks, most):
                self._steps.append(
                    LoadStep(
                        source=source,
                        offset=offset + bytes_of_blocks(part, first_block + start),
                        bytes=bytes_of_blocks(part, count),
                        params=(count, shard_row * num_cols // BLOCK + start),
                        pipeline=pipeline,
                        bindings=planes,
                        workgroups=(-(-count // BLOCKS_PER_WORKGROUP), 1, 1),
                        label=tensor.name,
                    )
                )

    def _pipeline(self, pipeline: Pipeline) -> int:
        index = self._pipelines.setdefault(pipeline.key(), len(self._pipeline_list))
        if index == len(self._pipeline_list):
            self._pipeline_list.append(pipeline)
        return index


def _check_matrix(tensor: TensorLike, num_cols: int, above: int) -> None:
    """Raise TensorError unless a tensor may be stacked under `above` rows of `num_cols`."""
    known = format_of(tensor)
    columns = max(known.columns, BLOCK)
    if len(tensor.shape) != 2 or tensor.shape[0] < 1 or tensor.shape[1] != num_cols:
        problem = f"wanted [rows, {num_cols}]"
    elif num_cols < 1 or num_cols % columns:
        problem = f"{tensor.format} weights need a multiple of {columns} columns here"
    elif above * (num_cols // BLOCK) % 2:
        # Kernels write two blocks at a time.
        problem = f"the {above} rows above it in one matrix are an odd number of blocks of {BLOCK}"
    else:
        num_blocks = tensor.shape[0] * num_cols // BLOCK
        size = sum(bytes_of_blocks(part, num_blocks) for part in known.parts)
        assert tensor.bytes == size, f"{tensor.name}: {tensor.bytes} bytes, not {size}"
        return
    raise TensorError(
        f"{shown(tensor.name)} has the shape {list(tensor.shape)}: {problem}",
        tensor=tensor.name,
        shape=list(tensor.shape),
    )


def bytes_of_blocks(part: Part, num_blocks: int) -> int:
    """Return the bytes that blocks of 32 columns take in a checkpoint."""
    return num_blocks * BLOCK // part.columns * part.bytes


def _steps(total: int, most: int) -> Iterator[tuple[int, int]]:
    """Yield (start, count) of runs of at most `most` that make up `total`."""
    for start in range(0, total, most):
        yield start, min(most, total - start)
