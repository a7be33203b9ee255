"""The GGUF header: metadata and tensor directory, versions 2 and 3, little-endian.

    "GGUF"  version u32  num_tensors u64  num_keys u64
    num_keys x    { key string, value type u32, value }
    num_tensors x { name string, num_dims u32, dims u64 each (fastest first), type u32, offset u64 }
    padding to general.alignment (32 unless said), then the data that offsets count from

A string is its length (u64) and UTF-8; an array is its items' type (u32), a count (u64) and the
items. The file is hostile: no count or length is believed before it was compared with the bytes
that are left, so that nothing larger than the file is read or allocated, nor with what real headers
have, so that a large file is no way to fill the memory.

Source: the GGUF specification, ggml's docs/gguf.md.
"""

from __future__ import annotations

import math
import struct
import sys
from array import array
from dataclasses import dataclass
from typing import TypeAlias

from leadout.checkpoint.ggml_types import GGML_TYPES, RETIRED_GGML_TYPES
from leadout.checkpoint.source import Source, advice_on
from leadout.checkpoint.tensors import TensorInfo, check_extents
from leadout.errors import CheckpointError, TensorError, UnsupportedFormatError
from leadout.shown import shown

MAGIC = b"GGUF"
VERSIONS = (2, 3)
DEFAULT_ALIGNMENT = 32
MIN_ALIGNMENT = 8
MAX_DIMS = 4

#: The most that a header may have. The largest real ones, with 262,144 pieces and all their merges,
#: have some 20 MB, 800,000 strings, 60 keys, and some thousand tensors.
MAX_HEADER_BYTES = 48 << 20
MAX_ITEMS = 1_000_000  # strings and booleans, which take some 100 bytes each
MAX_KEYS = 10_000
MAX_TENSORS = 20_000

#: The first read of a header; each further one is twice as long, up to the second.
FIRST_PIECE_BYTES = 1 << 20
MAX_PIECE_BYTES = 8 << 20

#: What a metadata value is in Python: numbers of an array stay packed.
Value: TypeAlias = "int | float | bool | str | list[str] | list[bool] | array[int] | array[float]"

_BOOL, _STRING, _ARRAY = 7, 8, 9
#: Value type of a number -> struct format and array type code (the same size on every platform).
_NUMBERS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    10: "Q",
    11: "q",
    12: "d",
}
_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")
_TYPE_AND_COUNT = struct.Struct("<IQ")

#: The fewest bytes a key with its value, and a tensor's entry, can take.
_MIN_KEY_BYTES = 8 + 4 + 1
_MIN_TENSOR_BYTES = 8 + 4 + 4 + 8


@dataclass(frozen=True)
class GgufHeader:
    """A parsed header.

    Attributes:
        version: 2 or 3.
        metadata: key to value.
        tensors: in the file's order, under GGUF names; formats as ggml names them, readable or not.
    """

    version: int
    metadata: dict[str, Value]
    tensors: list[TensorInfo]


async def read_gguf_header(source: Source, index: int = 0) -> GgufHeader:
    """Parse the header of a GGUF file.

    Args:
        source: the file.
        index: what `TensorInfo.source` shall be.

    Raises:
        UnsupportedFormatError: not GGUF, another version, big-endian, nested arrays, a tensor type
            without a known size, or a header far larger than any real one.
        TensorError: a tensor occurs twice.
        CheckpointError: the header contradicts itself or the file's length.
        SourceError: reading failed.
    """
    file = _Reader(source, await source.size())
    version = await _read_version(file)
    num_tensors, num_keys = await file.u64(), await file.u64()
    file.check_count(num_keys, _MIN_KEY_BYTES, "metadata keys", MAX_KEYS)
    metadata: dict[str, Value] = {}
    for _ in range(num_keys):
        key = await file.string("a metadata key")
        if key in metadata:
            raise file.error(f"metadata key {shown(key)} occurs twice")
        metadata[key] = await _read_value(file, key)

    alignment = _alignment(file, metadata)
    file.check_count(num_tensors, _MIN_TENSOR_BYTES, "tensors", MAX_TENSORS)
    entries: dict[str, TensorInfo] = {}
    for _ in range(num_tensors):
        tensor = await _read_tensor(file, alignment, index)
        if tensor.name in entries:
            raise TensorError(
                f"{source.name}: tensor {shown(tensor.name)} occurs twice; download the file again",
                tensor=tensor.name,
            )
        entries[tensor.name] = tensor

    data_start = -(-file.position // alignment) * alignment
    tensors = [
        TensorInfo(t.name, t.shape, t.format, index, data_start + t.offset, t.bytes)
        for t in entries.values()
    ]
    check_extents(source.name, file.size, tensors)
    return GgufHeader(version, metadata, tensors)


async def _read_version(file: _Reader) -> int:
    if file.size < len(MAGIC) + 4:
        raise UnsupportedFormatError(
            f"{file.name} has {file.size:,} bytes, too few for a GGUF file; download it again",
            file=file.name,
        )
    magic = await file.take(len(MAGIC))
    if magic != MAGIC:
        advice = advice_on(magic, "give a GGUF file")
        raise UnsupportedFormatError(
            f"{file.name} starts with {magic!r}, a GGUF file with {MAGIC!r}; {advice}",
            file=file.name,
        )
    version = await file.u32()
    if version in VERSIONS:
        return version
    if int.from_bytes(version.to_bytes(4, "little"), "big") in (1, *VERSIONS):
        raise UnsupportedFormatError(
            f"{file.name} is a big-endian GGUF file; convert it to little-endian",
            file=file.name,
        )
    raise UnsupportedFormatError(
        f"{file.name} is GGUF version {version:,}, Leadout reads versions 2 and 3; convert the "
        "model again with a current llama.cpp",
        file=file.name,
        version=version,
        supported=list(VERSIONS),
    )


async def _read_value(file: _Reader, key: str) -> Value:
    value_type = await file.u32()
    if value_type == _STRING:
        return await file.string(key)
    if value_type == _ARRAY:
        return await _read_array(file, key)
    if value_type == _BOOL:
        byte = (await file.take(1))[0]
        if byte > 1:
            raise file.error(f"metadata {shown(key)} is a boolean with value {byte}, not 0 or 1")
        return byte == 1
    if value_type in _NUMBERS:
        number = struct.Struct("<" + _NUMBERS[value_type])
        value: int | float = number.unpack(await file.take(number.size))[0]
        return value
    raise file.error(f"metadata {shown(key)} is of type {value_type:,}, which GGUF does not have")


async def _read_array(file: _Reader, key: str) -> Value:
    item_type, count = _TYPE_AND_COUNT.unpack(await file.take(_TYPE_AND_COUNT.size))
    if item_type == _STRING:
        return await file.strings(count, key)
    if item_type == _BOOL:
        file.check_items(count, 1, f"items of metadata {shown(key)}")
        flags = await file.take(count)
        if count and max(flags) > 1:
            raise file.error(
                f"metadata {shown(key)} has a boolean with value {max(flags)}, not 0 or 1"
            )
        return [byte == 1 for byte in flags]
    if item_type in _NUMBERS:
        numbers: array[int] | array[float] = array(_NUMBERS[item_type])
        file.check_count(count, numbers.itemsize, f"items of metadata {shown(key)}")
        numbers.frombytes(await file.take(count * numbers.itemsize))
        if sys.byteorder == "big":
            numbers.byteswap()
        return numbers
    if item_type == _ARRAY:
        raise UnsupportedFormatError(
            f"{file.name}: metadata {shown(key)} is an array of arrays, Leadout reads flat ones; "
            "convert the model again without it",
            file=file.name,
            key=key,
        )
    raise file.error(
        f"metadata {shown(key)} is an array of type {item_type:,}, which GGUF does not have"
    )


def _alignment(file: _Reader, metadata: dict[str, Value]) -> int:
    alignment = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
    if (
        not isinstance(alignment, int)
        or alignment < MIN_ALIGNMENT
        or alignment & (alignment - 1) != 0
    ):
        raise file.error(
            f"general.alignment is {shown(alignment)}, not a power of two of at least "
            f"{MIN_ALIGNMENT}"
        )
    return alignment


async def _read_tensor(file: _Reader, alignment: int, index: int) -> TensorInfo:
    """Read one entry of the directory; its offset still counts from the start of the data."""
    name = await file.string("a tensor's name")
    num_dims = await file.u32()
    if num_dims > MAX_DIMS:
        raise file.error(
            f"tensor {shown(name)} has {num_dims:,} dimensions, at most {MAX_DIMS} exist"
        )
    rest = struct.Struct(f"<{num_dims}QIQ")
    *dims, type_id, offset = rest.unpack(await file.take(rest.size))
    if 0 in dims:
        raise file.error(f"tensor {shown(name)} has dimensions {dims}, of which none may be 0")
    ggml_type = GGML_TYPES.get(type_id)
    if ggml_type is None:
        retired = RETIRED_GGML_TYPES.get(type_id, "unknown")
        raise UnsupportedFormatError(
            f"{file.name}: tensor {shown(name)} has ggml type {type_id} ({retired}), whose size is "
            "not known; convert the model again with a current llama.cpp",
            file=file.name,
            tensor=name,
            type=type_id,
        )
    num_cols = dims[0] if dims else 1
    if num_cols % ggml_type.block_elements:
        raise file.error(
            f"tensor {shown(name)} has rows of {num_cols:,} values, but {ggml_type.name} holds "
            f"them in blocks of {ggml_type.block_elements}"
        )
    if offset % alignment:
        raise file.error(
            f"tensor {shown(name)} lies at offset {offset:,}, which is not a multiple of the "
            f"file's alignment, {alignment}"
        )
    num_bytes = math.prod(dims) // ggml_type.block_elements * ggml_type.block_bytes
    # Compared before the padding is known, so that sums with it stay small.
    if offset + num_bytes > file.size:
        raise file.error(
            f"tensor {shown(name)} of {num_bytes:,} bytes at offset {offset:,} ends past the "
            f"file's {file.size:,} bytes"
        )
    return TensorInfo(name, tuple(reversed(dims)), ggml_type.name, index, offset, num_bytes)


class _Reader:
    """Reads a header front to back in growing pieces, and keeps only what was not yet taken."""

    def __init__(self, source: Source, size: int) -> None:
        self.name = source.name
        self.size = size
        self._source = source
        self._buffer = b""
        self._start = 0  # the file's byte that is the buffer's first
        self._at = 0  # next byte to take, in the buffer
        self._piece_bytes = FIRST_PIECE_BYTES
        self._num_items = 0

    @property
    def position(self) -> int:
        """The file's byte that is taken next."""
        return self._start + self._at

    def error(self, problem: str) -> CheckpointError:
        """Return an error that names the file and says what to do."""
        return CheckpointError(
            f"{self.name}: {problem}; the file is damaged or cut short, download it again",
            file=self.name,
            position=self.position,
            file_bytes=self.size,
        )

    def check_count(self, count: int, min_bytes: int, what: str, limit: int | None = None) -> None:
        """Refuse more things than the bytes that are left could hold, or than `limit`."""
        left = self.size - self.position
        if count * min_bytes > left:
            raise self.error(
                f"{count:,} {what} are declared, but only {left:,} of {self.size:,} bytes are left"
            )
        if limit is not None and count > limit:
            raise self._too_much(f"{count:,} {what}", f"{limit:,}")

    def check_items(self, count: int, min_bytes: int, what: str) -> None:
        """Refuse more items than could be there, or than all arrays together may have."""
        self.check_count(count, min_bytes, what)
        self._num_items += count
        if self._num_items > MAX_ITEMS:
            raise self._too_much(f"{self._num_items:,} strings and booleans", f"{MAX_ITEMS:,}")

    def _too_much(self, found: str, limit: str) -> UnsupportedFormatError:
        return UnsupportedFormatError(
            f"{self.name}: its header has {found}, at most {limit} are read; check that it is the "
            "right file",
            file=self.name,
        )

    async def _fill(self, num_bytes: int) -> None:
        """Have at least so many bytes in the buffer, from the one that is taken next."""
        left = self.size - self.position
        if self.position + num_bytes > MAX_HEADER_BYTES and num_bytes <= left:
            raise self._too_much("more bytes", f"{MAX_HEADER_BYTES:,}")
        if num_bytes > left:
            raise self.error(
                f"the header goes on for {num_bytes:,} bytes at byte {self.position:,}, but only "
                f"{left:,} of {self.size:,} are left"
            )
        kept = self._buffer[self._at :]
        begin = self.position + len(kept)
        length = min(max(num_bytes - len(kept), self._piece_bytes), self.size - begin)
        self._piece_bytes = min(2 * self._piece_bytes, MAX_PIECE_BYTES)
        self._start, self._at = self.position, 0
        self._buffer = kept + await self._source.read(begin, length)

    async def take(self, num_bytes: int) -> bytes:
        """Return the next bytes."""
        if self._at + num_bytes > len(self._buffer):
            await self._fill(num_bytes)
        begin = self._at
        self._at += num_bytes
        return self._buffer[begin : self._at]

    async def u32(self) -> int:
        """Return the next unsigned 32-bit integer."""
        value: int = _U32.unpack(await self.take(4))[0]
        return value

    async def u64(self) -> int:
        """Return the next unsigned 64-bit integer."""
        value: int = _U64.unpack(await self.take(8))[0]
        return value

    async def string(self, what: str) -> str:
        """Return the next string."""
        return (await self.strings(1, what))[0]

    async def strings(self, count: int, what: str) -> list[str]:
        """Return the next strings: a quarter of a million of them, so the loop is kept tight."""
        self.check_items(count, 8, f"strings of {shown(what)}")
        strings: list[str] = []
        append, length_at = strings.append, _U64.unpack_from
        buffer, at, end = self._buffer, self._at, len(self._buffer)
        try:
            for _ in range(count):
                if at + 8 > end:
                    self._at = at
                    await self._fill(8)
                    buffer, at, end = self._buffer, 0, len(self._buffer)
                stop = at + 8 + length_at(buffer, at)[0]
                if stop > end:
                    self._at = at
                    await self._fill(stop - at)
                    buffer, stop, at, end = self._buffer, stop - at, 0, len(self._buffer)
                append(buffer[at + 8 : stop].decode())
                at = stop
        except UnicodeDecodeError as error:
            self._at = at
            raise self.error(f"a string of {shown(what)} is not UTF-8 ({error.reason})") from error
        self._at = at
        return strings
