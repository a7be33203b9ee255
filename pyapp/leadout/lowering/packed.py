"""Norms or attention, and the linear layers behind them, with activations of 16 bits in between.

Products with quantised weights are then packed dot products of bytes, see
web/kernels/shared/packed.wgsl. Where the browser has none, nothing here fits.
Whether a layer is computed so depends on the device, on its weights and on the ops around it,
never on the number of rows: it is part of its bits.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from leadout import ops
from leadout.layouts import BLOCK
from leadout.lowering.attention import decodes, emit_segments, kv_norm_rope
from leadout.lowering.builder import Bound, PlanBuilder, linear_grid
from leadout.lowering.caps import Caps
from leadout.lowering.kernel import Run, kernel
from leadout.lowering.linear import NormNumbers, few_rows, few_rows_variant, shards
from leadout.lowering.norm import emit_add_norm, emit_norm
from leadout.ops import Tensor
from leadout.plan import Binding

#: The most workgroups that each norm a row for themselves.
MOST_NORMING = 512


def _takes_packed(caps: Caps, op: ops.Linear | ops.GatedLinear) -> bool:
    """Return whether all parts of a layer can be multiplied by packed activations.

    There are kernels for quantised layouts alone; whatever packs needs no other feature than they.
    """
    variants = [few_rows_variant("packed_matvec", matrix, op) for matrix, _ in op.layer.parts]
    return all(map(caps.has, variants))


def _packs(run: Run) -> bool:
    """Return whether a run's last ops are linear layers that can read the norm's output packed."""
    *_, norm, linear = [op for op in run.ops if not isinstance(op, ops.AddNorm)][:2]
    return (
        linear.x == norm.y
        and not run.caps.is_software
        and not linear.rows.is_prefill
        and linear.rows.count == norm.y.shape[0]
        and _takes_packed(run.caps, linear)
        and (len(run.ops) == 2 or _follows(run))
    )


def _follows(run: Run) -> bool:
    """Return whether a residual's sum is what the norm behind it reads."""
    if not isinstance(run.ops[0], ops.AddNorm):
        return True
    return run.feeds(0, "h_out", 1, "x") and run.feeds(0, "eps", 1, "eps") and run.ops[1].scale == 1


def _packs_both(run: Run) -> bool:
    gated, down = run.ops[-2:]
    size = gated.y.shape[-1]
    return (
        _packs(run)
        and gated.layer.single_shard is not None
        and size % BLOCK == 0
        and down.x == gated.y
        and down.rows == gated.rows
        and _takes_packed(run.caps, down)
        and run.drops(gated.y)
    )


def _normed(run: Run) -> Tensor:
    """Return the norm's output."""
    return next(op for op in run.ops if isinstance(op, ops.RmsNorm)).y


def _alone(fits: Callable[[Run], bool]) -> Callable[[Run], bool]:
    """Return whether a run fits, and nobody else wants the norm's output."""
    return lambda run: fits(run) and run.drops(_normed(run))


@kernel(ops.RmsNorm, ops.Linear, when=_alone(_packs))
def norm_linear(b: PlanBuilder, norm: ops.RmsNorm, linear: ops.Linear) -> None:
    """A norm, and the layer that reads it."""
    _norm_linear(b, None, norm, linear, is_plain=False)


@kernel(ops.RmsNorm, ops.Linear, when=_packs)
def norm_linear_both(b: PlanBuilder, norm: ops.RmsNorm, linear: ops.Linear) -> None:
    """The same where others read the norm's output too."""
    _norm_linear(b, None, norm, linear, is_plain=True)


@kernel(ops.AddNorm, ops.RmsNorm, ops.Linear, when=_alone(_packs))
def add_norm_linear(
    b: PlanBuilder, add: ops.AddNorm, norm: ops.RmsNorm, linear: ops.Linear
) -> None:
    """The end of half a layer, and the beginning of the next."""
    _norm_linear(b, add, norm, linear, is_plain=False)


@kernel(ops.AddNorm, ops.RmsNorm, ops.Linear, when=_packs)
def add_norm_linear_both(
    b: PlanBuilder, add: ops.AddNorm, norm: ops.RmsNorm, linear: ops.Linear
) -> None:
    """The same where others read the norm's output too."""
    _norm_linear(b, add, norm, linear, is_plain=True)


def _norm_linear(
    b: PlanBuilder,
    add: ops.AddNorm | None,
    norm: ops.RmsNorm,
    linear: ops.Linear,
    *,
    is_plain: bool,
) -> None:
    packed = b.scratch("packed_normed", *norm.y.shape)
    if add is None:
        emit_norm(b, norm, packed, is_plain=is_plain)
    else:
        emit_add_norm(b, add, norm, packed, is_plain=is_plain)
    packed_linear(b, linear, packed)


@kernel(ops.AddNorm, ops.RmsNorm, ops.GatedLinear, ops.Linear, when=_alone(_packs_both))
def add_norm_mlp(
    b: PlanBuilder,
    add: ops.AddNorm,
    norm: ops.RmsNorm,
    gated: ops.GatedLinear,
    down: ops.Linear,
) -> None:
    """The end of attention's half of a layer, and the whole MLP."""
    inner = b.scratch("packed_inner", *gated.y.shape)
    if _norms_inside(b, add, norm, gated):
        _norm_inside(b, add, norm, gated, inner)
    else:
        packed = b.scratch("packed_normed", *norm.y.shape)
        emit_add_norm(b, add, norm, packed, is_plain=False)
        for matrix, shard, shape in shards(b, gated.layer, inner):
            variant = few_rows_variant("packed_matvec", matrix, gated)
            few_rows(b, variant, shard, [packed], inner, shape, gated, _bits(b))
    packed_linear(b, down, inner)


def _norms_inside(
    b: PlanBuilder, add: ops.AddNorm, norm: ops.RmsNorm, gated: ops.GatedLinear
) -> bool:
    """Return whether each workgroup of a layer is to norm the row for itself.

    With one row that takes less time than a dispatch more; with several it takes more. In other
    layers than the widest it gains nothing (tests/bench/LOG.md).
    """
    matrix = gated.layer.single_shard
    assert matrix is not None
    variant = f"norm_gated.{matrix.layout}"
    return (
        gated.rows.count == 1
        and b.caps.has(variant)
        and add.scalar is None
        and add.h_out.buffer not in (add.h.buffer, add.x.buffer)
        and add.weight.binding.buffer == norm.weight.binding.buffer
        and matrix.num_cols <= b.caps.constant(variant, "MAX_COLUMNS")
        and b.groups(variant, matrix.num_rows, "WORKGROUP_OUTPUTS") <= MOST_NORMING
    )


def _norm_inside(
    b: PlanBuilder, add: ops.AddNorm, norm: ops.RmsNorm, gated: ops.GatedLinear, y: Tensor
) -> None:
    """Append a gated layer that norms its only row."""
    places = [vector.binding for vector in (add.weight, norm.weight)]
    end = max(place.offset + place.bytes for place in places)
    vectors = Binding(add.weight.binding.buffer, 0, end)
    numbers = NormNumbers(add.eps, 1 / norm.weight.length, *(one.offset // 16 for one in places))
    for matrix, shard, shape in shards(b, gated.layer, y, norm=numbers):
        variant = f"norm_gated.{matrix.layout}"
        groups = b.groups(variant, shard.num_rows, "WORKGROUP_OUTPUTS")
        bindings: list[Bound] = [*shard.planes, add.x, add.h, vectors, add.h_out, y, shape]
        b.dispatch(variant, bindings, linear_grid(groups), gated.label, _bits(b))


def _packs_attended(run: Run) -> bool:
    """Return whether the last op is a linear layer that can read what attention gives packed."""
    *_, attend, linear = run.ops
    count, heads, dim = attend.y.shape
    return (
        decodes(run)
        and linear.x == dataclasses.replace(attend.y, shape=(count, heads * dim))
        and linear.rows == attend.rows
        and dim % BLOCK == 0
        and _takes_packed(run.caps, linear)
        and run.drops(attend.y)
    )


@kernel(ops.WriteKv, ops.NormRope, ops.Attention, ops.Linear, when=_packs_attended)
def write_attend_linear(
    b: PlanBuilder,
    write: ops.WriteKv,
    norm: ops.NormRope,
    attend: ops.Attention,
    linear: ops.Linear,
) -> None:
    """Attention of few rows, in a layer with a cache of its own, and the layer that reads it."""
    kv_norm_rope(b, write)
    attend_linear(b, norm, attend, linear)


@kernel(ops.NormRope, ops.Attention, ops.Linear, when=_packs_attended)
def attend_linear(
    b: PlanBuilder, norm: ops.NormRope, attend: ops.Attention, linear: ops.Linear
) -> None:
    """Attention of few rows, and the layer that reads it."""
    packed = b.scratch("packed_attended", *linear.x.shape)
    emit_segments(b, norm, attend, packed)
    packed_linear(b, linear, packed)


def packed_linear(b: PlanBuilder, op: ops.Linear, x: Tensor) -> None:
    """Append a linear layer over packed activations."""
    for matrix, shard, shape in shards(b, op.layer, op.y, op.offset, op.softcap):
        variant = few_rows_variant("packed_matvec", matrix, op)
        few_rows(b, variant, shard, [x], op.y, shape, op, _bits(b))


def _bits(b: PlanBuilder) -> dict[str, int]:
    """Return whether the activations' low bytes count."""
    return {"WITH_LOW": 0} if b.caps.is_fast else {}
