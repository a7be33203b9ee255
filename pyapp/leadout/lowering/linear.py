"""Kernels for embeddings and linear layers."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from leadout import ops
from leadout.layouts import BLOCK, Matrix, Shard
from leadout.lowering.builder import Bound, Grid, PlanBuilder, linear_grid
from leadout.lowering.kernel import Run, kernel
from leadout.ops import LinearLayer, Tensor
from leadout.plan import Binding
from leadout.rows import FEW_ROWS, TILE_ROWS, Rows

#: Layout of the struct in web/kernels/shared/shape.wgsl; keep in step.
SHAPE = struct.Struct("<IIIIfIffII")

#: Layout of the struct in web/kernels/embed.wgsl; keep in step.
EMBED_SHAPE = struct.Struct("<IIIIf")

#: The most weights of a layer whose rows are computed apart.
FEW_WEIGHTS = 1 << 19


class NormNumbers(NamedTuple):
    """What a layer's kernel is told of the norm that it begins with.

    Attributes:
        eps: added to the mean of the squares.
        inverse_columns: of the normed row.
        post_weight: where in the buffer of vectors the first norm's weights are, in 16 bytes.
        next_weight: where the second's.
    """

    eps: float = 0.0
    inverse_columns: float = 0.0
    post_weight: int = 0
    next_weight: int = 0


NO_NORM = NormNumbers()


def matvec_form(num_outputs: int, num_columns: int) -> str:
    """Return which form of matvec a layer takes; for all numbers of rows the same.

    Measured on an NVIDIA H100 (tests/bench/LOG.md): many outputs fill a GPU with a few threads for
    each; where there are few, more threads share a row of the weights, as far as there are columns.
    """
    if num_outputs >= 8192:
        return "wide"
    if num_columns < 1024:
        return "shallow"
    return "deep" if num_columns >= 4096 else "narrow"


def shards(
    b: PlanBuilder,
    layer: LinearLayer,
    y: Tensor,
    offset: int = 0,
    softcap: float | None = None,
    factor_stride: int = 0,
    norm: NormNumbers = NO_NORM,
) -> Iterator[tuple[Matrix, Shard, Binding]]:
    """Yield each shard of a layer, with its numbers: columns, outputs, y's stride and so on."""
    stride = y.shape[-1]
    for matrix, first_output in layer.parts:
        for shard in matrix.shards:
            first = offset + first_output + shard.row_start
            numbers = (matrix.num_cols, shard.num_rows, stride, first, softcap or 0.0)
            yield matrix, shard, b.uniform(SHAPE.pack(*numbers, factor_stride, *norm))


def rows_at_once(layer: LinearLayer, rows: Rows) -> int:
    """Return for how many rows a workgroup multiplies what it reads of the weights.

    Few weights come from a cache anyway, and more workgroups fill the GPU. A row has the same
    bits either way.
    """
    weights = layer.num_outputs * layer.parts[0][0].num_cols
    return 1 if weights <= FEW_WEIGHTS else min(rows.count, FEW_ROWS[-1])


@kernel(ops.Embed)
def embed(b: PlanBuilder, op: ops.Embed) -> None:
    """Look tokens up, shard by shard; each leaves the others' tokens alone."""
    table = op.table
    variant = f"embed.{table.layout}"
    grid = (b.groups(variant, table.num_cols // BLOCK), op.rows.count, 1)
    for shard in table.shards:
        numbers = (table.num_cols, shard.row_start, shard.num_rows, op.y.shape[-1], op.scale)
        shape = b.uniform(EMBED_SHAPE.pack(*numbers))
        b.dispatch(variant, [*shard.planes, op.rows.table, op.y, shape], grid, op.label)


@kernel(ops.EmbedPaged)
def embed_paged(b: PlanBuilder, op: ops.EmbedPaged) -> None:
    """Look tokens up among the rows that are on the device."""
    table = op.table
    (shard,) = table.shards
    variant = f"embed_paged.{table.layout}"
    b.dispatch(
        variant,
        [*shard.planes, op.slots, op.rows.table, op.y],
        (b.groups(variant, table.num_cols // BLOCK), op.rows.count, 1),
        op.label,
        {"K": table.num_cols, "N": shard.num_rows, "SCALE": op.scale},
    )


@kernel(ops.PlaceEmbeddings)
def place_embeddings(b: PlanBuilder, op: ops.PlaceEmbeddings) -> None:
    """Copy the rows that are given."""
    num_rows, columns = op.given.shape
    b.dispatch(
        "place_embeddings",
        [op.given, op.rows.table, op.y],
        (b.groups("place_embeddings", columns // 4), num_rows, 1),
        op.label,
        {"K": columns, "OUT_STRIDE": op.y.shape[-1]},
    )


@kernel(ops.Linear, when=lambda run: run.caps.is_software)
def solo_matvec(b: PlanBuilder, op: ops.Linear) -> None:
    """Multiply without workgroup memory: for adapters that compute on the CPU."""
    for matrix, shard, shape in shards(b, op.layer, op.y, op.offset, op.softcap):
        _solo(b, matrix, shard, "none", shape, op)


def _solo(
    b: PlanBuilder,
    matrix: Matrix,
    shard: Shard,
    epilogue: str,
    shape: Binding,
    op: ops.Linear | ops.GatedLinear,
) -> None:
    """Append solo_matvec for a shard."""
    # Two or eight rows, and short prompts, take the kernels that every load compiles anyway.
    rows = op.rows.count
    count = 8 if rows > TILE_ROWS else 4 if rows >= 4 else 1
    variant = f"solo_matvec.{matrix.layout}.{count}.{epilogue}"
    groups = b.groups(variant, shard.num_rows, "WORKGROUP_OUTPUTS")
    grid = linear_grid(groups, rows // count)
    bindings: list[Bound] = [*shard.planes, op.x, op.y, shape, op.rows.table]
    b.dispatch(variant, bindings, grid, op.label)


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
        part_shape = b.uniform(SHAPE.pack(matrix.num_cols, outputs, outputs, 0, 0.0, 0, *NO_NORM))
        b.dispatch(variant, [*shard.planes, op.x, parts, part_shape], grid, op.label)
        grid = (b.groups("sum_splits", outputs), rows, 1)
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
    row_tiles = rows // b.caps.constant(variant, "TILE_ROWS")
    return (b.groups(variant, num_outputs, "TILE_OUTPUTS"), row_tiles, splits)


@kernel(ops.Linear)
def matvec(b: PlanBuilder, op: ops.Linear) -> None:
    """Multiply few rows, each weight read once for all of them."""
    for matrix, shard, shape in shards(b, op.layer, op.y, op.offset, op.softcap):
        few_rows(b, few_rows_variant("matvec", matrix, op), shard, [op.x], op.y, shape, op)


def few_rows_variant(
    kernel_name: str,
    matrix: Matrix,
    op: ops.Linear | ops.GatedLinear,
    form: str | None = None,
) -> str:
    """Return the variant of matvec or packed_matvec that a matrix of a layer takes."""
    if form is None:
        is_gated = isinstance(op, ops.GatedLinear)
        form = "gated" if is_gated else matvec_form(op.layer.num_outputs, matrix.num_cols)
    return f"{kernel_name}.{matrix.layout}.{rows_at_once(op.layer, op.rows)}.{form}"


def few_rows(
    b: PlanBuilder,
    variant: str,
    shard: Shard,
    inputs: Sequence[Tensor],
    y: Tensor,
    shape: Binding,
    op: ops.Linear | ops.GatedLinear,
    constants: Mapping[str, int] | None = None,
) -> None:
    """Append matvec or packed_matvec for a shard."""
    groups = b.groups(variant, shard.num_rows, "WORKGROUP_OUTPUTS")
    grid = linear_grid(groups, op.rows.count // rows_at_once(op.layer, op.rows))
    b.dispatch(variant, [*shard.planes, *inputs, y, shape], grid, op.label, constants)


def _gates_by_factors(run: Run) -> bool:
    linear, times = run.ops
    is_plain = linear.offset == 0 and linear.softcap is None and linear.y == times.x
    return (
        is_plain
        and not run.caps.is_software
        and not linear.rows.is_prefill
        and times.y.shape == linear.y.shape
        and linear.layer.single_shard is not None
        and run.drops(linear.y)
    )


@kernel(ops.Linear, ops.GeluTimes, when=_gates_by_factors)
def matvec_gelu_times(b: PlanBuilder, op: ops.Linear, times: ops.GeluTimes) -> None:
    """As `matvec`, and gate by given factors."""
    stride = times.factors.shape[-1]
    for matrix, shard, shape in shards(b, op.layer, times.y, times.offset, None, stride):
        variant = few_rows_variant("matvec", matrix, op, "gelu_times")
        few_rows(b, variant, shard, [op.x, times.factors], times.y, shape, op)


def _adds_and_gates(run: Run) -> bool:
    add, linear, times = run.ops
    return (
        _gates_by_factors(Run([linear, times], run.following, run.caps, run.left))
        and linear.x == add.h_out
        and add.scalar is None
        and run.caps.has(variant := f"add_matvec.{linear.layer.single_shard.layout}")
        and add.weight.length <= run.caps.constant(variant, "MAX_COLUMNS")
    )


@kernel(ops.AddNorm, ops.Linear, ops.GeluTimes, when=_adds_and_gates)
def add_matvec(b: PlanBuilder, add: ops.AddNorm, op: ops.Linear, times: ops.GeluTimes) -> None:
    """The end of half a layer, and the gate behind it: every workgroup norms for itself."""
    stride, norm = times.factors.shape[-1], NormNumbers(add.eps)
    for matrix, shard, shape in shards(b, op.layer, times.y, times.offset, None, stride, norm):
        variant = f"add_matvec.{matrix.layout}"
        groups = b.groups(variant, shard.num_rows, "WORKGROUP_OUTPUTS")
        bindings: list[Bound] = [*shard.planes, add.x, add.h, add.weight.binding]
        bindings += [times.factors, add.h_out, times.y, shape]
        b.dispatch(variant, bindings, linear_grid(groups, op.rows.count), op.label)


def _is_single(run: Run) -> bool:
    return run.ops[0].layer.single_shard is not None


@kernel(ops.GatedLinear, when=lambda run: run.caps.is_software and _is_single(run))
def solo_gated(b: PlanBuilder, op: ops.GatedLinear) -> None:
    """As `solo_matvec`, with gate and up in one."""
    for matrix, shard, shape in shards(b, op.layer, op.y):
        _solo(b, matrix, shard, "gelu_mul", shape, op)


@kernel(ops.GatedLinear, when=lambda run: not run.ops[0].rows.is_prefill and _is_single(run))
def gated_matvec(b: PlanBuilder, op: ops.GatedLinear) -> None:
    """As `matvec`, with gate and up in one."""
    for matrix, shard, shape in shards(b, op.layer, op.y):
        few_rows(b, few_rows_variant("matvec", matrix, op), shard, [op.x], op.y, shape, op)


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
    grid = (b.groups("gelu_mul", size), rows.count, 1)
    b.dispatch("gelu_mul", [both, op.y], grid, op.label + ".gelu", {"N": size})


@kernel(ops.GeluTimes)
def gelu_times(b: PlanBuilder, op: ops.GeluTimes) -> None:
    """Gate by given factors."""
    rows, size = op.x.shape
    shape = b.uniform(SHAPE.pack(0, size, 0, op.offset, 0.0, op.factors.shape[-1], *NO_NORM))
    grid = (b.groups("gelu_times", size), rows, 1)
    b.dispatch("gelu_times", [op.x, op.factors, op.y, shape], grid, op.label)
