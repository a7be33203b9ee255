"""leadout/ai-sdk under the real AI SDK (npm's `ai`), over the fake engine."""

from __future__ import annotations

import pytest

from node_cases import check, names_of

SCRIPT = "ai_sdk.mjs"


@pytest.mark.parametrize("name", names_of(SCRIPT))
def test_ai_sdk(name: str) -> None:
    check(SCRIPT, name)
