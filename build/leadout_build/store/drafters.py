"""Finds the drafter of a target: beside it on the disk, or in the store.

    target                       drafter
    a built-in model             its own, which is built in too
    a name in the store          P-assistant…, where the name is P or begins with P
    X.gguf                       a .gguf in the same folder; architecture and width must fit
    X/, with config.json         X/assistant/, or X-assistant/ beside it, as the hub names them

Nothing here loads a drafter. The code that opens both checks whether the drafter fits its target.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from leadout.errors import DrafterError
from leadout_build.store.built_in import DRAFTERS, is_built_in
from leadout_build.store.checkpoint_files import parts_beside
from leadout_build.store.drafter_files import (
    GGUF_ARCHITECTURE,
    gguf_widths,
    is_drafter,
    is_drafter_gguf,
)
from leadout_build.store.hub_choice import model_stem
from leadout_build.store.model_store import Store, StoredModel

_DRAFTER_NAME = re.compile(r"(?P<target>.+)-assistant(?![A-Za-z0-9]).*")


@dataclass(frozen=True)
class Drafter:
    """A drafter's files.

    Attributes:
        name: the name to print, also in the URL on the server.
        files: file name → path, as `Store.resolve` returns them.
    """

    name: str
    files: Mapping[str, Path]


def drafter_of(store: Store, target: str) -> Drafter | None:
    """Return the drafter beside a target, or None.

    Args:
        store: the store in which names are looked up.
        target: a name in the store, or a path, as for `Store.resolve`.

    Raises:
        ModelNotFoundError: there is no such target.
        StoreError: the target, or its drafter in the store, is incomplete.
    """
    if target in DRAFTERS:
        return Drafter(DRAFTERS[target], store.resolve(DRAFTERS[target]))
    files = store.resolve(target)
    if is_drafter(files):
        return None
    if store.holds(target, files):
        name = pair_names([target], stored_drafters(store.list_models())).get(target)
        return None if name is None else Drafter(name, store.resolve(name))
    for folder in _folders(target):
        if folder.is_dir() and is_drafter({path.name: path for path in folder.iterdir()}):
            return drafter_named(store, str(folder))
    ggufs = [path for name, path in files.items() if name.endswith(".gguf")]
    return _drafter_of_gguf(ggufs[0]) if ggufs else None


def require_drafter(store: Store, target: str) -> Drafter:
    """Return the drafter beside a target.

    Raises:
        DrafterError: there is none; the message says where the search looked.
        ModelNotFoundError, StoreError: see `drafter_of`.
    """
    found = drafter_of(store, target)
    if found is None:
        raise DrafterError(
            f"No drafter for {target}: looked for {_places(store, target)}. Name one with "
            "--drafter-model, or pull one, such as hf:google/gemma-4-E2B-it-assistant for "
            "gemma-4-E2B-it.",
            name=target,
        )
    return found


def drafter_named(store: Store, name_or_path: str) -> Drafter:
    """Return the drafter of this name or path.

    Raises:
        ModelNotFoundError: there is no such model.
        StoreError: the stored model is incomplete.
    """
    files = store.resolve(name_or_path)
    if is_built_in(name_or_path) or store.holds(name_or_path, files):
        return Drafter(name_or_path, files)
    ggufs = [path for name, path in files.items() if name.endswith(".gguf")]
    if ggufs:
        return Drafter(model_stem(ggufs[0].name), files)
    folder = Path(name_or_path).expanduser().absolute()
    # X/assistant is the drafter of X.
    name = f"{folder.parent.name}-assistant" if folder.name == "assistant" else folder.name
    return Drafter(name, files)


def stored_drafters(models: Iterable[StoredModel]) -> list[str]:
    """Return the names of a store's models that are drafters."""
    return [
        model.name
        for model in models
        # Check the name first, because reading a GGUF's header takes a while.
        if _DRAFTER_NAME.fullmatch(model.name)
        and is_drafter({file.name: model.folder / file.name for file in model.checkpoint_files})
    ]


def pair_names(targets: Iterable[str], drafters: Iterable[str]) -> dict[str, str]:
    """Return target → drafter for each target that has a drafter, by their names.

    Publishers name a drafter like its target, with "-assistant" added. Both names may end with a
    GGUF's quantisation. So gemma-4-E2B-it-assistant is the drafter of gemma-4-E2B-it-Q4_0, unless
    there is a gemma-4-E2B-it-Q4_0-assistant.
    """
    matches = {name: _DRAFTER_NAME.fullmatch(name) for name in sorted(drafters)}
    bases = {name: match["target"] for name, match in matches.items() if match is not None}
    pairs: dict[str, str] = {}
    for target in targets:
        fitting = [
            name
            for name, base in bases.items()
            if re.fullmatch(rf"{re.escape(base)}(?:[-._+].*)?", target)
        ]
        if fitting:
            pairs[target] = max(fitting, key=lambda name: len(bases[name]))
    return pairs


def _folders(target: str) -> Iterator[Path]:
    """Yield the folders where the drafter of a folder may be."""
    folder = Path(target).expanduser().absolute()
    if folder.is_dir():
        yield folder / "assistant"
        yield folder.with_name(f"{folder.name}-assistant")


def _drafter_of_gguf(target: Path) -> Drafter | None:
    """Return the drafter among the GGUFs of the same folder: one that was made for this width.

    If there are several, it is the one that shares the longest prefix with the target's name, then
    the first by name.
    """
    drafters = [path for path in sorted(target.parent.glob("*.gguf")) if is_drafter_gguf(path)]
    if not drafters:
        return None
    width = gguf_widths(target).embedding_length
    fitting = [path for path in drafters if gguf_widths(path).embedding_length_out == width]
    if width is None or not fitting:
        return None
    found = max(fitting, key=lambda path: _num_shared(path.name, target.name))
    return Drafter(model_stem(found.name), parts_beside(found))


def _num_shared(one: str, other: str) -> int:
    """Return the length of the longest common prefix of two names."""
    shared = [left == right for left, right in zip(one, other, strict=False)]
    return [*shared, False].index(False)


def _places(store: Store, target: str) -> str:
    """Return the places where the search looked for a target's drafter, as text."""
    files = store.resolve(target)
    if store.holds(target, files):
        return f'"{target}-assistant" and the like in the store'
    places = [str(folder) for folder in _folders(target)]
    ggufs = [path for name, path in files.items() if name.endswith(".gguf")]
    if ggufs:
        places.append(
            f"a .gguf of architecture {GGUF_ARCHITECTURE} and of the same width in "
            f"{ggufs[0].absolute().parent}"
        )
    return " and ".join(places)
