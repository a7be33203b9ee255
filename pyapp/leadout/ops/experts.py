"""A mixture of experts: the router's choice, and linear layers of chosen experts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from leadout.layouts import Matrix, Vector
from leadout.ops.program import Op, Tensor
from leadout.rows import Rows


@dataclass(frozen=True)
class ExpertLayer:
    """The same linear layer of every expert, stacked along the outputs expert by expert.

    Attributes:
        parts: matrices [num_experts * outputs, inputs], each with the first output of its
            expert's; several where a file keeps gate and up apart.
        num_outputs: of one expert, all parts together.
        num_experts: how many.
    """

    parts: Sequence[tuple[Matrix, int]]
    num_outputs: int
    num_experts: int


@dataclass(frozen=True)
class Route(Op):
    """Choose each row's experts: softmax of the scores, its top k, renormalised and scaled.

    Attributes:
        scores: [rows, num_experts] float32.
        per_expert_scale: one factor an expert.
        chosen: [rows, top_k] u32, the most probable first.
        weights: [rows, top_k] float32.
    """

    scores: Tensor
    per_expert_scale: Vector
    chosen: Tensor
    weights: Tensor

    WRITES: ClassVar[tuple[str, ...]] = ("chosen", "weights")


@dataclass(frozen=True)
class ExpertGatedLinear(Op):
    """y[r, i] = gelu(gate x[r]) * (up x[r]) with the weights of expert chosen[r, i].

    Attributes:
        layer: gate and up of every expert, stacked.
        x: [rows, inputs] float32.
        chosen: [rows, top_k] u32.
        rows: of the pass.
        y: [rows, top_k, outputs] float32.
    """

    layer: ExpertLayer
    x: Tensor
    chosen: Tensor
    rows: Rows
    y: Tensor


@dataclass(frozen=True)
class ExpertLinear(Op):
    """y[r, i] = W x[r, i] with the weights of expert chosen[r, i].

    Attributes:
        layer: W of every expert.
        x: [rows, top_k, inputs] float32.
        chosen: [rows, top_k] u32.
        rows: of the pass.
        y: [rows, top_k, outputs] float32.
    """

    layer: ExpertLayer
    x: Tensor
    chosen: Tensor
    rows: Rows
    y: Tensor


@dataclass(frozen=True)
class MixExperts(Op):
    """y[r] = sum over i of weights[r, i] * x[r, i], i ascending.

    Attributes:
        x: [rows, top_k, columns] float32.
        weights: [rows, top_k] float32.
        y: [rows, columns] float32.
    """

    x: Tensor
    weights: Tensor
    y: Tensor
