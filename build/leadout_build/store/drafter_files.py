"""Tells whether a checkpoint is a drafter, by its config.json or its GGUF header."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from leadout.errors import LeadoutError

#: The architecture of Gemma 4's drafters in GGUF, and their model types in config.json.
GGUF_ARCHITECTURE = "gemma4-assistant"
MODEL_TYPES = frozenset({"gemma4_assistant", "gemma4_unified_assistant"})

#: The first bytes of a GGUF, enough for its architecture, which converters write first.
_HEAD_BYTES = 1 << 16


@dataclass(frozen=True)
class GgufWidths:
    """Fields of a GGUF's header that show which drafter fits which target.

    Attributes:
        architecture: `general.architecture`, or None if the header has none.
        embedding_length: the width of the model's own hidden states.
        embedding_length_out: only for a drafter: the width of its target's hidden states.
    """

    architecture: object = None
    embedding_length: object = None
    embedding_length_out: object = None


def is_drafter(files: Mapping[str, Path]) -> bool:
    """Return whether a model's files (file name → path) are a drafter."""
    if "config.json" in files:
        return _is_drafter_config(files["config.json"])
    return any(is_drafter_gguf(path) for name, path in files.items() if name.endswith(".gguf"))


def is_drafter_gguf(path: Path) -> bool:
    """Return whether a GGUF is a drafter; False if it cannot be read."""
    # Check the first bytes only: reading a whole header takes half a second, and most files in a
    # folder are not drafters.
    try:
        with path.open("rb") as file:
            if GGUF_ARCHITECTURE.encode() not in file.read(_HEAD_BYTES):
                return False
    except OSError:
        return False
    return gguf_widths(path).architecture == GGUF_ARCHITECTURE


def gguf_widths(path: Path) -> GgufWidths:
    """Return these fields of a GGUF's header; all are None if it cannot be read."""
    try:
        stat = path.stat()
    except OSError:
        return GgufWidths()
    return _read_widths(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=256)
def _read_widths(path: Path, _size: int, _mtime_ns: int) -> GgufWidths:
    from leadout.checkpoint import FileSource
    from leadout.checkpoint.gguf import read_gguf_header

    try:
        # Use a thread, because the caller's thread may have a running event loop (Playwright's).
        with ThreadPoolExecutor(max_workers=1) as pool:
            header = pool.submit(asyncio.run, read_gguf_header(FileSource(path))).result()
    except LeadoutError:
        return GgufWidths()  # loading the file reports what is wrong
    architecture = header.metadata.get("general.architecture")
    return GgufWidths(
        architecture,
        header.metadata.get(f"{architecture}.embedding_length"),
        header.metadata.get(f"{architecture}.embedding_length_out"),
    )


def _is_drafter_config(path: Path) -> bool:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False  # loading the file reports what is wrong
    return isinstance(config, dict) and config.get("model_type") in MODEL_TYPES
