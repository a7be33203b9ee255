"""Tests in parallel workers (pytest-xdist): what they share, in which order, and what is printed.

A worker takes whole files, and one of them all files of kernels, because they share what a browser
has compiled. Plain `pytest` without workers behaves as if none of this were here.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import filelock
import pytest
from xdist.scheduler import LoadScopeScheduling

#: Files that take longest; begun late they would keep one worker alone at the end. The first one
#: stands for all of KERNELS.
LONG_FILES = (
    "kernels/test_gemma4_text.py",
    "browser/test_real_model.py",
    "model/test_nano_generation.py",
    "model/test_conversations.py",
    "browser/test_nano_page.py",
    "browser/test_device_loss.py",
    "model/test_speculation.py",
    "browser/test_boot.py",
    "browser/test_package.py",
    "browser/test_page.py",
    "browser/test_adapters_on_nano.py",
    "browser/test_journey.py",
    "browser/test_several_streams.py",
    "browser/test_generate_command.py",
    "model/test_divergence.py",
    "model/test_greedy.py",
    "browser/test_drafting.py",
    "browser/test_kept_chats.py",
)

#: The folder whose files one worker takes: a CPU compiles a kernel for GPUs for half a second and
#: more, which is most of what many of these tests take.
KERNELS = "tests/kernels/"

#: Names a property of a test (`record_property`) whose text stands at the end of every run. What
#: a test prints is lost in a worker.
IN_SUMMARY = "in_summary"

IS_WORKER = "PYTEST_XDIST_WORKER" in os.environ


@contextmanager
def shared_folder(factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give a folder of this run that all workers share, to one of them at a time."""
    folder = factory.getbasetemp()
    if IS_WORKER:
        folder = folder.parent
    with filelock.FileLock(folder / ".lock"):
        yield folder


def order(items: list[pytest.Item]) -> None:
    """Put the long files first, where there are workers."""
    if IS_WORKER:
        folder = Path(__file__).parent
        gone = [name for name in LONG_FILES if not (folder / name).is_file()]
        assert gone == [], "LONG_FILES names files that are gone"
        places = {name: place for place, name in enumerate(LONG_FILES)}
        items.sort(key=lambda item: places.get("/".join(item.path.parts[-2:]), len(LONG_FILES)))


def summarise(terminal: pytest.TerminalReporter) -> None:
    """Print what tests recorded under `IN_SUMMARY`."""
    for reports in terminal.stats.values():
        for report in reports:
            if getattr(report, "when", None) != "teardown":
                continue
            for name, text in report.user_properties:
                if name == IN_SUMMARY:
                    terminal.write_line(text)


class Files(LoadScopeScheduling):
    """Gives workers whole files, and all of KERNELS to one, unless there is nothing else to do."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return KERNELS if file.startswith(KERNELS) and self._has_others else file

    @cached_property
    def _has_others(self) -> bool:
        return not all(nodeid.startswith(KERNELS) for nodeid in self.collection or ())


class FileReporter:
    """Prints a line for every file that is through, and for every failure at once.

    The dots of several workers would say nothing of where they are.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.is_over = False
        self.total = 0
        self.left: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self.seconds: Counter[str] = Counter()

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        self.counts = Counter(id_.partition("::")[0] for id_ in ids)
        self.left = self.counts.copy()
        self.total = len(ids)

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Count as pytest does, without its letters; its summary has the words."""
        if self.is_over or report.skipped or hasattr(report, "wasxfail"):
            return None
        in_call = report.when == "call"
        if report.passed:
            return ("passed" if in_call else "", "", "")
        return ("failed" if in_call else "error", "", "")

    def pytest_sessionfinish(self) -> None:
        self.is_over = True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        terminal = self.config.pluginmanager.get_plugin("terminalreporter")
        file = report.nodeid.partition("::")[0]
        self.seconds[file] += report.duration
        if report.failed:
            terminal.write_line(f"FAILED {report.nodeid} ({report.when})", red=True)
        if report.when != "teardown":
            return
        self.left[file] -= 1
        if self.left[file] == 0:
            done = 100 * (self.total - self.left.total()) // self.total
            terminal.write_line(
                f"{done:3} %  {self.seconds[file]:6.1f} s  {self.counts[file]:4} tests  {file}"
            )
