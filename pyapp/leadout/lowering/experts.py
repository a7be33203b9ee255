"""Kernels for a mixture of experts."""

from __future__ import annotations

import struct

from leadout import ops
from leadout.lowering.builder import Bound, PlanBuilder
from leadout.lowering.kernel import Run, kernel
from leadout.ops import ExpertLayer, Tensor

#: Layout of the struct in web/kernels/shared/expert_shard.wgsl; keep in step.
_SHARD = struct.Struct("<IIII")


def _is_router(run: Run) -> bool:
    """Return whether both norms read one stream, and the first one feeds the scores only."""
    scaled, linear, _, norm = run.ops
    return (
        run.feeds(0, "y", 1, "x")
        and run.feeds(1, "y", 2, "scores")
        and run.feeds(0, "x", 3, "x")
        and run.feeds(0, "eps", 3, "eps")
        and norm.scale == 1.0
        and linear.softcap is None
        and linear.offset == 0
        and run.drops(scaled.y)
    )


@kernel(ops.RmsNorm, ops.Linear, ops.Route, ops.RmsNorm, when=_is_router)
def router(
    b: PlanBuilder, scaled: ops.RmsNorm, linear: ops.Linear, choice: ops.Route, norm: ops.RmsNorm
) -> None:
    """Score and norm in one dispatch, each workgroup finding the norm by itself; then choose."""
    tile = 8 if linear.rows.is_prefill else 1
    for matrix, first_output in linear.layer.parts:
        variant = f"router_scores.{matrix.layout}.{tile}"
        for shard in matrix.shards:
            b.dispatch(
                variant,
                [
                    *shard.planes,
                    scaled.x,
                    scaled.weight.binding,
                    norm.weight.binding,
                    linear.y,
                    norm.y,
                ],
                # The last one of a row writes the norm.
                (b.groups(variant, shard.num_rows, "OUTPUTS") + 1, linear.rows.count // tile, 1),
                linear.label,
                {
                    "K": matrix.num_cols,
                    "N": shard.num_rows,
                    "FIRST": first_output + shard.row_start,
                    "STRIDE": linear.y.shape[-1],
                    "EPS": scaled.eps,
                    "SCALE": scaled.scale,
                },
            )
    route(b, choice)


@kernel(ops.Route)
def route(b: PlanBuilder, op: ops.Route) -> None:
    """A workgroup a row."""
    constants = {"EXPERTS": op.per_expert_scale.length, "TOP": op.chosen.shape[1]}
    bindings: list[Bound] = [op.scores, op.per_expert_scale.binding, op.chosen, op.weights]
    b.dispatch("route", bindings, (op.scores.shape[0], 1, 1), op.label, constants)


@kernel(
    ops.ExpertGatedLinear,
    ops.ExpertLinear,
    when=lambda run: run.ops[0].rows.is_prefill and run.feeds(0, "chosen", 1, "chosen"),
)
def expert_tiles(b: PlanBuilder, gated: ops.ExpertGatedLinear, linear: ops.ExpertLinear) -> None:
    """Multiply tiles of rows that chose one expert; group the rows once for both."""
    tiles = _tiles(b, gated.layer, gated.chosen, gated.label)
    _gated(b, gated, tiles)
    _multiply(b, linear.layer, linear.x, linear.chosen, linear.y, linear.label, "none", tiles)


@kernel(ops.ExpertGatedLinear)
def expert_gated(b: PlanBuilder, op: ops.ExpertGatedLinear) -> None:
    """Multiply rows by each of their experts, and gate."""
    tiles = _tiles(b, op.layer, op.chosen, op.label) if op.rows.is_prefill else None
    _gated(b, op, tiles)


@kernel(ops.ExpertLinear)
def expert_linear(b: PlanBuilder, op: ops.ExpertLinear) -> None:
    """Multiply what each expert has by its weights."""
    tiles = _tiles(b, op.layer, op.chosen, op.label) if op.rows.is_prefill else None
    _multiply(b, op.layer, op.x, op.chosen, op.y, op.label, "none", tiles)


@kernel(
    ops.MixExperts,
    ops.RmsNormSum,
    when=lambda run: run.feeds(0, "y", 1, "z") and run.drops(run.ops[0].y),
)
def mix_norm_sum(b: PlanBuilder, mix: ops.MixExperts, op: ops.RmsNormSum) -> None:
    """Add a row's experts on the way into the norm; a workgroup a row."""
    rows, top_k, columns = mix.x.shape
    b.dispatch(
        "mix_norm_sum",
        [op.x, op.x_weight.binding, mix.x, mix.weights, op.z_weight.binding, op.y],
        (rows, 1, 1),
        op.label,
        {"D": columns, "TOP": top_k, "EPS": op.eps},
    )


@kernel(ops.MixExperts)
def mix_experts(b: PlanBuilder, op: ops.MixExperts) -> None:
    """A thread four columns."""
    rows, top_k, columns = op.x.shape
    constants = {"D": columns, "TOP": top_k}
    grid = (b.groups("mix_experts", columns // 4), rows, 1)
    b.dispatch("mix_experts", [op.x, op.weights, op.y], grid, op.label, constants)


def _num_tiles(b: PlanBuilder, layer: ExpertLayer, chosen: Tensor) -> int:
    """Return how many tiles there can be: every expert may have one that is not full."""
    return chosen.shape[0] * chosen.shape[1] // _tile_pairs(b, layer) + layer.num_experts


def _tile_pairs(b: PlanBuilder, layer: ExpertLayer) -> int:
    return b.caps.constant(f"expert_matmul.{layer.parts[0][0].layout}.none", "PAIRS")


def _tiles(b: PlanBuilder, layer: ExpertLayer, chosen: Tensor, label: str) -> tuple[Tensor, Tensor]:
    """Group pairs of row and expert by the expert; return the tiles and the pairs' order."""
    pairs, num_tiles = chosen.shape[0] * chosen.shape[1], _num_tiles(b, layer, chosen)
    tiles = b.scratch("expert_tiles", num_tiles, 4, dtype="u32")
    order = b.scratch("expert_order", pairs, dtype="u32")
    numbers = {
        "PAIRS": pairs,
        "EXPERTS": layer.num_experts,
        "TILE": _tile_pairs(b, layer),
        "TILES": num_tiles,
    }
    b.dispatch("expert_tiles", [chosen, order, tiles], (1, 1, 1), label + ".tiles", numbers)
    return tiles, order


def _gated(b: PlanBuilder, op: ops.ExpertGatedLinear, tiles: tuple[Tensor, Tensor] | None) -> None:
    """Gate in the multiplying kernel where gate and up of an expert lie in one shard."""
    layer = op.layer
    starts = [shard.row_start for matrix, _ in layer.parts for shard in matrix.shards]
    if len(layer.parts) == 1 and all(start % layer.num_outputs == 0 for start in starts):
        _multiply(b, layer, op.x, op.chosen, op.y, op.label, "gelu_mul", tiles)
        return
    rows, top_k, size = op.y.shape
    both = b.scratch("expert_gate_up", rows, top_k, 2 * size)
    _multiply(b, layer, op.x, op.chosen, both, op.label, "none", tiles)
    grid = (b.groups("gelu_mul", size), rows * top_k, 1)
    b.dispatch("gelu_mul", [both, op.y], grid, op.label + ".gelu", {"N": size})


def _multiply(
    b: PlanBuilder,
    layer: ExpertLayer,
    x: Tensor,
    chosen: Tensor,
    y: Tensor,
    label: str,
    epilogue: str,
    tiles: tuple[Tensor, Tensor] | None,
) -> None:
    """Multiply by the chosen experts: few rows, or (with tiles) many."""
    rows, top_k = chosen.shape
    for matrix, first_output in layer.parts:
        outputs = matrix.num_rows // layer.num_experts
        kernel_name = "expert_matvec" if tiles is None else "expert_matmul"
        variant = f"{kernel_name}.{matrix.layout}.{epilogue}"
        groups = b.groups(variant, outputs, "WORKGROUP_OUTPUTS")
        count = rows * top_k if tiles is None else _num_tiles(b, layer, chosen)
        for shard in matrix.shards:
            held = b.uniform(_SHARD.pack(shard.row_start, shard.num_rows, first_output, 0))
            b.dispatch(
                variant,
                [*shard.planes, *((chosen,) if tiles is None else tiles), x, y, held],
                (groups, count, 1),
                label,
                {
                    "K": matrix.num_cols,
                    "N": outputs,
                    "TOP": top_k,
                    "SHARED_INPUT": int(len(x.shape) == 2),
                    "OUT_STRIDE": y.shape[-1],
                },
            )
