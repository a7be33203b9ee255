"""The matrices that the mlx package packed, with what it makes of them; see vectors/README.md."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from leadout.checkpoint import FileSource, TensorInfo
from leadout.checkpoint.mlx import joined
from leadout.checkpoint.safetensors import read_safetensors_header

FILE = Path(__file__).parent / "vectors" / "mlx-tiny" / "matrices.safetensors"


@dataclass(frozen=True)
class MlxMatrix:
    """A quantised matrix.

    Attributes:
        tensor: where its parts lie in `FILE`.
        values: by `mx.dequantize` in float32.
    """

    tensor: TensorInfo
    values: npt.NDArray[np.float32]


def mlx_matrices() -> list[MlxMatrix]:
    """Return all of them, one for every format of MLX's."""
    infos = asyncio.run(read_safetensors_header(FileSource(FILE)))
    layers = {info.name.split(".")[0] for info in infos}
    entries = {}
    for layer in layers:
        bits, group, _ = layer.split("_")
        entries[layer] = {"group_size": int(group[1:]), "bits": int(bits[1:])}
    by_name = {
        info.name: info for info in joined(infos, {"quantization": {"group_size": 0, **entries}})
    }
    data = FILE.read_bytes()
    matrices = []
    for layer in sorted(layers):
        at = by_name[f"{layer}.values"]
        values = np.frombuffer(data, np.float32, at.num_elements, at.offset).reshape(at.shape)
        matrices.append(MlxMatrix(by_name[f"{layer}.weight"], values))
    return matrices
