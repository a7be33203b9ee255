"""How weights lie in device memory.

A matrix [num_rows, num_cols] is stored row by row in blocks of 32 columns, split into *planes*,
each bound on its own: quantised values in one, their scales in others, so that lanes read whole
vec4<u32>s. Every layout holds its source formats exactly: scales keep their f16 or bf16 bits, and
the two-level scales of the K formats stay two-level. MLX's groups of 64 or 128 columns become two
or four blocks with the same scale.

A `Layout` says all that tells one from another. Whoever reads weights goes by its fields: the
templates of kernels, which have it as `layout`, and devices/numpy_ops. Nobody takes a name apart.

Keep in step with web/kernels/shared/planes.wgsl, weights.wgsl and quarters.wgsl (reading),
web/kernels/repack_*.wgsl (writing) and devices/numpy_ops (both); tests/kernels compares them.

Planes, per block b (= row * num_cols / 32 + column / 32), all little-endian. Values, by `bits`:

    32       [values: 32 words]
    16       [values: 16 words, column 2i in the low half of word i]
    8        [quants: 8 words; byte i is column i, signed]
    4        [quants: 4 words; byte i of the 16 holds column i in its low nibble and column i + 16
             in its high one, unsigned]

Scales of quants, by `scaling`; q is a quant minus `zero`, and d, m and dmin are of type `floats`:

    scale    [scale: 1 half per block, block 2i in the low half of word i]   w = d * q
    affine   [scale: 1 word per block, d in the low half, m in the high]     w = d * q + m
    super    [scale: 1 half per block, unsigned bytes (s, m), low byte first]
             [super: 1 word per 8 blocks, d low, dmin high]    w = d * s * q - dmin * m
    super16  [scale: 1 half per block, signed bytes: s for columns 0..15, then 16..31]
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


_HALF = Fraction(1, 2)
_EIGHTH = Fraction(1, 8)

#: Scaling -> its planes, which follow that of the values.
_SCALE_PLANES = {
    "none": (),
    "scale": (Plane("scale", _HALF),),
    "affine": (Plane("scale", Fraction(1)),),
    "super": (Plane("scale", _HALF), Plane("super", _EIGHTH)),
    "super16": (Plane("scale", _HALF), Plane("super", _EIGHTH)),
}


@dataclass(frozen=True)
class Layout:
    """A layout; the module's docstring says what its fields mean in memory.

    Attributes:
        name: what Plans and variants call it.
        bits: of a stored value: 32 or 16 where these are floats, 8 or 4 where they are quants.
        floats: "f32", "f16" or "bf16": the type of the values or, where these are quants, of what
            scales them.
        scaling: "none" (the values are floats), "scale", "affine", "super" or "super16".
        quants: what stored quants may be, on which reading relies.
        zero: taken off a stored quant before it is scaled; where there is an offset, the least
            quant, so that what is scaled is 0 or more.
    """

    name: str
    bits: int
    floats: str
    scaling: str = "none"
    quants: range = range(0)
    zero: int = 0

    @property
    def is_quantised(self) -> bool:
        """Whether values are quants under scales."""
        return self.scaling != "none"

    @property
    def has_offset(self) -> bool:
        """Whether something is added to scaled quants."""
        return self.scaling in ("affine", "super")

    @property
    def planes(self) -> tuple[Plane, ...]:
        """The planes, in binding order."""
        values = Plane("quants" if self.is_quantised else "values", Fraction(self.bits))
        return (values, *_SCALE_PLANES[self.scaling])

    @property
    def unit_columns(self) -> int:
        """Columns in 16 bytes of the values."""
        return 128 // self.bits

    def bytes(self, num_rows: int, num_cols: int) -> int:
        """Return the size of a matrix in all planes together, in bytes."""
        return sum(plane.bytes(num_rows * num_cols // BLOCK) for plane in self.planes)


_NIBBLES, _SIGNED_BYTES = range(16), range(-128, 128)

LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout("f32", 32, "f32"),
        Layout("f16", 16, "f16"),
        Layout("bf16", 16, "bf16"),
        Layout("q4_scale", 4, "f16", "scale", _NIBBLES, zero=8),
        Layout("q4_affine", 4, "f16", "affine", _NIBBLES),
        Layout("q4_affine_bf16", 4, "bf16", "affine", _NIBBLES),
        Layout("q4_super", 4, "f16", "super", _NIBBLES),
        Layout("q8_scale", 8, "f16", "scale", _SIGNED_BYTES),
        Layout("q8_affine", 8, "f16", "affine", _SIGNED_BYTES, zero=-128),
        Layout("q8_affine_bf16", 8, "bf16", "affine", _SIGNED_BYTES, zero=-128),
        Layout("q8_super", 8, "f16", "super", range(32)),
        Layout("q8_super16", 8, "f16", "super16", range(-32, 32)),
    )
}


@dataclass(frozen=True)
class Exponents:
    """Where a block of a checkpoint has the exponents of its floats; integers are always finite.

    Attributes:
        words: which 16-bit words of the block hold one.
        mask: its bits in such a word; all are set in an infinity or a NaN.
    """

    words: tuple[int, ...]
    mask: int


_F16, _BF16 = 0x7C00, 0x7F80

_NONE = Exponents((), 0)
_SCALE = Exponents((0,), _F16)
_TWO_SCALES = Exponents((0, 1), _F16)


@dataclass(frozen=True)
class Part:
    """One run of a tensor's bytes: all of it, or what MLX stores as a tensor of its own.

    Attributes:
        columns: values in one block of it; a row is a whole number of blocks.
        bytes: the block's size.
        repack: the pipeline that writes it into the layout.
        exponents: of the floats in a block.
        plane: index of the one plane that it writes; None is all of them.
    """

    columns: int
    bytes: int
    repack: Pipeline
    exponents: Exponents
    plane: int | None = None


@dataclass(frozen=True)
class Format:
    """How a checkpoint stores a tensor's values, row by row.

    Attributes:
        layout: what it becomes on a device.
        parts: each a run of bytes; all but MLX's formats have one.
    """

    layout: str
    parts: tuple[Part, ...]

    @property
    def columns(self) -> int:
        """Values in one block; a row is a whole number of blocks."""
        return self.parts[0].columns

    @property
    def bytes(self) -> int:
        """The block's size, in the first part."""
        return self.parts[0].bytes

    @property
    def repack(self) -> Pipeline:
        """The pipeline that writes the first part into the layout."""
        return self.parts[0].repack


def _whole(
    columns: int, num_bytes: int, layout: str, repack: str, exponents: Exponents = _SCALE
) -> Format:
    return Format(layout, (Part(columns, num_bytes, Pipeline(repack), exponents),))


def _copied(num_bytes: int, layout: str, exponents: Exponents) -> Format:
    pipeline = Pipeline("repack_float", {"VEC4S_PER_BLOCK": BLOCK * num_bytes // 16})
    return Format(layout, (Part(1, num_bytes, pipeline, exponents),))


#: What MLX may be asked for, and Leadout reads.
MLX_BITS = (4, 8)
MLX_GROUPS = (32, 64, 128)
MLX_SCALES = ("F16", "BF16")


def mlx_format(bits: int, group_size: int, scales: str) -> str:
    """Return the name of a format of MLX's: `group_size` columns share a scale and a bias."""
    return f"MLX_Q{bits}_G{group_size}_{scales}"


def _mlx(bits: int, group_size: int, scales: str) -> Format:
    def halves(shift: int) -> Part:
        constants = {"BLOCKS_PER_GROUP": group_size // BLOCK, "SHIFT": shift}
        exponents = Exponents((0,), _BF16 if scales == "BF16" else _F16)
        return Part(group_size, 2, Pipeline("repack_mlx_scales", constants), exponents, plane=1)

    repack = Pipeline(f"repack_mlx_quants.{bits}")
    quants = Part(group_size, group_size * bits // 8, repack, _NONE, plane=0)
    return Format(
        f"q{bits}_affine" + ("_bf16" if scales == "BF16" else ""), (quants, halves(0), halves(16))
    )


#: Every tensor format that Leadout reads, by GGUF's name (safetensors shares the first three).
#: Block sizes: ggml-common.h of ggml-org/ggml. MLX's have three parts: quants, scales, biases.
FORMATS: dict[str, Format] = {
    # A float32's upper half has bfloat16's exponent.
    "F32": _copied(4, "f32", Exponents((1,), _BF16)),
    "F16": _copied(2, "f16", Exponents((0,), _F16)),
    "BF16": _copied(2, "bf16", Exponents((0,), _BF16)),
    "Q4_0": _whole(32, 18, "q4_scale", "repack_blocks.q4_0"),
    "Q4_1": _whole(32, 20, "q4_affine", "repack_blocks.q4_1", _TWO_SCALES),
    "Q5_0": _whole(32, 22, "q8_scale", "repack_blocks.q5_0"),
    "Q5_1": _whole(32, 24, "q8_affine", "repack_blocks.q5_1", _TWO_SCALES),
    "Q8_0": _whole(32, 34, "q8_scale", "repack_blocks.q8_0"),
    "Q4_K": _whole(256, 144, "q4_super", "repack_super.q4_k", _TWO_SCALES),
    "Q5_K": _whole(256, 176, "q8_super", "repack_super.q5_k", _TWO_SCALES),
    "Q6_K": _whole(256, 210, "q8_super16", "repack_super.q6_k", Exponents((104,), _F16)),
    **{
        mlx_format(bits, group_size, scales): _mlx(bits, group_size, scales)
        for bits in MLX_BITS
        for group_size in MLX_GROUPS
        for scales in MLX_SCALES
    },
}

#: The formats, as a message names them.
READABLE = (
    *(name for name, known in FORMATS.items() if len(known.parts) == 1),
    "MLX's of 4 and 8 bits",
)

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
