"""Fixtures of the tests on real weights: Gemma 3 270M on the NumPy device, loaded once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from leadout.engine import Engine
from leadout_build.cli.native import load_engine


@pytest.fixture(scope="session")
def engine(gemma3_files: dict[str, Path]) -> Iterator[Engine]:
    """The engine as `leadout generate --device numpy` loads it, tokenizer included."""
    engine = asyncio.run(load_engine(gemma3_files))
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def golden_prompts(vectors: Path) -> list[dict[str, Any]]:
    """What transformers says on these weights, prompt by prompt."""
    golden: dict[str, Any] = json.loads((vectors / "gemma3-270m/greedy.json").read_text())
    prompts: list[dict[str, Any]] = golden["prompts"]
    return prompts
