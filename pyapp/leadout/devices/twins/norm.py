"""Twins of rms_norm, add_rms_norm, per_layer_input and take_last_row."""

from __future__ import annotations

import numpy as np

from leadout.devices.twins import Call, Floats, twin


def normalize(x: Floats, eps: float) -> Floats:
    """Return x / sqrt(mean(x^2) + eps) along the last axis."""
    mean = np.mean(x * x, axis=-1, keepdims=True, dtype=np.float32)
    return np.asarray(x / np.sqrt(mean + np.float32(eps)), np.float32)


@twin
def rms_norm(call: Call) -> None:
    """y = rms_norm(x) * weight."""
    size = call.integer("D")
    x = call.floats(0).reshape(-1, size)
    scale = np.float32(call.constants.get("SCALE", 1.0))
    y = scale * normalize(x, call.number("EPS")) * call.floats(1)[:size]
    call.floats(2)[: y.size] = y.ravel()


@twin
def add_rms_norm(call: Call) -> None:
    """h = (h + rms_norm(x) * post_weight) * scalar; y = rms_norm(h) * next_weight."""
    following, scaling = call.args
    size, eps = call.integer("D"), call.number("EPS")
    x = call.floats(0).reshape(-1, size)
    h = call.floats(2)[: x.size].reshape(-1, size)
    h += normalize(x, eps) * call.floats(1)[:size]
    if scaling == "scaled":
        h *= call.floats(3)[0]
    if following == "norm":
        weight = call.floats(-2)[:size]
        call.floats(-1)[: h.size] = (normalize(h, eps) * weight).ravel()


@twin
def per_layer_input(call: Call) -> None:
    """y = (rms_norm(SCALE * projected) * weight + embedded) / sqrt(2)."""
    size, scale = call.integer("D"), np.float32(call.number("SCALE"))
    projected = scale * call.floats(0).reshape(-1, size)
    embedded = call.floats(1)[: projected.size].reshape(-1, size)
    y = normalize(projected, call.number("EPS")) * call.floats(2)[:size] + embedded
    call.floats(3)[: y.size] = (y * np.float32(0.5**0.5)).ravel()


@twin
def take_last_row(call: Call) -> None:
    """y[0] = the last row of x."""
    size = call.integer("D")
    call.floats(1)[:size] = call.floats(0)[-size:]
