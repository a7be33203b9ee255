"""A mixture of experts: the router's choice, and linear layers of chosen experts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from leadout.layouts import Matrix, Vector
from leadout.ops.grid import ceil
from leadout.plan import Binding, PlanBuilder

#: Outputs that one workgroup of web/kernels/expert_matvec.wgsl computes.
_OUTPUTS_PER_WORKGROUP = 8


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


def route(
    b: PlanBuilder,
    scores: Binding,
    per_expert_scale: Vector,
    chosen: Binding,
    weights: Binding,
    rows: int,
    top_k: int,
    label: str,
) -> None:
    """Choose each row's experts: softmax of the scores, its top k, renormalised and scaled.

    Args:
        b: gets the dispatch.
        scores: [rows, num_experts] float32.
        per_expert_scale: one factor an expert.
        chosen: [rows, top_k] u32, the result, the most probable first.
        weights: [rows, top_k] float32, the result.
        rows: how many.
        top_k: experts of a row.
        label: for profiles.
    """
    b.dispatch(
        "route",
        {"EXPERTS": per_expert_scale.length, "TOP": top_k},
        [scores, per_expert_scale.binding, chosen, weights],
        (rows, 1, 1),
        label,
    )


def expert_linear(
    b: PlanBuilder,
    layer: Experts,
    x: Binding,
    chosen: Binding,
    y: Binding,
    rows: int,
    top_k: int,
    label: str,
    *,
    shared_input: bool,
) -> None:
    """y[r, i] = W[chosen[r, i]] x, where x is x[r] (`shared_input`) or x[r, i].

    Args:
        b: gets the dispatches.
        layer: W.
        x: [rows, inputs] or [rows, top_k, inputs] float32.
        chosen: [rows, top_k] u32.
        y: [rows, top_k, outputs] float32.
        rows: how many.
        top_k: experts of a row.
        label: for profiles.
        shared_input: all experts of a row read the same input.
    """
    for matrix, first_output in layer.parts:
        outputs = matrix.num_rows // layer.num_experts
        for shard in matrix.shards:
            b.dispatch(
                f"expert_matvec.{matrix.layout}",
                {
                    "K": matrix.num_cols,
                    "N": outputs,
                    "FIRST": shard.row_start,
                    "COUNT": shard.num_rows,
                    "TOP": top_k,
                    "SHARED_INPUT": int(shared_input),
                    "OUT_STRIDE": layer.num_outputs,
                    "OUT_OFFSET": first_output,
                },
                [*shard.planes, chosen, x, y],
                (ceil(outputs, _OUTPUTS_PER_WORKGROUP), top_k, rows),
                label,
            )


def mix_experts(
    b: PlanBuilder,
    x: Binding,
    weights: Binding,
    y: Binding,
    rows: int,
    top_k: int,
    columns: int,
    label: str,
) -> None:
    """y[r] = sum over i of weights[r, i] * x[r, i], i ascending."""
    b.dispatch(
        "mix_experts",
        {"D": columns, "TOP": top_k},
        [x, weights, y],
        (ceil(columns, 256), rows, 1),
        label,
    )
