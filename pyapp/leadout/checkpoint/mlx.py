"""MLX's quantised tensors, as mlx-lm and mlx-vlm write them into safetensors.

A quantised layer X has three tensors in place of one, and config.json says how they are packed:

    X.weight  u32 [..., columns * bits / 32]   a row's values, unsigned, the first lowest
    X.scales  f16 or bf16 [..., columns / group_size]
    X.biases  the same                          w = scale * q + bias

    "quantization": {"group_size": 64, "bits": 4, "mode": "affine",
                     "X": {"group_size": 64, "bits": 8}, "Y": false}

The entries by name override the others; Y is left as it is. A layer is quantised where it has
scales: mlx-lm leaves those alone whose columns are no multiple of the group, and says so nowhere.

Source: ml-explore/mlx (mlx/ops.cpp, `quantize`), ml-explore/mlx-lm (mlx_lm/utils.py).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from leadout.checkpoint.tensors import TensorInfo
from leadout.config.model_types import mlx_quantization
from leadout.errors import CheckpointError, TensorError, UnsupportedFormatError
from leadout.layouts import MLX_BITS, MLX_GROUPS, MLX_SCALES, mlx_format
from leadout.shown import shown

_WEIGHT, _SCALES, _BIASES = ".weight", ".scales", ".biases"

#: What an override means by a number that it leaves out: the defaults of mlx.nn.
_DEFAULTS = {"group_size": 64, "bits": 4}


@dataclass(frozen=True)
class Packing:
    """How a layer is quantised: so many columns share a scale, a value has so many bits."""

    group_size: int
    bits: int


class Quantization:
    """What config.json says of a model's quantisation; looked at where a layer asks for it."""

    def __init__(self, fields: Mapping[str, object]) -> None:
        self._fields = fields

    def of(self, layer: str) -> Packing | None:
        """Return how a layer is quantised, None where it is not.

        Raises:
            UnsupportedFormatError: another mode than "affine", or bits or a group not read.
            CheckpointError: it is malformed.
        """
        entry = self._fields.get(layer, True)
        if entry is False:
            return None
        if entry is True:
            return _packing("quantization", self._fields)
        if not isinstance(entry, dict):
            raise _malformed(f"quantization[{shown(layer)}]", entry)
        return _packing(f"quantization[{shown(layer)}]", _DEFAULTS | entry)


def joined(infos: Sequence[TensorInfo], config: Mapping[str, object]) -> list[TensorInfo]:
    """Return each quantised weight as one tensor, with its scales and biases behind it.

    Args:
        infos: of a checkpoint, by the file's names; those that are not MLX's stay as they are.
        config: the text model's part of config.json.

    Raises:
        UnsupportedFormatError: bits, a group, a mode, or scales of a type that is not read.
        TensorError: a part is missing, or shapes contradict each other or config.json.
        CheckpointError: there are scales, but config.json does not say how they were made.
    """
    fields = mlx_quantization(config)
    quantization = None if fields is None else Quantization(fields)
    by_name = {info.name: info for info in infos}
    layers = [name.removesuffix(_SCALES) for name in by_name if name.endswith(_SCALES)]
    parts = {layer + end for layer in layers for end in (_SCALES, _BIASES)}
    whole = {layer + _WEIGHT: _join(layer, by_name, quantization) for layer in layers}
    return [whole.get(info.name, info) for info in infos if info.name not in parts]


def _join(
    layer: str, by_name: Mapping[str, TensorInfo], quantization: Quantization | None
) -> TensorInfo:
    weight, scales, biases = (by_name.get(layer + end) for end in (_WEIGHT, _SCALES, _BIASES))
    if quantization is None:
        raise CheckpointError(
            f"tensor {shown(layer + _SCALES)} has scales, but config.json has no `quantization` "
            "that says how many bits they are for; take all files from one download",
            tensor=layer + _SCALES,
        )
    if weight is None or scales is None or biases is None:
        missing = layer + (_WEIGHT if weight is None else _BIASES)
        raise TensorError(
            f"tensor {shown(missing)} is missing beside {shown(layer + _SCALES)}; use a complete "
            "checkpoint",
            missing=[missing],
        )
    packing = quantization.of(layer)
    if packing is None or weight.format != "U32":
        wrong = "is not quantised" if packing is None else f"has {packing.bits} bits"
        raise TensorError(
            f"config.json says that {shown(layer)} {wrong}, but its weight is stored as "
            f"{weight.format} with scales; take all files from one download",
            tensor=layer + _WEIGHT,
        )
    if scales.format not in MLX_SCALES or biases.format != scales.format:
        raise UnsupportedFormatError(
            f"{shown(layer)} has scales stored as {scales.format} and biases as {biases.format}, "
            "which Leadout does not read; use a checkpoint where both are "
            f"{' or '.join(MLX_SCALES)} (mlx_lm.convert --dtype bfloat16)",
            tensor=layer + _SCALES,
            format=scales.format,
            supported=list(MLX_SCALES),
        )
    *outer, words = weight.shape or (0,)
    columns = words * 32 // packing.bits
    wanted = (*outer, columns // packing.group_size)
    if columns % packing.group_size or scales.shape != wanted or biases.shape != wanted:
        raise TensorError(
            f"{shown(layer)}: {list(weight.shape)} words hold {columns:,} columns of "
            f"{packing.bits} bits, and groups of {packing.group_size} call for scales and biases "
            f"of {list(wanted)}; found {list(scales.shape)} and {list(biases.shape)}; take "
            "config.json and weights from one download",
            tensor=layer + _WEIGHT,
            found=list(scales.shape),
            wanted=list(wanted),
        )
    return dataclasses.replace(
        weight,
        shape=(*outer, columns),
        format=mlx_format(packing.bits, packing.group_size, scales.format),
        bytes=weight.bytes + scales.bytes + biases.bytes,
        others=((scales.source, scales.offset), (biases.source, biases.offset)),
    )


def _packing(where: str, entry: Mapping[str, object]) -> Packing:
    mode = entry.get("mode", "affine")
    if mode != "affine":
        raise UnsupportedFormatError(
            f"config.json: {where} has the mode {shown(mode)}, which Leadout does not read; use a "
            "checkpoint quantised with the mode 'affine'",
            mode=shown(mode),
        )
    group_size, bits = entry.get("group_size"), entry.get("bits")
    if type(group_size) is not int or type(bits) is not int:
        raise _malformed(where, {"group_size": group_size, "bits": bits})
    if bits not in MLX_BITS or group_size not in MLX_GROUPS:
        raise UnsupportedFormatError(
            f"config.json: {where} has {shown(bits)} bits in groups of {shown(group_size)}, and "
            f"Leadout reads {' or '.join(map(str, MLX_BITS))} bits in groups of "
            f"{', '.join(map(str, MLX_GROUPS))}; use another checkpoint",
            bits=bits,
            group_size=group_size,
        )
    return Packing(group_size, bits)


def _malformed(where: str, found: object) -> CheckpointError:
    return CheckpointError(
        f"config.json: {where} is {shown(found)}; wanted an object with group_size and bits, whole "
        "numbers; download the file again",
        found=shown(found),
    )
