"""Raw tensor bytes of every format, for the tests of repacking."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from leadout.layouts import BLOCK, FORMATS, LAYOUTS, Layout
from leadout.plan import Pipeline

Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint32]

#: The formats whose tensors are one run of blocks: all but MLX's.
WHOLE_FORMATS = [name for name, known in FORMATS.items() if len(known.parts) == 1]

#: Where a raw block has halves that scale it.
SCALE_OFFSETS = {
    "Q4_0": (0,),
    "Q4_1": (0, 2),
    "Q5_0": (0,),
    "Q5_1": (0, 2),
    "Q8_0": (0,),
    "Q4_K": (0, 2),
    "Q5_K": (0, 2),
    "Q6_K": (208,),
}

#: ±0, the smallest and largest denormals, the smallest normal, ±1, the largest finite halves.
EDGE_HALVES = (
    *(0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x83FF),
    *(0x0400, 0x3C00, 0xBC00, 0x7BFF, 0xFBFF),
)

NON_FINITE_HALVES = (0x7C00, 0xFC00, 0x7E00)

#: What outputs hold beforehand.
POISON = 0xDEADBEEF


def raw_blocks(format_name: str, num_columns: int, seed: int = 0) -> Bytes:
    """Return random bytes of a tensor of so many columns, with finite scales, edge cases first.

    The first blocks have quants of all zero bits, the next of all one bits, each under every edge
    scale; all bit patterns of the packed 6-bit scales are as likely as each other.
    """
    known = FORMATS[format_name]
    num_blocks = num_columns // known.columns
    rng = np.random.default_rng(seed)
    if known.columns == 1:
        values = rng.standard_normal(num_columns).astype(np.float32)
        if format_name == "F16":
            halves = values.astype(np.float16)
            halves.view(np.uint16)[: len(EDGE_HALVES)] = EDGE_HALVES[:num_columns]
            return halves.view(np.uint8)
        if format_name == "BF16":
            return (values.view(np.uint32) >> 16).astype(np.uint16).view(np.uint8)
        return values.view(np.uint8)
    blocks = rng.integers(0, 256, (num_blocks, known.bytes), np.uint8)
    edges = len(EDGE_HALVES)
    blocks[:edges] = 0x00
    blocks[edges : 2 * edges] = 0xFF
    for offset in SCALE_OFFSETS[format_name]:
        halves = rng.normal(0, 0.01, num_blocks).astype(np.float16).view(np.uint16)
        known_halves = np.roll(EDGE_HALVES * 2, offset)[:num_blocks]
        halves[: len(known_halves)] = known_halves
        blocks[:, offset : offset + 2] = halves[:, np.newaxis].view(np.uint8)
    return blocks.reshape(-1)


def staging(payload: Bytes, *params: int) -> Words:
    """Return the staging buffer of one load step, with nothing behind the payload's last word."""
    words = np.zeros(4 + -(-len(payload) // 4), np.uint32)
    words[: len(params)] = params
    words.view(np.uint8)[16:][: len(payload)] = payload
    return words


def poisoned_planes(layout: Layout, num_blocks: int) -> list[Words]:
    """Return planes of exactly so many blocks, filled with POISON."""
    return [np.full(plane.bytes(num_blocks) // 4, POISON, np.uint32) for plane in layout.planes]


def repack_call(
    format_name: str, payload: Bytes, first_block: int, planes: list[Words]
) -> tuple[Pipeline, list[Words], tuple[int, int, int]]:
    """Return the pipeline, bindings and grid of one repacking step."""
    known = FORMATS[format_name]
    num_blocks = len(payload) // known.bytes * known.columns // BLOCK
    bindings = [staging(payload, num_blocks, first_block), *planes]
    return known.repack, bindings, (-(-num_blocks // 128), 1, 1)


def layout_of(format_name: str) -> Layout:
    """Return the layout that a format becomes."""
    return LAYOUTS[FORMATS[format_name].layout]
