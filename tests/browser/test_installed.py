"""The project's own wheel, unpacked as pip would: its site and Nano, without sources or Node."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from leadout_build import ROOT
from leadout_build.store.built_in import built_in_files
from serve_command import served

#: What the build backend takes from a checkout, beside the built site.
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "NOTICE", "build", "pyapp", "web/hub")

#: Seen: 22 MB, of which Nano is 13.
MOST_BYTES = 40_000_000


@pytest.fixture(scope="module")
def wheel(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree with its built site."""
    folder = tmp_path_factory.mktemp("wheel")
    checkout = folder / "checkout"
    checkout.mkdir()
    for name in SOURCES:
        (checkout / name).parent.mkdir(exist_ok=True)
        (checkout / name).symlink_to(ROOT / name)
    (checkout / "dist").symlink_to(site)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(checkout)]
    subprocess.run(command, check=True, capture_output=True)
    (built,) = folder.glob("leadout-*-py3-none-any.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that Python finds the packages in, before those of this checkout."""
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def environment(installed: Path) -> dict[str, str]:
    """Return one without Node, without a network, and with an empty store."""
    nowhere = "http://127.0.0.1:9"
    return {
        "PATH": str(installed / "no-programs"),
        "PYTHONPATH": str(installed),
        "LEADOUT_HOME": str(installed / "home"),
        **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), nowhere),
        "no_proxy": "127.0.0.1",
    }


def command_of(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "leadout_build.cli", *arguments]


def run(installed: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command_of(*arguments),
        env=environment(installed),
        cwd=installed,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def url(installed: Path) -> Iterator[str]:
    """Where `leadout serve` of the installed package answers."""
    with served(command_of("serve", "--port", "0"), environment(installed), installed) as url:
        yield url


def test_the_wheel_has_the_whole_site_and_nano_once(wheel: Path, site: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    prefix = "leadout_build/dist/"
    files = json.loads((site / "build.json").read_text())["files"]
    wanted = {"build.json", *(name for name in files if not name.endswith(".gguf"))}
    assert {name.removeprefix(prefix) for name in names if name.startswith(prefix)} == wanted
    assert sorted(name for name in names if name.endswith(".gguf")) == [
        "leadout_build/store/nano/nano-assistant.gguf",
        "leadout_build/store/nano/nano.gguf",
    ]
    assert wheel.stat().st_size < MOST_BYTES


def test_the_wheel_has_nano_s_card_and_nothing_of_how_it_was_made(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "leadout_build/store/nano/README.md" in names
    folders = {name.split("/")[0] for name in names}
    assert {name for name in folders if not name.endswith(".dist-info")} == {
        "leadout",
        "leadout_build",
    }


def test_the_page_is_served_as_it_was_built(url: str, site: Path) -> None:
    for name in ("", "index.html", "leadout.js", "build.json"):
        with urllib.request.urlopen(url + name) as response:
            assert response.read() == (site / (name or "index.html")).read_bytes()


def test_nano_is_what_it_begins_with_and_is_served_in_ranges(url: str) -> None:
    with urllib.request.urlopen(url + "models/index.json") as response:
        (nano,) = json.load(response)["models"]
    assert (nano["name"], nano["default"], nano["drafter"]["name"]) == (
        "nano",
        True,
        "nano-assistant",
    )
    for model in (nano, nano["drafter"]):
        content = built_in_files(model["name"])[model["files"][0]["name"]].read_bytes()
        assert model["bytes"] == len(content)
        address = f"{url}models/{model['name']}/{model['files'][0]['name']}"
        request = urllib.request.Request(address, headers={"Range": "bytes=1000-2999"})
        with urllib.request.urlopen(request) as response:
            assert response.status == 206
            assert response.read() == content[1000:3000]


def test_commands_run_from_there(installed: Path) -> None:
    done = run(installed, "inspect", "nano", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["drafter"]["name"] == "nano-assistant"
    done = run(installed, "pull", "gemma-4-e2c")
    assert "Wanted gemma3-270m, gemma-4-e2b, " in done.stderr  # the list is there


@pytest.mark.parametrize("out", [(), ("--out", "elsewhere")])
def test_a_build_says_that_it_needs_the_repository(installed: Path, out: tuple[str, ...]) -> None:
    done = run(installed, "build", *out)
    assert done.returncode != 0
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("leadout: error: A build needs Leadout's repository")
    assert not (installed / "elsewhere").exists()
    assert (installed / "leadout_build/dist/index.html").is_file()


def test_the_runtime_in_node_says_that_it_needs_the_repository(installed: Path) -> None:
    tools = installed / "with-node"
    tools.mkdir()
    (tools / "node").write_text("#!/bin/sh\n")
    (tools / "node").chmod(0o755)
    done = subprocess.run(
        command_of("bench", "nano", "--runtime", "node"),
        env={**environment(installed), "PATH": str(tools)},
        cwd=installed,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "--runtime node needs Leadout's repository" in done.stderr


def test_this_checkout_serves_its_own_site() -> None:
    from leadout_build import DIST, IS_CHECKOUT

    assert IS_CHECKOUT
    assert os.fspath(DIST) == os.fspath(ROOT / "dist")
