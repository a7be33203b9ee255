"""Finding a Chromium and its flags (leadout_build.serving.browser)."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from leadout.errors import DeviceUnavailableError
from leadout_build.serving import browser


@pytest.fixture
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any browser; returns its only folder on PATH, which is also its home."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("LEADOUT_CHROMIUM", raising=False)
    monkeypatch.delenv("PLAYWRIGHT_BROWSERS_PATH", raising=False)
    monkeypatch.setattr(browser, "APPLICATIONS", ())
    return tmp_path


def make_executable(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_a_machine_without_a_browser_says_what_to_do(bare_machine: Path) -> None:
    assert browser.find_browser() is None
    with pytest.raises(DeviceUnavailableError, match="LEADOUT_CHROMIUM"):
        browser.launch_options()


def test_a_browser_on_path_is_found(bare_machine: Path) -> None:
    chromium = make_executable(bare_machine / "google-chrome")
    assert browser.find_browser() == chromium
    assert browser.launch_options()["executable_path"] == str(chromium)


def test_the_newest_browser_of_playwright_is_found(bare_machine: Path) -> None:
    cache = bare_machine / ".cache/ms-playwright"
    make_executable(cache / "chromium-1187/chrome-linux/chrome")
    newest = make_executable(cache / "chromium-1194/chrome-linux64/chrome")
    assert browser.find_browser() == newest


def test_the_environment_variable_wins(bare_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_executable(bare_machine / "chromium")
    mine = make_executable(bare_machine / "mine/chrome")
    monkeypatch.setenv("LEADOUT_CHROMIUM", str(mine))
    assert browser.find_browser() == mine
    monkeypatch.setenv("LEADOUT_CHROMIUM", str(bare_machine / "nothing"))
    with pytest.raises(DeviceUnavailableError, match="is no executable"):
        browser.find_browser()


def test_without_a_gpu_webgpu_is_rendered_in_software(
    bare_machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_executable(bare_machine / "chromium")
    software = "--use-webgpu-adapter=swiftshader"
    for has_gpu in (True, False):
        monkeypatch.setattr(browser, "has_gpu", lambda has_gpu=has_gpu: has_gpu)
        assert (software in browser.launch_options()["args"]) is not has_gpu
        assert software in browser.launch_options(software=True)["args"]
        assert software not in browser.launch_options(software=False)["args"]


@pytest.mark.parametrize(("user", "expected"), [(0, True), (1000, False)])
def test_only_root_does_without_the_sandbox(
    bare_machine: Path, monkeypatch: pytest.MonkeyPatch, user: int, expected: bool
) -> None:
    make_executable(bare_machine / "chromium")
    monkeypatch.setattr(os, "geteuid", lambda: user, raising=sys.platform != "win32")
    assert ("--no-sandbox" in browser.launch_options()["args"]) is expected
