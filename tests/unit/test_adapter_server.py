"""The endpoints of leadout/server under the official OpenAI client, over the fake engine."""

from __future__ import annotations

import pytest

from node_cases import check, names_of

SCRIPT = "server.mjs"


@pytest.mark.parametrize("name", names_of(SCRIPT))
def test_endpoints(name: str) -> None:
    check(SCRIPT, name)
