"""Opens a model and its drafter by their headers, where the files lie: on this disk, or at the hub.

Of files at the hub, only the parts that are looked at are asked for, and nothing is stored.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from leadout.checkpoint import Checkpoint, FileSource, Source, open_checkpoint
from leadout.errors import CheckpointError, ModelNotFoundError
from leadout_build.cli.terminal import printable
from leadout_build.store.drafters import drafter_of
from leadout_build.store.hub_models import find_hub_drafter, find_hub_model, hub_name_of
from leadout_build.store.hub_names import HubName
from leadout_build.store.model_store import Store


@dataclass(frozen=True)
class Opened:
    """A checkpoint, and the name to print for it."""

    name: str
    checkpoint: Checkpoint


def open_pair(
    store: Store, model: str, hub_endpoint: str | None = None
) -> tuple[Opened, Opened | None]:
    """Open a model, and its drafter if it has one.

    Args:
        store: the store in which names are looked up first.
        model: as for `Store.resolve`; else a short name, or hf:owner/name[@revision][:file].
        hub_endpoint: the hub's address; default: HF_ENDPOINT, else the public hub.

    Raises:
        ModelNotFoundError: there is no such model.
        StoreError: the stored model is incomplete.
        SourceError: the hub cannot be reached, refuses, or asks to accept terms first.
        CheckpointError: the files are no checkpoint that Leadout reads.
        UnsupportedModelError: Leadout does not run its architecture.
    """
    try:
        files = store.resolve(model)
    except ModelNotFoundError:
        hub_name = hub_name_of(model)
        if hub_name is None:
            raise
        return _open_at_hub(store, model, hub_name, hub_endpoint)
    target, drafter = Opened(model, _open_files(files)), drafter_of(store, model)
    return target, Opened(drafter.name, _open_files(drafter.files)) if drafter else None


def _open_at_hub(
    store: Store, model: str, name: HubName, endpoint: str | None
) -> tuple[Opened, Opened | None]:
    folder = store.models_folder
    found = find_hub_model(name, folder, endpoint)
    target = Opened(model, _open(found.sources(folder)))
    drafter = find_hub_drafter(found, folder)
    if drafter is None:
        return target, None
    try:
        return target, Opened(str(drafter.name), _open(drafter.sources(folder)))
    except CheckpointError as error:
        # A pull leaves it out too, and the model runs without.
        said = f"Its drafter, {drafter.name}, is left out: {error.message}"
        print(printable(said), file=sys.stderr, flush=True)
        return target, None


def _open_files(files: Mapping[str, Path]) -> Checkpoint:
    return _open({name: FileSource(path) for name, path in files.items()})


def _open(sources: Mapping[str, Source]) -> Checkpoint:
    return asyncio.run(open_checkpoint(sources))
