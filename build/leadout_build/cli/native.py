"""Runs the engine in this process, on the NumPy device."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from leadout.chat_native import TEMPLATES
from leadout.checkpoint import Checkpoint, FileSource, open_checkpoint
from leadout.devices.numpy import NumpyDevice
from leadout.engine import Engine, LoadOptions, OnPhase
from leadout.errors import RequestError
from leadout.grammar.matcher import MakeLibrary
from leadout.grammar_native import v8_library
from leadout.planning import DRAFTERS
from leadout.tokenizer import Tokenizer
from leadout.tokenizer_native import HuggingFaceTokenizer
from leadout_build import DIST, IS_CHECKOUT, ROOT
from leadout_build.site.vendor import XGRAMMAR_FILE
from leadout_build.store.drafters import Drafter, drafter_named, drafter_of, require_drafter
from leadout_build.store.hub_names import parse_hub_name
from leadout_build.store.model_store import Store

_XGRAMMAR = "@mlc-ai/web-xgrammar/lib/index.js"


async def make_tokenizer(text: str) -> HuggingFaceTokenizer:
    """Return a tokenizer from the text of a tokenizer.json."""
    return HuggingFaceTokenizer.from_json(text)


async def load_engine(
    files: Mapping[str, Path],
    options: LoadOptions | None = None,
    on_progress: Callable[[int, int], None] = lambda loaded, total: None,
    device: NumpyDevice | None = None,
    drafter_files: Mapping[str, Path] | None = None,
    on_phase: OnPhase = lambda phase: None,
) -> Engine:
    """Load a checkpoint.

    Args:
        files: file name → path, as `Store.resolve` returns them.
        options: load options; default: the model's own.
        on_progress: called with the bytes read and the total bytes.
        device: the device; default: a new one.
        drafter_files: the files of the drafter that was made for the model.
        on_phase: called at the start of every phase.

    Raises:
        LeadoutError: see `Engine.load`.
    """
    return await Engine.load(
        device or NumpyDevice(),
        await _open(files),
        options or LoadOptions(),
        make_tokenizer,
        on_phase,
        on_progress,
        await _open(drafter_files) if drafter_files else None,
        TEMPLATES,
        make_grammars,
    )


async def open_engine(
    model: str,
    drafter: str,
    options: LoadOptions,
    on_phase: OnPhase,
    on_progress: Callable[[int, int], None],
) -> tuple[Engine, Callable[[], None]]:
    """Load a model for `leadout.load`; see there.

    Returns:
        The engine, and a function that frees its device.

    Raises:
        LeadoutError: see `leadout.load`.
    """
    store = Store()
    if parse_hub_name(model) is not None:
        from leadout_build.cli.pull import pull

        pulled = await asyncio.to_thread(pull, model, store)
        model = model if pulled is None else pulled.name
    files = store.resolve(model)
    found: Drafter | None = None
    if drafter == "mtp":
        found = require_drafter(store, model)
    elif drafter == "auto":
        found = drafter_of(store, model)
    elif drafter not in DRAFTERS:
        found = drafter_named(store, drafter)
    if found is not None:
        drafter = "mtp"
    elif drafter == "auto":
        drafter = "given"  # the kind for a caller's own drafter
    device = NumpyDevice()
    engine = await load_engine(
        files,
        replace(options, drafter=drafter),
        on_progress,
        device,
        None if found is None else found.files,
        on_phase,
    )
    return engine, device.close


def make_grammars(tokenizer: Tokenizer, vocab_size: int, stop_ids: Sequence[int]) -> MakeLibrary:
    """Return a function that makes the grammar library; see `leadout.engine.GrammarFactory`.

    Raises:
        RequestError: there are neither the packages of a checkout nor a built site.
    """
    assert isinstance(tokenizer, HuggingFaceTokenizer)
    return v8_library(*_grammar_files(), tokenizer.pieces(), vocab_size, stop_ids)


def _grammar_files() -> tuple[Path, Path]:
    """Return the paths of web/grammar.js and of the library's script."""
    glue, library = ROOT / "web/grammar.js", ROOT / "web/node_modules" / _XGRAMMAR
    if IS_CHECKOUT and library.is_file():
        return glue, library
    try:
        built = json.loads((DIST / "build.json").read_text("utf-8"))
    except FileNotFoundError as error:
        raise RequestError(
            "Answers that keep to a grammar need the built site; make it with leadout build."
        ) from error
    return DIST / built["app"] / "grammar.js", DIST / built["vendor"] / XGRAMMAR_FILE


async def _open(files: Mapping[str, Path]) -> Checkpoint:
    return await open_checkpoint({name: FileSource(path) for name, path in files.items()})
