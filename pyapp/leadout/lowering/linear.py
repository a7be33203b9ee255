"""Kernels for embeddings and linear layers."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from leadout import ops
from leadout.layouts import BLOCK, Matrix, Shard
from leadout.lowering.builder import Grid, PlanBuilder, ceil, linear_grid
from leadout.lowering.kernel import Run, kernel
from leadout.ops import LinearLayer, Tensor
from leadout.plan import Binding
from leadout.rows import FEW_ROWS, TILE_ROWS, Rows

#: Layout of the struct in web/kernels/shared/shape.wgsl; keep in step.
SHAPE = struct.Struct("<IIIIf")

#: From so many outputs on, a matrix fills a GPU with a few lanes for each.
WIDE_MATRIX_OUTPUTS = 4096


def matvec_form(num_outputs: int, num_shard_outputs: int) -> str:
    """Return which form of matvec a layer's shard takes; for all numbers of rows the same.

    On an NVIDIA H100, 12288 x 1536 takes 16 us deep and 55 wide, 1536 x 262144 takes 160 us wide
    and 249 deep (one row; tests/bench/LOG.md).
    """
    is_wide = num_outputs >= WIDE_MATRIX_OUTPUTS and num_shard_outputs % 4 == 0
    return "wide" if is_wide else "deep"


def shards(
    b: PlanBuilder, layer: LinearLayer, y: Tensor, offset: int = 0, softcap: float | None = None
) -> Iterator[tuple[Matrix, Shard, Binding]]:
    """Yield each shard of a layer, with its numbers: columns, outputs, y's stride and offset."""
    stride = y.shape[-1]
    for matrix, first_output in layer.parts:
        for shard in matrix.shards:
            first = offset + first_output + shard.row_start
            shape = SHAPE.pack(matrix.num_cols, shard.num_rows, stride, first, softcap or 0.0)
            yield matrix, shard, b.uniform(shape)


def part_of(tensor: Tensor, first_row: int, num_rows: int) -> Binding:
    """Return some rows of [rows, columns] float32; the first one's bytes must be bindable."""
    row_bytes = tensor.bytes // tensor.shape[0]
    return Binding(tensor.buffer, tensor.offset + first_row * row_bytes, num_rows * row_bytes)


def chunks(rows: Rows) -> Iterator[tuple[int, int]]:
    """Yield (first row, rows) of runs of few rows for which there is a variant."""
    widest = FEW_ROWS[-1]
    for first in range(0, rows.count, widest):
        yield first, min(widest, rows.count - first)


@kernel(ops.Embed)
def embed(b: PlanBuilder, op: ops.Embed) -> None:
    """Look tokens up, shard by shard; each leaves the others' tokens alone."""
    table = op.table
    for shard in table.shards:
        b.dispatch(
            f"embed.{table.layout}",
            [*shard.planes, op.rows.table, op.y],
            (ceil(table.num_cols // BLOCK, 64), op.rows.count, 1),
            op.label,
            {
                "K": table.num_cols,
                "N": shard.num_rows,
                "FIRST": shard.row_start,
                "SCALE": op.scale,
                "OUT_STRIDE": op.y.shape[-1],
            },
        )


@kernel(ops.Linear, when=lambda run: run.caps.is_software)
def solo_matvec(b: PlanBuilder, op: ops.Linear) -> None:
    """Multiply without workgroup memory: for adapters that compute on the CPU."""
    count = min(op.rows.count, FEW_ROWS[-1])
    for matrix, shard, shape in shards(b, op.layer, op.y, op.offset, op.softcap):
        variant = f"solo_matvec.{matrix.layout}.{count}.none"
        grid = (_solo_groups(b, variant, shard.num_rows), op.rows.count // count, 1)
        b.dispatch(variant, [*shard.planes, op.x, op.y, shape], grid, op.label)


@kernel(ops.Linear, when=lambda run: run.ops[0].rows.is_prefill)
def matmul(b: PlanBuilder, op: ops.Linear) -> None:
    """Multiply many rows, tile by tile; deep matrices in parts, which are added up."""
    rows = op.rows.count
    for matrix, shard, shape in shards(b, op.layer, op.y, op.offset, op.softcap):
        variant = _matmul_variant(matrix, rows, "none")
        splits = matmul_splits(op.layer.num_outputs, matrix.num_cols)
        grid = _matmul_grid(b, variant, shard.num_rows, rows, splits)
        if splits == 1:
            b.dispatch(variant, [*shard.planes, op.x, op.y, shape], grid, op.label)
            continue
        outputs = shard.num_rows
        parts = b.scratch("split_sums", splits, rows, outputs)
        part_shape = b.uniform(SHAPE.pack(matrix.num_cols, outputs, outputs, 0, 0.0))
        b.dispatch(variant, [*shard.planes, op.x, parts, part_shape], grid, op.label)
        grid = (ceil(outputs, 64), rows, 1)
        b.dispatch("sum_splits", [parts, op.y, shape], grid, op.label + ".sum", {"SPLITS": splits})


def matmul_splits(num_outputs: int, num_columns: int) -> int:
    """Return in how many parts the columns of a layer's matrices are taken, in prefill.

    Few outputs give too few tiles to fill a large GPU. On an NVIDIA H100, 256 rows of
    6144 x 1536 take 258 us whole and 196 us in four parts, 1536 x 256 76 us and 35 us
    (tests/bench/LOG.md). The rows do not count, so that a row's bits do not depend on them.
    """
    return 4 if num_outputs <= 4096 and num_columns >= 1024 else 1


def _matmul_variant(matrix: Matrix, rows: int, epilogue: str) -> str:
    tile_rows = 2 * TILE_ROWS if rows % (2 * TILE_ROWS) == 0 else TILE_ROWS
    return f"matmul.{matrix.layout}.{tile_rows}.{epilogue}"


def _matmul_grid(b: PlanBuilder, variant: str, num_outputs: int, rows: int, splits: int) -> Grid:
    outputs = b.caps.constant(variant, "TILE_OUTPUTS")
    return (ceil(num_outputs, outputs), rows // b.caps.constant(variant, "TILE_ROWS"), splits)


@kernel(ops.Linear)
def matvec(b: PlanBuilder, op: ops.Linear) -> None:
    """Multiply few rows, each weight read once for all of them."""
    for matrix, shard, shape in shards(b, op.layer, op.y, op.offset, op.softcap):
        form = matvec_form(op.layer.num_outputs, shard.num_rows)
        for first, count in chunks(op.rows):
            variant = f"matvec.{matrix.layout}.{count}.{form}.none"
            groups = ceil(shard.num_rows, _outputs(b, variant))
            x, y = part_of(op.x, first, count), part_of(op.y, first, count)
            b.dispatch(variant, [*shard.planes, x, y, shape], linear_grid(groups), op.label)


def _is_single(run: Run) -> bool:
    return run.ops[0].layer.single_shard is not None


@kernel(ops.GatedLinear, when=lambda run: run.caps.is_software and _is_single(run))
def solo_gated(b: PlanBuilder, op: ops.GatedLinear) -> None:
    """As `solo_matvec`, with gate and up in one."""
    count = min(op.rows.count, FEW_ROWS[-1])
    for matrix, shard, shape in shards(b, op.layer, op.y):
        variant = f"solo_matvec.{matrix.layout}.{count}.gelu_mul"
        grid = (_solo_groups(b, variant, shard.num_rows), op.rows.count // count, 1)
        b.dispatch(variant, [*shard.planes, op.x, op.y, shape], grid, op.label)


@kernel(ops.GatedLinear, when=lambda run: not run.ops[0].rows.is_prefill and _is_single(run))
def gated_matvec(b: PlanBuilder, op: ops.GatedLinear) -> None:
    """As `matvec`, with gate and up in one."""
    for matrix, shard, shape in shards(b, op.layer, op.y):
        form = matvec_form(shard.num_rows, shard.num_rows)
        for first, count in chunks(op.rows):
            variant = f"matvec.{matrix.layout}.{count}.{form}.gelu_mul"
            groups = ceil(shard.num_rows, _outputs(b, variant))
            x, y = part_of(op.x, first, count), part_of(op.y, first, count)
            b.dispatch(variant, [*shard.planes, x, y, shape], linear_grid(groups), op.label)


@kernel(ops.GatedLinear, when=lambda run: run.ops[0].rows.is_prefill and _is_single(run))
def gated_matmul(b: PlanBuilder, op: ops.GatedLinear) -> None:
    """As `matmul`, with gate and up in one."""
    rows = op.rows.count
    for matrix, shard, shape in shards(b, op.layer, op.y):
        variant = _matmul_variant(matrix, rows, "gelu_mul")
        grid = _matmul_grid(b, variant, shard.num_rows, rows, 1)
        b.dispatch(variant, [*shard.planes, op.x, op.y, shape], grid, op.label)


@kernel(ops.GatedLinear)
def linear_then_gate(b: PlanBuilder, op: ops.GatedLinear) -> None:
    """Multiply as a linear layer, and gate in a dispatch of its own."""
    rows, size = op.rows, op.y.shape[-1]
    both = b.scratch("gate_up", rows.count, 2 * size)
    linear = ops.Linear(op.label, op.layer, op.x, rows, both)
    if b.caps.is_software:
        solo_matvec(b, linear)
    elif rows.is_prefill:
        matmul(b, linear)
    else:
        matvec(b, linear)
    grid = (ceil(size, 64), rows.count, 1)
    b.dispatch("gelu_mul", [both, op.y], grid, op.label + ".gelu", {"N": size})


@kernel(ops.GeluTimes)
def gelu_times(b: PlanBuilder, op: ops.GeluTimes) -> None:
    """Gate by given factors."""
    rows, size = op.x.shape
    constants = {"N": size, "STRIDE": op.factors.shape[-1], "OFFSET": op.offset}
    grid = (ceil(size, 64), rows, 1)
    b.dispatch("gelu_times", [op.x, op.factors, op.y], grid, op.label, constants)


def _outputs(b: PlanBuilder, variant: str) -> int:
    """Return the matrix rows that a workgroup of matvec takes."""
    return b.caps.constant(variant, "GROUPS") * b.caps.constant(variant, "OUTPUTS")


def _solo_groups(b: PlanBuilder, variant: str, num_outputs: int) -> int:
    return ceil(num_outputs, b.caps.constant(variant, "WORKGROUP_OUTPUTS"))
