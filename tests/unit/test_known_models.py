"""The list of known models is whole. The documentation has it as a table: see documentation.py."""

from __future__ import annotations

import re

from leadout_build.cli.catalogue import CATALOGUE
from leadout_build.store.hub_choice import drafter_repos
from leadout_build.store.known_models import known_models


def test_every_known_model_has_a_name_of_its_own_and_a_repository() -> None:
    names = [model.name for model in known_models()]
    assert len({*names, *CATALOGUE}) == len(names) + len(CATALOGUE)
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9.-]+", name) for name in names)
    assert len({str(model.hub) for model in known_models()}) == len(names)


def test_the_list_names_only_drafters_that_would_not_be_found() -> None:
    for model in known_models():
        if model.drafter is not None:
            assert drafter_repos(model.drafter.repo) == [], "a drafter's name says that it is one"
            assert model.drafter.repo not in drafter_repos(model.hub.repo)
