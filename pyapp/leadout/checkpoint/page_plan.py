"""PagePlans: a table that stays in its file, and the rows of it that are on the device.

    cache     some thousand rows of the table, in its layout; loaded with the first ids' rows,
              which in a vocabulary of merged pieces are about the most frequent ones
    slots     a word an id: its row of the cache plus 1, 0 where it has none
    staging   where rows lie as the file has them, until the kernels of a load have repacked them

The device executes it row by row (`Device.page_in`); which rows, `pager.Pager` decides. On WebGPU
that is web/runtime/paging.js (keep in step).

`weights.check_weights` sees the first rows alone. Later ones pass through the host, which looks at
their floats as the file has them, before the device gets anything: a table read whole that way is
refused for the same values, and nobody waits for a device.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from leadout.checkpoint.load_plan import (
    BLOCKS_PER_WORKGROUP,
    PARAMS_BYTES,
    LoadPlanBuilder,
    bytes_of_blocks,
    format_of,
)
from leadout.checkpoint.tensors import TensorInfo
from leadout.layouts import BLOCK, LAYOUTS, Exponents, Matrix
from leadout.plan import Binding, Json, Pipeline, align

#: What the cache takes of the device, unless a pass has more rows: E2B's in 4 bits are 13,000.
CACHE_BYTES = 64 << 20

#: Rows that are repacked in one go.
STAGED_ROWS = 32


@dataclass(frozen=True)
class PagePart:
    """One run of bytes of every row; MLX's formats have three.

    Attributes:
        source: index of the source.
        offset: the first row's first byte there.
        bytes: of a row; rows lie one behind the other.
        block_bytes: of each block in it.
        exponents: of the floats in a block.
        pipeline: repacks it.
        bindings: of the cache, what the pipeline writes.
    """

    source: int
    offset: int
    bytes: int
    block_bytes: int
    exponents: Exponents
    pipeline: Pipeline
    bindings: tuple[Binding, ...]

    @property
    def staged_bytes(self) -> int:
        """Bytes of a row in the staging buffer, its parameters included."""
        return align(PARAMS_BYTES + self.bytes)


@dataclass(frozen=True)
class PagePlan:
    """See the module's docstring.

    Attributes:
        label: the tensor's name.
        num_ids: rows of the table.
        cache: rows on the device.
        slots: where each id's row is among them.
        staging: room for `STAGED_ROWS` rows.
        parts: of a row.
        blocks_per_row: of 32 columns, an even number.
    """

    label: str
    num_ids: int
    cache: Matrix
    slots: Binding
    staging: Binding
    parts: tuple[PagePart, ...]
    blocks_per_row: int

    def to_json(self) -> Json:
        """Return the form that crosses to JavaScript (snake_case on both sides)."""
        return Json(
            {
                "label": self.label,
                "slots": vars(self.slots),
                "staging": vars(self.staging),
                "staged_rows": STAGED_ROWS,
                "blocks_per_row": self.blocks_per_row,
                "workgroups": -(-self.blocks_per_row // BLOCKS_PER_WORKGROUP),
                "parts": [
                    {
                        **vars(part),
                        "exponents": vars(part.exponents),
                        "pipeline": vars(part.pipeline),
                        "bindings": [vars(binding) for binding in part.bindings],
                        "staged_bytes": part.staged_bytes,
                    }
                    for part in self.parts
                ],
            }
        )


@dataclass(frozen=True)
class Paging:
    """Whether a model's largest table is to be paged.

    Attributes:
        is_wanted: it is, if that saves anything.
        num_rows: rows that are kept on the device; None takes `num_cached_rows`.
    """

    is_wanted: bool = False
    num_rows: int | None = None


NOT_PAGED = Paging()


@dataclass(frozen=True)
class Move:
    """A row of the table takes another one's place in the cache.

    Attributes:
        id: whose row is read.
        slot: the row of the cache that it is written to.
        forgotten: the id whose row was there.
    """

    id: int
    slot: int
    forgotten: int


def num_cached_rows(tensor: TensorInfo, at_least: int) -> int:
    """Return how many rows of a table, [ids, columns], are kept on the device by default.

    Args:
        tensor: the table.
        at_least: rows that one pass may ask for.
    """
    ids, columns = tensor.shape
    row_bytes = LAYOUTS[format_of(tensor).layout].bytes(1, columns)
    return min(max(CACHE_BYTES // row_bytes, at_least), ids)


def saved_bytes(tensor: TensorInfo, num_rows: int) -> int:
    """Return what paging a table saves on a device; 0 where it saves nothing, or is not possible.

    Args:
        tensor: the table, [ids, columns].
        num_rows: rows that are kept on the device.
    """
    ids, columns = tensor.shape
    if columns // BLOCK % 2:  # kernels write two blocks at a time
        return 0
    layout = LAYOUTS[format_of(tensor).layout]
    kept = layout.bytes(num_rows, columns) + 4 * ids + _staging_bytes(_parts(tensor, ()))
    return max(layout.bytes(ids, columns) - kept, 0)


def place_paged(load: LoadPlanBuilder, name: str, tensor: TensorInfo, num_rows: int) -> PagePlan:
    """Place the parts of a table that are on the device.

    Args:
        load: gets the first rows, and the buffers.
        name: the table's, before those of its buffers.
        tensor: [ids, columns]; `saved_bytes` says that it can be paged.
        num_rows: rows that are kept on the device.
    """
    ids, columns = tensor.shape
    blocks = columns // BLOCK
    first_bytes = sum(bytes_of_blocks(part, num_rows * blocks) for part in format_of(tensor).parts)
    first = dataclasses.replace(tensor, shape=(num_rows, columns), bytes=first_bytes)
    cache = load.matrix(name, [first])
    (shard,) = cache.shards
    parts = _parts(tensor, shard.planes)
    return PagePlan(
        label=tensor.name,
        num_ids=ids,
        cache=cache,
        slots=load.reserve(f"{name}#slots", 4 * ids),
        staging=load.reserve(f"{name}#staging", _staging_bytes(parts)),
        parts=parts,
        blocks_per_row=blocks,
    )


def _staging_bytes(parts: tuple[PagePart, ...]) -> int:
    return STAGED_ROWS * sum(part.staged_bytes for part in parts)


def _parts(tensor: TensorInfo, planes: tuple[Binding, ...]) -> tuple[PagePart, ...]:
    parts = format_of(tensor).parts
    blocks = tensor.shape[1] // BLOCK
    return tuple(
        PagePart(
            source,
            offset,
            bytes_of_blocks(part, blocks),
            part.bytes,
            part.exponents,
            part.repack,
            planes if part.plane is None else planes[part.plane : part.plane + 1],
        )
        for part, (source, offset) in zip(parts, tensor.ranges, strict=True)
    )
