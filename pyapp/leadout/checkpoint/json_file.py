"""Strict JSON from a checkpoint's small files: bounded, and without doubled keys."""

from __future__ import annotations

import json
from typing import NoReturn

from leadout.checkpoint.source import Source
from leadout.errors import CheckpointError
from leadout.shown import shown

#: The most bytes a JSON file of a checkpoint may have. The largest real ones, indexes of models in
#: hundreds of shards, are a few MB.
MAX_JSON_BYTES = 32 << 20


async def read_text(source: Source) -> str:
    """Read a small text file.

    Raises:
        CheckpointError: larger than `MAX_JSON_BYTES`, or not UTF-8.
        SourceError: reading failed.
    """
    size = await source.size()
    if size > MAX_JSON_BYTES:
        raise CheckpointError(
            f"{source.name} has {size:,} bytes, at most {MAX_JSON_BYTES:,} are read; "
            "check that it is the right file",
            file=source.name,
            file_bytes=size,
        )
    try:
        return (await source.read(0, size)).decode()
    except UnicodeDecodeError as error:
        raise CheckpointError(
            f"{source.name} is not UTF-8 ({error.reason}); get it again", file=source.name
        ) from error


async def read_json_object(source: Source) -> dict[str, object]:
    """Read a JSON file whose top level is an object.

    Raises:
        CheckpointError: not that.
        SourceError: reading failed.
    """
    return parse_json_object(await read_text(source), source.name)


def parse_json_object(text: str | bytes, file: str) -> dict[str, object]:
    """Parse a JSON object.

    Raises:
        CheckpointError: malformed, nested too deep, a key twice in one object, NaN or Infinity, or
            not an object.
    """
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else str(error)
        raise CheckpointError(
            f"{file}: its JSON is invalid ({reason}); get it again", file=file
        ) from error
    if not isinstance(value, dict):
        raise CheckpointError(
            f"{file}: its JSON is a {type(value).__name__}, an object is wanted; get it again",
            file=file,
        )
    return value


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
