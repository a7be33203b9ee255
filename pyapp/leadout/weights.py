"""Weights on the device: checked for values that are not numbers, or made up for a shape.

A NaN or an infinity in a checkpoint would turn every later token into noise. It is found once,
after loading. Of quantised matrices only the scales are checked, since quants are always finite.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator
from typing import NamedTuple

from leadout import ops
from leadout.checkpoint.load_plan import LoadPlan
from leadout.devices.base import Device, run_once
from leadout.errors import TensorError
from leadout.layouts import LAYOUTS, Layout
from leadout.ops import ProgramBuilder
from leadout.plan import BINDING_ALIGNMENT_BYTES, Binding


class _Made(NamedTuple):
    """How made-up words of a plane look: `fill`'s keep and set bits."""

    keep: int
    bits: int


#: What is hashed of a word of floats: their mantissas, and their signs where these are not set.
_MANTISSAS = {"f32": 0x007FFFFF, "f16": 0x03FF03FF, "bf16": 0x007F007F}
_SIGNS = {"f32": 0x80000000, "f16": 0x80008000, "bf16": 0x80008000}

#: Scaled by less, a layer's rows would soon be alike and take the same experts; a pass over several
#: rows would then read less than with a real model.
_LAYER_SCALAR, _ONE = "layer_scalar", _Made(0, 0x3F800000)


async def check_weights(device: Device, load_plan: LoadPlan, name: str) -> None:
    """Refuse weights with an infinity or a NaN.

    Args:
        device: has the weights.
        load_plan: what brought them.
        name: the checkpoint's, for the message.

    Raises:
        TensorError: naming the first such tensor.
    """
    p = ProgramBuilder("check-weights")
    places = list(_finite_planes(load_plan))
    words_per_flag = BINDING_ALIGNMENT_BYTES // 4
    flags = p.tensor("weights.flags", len(places), words_per_flag, dtype="u32")
    for i, (label, plane, kind) in enumerate(places):
        offset = BINDING_ALIGNMENT_BYTES * i
        flag = dataclasses.replace(flags, shape=(1,), offset=offset)
        p.add(ops.CheckFinite(label, plane, kind, flag))
    words = await run_once(device, p.build(readback=flags.binding))
    for i, (label, _, _) in enumerate(places):
        if words[i * words_per_flag]:
            raise TensorError(
                f"{name}: {label} holds values that are infinite or not a number; get the "
                "checkpoint again, or another one.",
                tensor=label,
            )


def _finite_planes(load_plan: LoadPlan) -> Iterator[tuple[str, Binding, str]]:
    """Yield (tensor, plane to look at, what its words are), each plane once."""
    for placed in load_plan.placed:
        # A layout's floats are in its last plane.
        yield placed.name, placed.planes[-1], LAYOUTS[placed.layout].floats


async def fill_weights(device: Device, load_plan: LoadPlan) -> None:
    """Make up weights for a LoadPlan without a file: of its layouts, and never extreme."""
    p = ProgramBuilder("fill-weights")
    for seed, placed in enumerate(load_plan.placed, 1):
        layout = LAYOUTS[placed.layout]
        for plane, binding in zip(layout.planes, placed.planes, strict=True):
            is_scalar = plane.name == "values" and placed.name.endswith(_LAYER_SCALAR)
            made = _ONE if is_scalar else _made_up(layout, plane.name)
            name = f"{placed.name}.{plane.name}"
            p.add(ops.Fill(name, binding, seed, made.keep, made.bits))
    await run_once(device, p.build())


def _made_up(layout: Layout, plane: str) -> _Made:
    """Return how words of a layout's plane look, of whatever layout.

    Floats have hashed mantissas, so that they are between a power of two and the next.
    """
    mantissas = _MANTISSAS[layout.floats]
    if plane == "values":
        return _Made(mantissas | _SIGNS[layout.floats], _floats(layout, 2**-7, 2**-7))
    if plane == "quants":
        return _made_up_quants(layout)
    if plane == "super":
        return _Made(mantissas, _floats(layout, 2**-13, 2**-13))
    if layout.scaling == "scale":
        return _Made(mantissas, _floats(layout, 2**-10, 2**-10))
    if layout.scaling == "affine":
        # The offset takes off half of what the largest quant comes to.
        return _Made(mantissas, _floats(layout, 2.0 ** -(6 + layout.bits), -(2**-7)))
    return _Made(0x0F0F0F0F, 0x01010101)


def _made_up_quants(layout: Layout) -> _Made:
    if len(layout.quants) == 1 << layout.bits:
        return _Made(0xFFFFFFFF, 0)
    # Of those that may be negative, two bytes of a word are.
    least, end = layout.quants.start, layout.quants.stop
    return _Made((end - 1) * 0x01010101, (least & 0xFF) * 0x00010001)


def _floats(layout: Layout, low: float, high: float) -> int:
    """Return the word that has two powers of two as halves, or the first one as a float32."""
    if layout.floats == "f16":
        return int.from_bytes(struct.pack("<2e", low, high), "little")
    bits, high_bits = (int.from_bytes(struct.pack("<f", x), "little") for x in (low, high))
    return bits if layout.floats == "f32" else bits >> 16 | high_bits
