"""leadout/remote over HTTP, on a server that speaks the protocol well and badly."""

from __future__ import annotations

import pytest

from node_cases import check, names_of

SCRIPT = "remote.mjs"


@pytest.mark.parametrize("name", names_of(SCRIPT))
def test_remote(name: str) -> None:
    check(SCRIPT, name)
