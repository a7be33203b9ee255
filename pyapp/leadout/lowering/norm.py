"""Kernels for norms and residuals."""

from __future__ import annotations

import struct

from leadout import ops
from leadout.lowering.builder import Bound, PlanBuilder
from leadout.lowering.kernel import kernel
from leadout.ops import Tensor

#: Layout of the struct in web/kernels/shared/norm_shape.wgsl; keep in step.
_SHAPE = struct.Struct("<Iff")


@kernel(ops.RmsNorm)
def rms_norm(b: PlanBuilder, op: ops.RmsNorm) -> None:
    """A workgroup a row."""
    emit_norm(b, op)


def emit_norm(
    b: PlanBuilder, op: ops.RmsNorm, packed: Tensor | None = None, *, is_plain: bool = True
) -> None:
    """Append a norm; its output is packed if there is memory for it, and plain if it is wanted."""
    columns = op.weight.length
    bindings: list[Bound] = [op.x, op.weight.binding, *_outputs(op.y, packed, is_plain)]
    grid = (op.x.shape[0], 1, 1)
    if b.caps.is_software and packed is None:
        shape = b.uniform(_SHAPE.pack(columns, op.eps, op.scale))
        b.dispatch("solo_rms_norm", [*bindings, shape], grid, op.label)
        return
    constants = {"D": columns, "EPS": op.eps, "SCALE": op.scale}
    b.dispatch(f"rms_norm.{_output(packed, is_plain)}", bindings, grid, op.label, constants)


@kernel(
    ops.AddNorm,
    ops.RmsNorm,
    when=lambda run: (
        run.feeds(0, "h_out", 1, "x") and run.feeds(0, "eps", 1, "eps") and run.ops[1].scale == 1.0
    ),
)
def add_rms_norm(b: PlanBuilder, add: ops.AddNorm, norm: ops.RmsNorm) -> None:
    """The end of half a layer, and the norm that the next one begins with."""
    emit_add_norm(b, add, norm)


@kernel(ops.AddNorm)
def add_norm(b: PlanBuilder, add: ops.AddNorm) -> None:
    """The end of half a layer."""
    emit_add_norm(b, add, None)


def _output(packed: Tensor | None, is_plain: bool) -> str:
    if packed is None:
        return "norm"
    return "both" if is_plain else "packed"


def _outputs(y: Tensor, packed: Tensor | None, is_plain: bool) -> list[Bound]:
    outputs: list[Bound] = [y] if is_plain or packed is None else []
    return outputs if packed is None else [*outputs, packed]


def emit_add_norm(
    b: PlanBuilder,
    add: ops.AddNorm,
    norm: ops.RmsNorm | None,
    packed: Tensor | None = None,
    *,
    is_plain: bool = True,
) -> None:
    """Append a residual, and the norm behind it; for its outputs see `emit_norm`."""
    bindings: list[Bound] = [add.x, add.weight.binding, add.h, add.h_out]
    if add.scalar is not None:
        bindings.append(add.scalar.binding)
    if norm is not None:
        bindings += [norm.weight.binding, *_outputs(norm.y, packed, is_plain)]
    following = "none" if norm is None else _output(packed, is_plain)
    form = f"{following}.{'scaled' if add.scalar else 'plain'}"
    columns, grid = add.weight.length, (add.x.shape[0], 1, 1)
    if b.caps.is_software and packed is None:
        shape = b.uniform(_SHAPE.pack(columns, add.eps, 1.0))
        b.dispatch(f"solo_add_norm.{form}", [*bindings, shape], grid, add.label)
        return
    constants = {"D": columns, "EPS": add.eps}
    b.dispatch(f"add_rms_norm.{form}", bindings, grid, add.label, constants)


@kernel(ops.RmsNormSum)
def rms_norm_sum(b: PlanBuilder, op: ops.RmsNormSum) -> None:
    """A workgroup a row."""
    b.dispatch(
        "rms_norm_sum",
        [op.x, op.x_weight.binding, op.z, op.z_weight.binding, op.y],
        (op.x.shape[0], 1, 1),
        op.label,
        {"D": op.x_weight.length, "EPS": op.eps},
    )


@kernel(ops.PerLayerInput)
def per_layer_input(b: PlanBuilder, op: ops.PerLayerInput) -> None:
    """A workgroup a row and layer."""
    rows, layers, size = op.projected.shape
    b.dispatch(
        f"per_layer_input.{b.caps.norm_threads}",
        [op.projected, op.embedded, op.weight.binding, op.y],
        (layers, rows, 1),
        op.label,
        {"D": size, "EPS": op.eps, "SCALE": op.scale},
    )


@kernel(ops.TakeLastRow)
def take_last_row(b: PlanBuilder, op: ops.TakeLastRow) -> None:
    """Copy a row."""
    columns = op.x.shape[1]
    grid = (b.groups("take_last_row", columns // 4), 1, 1)
    b.dispatch("take_last_row", [op.x, op.y], grid, op.label, {"D": columns})
