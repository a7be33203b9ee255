"""What the ops mean, in NumPy: one function an op, of float32 arithmetic.

They are the oracle of the kernels' tests and the arithmetic of the NumPy device. They add in
another order than kernels do, so kernels agree with them closely, not in every bit. In passes with
few rows a row is computed by itself, so that its bits do not depend on the rows beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from leadout.errors import DeviceError
from leadout.layouts import Matrix, Vector
from leadout.ops import Op, Tensor
from leadout.plan import Binding
from leadout.rows import Rows

Words: TypeAlias = npt.NDArray[np.uint32]
Floats: TypeAlias = npt.NDArray[np.float32]


class Memory:
    """A device's buffers, as ops see them.

    Args:
        buffers: name -> words; whoever allocates keeps it.
    """

    def __init__(self, buffers: Mapping[str, Words]) -> None:
        self._buffers = buffers
        self._matrices: dict[str, Floats] = {}

    def view(self, binding: Binding, label: str = "") -> Words:
        """Return a range as writable words.

        Raises:
            DeviceError: the buffer is not there, or is smaller.
        """
        buffer = self._buffers.get(binding.buffer)
        end = binding.offset + binding.bytes
        if buffer is None or end > buffer.nbytes or binding.offset % 4 or binding.bytes % 4:
            held = "not allocated" if buffer is None else f"{buffer.nbytes} bytes"
            raise DeviceError(
                f"{label or 'access'}: bytes {binding.offset} to {end} of buffer "
                f"{binding.buffer}, which is {held}."
            )
        return buffer[binding.offset // 4 : end // 4]

    def words(self, tensor: Tensor) -> Words:
        """Return a tensor of u32."""
        return self.view(tensor.binding).reshape(tensor.shape)

    def floats(self, tensor: Tensor) -> Floats:
        """Return a tensor of f32."""
        return self.view(tensor.binding).view(np.float32).reshape(tensor.shape)

    def vector(self, vector: Vector) -> Floats:
        """Return a vector of the weights."""
        return self.view(vector.binding).view(np.float32)

    def rows(self, rows: Rows) -> Words:
        """Return the row table, [rows, 4]."""
        return self.view(rows.table).reshape(-1, 4)

    def matrix(self, matrix: Matrix) -> Floats:
        """Return a weight matrix unpacked, [num_rows, num_cols]; kept until weights change."""
        from leadout.devices.numpy_ops.weights import dequantize

        key = matrix.shards[0].planes[0].buffer
        if key not in self._matrices:
            parts = [
                dequantize(
                    matrix.layout,
                    [self.view(plane) for plane in shard.planes],
                    shard.num_rows,
                    matrix.num_cols,
                )
                for shard in matrix.shards
            ]
            self._matrices[key] = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return self._matrices[key]

    def matrix_row(self, matrix: Matrix, row: int) -> Floats:
        """Return one row of a matrix of one shard, unpacked, [num_cols]; nothing is kept.

        A row is an even number of blocks, so that it begins with a word in every plane.
        """
        from leadout.devices.numpy_ops.weights import dequantize

        (shard,) = matrix.shards
        words = [self.view(plane) for plane in shard.planes]
        sizes = [len(plane) // shard.num_rows for plane in words]
        planes = [
            plane[row * size : (row + 1) * size] for plane, size in zip(words, sizes, strict=True)
        ]
        unpacked: Floats = dequantize(matrix.layout, planes, 1, matrix.num_cols)[0]
        return unpacked

    def forget_weights(self) -> None:
        """Drop unpacked matrices."""
        self._matrices.clear()


Meaning: TypeAlias = Callable[[Any, Memory], None]

MEANINGS: dict[type[Op], Meaning] = {}


def meaning(op: type[Op]) -> Callable[[Meaning], Meaning]:
    """Register the meaning of an op."""

    def register(function: Meaning) -> Meaning:
        MEANINGS[op] = function
        return function

    return register


def load_meanings() -> dict[type[Op], Meaning]:
    """Import every module of meanings and return the registry."""
    from leadout.devices.numpy_ops import (  # noqa: F401
        attention,
        checks,
        choice,
        draft,
        experts,
        linear,
        norm,
        sampling,
    )

    return MEANINGS
