"""A checkpoint's blocks into the layouts of layouts.py: what web/kernels/repack_*.wgsl write.

The blocks are those of ggml-common.h in ggml-org/ggml; `_BLOCKS` and `_SUPER_BLOCKS` below are
their structs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from leadout.checkpoint.load_plan import PARAMS_BYTES
from leadout.devices.numpy_ops import Words

_Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Call:
    """One step of a LoadPlan.

    Attributes:
        args: the variant's values behind the kernel's name.
        constants: the pipeline's `override` constants.
        bindings: the staging buffer and the planes, as writable words.
    """

    args: tuple[str, ...]
    constants: Mapping[str, int | float]
    bindings: list[Words]


Repacker: TypeAlias = Callable[[Call], None]

#: By the name of the kernel.
REPACKERS: dict[str, Repacker] = {}


def repacker(function: Repacker) -> Repacker:
    """Register a function under the name of the kernel whose work it does."""
    REPACKERS[function.__name__] = function
    return function


_FOUR = np.uint8(4)
_NIBBLE = np.uint8(15)

_BLOCKS = {
    "q4_0": np.dtype([("d", "<u2"), ("quants", "u1", 16)]),
    "q4_1": np.dtype([("dm", "<u4"), ("quants", "u1", 16)]),
    "q5_0": np.dtype([("d", "<u2"), ("fifths", "u1", 4), ("quants", "u1", 16)]),
    "q5_1": np.dtype([("dm", "<u4"), ("fifths", "u1", 4), ("quants", "u1", 16)]),
    "q8_0": np.dtype([("d", "<u2"), ("quants", "u1", 32)]),
}

_SUPER_BLOCKS = {
    "q4_k": np.dtype([("super", "<u4"), ("scales", "u1", (3, 4)), ("quants", "u1", (4, 32))]),
    "q5_k": np.dtype(
        [
            ("super", "<u4"),
            ("scales", "u1", (3, 4)),
            ("fifths", "u1", (1, 32)),
            ("quants", "u1", (4, 32)),
        ]
    ),
    "q6_k": np.dtype(
        [
            ("quants", "u1", (2, 2, 32)),
            ("high", "u1", (2, 1, 32)),
            ("scales", "u1", 16),
            ("super", "<u2"),
        ]
    ),
}


@repacker
def repack_blocks(call: Call) -> None:
    """Repack Q4_0, Q4_1, Q5_0, Q5_1 or Q8_0 blocks."""
    (name,) = call.args
    staging, quants, scales = call.bindings
    count, first = int(staging[0]), int(staging[1])
    raw = _payload(staging, _BLOCKS[name], count)
    if name.endswith("_1"):
        scales[first : first + count] = raw["dm"]
    else:
        # A thread writes two scales as one word, an unused second one as zero.
        pairs = np.zeros(count + count % 2, np.uint16)
        pairs[:count] = raw["d"]
        scales.view(np.uint16)[first : first + len(pairs)] = pairs
    packed: _Bytes = raw["quants"]
    if name.startswith("q5"):
        bits = np.unpackbits(raw["fifths"], axis=-1, bitorder="little")
        packed = _nibbles(packed).reshape(count, 32) | (bits << _FOUR)
        # What the layout adds is taken off; wraps round to the signed byte.
        packed = packed - np.uint8(16 if name == "q5_0" else 128)
    _write_blocks(quants, first, packed)


@repacker
def repack_super(call: Call) -> None:
    """Repack Q4_K, Q5_K or Q6_K super-blocks."""
    (name,) = call.args
    staging, quants, scales, supers = call.bindings
    count, first = int(staging[0]), int(staging[1])
    raw = _payload(staging, _SUPER_BLOCKS[name], count // 8)
    supers[first // 8 : (first + count) // 8] = raw["super"]
    if name == "q6_k":
        packed = _six_bit_quants(raw["quants"], raw["high"])
        pairs: _Bytes = raw["scales"]
    else:
        q = _nibbles(raw["quants"]).reshape(-1, 8, 32)
        if name == "q4_k":
            packed = q[..., :16] | (q[..., 16:] << _FOUR)
        else:
            packed = q | (_bit_fields(raw["fifths"], 1) << _FOUR)
        pairs = _six_bit_scales(raw["scales"])
    _write_blocks(quants, first, packed.reshape(count, -1))
    _write_blocks(scales, first, pairs.reshape(count, 2))


@repacker
def repack_mlx_quants(call: Call) -> None:
    """Repack MLX's quants of 4 or 8 bits."""
    (bits,) = call.args
    staging, quants = call.bindings
    count, first = int(staging[0]), int(staging[1])
    raw: _Bytes = _payload(staging, np.dtype("u1"), 4 * int(bits) * count).reshape(count, -1)
    if bits == "8":
        packed = raw - np.uint8(128)  # wraps round to the signed byte
    else:
        columns = np.stack([raw & _NIBBLE, raw >> _FOUR], axis=-1).reshape(count, 32)
        packed = columns[:, :16] | (columns[:, 16:] << _FOUR)
    _write_blocks(quants, first, packed)


@repacker
def repack_mlx_scales(call: Call) -> None:
    """Repeat MLX's scales, or its biases, for every block of their group."""
    staging, scales = call.bindings
    repeats, high = int(call.constants["BLOCKS_PER_GROUP"]), int(call.constants["SHIFT"]) // 16
    count, first = int(staging[0]), int(staging[1])
    groups = _payload(staging, np.dtype("<u2"), count // repeats)
    halves = scales.view(np.uint16).reshape(-1, 2)
    halves[first : first + count, high] = groups.repeat(repeats)


@repacker
def repack_float(call: Call) -> None:
    """Copy F32, F16 or BF16 values."""
    staging, values = call.bindings
    words = 4 * int(call.constants["VEC4S_PER_BLOCK"])
    count, first = int(staging[0]), int(staging[1])
    payload = staging[PARAMS_BYTES // 4 :]
    values[first * words : (first + count) * words] = payload[: count * words]


@repacker
def repack_vector(call: Call) -> None:
    """Widen F32, F16 or BF16 values to float32 and add a constant."""
    (name,) = call.args
    staging, values = call.bindings
    count, first = int(staging[0]), int(staging[1])
    if name == "bf16":
        bits = _payload(staging, np.dtype("<u2"), count)
        source = (bits.astype(np.uint32) << 16).view(np.float32)
    else:
        source = _payload(staging, np.dtype({"f32": "<f4", "f16": "<f2"}[name]), count)
    widened = source.astype(np.float32)
    if add := float(call.constants["ADD"]):
        widened += np.float32(add)
    values.view(np.float32)[first : first + count] = widened


def _payload(staging: Words, dtype: npt.DTypeLike, count: int) -> npt.NDArray[Any]:
    """Return the first `count` values or structs behind the parameters."""
    return np.frombuffer(staging.view(np.uint8), dtype, count, PARAMS_BYTES)


def _write_blocks(plane: Words, first: int, blocks: _Bytes) -> None:
    """Write [num_blocks, bytes of one], from block `first` of a plane on."""
    num_bytes = blocks.shape[-1]
    plane.view(np.uint8)[first * num_bytes :][: blocks.size] = blocks.reshape(-1)


def _nibbles(packed: _Bytes) -> _Bytes:
    """Split [..., n] bytes into [..., 2, n]: the low nibbles, then the high ones."""
    return np.stack([packed & _NIBBLE, packed >> _FOUR], axis=-2)


def _bit_fields(packed: _Bytes, bits: int) -> _Bytes:
    """Split [..., 1, n] bytes into [..., 8 / bits, n] fields, the lowest first."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)[:, np.newaxis]
    fields: _Bytes = (packed >> shifts) & np.uint8((1 << bits) - 1)
    return fields


def _six_bit_quants(packed: _Bytes, high: _Bytes) -> _Bytes:
    """Return Q6_K's [n, 8, 32] signed quants.

    Args:
        packed: [n, 2, 2, 32]. Each half of a super-block has the nibbles of its first two blocks
            in the low halves of its bytes, those of the other two in the high halves.
        high: [n, 2, 1, 32], the upper two bits of each half's four blocks in turn.
    """
    low = np.stack([packed & _NIBBLE, packed >> _FOUR], axis=2).reshape(-1, 8, 32)
    q: _Bytes = low | (_bit_fields(high, 2).reshape(-1, 8, 32) << _FOUR)
    q -= np.uint8(32)  # wraps round to the signed byte
    return q


def _six_bit_scales(packed: _Bytes) -> _Bytes:
    """Return the (s, m) of the 8 blocks of each super-block, [n, 8, 2].

    Args:
        packed: [n, 3, 4]. The first row's low six bits are s of blocks 0..3, the second's m.
            Blocks 4..7 have the low four bits of both in the third row, and the upper two in
            the top bits of the first and the second.
    """
    s, m, low = packed[:, 0], packed[:, 1], packed[:, 2]
    pairs = np.empty((len(packed), 8, 2), np.uint8)
    pairs[:, :4, 0] = s & 63
    pairs[:, :4, 1] = m & 63
    pairs[:, 4:, 0] = (s >> 6 << 4) | (low & 15)
    pairs[:, 4:, 1] = (m >> 6 << 4) | (low >> 4)
    return pairs
