"""`leadout models`: list, verify or remove the models in the store."""

from __future__ import annotations

import argparse
import json
from typing import Any

from leadout.errors import IntegrityError, ModelNotFoundError, RequestError
from leadout_build.cli.pull import damage_of
from leadout_build.cli.terminal import printable
from leadout_build.store.drafters import pair_names, stored_drafters
from leadout_build.store.model_store import Store, StoredModel
from leadout_build.store.sizes import format_bytes


def run(args: argparse.Namespace) -> int:
    """Run the command; see `leadout models --help`.

    Raises:
        RequestError: names are missing, or given to `list`.
        ModelNotFoundError: the store has no model of that name.
        IntegrityError: a model that was verified is damaged.
        StoreError: the store cannot be read or written.
    """
    store = Store()
    if args.action == "list":
        if args.names:
            raise RequestError("`leadout models list` takes no names.")
        _list(store, is_json=args.json)
    elif args.action == "remove":
        if not args.names:
            raise RequestError("Which models? `leadout models remove NAME`.")
        _remove(store, args.names)
    else:
        _verify(store, args.names)
    return 0


def _list(store: Store, *, is_json: bool) -> None:
    models = store.list_models()
    pairs = pair_names([model.name for model in models], stored_drafters(models))
    entries: list[dict[str, Any]] = [
        {
            "name": model.name,
            "bytes": _bytes(model),
            "source": model.source,
            "drafter": pairs.get(model.name),
        }
        for model in models
    ]
    unfinished = store.list_unfinished()
    if is_json:
        print(json.dumps({"models": entries, "unfinished": unfinished}, ensure_ascii=False))
        return
    if not entries and not unfinished:
        print(f"{store.models_folder} has no models; `leadout pull MODEL` adds one.")
    width = max((len(model.name) for model in models), default=0)
    for entry in entries:
        drafter = f"  drafter: {entry['drafter']}" if entry["drafter"] else ""
        size = format_bytes(entry["bytes"])
        print(printable(f"{entry['name']:{width}}  {size:>9}  {entry['source']}{drafter}"))
    for name, count in unfinished.items():
        print(f"{name}: unfinished, {format_bytes(count)}; `leadout pull` goes on with it.")


def _remove(store: Store, names: list[str]) -> None:
    unfinished = store.list_unfinished()
    for name in names:
        if name not in unfinished:
            _find(store, name)
    for name in names:
        freed_bytes = store.remove(name)
        print(f"{name} is removed; {format_bytes(freed_bytes)} are free again.")


def _verify(store: Store, names: list[str]) -> None:
    models = [_find(store, name) for name in names] if names else store.list_models()
    damaged = []
    for model in models:
        damage = damage_of(model)
        print(f"{model.name}: {damage or 'intact'}", flush=True)
        damaged += [model.name] if damage else []
    if damaged:
        raise IntegrityError(
            f"Damaged: {', '.join(damaged)}. `leadout pull` with the source that `leadout models` "
            "names downloads it again.",
            damaged=damaged,
        )


def _find(store: Store, name: str) -> StoredModel:
    model = store.find(name)
    if model is None:
        known = ", ".join(model.name for model in store.list_models()) or "none"
        raise ModelNotFoundError(f'The store has no model "{name}". It has: {known}.', name=name)
    return model


def _bytes(model: StoredModel) -> int:
    return sum(file.bytes for file in model.files)
