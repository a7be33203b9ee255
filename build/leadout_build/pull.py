"""`leadout pull`: bring a model into the store, from wherever it is named.

    nano                         nothing: it comes with Leadout
    a short name                 catalogue.py, as Python packages
    hf:owner/name[:file]         the Hugging Face Hub
    a path                       linked or copied from this disk

A model that is in the store already is verified instead, and fetched again only where that fails.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from leadout.errors import ModelNotFoundError, RequestError, StoreError
from leadout_build.built_in import built_in_files, is_built_in
from leadout_build.catalogue import CATALOGUE
from leadout_build.progress import Progress, format_bytes
from leadout_build.pull_hub import pull_hub
from leadout_build.pull_packages import PackagedModel, PipRunner, pull_packages, run_pip
from leadout_build.store import (
    ModelWriter,
    Store,
    StoredModel,
    hash_file,
    read_chunks,
    store_errors,
)

if TYPE_CHECKING:
    from leadout.checkpoint import Checkpoint

_HUB = re.compile(r"hf:(?P<repo>[\w.-]+/[\w.-]+)(?::(?P<file>.+))?")


def pull(
    model: str,
    store: Store | None = None,
    *,
    catalogue: Mapping[str, PackagedModel] = CATALOGUE,
    pip: PipRunner = run_pip,
    hub_endpoint: str | None = None,
) -> StoredModel | None:
    """Bring a model into the store, and say so on stdout.

    Args:
        model: see the module's docstring.
        store: default: the user's.
        catalogue: short name → packages.
        pip: runs pip.
        hub_endpoint: default: HF_ENDPOINT, else the public hub.

    Returns:
        The stored model; None for one that is built in, of which nothing is stored.

    Raises:
        ModelNotFoundError: nothing is known by that name.
        SourceError: it cannot be fetched.
        IntegrityError: what was fetched is not what was published.
        CheckpointError: it is no model that Leadout reads.
        StoreError: the store cannot be written, or the disk is full.
    """
    if is_built_in(model):
        size = format_bytes(sum(path.stat().st_size for path in built_in_files(model).values()))
        print(f"{model} ({size}) comes with Leadout: nothing needs to be fetched.", flush=True)
        return None
    store = Store() if store is None else store
    name, source = _name_and_source(model, catalogue)
    known = store.find(name)
    if known is not None and known.source != source:
        raise StoreError(
            f'The store has another model "{name}", from {known.source}. Remove '
            f"{known.folder} first.",
            name=name,
            source=known.source,
        )
    if known is not None:
        damage = _damage_of(known)
        if damage is None:
            print(f"{name} is in the store already, and intact.", flush=True)
            return known
        print(f"{name} is in the store, but {damage}; it is fetched again.", flush=True)
    with store.write(name) as writer:
        if model in catalogue:
            pull_packages(catalogue[model], writer, pip)
            notice: str | None = catalogue[model].notice
        elif match := _HUB.fullmatch(model):
            notice = pull_hub(match["repo"], match["file"], writer, hub_endpoint)
        else:
            notice = None
            _copy(store.resolve(source), writer)
        _complete(writer)
        pulled = writer.commit(source, notice)
    size = format_bytes(sum(file.bytes for file in pulled.files))
    print(f"{name}: {len(pulled.files)} files, {size}, verified, in {pulled.folder}", flush=True)
    if notice is not None:
        print(notice, flush=True)
    return pulled


def _name_and_source(model: str, catalogue: Mapping[str, PackagedModel]) -> tuple[str, str]:
    """Return what the store calls a model, and where it comes from."""
    if model in catalogue:
        return model, catalogue[model].source
    if model.startswith("hf:"):
        match = _HUB.fullmatch(model)
        if match is None:
            raise RequestError(f'"{model}" is not of the form hf:owner/name or hf:owner/name:file.')
        name = Path(match["file"]).stem if match["file"] else match["repo"].split("/")[1]
        return _as_name(name), model
    path = Path(model).expanduser().absolute()
    if not path.exists():
        raise ModelNotFoundError(
            f'No model "{model}" to pull. Wanted {", ".join(catalogue)}, hf:owner/name[:file], or '
            "the path of a .gguf file or of a folder.",
            name=model,
        )
    return _as_name(path.name if path.is_dir() else path.stem), str(path)


def _as_name(text: str) -> str:
    """Return a name for the store that is as near to `text` as its rules allow."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", text).lstrip("._+-")[:128]


def _damage_of(model: StoredModel) -> str | None:
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
    """Bring files of this disk into the store: linked where that is possible, else copied."""
    _open_checkpoint(files)
    total_bytes = sum(path.stat().st_size for path in files.values())
    with Progress(f"copying to {writer.folder.name}", max(total_bytes, 1)) as progress:
        for file, path in files.items():
            # A GGUF's name is the user's; those of safetensors are in their index.
            name = f"{_as_name(path.stem)}.gguf" if path.suffix == ".gguf" else file
            link = writer.parts_folder / "link"
            link.unlink(missing_ok=True)
            try:
                os.link(path.resolve(), link)
            except OSError:
                # Another disk, or one without links.
                writer.require_free(path.stat().st_size)
                writer.add(name, progress.watch(read_chunks(path)))
            else:
                writer.adopt(link, name)
                progress.advance(path.stat().st_size)


def _complete(writer: ModelWriter) -> None:
    """Check that the files are a checkpoint, and give a GGUF its tokenizer.json.

    The page could build that from the GGUF's vocabulary each time; once, here, is quicker.
    """
    from leadout.tokenizer import tokenizer_json_from_gguf

    files = {name: writer.folder / name for name in writer.file_names}
    checkpoint = _open_checkpoint(files)
    if checkpoint.kind == "gguf" and checkpoint.tokenizer_json is None:
        tokenizer = tokenizer_json_from_gguf(checkpoint.metadata)
        text = json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":"))
        writer.add("tokenizer.json", [text.encode()])


def _open_checkpoint(files: Mapping[str, Path]) -> Checkpoint:
    from leadout.checkpoint import FileSource, open_checkpoint

    return asyncio.run(open_checkpoint({name: FileSource(files[name]) for name in files}))
