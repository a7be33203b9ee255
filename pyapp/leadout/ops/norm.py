"""Norms, residuals, and what is done element by element."""

from __future__ import annotations

from leadout.layouts import Vector
from leadout.ops.grid import FLOAT_BYTES, ceil
from leadout.plan import BINDING_ALIGNMENT_BYTES, Binding, PlanBuilder


def rms_norm(
    b: PlanBuilder,
    x: Binding,
    weight: Vector,
    y: Binding,
    rows: int,
    eps: float,
    label: str,
    scale: float = 1.0,
) -> None:
    """y[r] = scale * rms_norm(x[r]) * weight."""
    constants = {"D": weight.length, "EPS": eps, "SCALE": scale}
    b.dispatch("rms_norm", constants, [x, weight.binding, y], (rows, 1, 1), label)


def add_rms_norm(
    b: PlanBuilder,
    x: Binding,
    post: Vector,
    following: Vector | None,
    h: Binding,
    y: Binding,
    rows: int,
    eps: float,
    label: str,
    scalar: Vector | None = None,
) -> None:
    """h[r] = (h[r] + rms_norm(x[r]) * post) * scalar; y[r] = rms_norm(h[r]) * following.

    Args:
        b: gets the dispatch.
        x: [rows, D] float32.
        post: weight of the norm behind attention or MLP.
        following: weight of the norm before what comes next; None: h alone is wanted.
        h: [rows, D] float32, the residual stream.
        y: [rows, D] float32; not written without `following`.
        rows: how many.
        eps: of both norms.
        label: for profiles.
        scalar: one factor for the whole stream, or None.
    """
    bindings = [x, post.binding, h]
    if scalar is not None:
        bindings.append(scalar.binding)
    if following is not None:
        bindings += [following.binding, y]
    variant = ("norm" if following else "none") + (".scaled" if scalar else ".plain")
    constants = {"D": post.length, "EPS": eps}
    b.dispatch(f"add_rms_norm.{variant}", constants, bindings, (rows, 1, 1), label)


def per_layer_input(
    b: PlanBuilder,
    projected: Binding,
    embedded: Binding,
    weight: Vector,
    y: Binding,
    rows: int,
    num_layers: int,
    eps: float,
    scale: float,
    label: str,
) -> None:
    """y[r, l] = (rms_norm(scale * projected[r, l]) * weight + embedded[r, l]) / sqrt(2)."""
    b.dispatch(
        "per_layer_input",
        {"D": weight.length, "EPS": eps, "SCALE": scale},
        [projected, embedded, weight.binding, y],
        (num_layers, rows, 1),
        label,
    )


def gelu_times(
    b: PlanBuilder,
    x: Binding,
    factors: Binding,
    y: Binding,
    rows: int,
    size: int,
    stride: int,
    offset: int,
    label: str,
) -> None:
    """y[r] = gelu(x[r]) * factors[r, offset : offset + size]."""
    # Most of the offset goes into the binding, so that layers share a pipeline.
    skipped = FLOAT_BYTES * offset // BINDING_ALIGNMENT_BYTES * BINDING_ALIGNMENT_BYTES
    factors = Binding(factors.buffer, factors.offset + skipped, factors.bytes - skipped)
    b.dispatch(
        "gelu_times",
        {"N": size, "STRIDE": stride, "OFFSET": offset - skipped // FLOAT_BYTES},
        [x, factors, y],
        (ceil(size, 64), rows, 1),
        label,
    )


def take_last_row(b: PlanBuilder, x: Binding, columns: int, y: Binding, label: str) -> None:
    """y[0] = the last row of x, [rows, columns] float32."""
    b.dispatch("take_last_row", {"D": columns}, [x, y], (ceil(columns, 256), 1, 1), label)
