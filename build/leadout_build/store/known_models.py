"""The models that have a short name, and their drafters.

The list is web/hub/known_models.json. The page reads it too, and the build makes a table from it
for the documentation.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from leadout_build import IS_CHECKOUT, ROOT
from leadout_build.store.hub_names import HubName, parse_hub_name

#: Keep in step with build/hatch_build.py.
LIST = (
    ROOT / "web/hub/known_models.json"
    if IS_CHECKOUT
    else Path(__file__).with_name("known_models.json")
)


@dataclass(frozen=True)
class KnownModel:
    """A model with a short name.

    Attributes:
        name: the short name on the command line and the page.
        title: the title to show.
        hub: the model's name on the hub.
        of: the repository of the same model in full precision, if this one is quantised.
        drafter: the drafter's name on the hub, if hub_choice.py does not find it.
    """

    name: str
    title: str
    hub: HubName
    of: str | None
    drafter: HubName | None


@cache
def known_models() -> tuple[KnownModel, ...]:
    """Return all known models, in the list's order."""
    models = json.loads(LIST.read_text(encoding="utf-8"))["models"]
    return tuple(
        KnownModel(
            model["name"],
            model["title"],
            _hub_name(model["hub"]),
            model["of"],
            None if model["drafter"] is None else _hub_name(model["drafter"]),
        )
        for model in models
    )


def smaller_than(repo: str) -> KnownModel | None:
    """Return the known model that is a repository's model in fewer bits, or None."""
    return next((model for model in known_models() if model.of == repo), None)


def known_drafter(target: HubName) -> HubName | None:
    """Return the drafter in the list for a model on the hub, or None; see web/hub/resolve.js."""
    for model in known_models():
        files = {model.hub.file, target.file} - {None}
        if model.hub.repo == target.repo and len(files) < 2:
            return model.drafter
    return None


def _hub_name(text: str) -> HubName:
    name = parse_hub_name(text)
    assert name is not None, f"{LIST} has {text}"
    return name
