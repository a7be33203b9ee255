"""leadout/prompt-api as a page uses the browser's LanguageModel, over the fake engine."""

from __future__ import annotations

import pytest

from node_cases import check, names_of

SCRIPT = "prompt_api.mjs"


@pytest.mark.parametrize("name", names_of(SCRIPT))
def test_prompt_api(name: str) -> None:
    check(SCRIPT, name)
