"""Kernels for a mixture of experts."""

from __future__ import annotations

from leadout import ops
from leadout.lowering.builder import Bound, PlanBuilder, ceil
from leadout.lowering.kernel import kernel
from leadout.ops import ExpertLayer, Tensor


@kernel(ops.Route)
def route(b: PlanBuilder, op: ops.Route) -> None:
    """A workgroup a row."""
    constants = {"EXPERTS": op.per_expert_scale.length, "TOP": op.chosen.shape[1]}
    bindings: list[Bound] = [op.scores, op.per_expert_scale.binding, op.chosen, op.weights]
    b.dispatch("route", bindings, (op.scores.shape[0], 1, 1), op.label, constants)


@kernel(ops.ExpertGatedLinear)
def expert_gated(b: PlanBuilder, op: ops.ExpertGatedLinear) -> None:
    """Multiply a row by each of its experts, and gate."""
    rows, top_k, size = op.y.shape
    both = b.scratch("expert_gate_up", rows, top_k, 2 * size)
    _expert_matvec(b, op.layer, op.x, op.chosen, both, op.label, shared_input=True)
    grid = (ceil(size, 64), rows * top_k, 1)
    b.dispatch("gelu_mul", [both, op.y], grid, op.label + ".gelu", {"N": size})


@kernel(ops.ExpertLinear)
def expert_linear(b: PlanBuilder, op: ops.ExpertLinear) -> None:
    """Multiply what each expert has by its weights."""
    _expert_matvec(b, op.layer, op.x, op.chosen, op.y, op.label, shared_input=False)


def _expert_matvec(
    b: PlanBuilder,
    layer: ExpertLayer,
    x: Tensor,
    chosen: Tensor,
    y: Tensor,
    label: str,
    *,
    shared_input: bool,
) -> None:
    rows, top_k = chosen.shape
    for matrix, first_output in layer.parts:
        outputs = matrix.num_rows // layer.num_experts
        variant = f"expert_matvec.{matrix.layout}"
        per_group = b.caps.constant(variant, "GROUPS") * b.caps.constant(variant, "OUTPUTS")
        for shard in matrix.shards:
            b.dispatch(
                variant,
                [*shard.planes, chosen, x, y],
                (ceil(outputs, per_group), top_k, rows),
                label,
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
            )


@kernel(ops.MixExperts)
def mix_experts(b: PlanBuilder, op: ops.MixExperts) -> None:
    """A thread a column."""
    rows, top_k, columns = op.x.shape
    constants = {"D": columns, "TOP": top_k}
    grid = (ceil(columns, 256), rows, 1)
    b.dispatch("mix_experts", [op.x, op.weights, op.y], grid, op.label, constants)
