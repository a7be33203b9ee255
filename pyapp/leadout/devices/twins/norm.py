"""Twins of rms_norm, add_rms_norm and take_row."""

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
    y = normalize(x, call.number("EPS")) * call.floats(1)[:size]
    call.floats(2)[: y.size] = y.ravel()


@twin
def add_rms_norm(call: Call) -> None:
    """h += rms_norm(x) * post_weight; y = rms_norm(h) * next_weight."""
    size, eps = call.integer("D"), call.number("EPS")
    x = call.floats(0).reshape(-1, size)
    h = call.floats(3)[: x.size].reshape(-1, size)
    h += normalize(x, eps) * call.floats(1)[:size]
    call.floats(4)[: h.size] = (normalize(h, eps) * call.floats(2)[:size]).ravel()


@twin
def take_row(call: Call) -> None:
    """y[0] = x[ROW]."""
    size, row = call.integer("D"), call.integer("ROW")
    call.floats(1)[:size] = call.floats(0)[row * size : (row + 1) * size]
