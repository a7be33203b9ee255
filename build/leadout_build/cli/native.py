"""The engine in this process, on the NumPy device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from leadout.chat_native import TEMPLATES
from leadout.checkpoint import Checkpoint, FileSource, open_checkpoint
from leadout.devices.numpy import NumpyDevice
from leadout.engine import Engine, LoadOptions
from leadout.tokenizer_native import HuggingFaceTokenizer


async def make_tokenizer(text: str) -> HuggingFaceTokenizer:
    """Return a tokenizer from the text of a tokenizer.json."""
    return HuggingFaceTokenizer.from_json(text)


async def load_engine(
    files: Mapping[str, Path],
    options: LoadOptions | None = None,
    on_progress: Callable[[int, int], None] = lambda loaded, total: None,
    device: NumpyDevice | None = None,
    drafter_files: Mapping[str, Path] | None = None,
) -> Engine:
    """Load a checkpoint.

    Args:
        files: file name → path, as `Store.resolve` returns them.
        options: default: the model's own.
        on_progress: told of the bytes read, and of those in all.
        device: default: a new one.
        drafter_files: those of the drafter that was made for the model.

    Raises:
        LeadoutError: see `Engine.load`.
    """
    return await Engine.load(
        device or NumpyDevice(),
        await _open(files),
        options or LoadOptions(),
        make_tokenizer,
        lambda phase: None,
        on_progress,
        await _open(drafter_files) if drafter_files else None,
        TEMPLATES,
    )


async def _open(files: Mapping[str, Path]) -> Checkpoint:
    return await open_checkpoint({name: FileSource(path) for name, path in files.items()})
