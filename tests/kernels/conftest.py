"""Fixtures that run kernels and Plans in Chromium; see gpu_page.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt
import pytest
from gpu_page import GpuPage, GpuRuntime, Words, open_page
from page_hosts import IS_NODE
from stage import Played, Stage, play

import parallel
from leadout.lowering import linear
from lowered import caps

RunKernel = Callable[
    [str, Mapping[str, int | float], Sequence[npt.NDArray[Any]], tuple[int, int, int]], list[Words]
]
RunStage = Callable[..., Played]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what only a browser has where there is none."""
    if IS_NODE:
        left_out = [item for item in items if item.get_closest_marker("browser_only")]
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)


@pytest.fixture(scope="session")
def kernels_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the kernels are rendered once, for all workers."""
    with parallel.shared_folder(tmp_path_factory) as folder:
        kernels = folder / "kernels"
        kernels.mkdir(exist_ok=True)
    return kernels


@pytest.fixture(scope="session")
def opened_page(kernels_folder: Path) -> Iterator[GpuPage]:
    """A Chromium for all files."""
    with open_page(kernels_folder) as page:
        yield page


@pytest.fixture
def gpu_page(opened_page: GpuPage) -> Iterator[GpuPage]:
    """The page; a test fails if anything went wrong in it unseen."""
    yield opened_page
    mistakes = opened_page.mistakes[:]
    opened_page.mistakes.clear()
    opened_page.server.files.clear()
    assert mistakes == []


@pytest.fixture(scope="session")
def kernel_runtime(opened_page: GpuPage) -> Iterator[GpuRuntime]:
    """A Runtime on the rendered kernels, with whatever pipelines earlier files compiled."""
    runtime = GpuRuntime(opened_page)
    yield runtime
    runtime.destroy()


@pytest.fixture
def run_kernel(kernel_runtime: GpuRuntime, gpu_page: GpuPage) -> RunKernel:
    """`run_kernel(variant, constants, bindings, workgroups)`; see GpuRuntime.run_kernel."""
    return kernel_runtime.run_kernel


@pytest.fixture(scope="module", autouse=True)
def rows_together() -> Iterator[None]:
    """Rows of the tests' small layers are multiplied together, as those of real layers are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linear, "FEW_WEIGHTS", 0)
        yield


@pytest.fixture
def run_stage(kernel_runtime: GpuRuntime, gpu_page: GpuPage) -> RunStage:
    """`run_stage(stage, is_software=False, num_positions=0, takes=())`; see `stage.play`."""

    def run(
        stage: Stage, *, is_software: bool = False, is_fast: bool = False, **options: Any
    ) -> Played:
        features = kernel_runtime.info["features"]
        found = caps(features, is_software=is_software, is_fast=is_fast)
        return play(kernel_runtime, stage, found, **options)

    return run


@pytest.fixture
def run_wgsl(gpu_page: GpuPage) -> RunKernel:
    """As `run_kernel`, with a kernel's whole WGSL in place of a variant's name."""

    def run(
        code: str,
        constants: Mapping[str, int | float],
        bindings: Sequence[npt.NDArray[Any]],
        workgroups: tuple[int, int, int],
    ) -> list[Words]:
        runtime = GpuRuntime(gpu_page, {"test": code})
        try:
            return runtime.run_kernel("test", constants, bindings, workgroups)
        finally:
            runtime.destroy()

    return run


@pytest.fixture
def make_runtime(gpu_page: GpuPage) -> Iterator[Callable[..., GpuRuntime]]:
    """`make_runtime(wgsl, max_binding_bytes=None)`: a fresh Runtime, destroyed after the test."""
    made: list[GpuRuntime] = []

    def make(wgsl: Mapping[str, str] | None = None, **options: int) -> GpuRuntime:
        made.append(GpuRuntime(gpu_page, wgsl, **options))
        return made[-1]

    yield make
    for runtime in made:
        runtime.destroy()


@pytest.fixture
def gpu_runtime(make_runtime: Callable[..., GpuRuntime]) -> GpuRuntime:
    """A fresh Runtime on the rendered kernels; `run_plan` runs a whole Plan on it."""
    return make_runtime()
