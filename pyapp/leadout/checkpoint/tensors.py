"""What a checkpoint says about its tensors, and the checks that every format shares."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from leadout.errors import CheckpointError, UnsupportedFormatError
from leadout.layouts import LAYOUT_OF_FORMAT, READABLE
from leadout.shown import shown

#: The one tensor of whole numbers: which tokens belong to which centroid of a drafter's head.
TOKEN_ORDERING = "masked_embedding.token_ordering"
#: How that one may be stored -> type code of an array. Others would have lost ids above their
#: precision.
INTEGER_FORMATS = {"I32": "i", "I64": "q"}


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Where a tensor lies and what it holds; its values are never read here.

    Attributes:
        name: its name in the checkpoint's own convention, or, in `Checkpoint.tensors`, in
            Hugging Face's.
        shape: row-major as in PyTorch, [rows, cols] for a matrix.
        format: how values are stored, a key of `layouts.LAYOUT_OF_FORMAT` where Leadout reads it.
        source: index into `Checkpoint.sources`.
        offset: first byte, absolute in that source.
        bytes: how many, in all ranges.
        others: (source, offset) of the ranges behind the first, where the format has several parts.
    """

    name: str
    shape: tuple[int, ...]
    format: str
    source: int
    offset: int
    bytes: int
    others: tuple[tuple[int, int], ...] = ()

    @property
    def ranges(self) -> tuple[tuple[int, int], ...]:
        """(source, offset) of the format's parts, in the order of `Format.parts`."""
        return ((self.source, self.offset), *self.others)

    @property
    def num_elements(self) -> int:
        """How many values it has."""
        return math.prod(self.shape)


def check_extents(file: str, file_bytes: int, tensors: Iterable[TensorInfo]) -> None:
    """Refuse tensors of one source that overlap, or end past its last byte.

    Raises:
        CheckpointError: naming the tensors and the numbers.
    """
    end, previous = 0, ""
    for tensor in sorted(tensors, key=lambda tensor: (tensor.offset, tensor.bytes)):
        last = tensor.offset + tensor.bytes
        if last > file_bytes:
            raise CheckpointError(
                f"{file}: tensor {shown(tensor.name)} ends at byte {last:,}, but the file has only "
                f"{file_bytes:,} bytes; it was probably cut short, download it again",
                file=file,
                tensor=tensor.name,
                end=last,
                file_bytes=file_bytes,
            )
        if tensor.bytes == 0:
            continue
        if tensor.offset < end:
            raise CheckpointError(
                f"{file}: tensors {shown(previous)} and {shown(tensor.name)} overlap at byte "
                f"{tensor.offset:,}, but each byte belongs to one tensor; download the file again",
                file=file,
                tensors=[previous, tensor.name],
                offset=tensor.offset,
            )
        end, previous = last, tensor.name


def check_formats(tensors: Mapping[str, TensorInfo]) -> None:
    """Refuse a format that no kernel reads.

    Raises:
        UnsupportedFormatError: naming the first such tensor, its format and what is read.
    """
    for name, tensor in tensors.items():
        is_ordering = name == TOKEN_ORDERING
        readable = INTEGER_FORMATS if is_ordering else LAYOUT_OF_FORMAT
        if tensor.format not in readable:
            raise UnsupportedFormatError(
                f"tensor {shown(name)} is stored as {tensor.format}, which Leadout does not read; "
                f"use a file {'where it is' if is_ordering else 'whose tensors are'} among "
                f"{', '.join(readable if is_ordering else READABLE)}",
                tensor=name,
                format=tensor.format,
                supported=list(readable),
            )
