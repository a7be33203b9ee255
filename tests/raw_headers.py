"""Checkpoint headers put together byte by byte, to say whatever a test wants them to say."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from leadout.checkpoint import MemorySource

U32, FLOAT32, BOOL, STRING, ARRAY, U64 = 4, 6, 7, 8, 9, 10


def string(text: str | bytes) -> bytes:
    """Return a GGUF string."""
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(data)) + data


def key(name: str, value_type: int, value: bytes) -> bytes:
    """Return a metadata key with its value."""
    return string(name) + struct.pack("<I", value_type) + value


def text_key(name: str, text: str) -> bytes:
    """Return a metadata key whose value is a string."""
    return key(name, STRING, string(text))


def u32_key(name: str, value: int) -> bytes:
    """Return a metadata key whose value is an unsigned 32-bit integer."""
    return key(name, U32, struct.pack("<I", value))


def array_key(name: str, item_type: int, count: int, items: bytes) -> bytes:
    """Return a metadata key whose value is an array."""
    return key(name, ARRAY, struct.pack("<IQ", item_type, count) + items)


def tensor(name: str, dims: Sequence[int], type_id: int = 0, offset: int = 0) -> bytes:
    """Return a tensor's entry; `dims` in GGUF's order, columns first."""
    return string(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, type_id, offset)


def gguf_file(
    keys: Sequence[bytes] = (),
    tensors: Sequence[bytes] = (),
    data: bytes = b"",
    *,
    version: int = 3,
    num_keys: int | None = None,
    num_tensors: int | None = None,
    alignment: int = 32,
) -> bytes:
    """Return a GGUF file; counts can lie."""
    header = b"GGUF" + struct.pack(
        "<IQQ",
        version,
        len(tensors) if num_tensors is None else num_tensors,
        len(keys) if num_keys is None else num_keys,
    )
    header += b"".join(keys) + b"".join(tensors)
    return header + bytes(-len(header) % alignment) + data


def safetensors_file(
    header: Mapping[str, Any] | bytes, data: bytes = b"", header_bytes: int | None = None
) -> bytes:
    """Return a safetensors file; the header's length can lie."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    length = len(text) if header_bytes is None else header_bytes
    return struct.pack("<Q", length) + text + data


class GuardedSource(MemorySource):
    """Bytes in memory that fail a test on a read outside of them, and count what was read."""

    def __init__(self, data: bytes, name: str = "model") -> None:
        super().__init__(name, data)
        self.reads: list[tuple[int, int]] = []

    async def read(self, offset: int, length: int) -> bytes:
        assert offset >= 0, f"read at {offset}"
        assert length >= 0, f"read of {length} bytes"
        assert offset + length <= len(self.data), f"read of {length} bytes at {offset}"
        self.reads.append((offset, length))
        return await super().read(offset, length)
