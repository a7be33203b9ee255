"""Strict JSON from a checkpoint: bounded, and without doubled keys.

All JSON of checkpoints goes through `parse_json_object`. It looks at the brackets before the
standard library's scanner does: that one calls itself for every level, and Pyodide's stack, which
is the browser's, ends long before Python's own limit is reached. The interpreter dies of it.
"""

from __future__ import annotations

import json
from typing import NoReturn

from leadout.brackets import is_nested_deeper
from leadout.checkpoint.source import Source
from leadout.errors import CheckpointError
from leadout.shown import shown

#: The most bytes a text file of a checkpoint may have: Gemma 3's tokenizer.json has 33.4 million.
MAX_TEXT_BYTES = 32 << 20

#: The most bytes that are parsed here. The largest real texts, headers and indexes of models in
#: hundreds of shards, have a few million. One emoji makes a text four times as large in memory.
MAX_JSON_BYTES = 16 << 20

#: The most objects and lists that may lie inside one another. Real files have some 8.
MAX_DEPTH = 64

#: The most values and keys that a JSON text may hold. A tensor of a safetensors header has some
#: 15, and files with more than 10,000 tensors are rare. One takes up to 150 bytes of memory, and in
#: Pyodide some 10 µs.
MAX_VALUES = 300_000

#: The same of a tokenizer.json, which others parse: Gemma 3's has some 3 million.
MAX_TOKENIZER_VALUES = 6_000_000


async def read_text(source: Source) -> str:
    """Read a small text file.

    Raises:
        CheckpointError: larger than `MAX_TEXT_BYTES`, or not UTF-8.
        SourceError: reading failed.
    """
    return await _read_text(source, MAX_TEXT_BYTES)


async def _read_text(source: Source, limit_bytes: int) -> str:
    size = await source.size()
    if size > limit_bytes:
        raise CheckpointError(
            f"{source.name} has {size:,} bytes, at most {limit_bytes:,} are read; "
            "check that it is the right file",
            file=source.name,
            file_bytes=size,
        )
    try:
        return (await source.read(0, size)).decode()
    except UnicodeDecodeError as error:
        raise CheckpointError(
            f"{source.name} is not UTF-8 ({error.reason}); download it again", file=source.name
        ) from error


async def read_json_object(source: Source) -> dict[str, object]:
    """Read a JSON file whose top level is an object.

    Raises:
        CheckpointError: not that.
        SourceError: reading failed.
    """
    return parse_json_object(await _read_text(source, MAX_JSON_BYTES), source.name)


def parse_json_object(text: str | bytes, file: str) -> dict[str, object]:
    """Parse a JSON object.

    Args:
        text: of the object.
        file: its name, for messages.

    Raises:
        CheckpointError: malformed, nested too deep, too many values, a key twice in one object, NaN
            or Infinity, or not an object.
    """
    try:
        # UTF-8 alone, so that the scanner sees the very brackets that were counted.
        data, text = (text, text.decode()) if isinstance(text, bytes) else (text.encode(), text)
        check_num_values(text, file)
        _check_depth(data, file)
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)
    except ValueError as error:
        raise CheckpointError(
            f"{file}: its JSON is invalid ({error}); download it again", file=file
        ) from error
    if not isinstance(value, dict):
        raise CheckpointError(
            f"{file}: its JSON is a {type(value).__name__}; wanted an object; download it again",
            file=file,
        )
    return value


def check_num_values(text: str, file: str, limit: int = MAX_VALUES) -> None:
    """Refuse a JSON text, before it is parsed, that holds too many values; marks in strings count.

    Raises:
        CheckpointError: it does.
    """
    num_values = sum(map(text.count, ",[{")) + text.count('"') // 2
    if num_values > limit:
        raise CheckpointError(
            f"{file}: its JSON has about {num_values:,} values and keys, at most "
            f"{limit:,} are read; check that it is the right file",
            file=file,
            found=num_values,
            limit=limit,
        )


def _check_depth(text: bytes, file: str) -> None:
    """Refuse a text that is nested too deep."""
    if is_nested_deeper(text, MAX_DEPTH):
        raise CheckpointError(
            f"{file}: its JSON is nested deeper than {MAX_DEPTH} levels, or its brackets do not "
            "match; download it again",
            file=file,
            limit=MAX_DEPTH,
        )


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"key {shown(key)} occurs twice")
            seen.add(key)
    return result


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
