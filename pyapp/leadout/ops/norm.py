"""Norms, residuals, and taking a row.

rms_norm(x) = x / sqrt(mean(x^2) + eps), along a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from leadout.layouts import Vector
from leadout.ops.program import Op, Tensor


@dataclass(frozen=True)
class RmsNorm(Op):
    """y[r] = scale * rms_norm(x[r]) * weight, all [rows, columns] float32."""

    x: Tensor
    weight: Vector
    y: Tensor
    eps: float
    scale: float = 1.0


@dataclass(frozen=True)
class AddNorm(Op):
    """h_out[r] = (h[r] + rms_norm(x[r]) * weight) * scalar: the end of half a layer.

    Attributes:
        x: what attention or MLP brought, [rows, columns] float32.
        weight: of its norm.
        h: the residual stream before, [rows, columns] float32.
        h_out: the residual stream behind, [rows, columns] float32; other memory than h.
        eps: of the norm.
        scalar: one factor for the whole stream, or None.
    """

    x: Tensor
    weight: Vector
    h: Tensor
    h_out: Tensor
    eps: float
    scalar: Vector | None = None

    WRITES: ClassVar[tuple[str, ...]] = ("h_out",)


@dataclass(frozen=True)
class RmsNormSum(Op):
    """y[r] = rms_norm(x[r]) * x_weight + rms_norm(z[r]) * z_weight."""

    x: Tensor
    x_weight: Vector
    z: Tensor
    z_weight: Vector
    y: Tensor
    eps: float


@dataclass(frozen=True)
class PerLayerInput(Op):
    """y[r, l] = (rms_norm(scale * projected[r, l]) * weight + embedded[r, l]) / sqrt(2).

    Attributes:
        projected: [rows, layers, columns] float32.
        embedded: [rows, layers, columns] float32.
        weight: of the norm, [columns].
        y: like `projected`.
        eps: of the norm.
        scale: of the projection.
    """

    projected: Tensor
    embedded: Tensor
    weight: Vector
    y: Tensor
    eps: float
    scale: float


@dataclass(frozen=True)
class TakeLastRow(Op):
    """y[0] = x[rows - 1], [rows, columns] float32."""

    x: Tensor
    y: Tensor
