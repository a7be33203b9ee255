"""How weights lie in device memory.

A matrix [num_rows, num_cols] is stored row by row in blocks of 32 columns, split into *planes*,
each bound on its own: quantised values in one, their scales in others, so that lanes read whole
vec4<u32>s. Every layout holds its source formats exactly: scales keep their f16 bits, and the
two-level scales of the K formats stay two-level.

Keep in step with web/kernels/shared/weights.wgsl (reading), web/kernels/repack_*.wgsl (writing) and
devices/numpy_ops (both); tests/kernels compares them.

Planes, per block b (= row * num_cols / 32 + column / 32), all little-endian:

    f32            [values: 32 words]
    f16, bf16      [values: 16 words, column 2i in the low half of word i]
    q4_*           [quants: 4 words; byte i of the 16 holds column i in its low nibble and column
                   i + 16 in its high one, unsigned 0..15]
    q8_*           [quants: 8 words; byte i is column i, signed; -128..127 in q8_scale, -32..31 in
                   q8_super16, 0..31 in the others, on which reading them relies]

    *_scale        [scale: 1 half per block, block 2i in the low half of word i]   w = d * q
                   (q4_scale: w = d * (q - 8))
    *_affine       [scale: 1 word per block, d in the low half, m in the high]     w = d * q + m
    *_super        [scale: 1 half per block, unsigned bytes (s, m), low byte first]
                   [super: 1 word per 8 blocks, d low, dmin high]    w = d * s * q - dmin * m
    q8_super16     [scale: 1 half per block, signed bytes: s for columns 0..15, then 16..31]
                   [super: 1 word per 8 blocks, d in the low half]   w = d * s * q

An unused half in a plane's last word is zero. Infinities and NaNs in a checkpoint's scales stay
what they are. `FORMATS` says which format of a checkpoint becomes which layout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from leadout.plan import Binding, Pipeline

#: Columns in a block; num_cols of every matrix is a multiple of it.
BLOCK = 32


@dataclass(frozen=True)
class Plane:
    """One plane of a layout: its name and its size in 32-bit words per block."""

    name: str
    words_per_block: Fraction

    def bytes(self, num_blocks: int) -> int:
        """Return the plane's size for so many blocks, in bytes, a whole number of words."""
        return 4 * -(-num_blocks * self.words_per_block // 1)


@dataclass(frozen=True)
class Layout:
    """A layout: its planes, in binding order; see the module's docstring."""

    name: str
    planes: tuple[Plane, ...]

    def bytes(self, num_rows: int, num_cols: int) -> int:
        """Return the size of a matrix in all planes together, in bytes."""
        return sum(plane.bytes(num_rows * num_cols // BLOCK) for plane in self.planes)


def _layout(name: str, **planes: Fraction | int) -> Layout:
    return Layout(name, tuple(Plane(key, Fraction(words)) for key, words in planes.items()))


_HALF = Fraction(1, 2)
_EIGHTH = Fraction(1, 8)

LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        _layout("f32", values=32),
        _layout("f16", values=16),
        _layout("bf16", values=16),
        _layout("q4_scale", quants=4, scale=_HALF),
        _layout("q4_affine", quants=4, scale=1),
        _layout("q4_super", quants=4, scale=_HALF, super=_EIGHTH),
        _layout("q8_scale", quants=8, scale=_HALF),
        _layout("q8_affine", quants=8, scale=1),
        _layout("q8_super", quants=8, scale=_HALF, super=_EIGHTH),
        _layout("q8_super16", quants=8, scale=_HALF, super=_EIGHTH),
    )
}


@dataclass(frozen=True)
class Format:
    """How a checkpoint stores a tensor's values, row by row.

    Attributes:
        columns: values in one block of the format; a row is a whole number of blocks.
        bytes: the block's size.
        layout: what it becomes on a device.
        repack: the pipeline that writes that layout.
    """

    columns: int
    bytes: int
    layout: str
    repack: Pipeline


def _copied(num_bytes: int, layout: str) -> Format:
    vec4s = BLOCK * num_bytes // 16
    return Format(1, num_bytes, layout, Pipeline("repack_float", {"VEC4S_PER_BLOCK": vec4s}))


#: Every tensor format that Leadout reads, by GGUF's name (safetensors shares the first three).
#: Block sizes: ggml-common.h of ggml-org/ggml.
FORMATS: dict[str, Format] = {
    "F32": _copied(4, "f32"),
    "F16": _copied(2, "f16"),
    "BF16": _copied(2, "bf16"),
    "Q4_0": Format(32, 18, "q4_scale", Pipeline("repack_blocks.q4_0")),
    "Q4_1": Format(32, 20, "q4_affine", Pipeline("repack_blocks.q4_1")),
    "Q5_0": Format(32, 22, "q8_scale", Pipeline("repack_blocks.q5_0")),
    "Q5_1": Format(32, 24, "q8_affine", Pipeline("repack_blocks.q5_1")),
    "Q8_0": Format(32, 34, "q8_scale", Pipeline("repack_blocks.q8_0")),
    "Q4_K": Format(256, 144, "q4_super", Pipeline("repack_super.q4_k")),
    "Q5_K": Format(256, 176, "q8_super", Pipeline("repack_super.q5_k")),
    "Q6_K": Format(256, 210, "q8_super16", Pipeline("repack_super.q6_k")),
}

#: Tensor format in a checkpoint -> layout in memory.
LAYOUT_OF_FORMAT: dict[str, str] = {name: known.layout for name, known in FORMATS.items()}


@dataclass(frozen=True)
class Shard:
    """A run of a matrix's rows in a buffer of its own, every plane small enough to bind.

    Every shard but a matrix's last has an even number of rows.

    Attributes:
        row_start: the matrix's row that is the shard's first.
        num_rows: how many.
        planes: one binding per plane of the layout.
    """

    row_start: int
    num_rows: int
    planes: tuple[Binding, ...]


@dataclass(frozen=True)
class Matrix:
    """A weight matrix on a device: y = W x, W [num_rows, num_cols]."""

    name: str
    num_rows: int
    num_cols: int
    layout: str
    shards: Sequence[Shard]


@dataclass(frozen=True)
class Vector:
    """A float32 vector on a device, such as a norm's weight."""

    name: str
    length: int
    binding: Binding
