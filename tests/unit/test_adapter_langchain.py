"""leadout/langchain under the real @langchain/core, over the fake engine."""

from __future__ import annotations

import pytest

from node_cases import check, names_of

SCRIPT = "langchain.mjs"


@pytest.mark.parametrize("name", names_of(SCRIPT))
def test_langchain(name: str) -> None:
    check(SCRIPT, name)
