"""A mixture of experts: the router's choice, and linear layers of chosen experts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from leadout.layouts import Matrix, Vector
from leadout.ops.grid import activations, ceil
from leadout.ops.linear import Linear, gelu_mul
from leadout.plan import Binding, PlanBuilder
from leadout.rows import Rows

#: Outputs that a workgroup of web/kernels/expert_matvec.wgsl computes, gate and up being two.
_MATVEC_OUTPUTS = 32

#: Likewise of web/kernels/expert_matmul.wgsl, and how many pairs are a tile of it.
_MATMUL_OUTPUTS = 128
_TILE_PAIRS = 16

#: Rows and scores of a workgroup of web/kernels/router_scores.wgsl, by whether rows are many.
_SCORES_TILE = {False: (1, 2), True: (8, 4)}


@dataclass(frozen=True)
class Experts:
    """The same linear layer of every expert, stacked along the outputs expert by expert.

    Attributes:
        parts: matrices [num_experts * outputs, inputs], each with the first output column of its
            expert's; several where a file keeps gate and up apart.
        num_outputs: of one expert, all parts together.
        num_experts: how many.
    """

    parts: Sequence[tuple[Matrix, int]]
    num_outputs: int
    num_experts: int

    @property
    def has_whole_experts(self) -> bool:
        """Every shard holds all outputs of its experts."""
        starts = [shard.row_start for matrix, _ in self.parts for shard in matrix.shards]
        return len(self.parts) == 1 and all(start % self.num_outputs == 0 for start in starts)


@dataclass(frozen=True)
class Routed:
    """The experts that rows have chosen.

    Attributes:
        rows: of the pass.
        top_k: experts of a row.
        chosen: [rows, top_k] u32.
        groups: in prefill, web/kernels/expert_tiles.wgsl's `tiles` and `order` of them.
    """

    rows: Rows
    top_k: int
    chosen: Binding
    groups: tuple[Binding, Binding] | None


def router_scores(
    b: PlanBuilder,
    x: Binding,
    router: Linear,
    router_scale: Vector,
    norm: Vector,
    scores: Binding,
    normed: Binding,
    rows: Rows,
    eps: float,
    label: str,
) -> None:
    """Score the experts for every row, and norm the row for them.

    scores[r] = router (rms_norm(x[r]) * router_scale) / sqrt(columns), normed[r] = rms_norm(x[r]) * norm.

    Args:
        b: gets the dispatches.
        x: [rows, columns] float32, the residual stream.
        router: [num_experts, columns].
        router_scale: [columns].
        norm: [columns].
        scores: [rows, num_experts] float32.
        normed: [rows, columns] float32.
        rows: of the pass.
        eps: of the norms.
        label: for profiles.
    """
    tile_rows, tile_outputs = _SCORES_TILE[rows.is_prefill]
    for matrix, first_output in router.parts:
        for shard in matrix.shards:
            b.dispatch(
                f"router_scores.{matrix.layout}.{tile_rows}",
                {
                    "K": matrix.num_cols,
                    "N": shard.num_rows,
                    "FIRST": first_output + shard.row_start,
                    "STRIDE": router.num_outputs,
                    "EPS": eps,
                    "SCALE": matrix.num_cols**-0.5,
                },
                [*shard.planes, x, router_scale.binding, norm.binding, scores, normed],
                (ceil(shard.num_rows, tile_outputs) + 1, rows.count // tile_rows, 1),
                label,
            )


def route(
    b: PlanBuilder,
    scores: Binding,
    per_expert_scale: Vector,
    weights: Binding,
    rows: Rows,
    top_k: int,
    label: str,
) -> Routed:
    """Choose each row's experts: softmax of the scores, its top k, renormalised and scaled.

    Args:
        b: gets the dispatches.
        scores: [rows, num_experts] float32.
        per_expert_scale: one factor an expert.
        weights: [rows, top_k] float32, the most probable expert's first, a result.
        rows: of the pass.
        top_k: experts of a row.
        label: for profiles.
    """
    pairs, num_experts = rows.count * top_k, per_expert_scale.length
    chosen = b.scratch("chosen_experts", 4 * pairs)
    b.dispatch(
        "route",
        {"EXPERTS": num_experts, "TOP": top_k},
        [scores, per_expert_scale.binding, chosen, weights],
        (rows.count, 1, 1),
        label,
    )
    if not rows.is_prefill:
        return Routed(rows, top_k, chosen, None)
    num_tiles = _num_tiles(pairs, num_experts)
    tiles = b.scratch("expert_tiles", 16 * num_tiles)
    order = b.scratch("expert_order", 4 * pairs)
    b.dispatch(
        "expert_tiles",
        {"PAIRS": pairs, "EXPERTS": num_experts, "TILE": _TILE_PAIRS, "TILES": num_tiles},
        [chosen, order, tiles],
        (1, 1, 1),
        label + ".tiles",
    )
    return Routed(rows, top_k, chosen, (tiles, order))


def _num_tiles(pairs: int, num_experts: int) -> int:
    """Return how many tiles there can be: an expert has one that is not full."""
    return pairs // _TILE_PAIRS + num_experts


def expert_linear(
    b: PlanBuilder,
    layer: Experts,
    x: Binding,
    routed: Routed,
    y: Binding,
    label: str,
    *,
    shared_input: bool,
    epilogue: str = "none",
) -> None:
    """y[r, i] = W[chosen[r, i]] x, where x is x[r] (`shared_input`) or x[r, i].

    Args:
        b: gets the dispatches.
        layer: W.
        x: [rows, inputs] or [rows, top_k, inputs] float32.
        routed: the choice.
        y: [rows, top_k, outputs] float32; half of the outputs with gelu_mul.
        label: for profiles.
        shared_input: all experts of a row read the same input.
        epilogue: "none", or "gelu_mul": gelu(the first half of the outputs) * the other half.
    """
    pairs = routed.rows.count * routed.top_k
    for matrix, first_output in layer.parts:
        outputs = matrix.num_rows // layer.num_experts
        if routed.groups is None:
            kernel, choice = "expert_matvec", (routed.chosen,)
            grid = (ceil(outputs, _MATVEC_OUTPUTS), pairs, 1)
        else:
            kernel, choice = "expert_matmul", routed.groups
            grid = (ceil(outputs, _MATMUL_OUTPUTS), _num_tiles(pairs, layer.num_experts), 1)
        for shard in matrix.shards:
            b.dispatch(
                f"{kernel}.{matrix.layout}.{epilogue}",
                {
                    "K": matrix.num_cols,
                    "N": outputs,
                    "FIRST": shard.row_start,
                    "COUNT": shard.num_rows,
                    "TOP": routed.top_k,
                    "SHARED_INPUT": int(shared_input),
                    "OUT_STRIDE": layer.num_outputs // (2 if epilogue == "gelu_mul" else 1),
                    "OUT_OFFSET": first_output,
                },
                [*shard.planes, *choice, x, y],
                grid,
                label,
            )


def gated_experts(
    b: PlanBuilder, gate_up: Experts, x: Binding, routed: Routed, y: Binding, label: str
) -> None:
    """y[r, i] = gelu(gate x[r]) * (up x[r]) of the expert chosen[r, i]; see `expert_linear`."""
    if gate_up.has_whole_experts:
        expert_linear(
            b, gate_up, x, routed, y, label, shared_input=True, epilogue="gelu_mul"
        )
        return
    pairs = routed.rows.count * routed.top_k
    both = activations(b, "expert_gate_up", pairs, gate_up.num_outputs)
    expert_linear(b, gate_up, x, routed, both, label, shared_input=True)
    gelu_mul(b, both, y, pairs, gate_up.num_outputs // 2, label + ".gelu")


def mix_norm_sum(
    b: PlanBuilder,
    x: Binding,
    x_norm: Vector,
    z: Binding,
    weights: Binding,
    z_norm: Vector,
    y: Binding,
    routed: Routed,
    eps: float,
    label: str,
) -> None:
    """y[r] = rms_norm(x[r]) * x_norm + rms_norm(sum over i of weights[r, i] * z[r, i]) * z_norm.

    Args:
        b: gets the dispatch.
        x: [rows, columns] float32, what lies beside the experts.
        x_norm: [columns].
        z: [rows, top_k, columns] float32, the experts' outputs.
        weights: [rows, top_k] float32.
        z_norm: [columns].
        y: [rows, columns] float32.
        routed: the choice.
        eps: of the norms.
        label: for profiles.
    """
    b.dispatch(
        "mix_norm_sum",
        {"D": x_norm.length, "TOP": routed.top_k, "EPS": eps},
        [x, x_norm.binding, z, weights, z_norm.binding, y],
        (routed.rows.count, 1, 1),
        label,
    )
