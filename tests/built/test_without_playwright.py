"""The command line where Playwright is not installed: only what drives a browser says so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from serve_command import served

#: Hides Playwright, and takes the site of the first argument for the built one.
HIDE = """
import pathlib, sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "playwright":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hidden())
import leadout_build
leadout_build.DIST = pathlib.Path(sys.argv[1])
from leadout_build.cli import main
"""

#: Runs commands from stdin, and says of each how it ended.
RUN_ALL = """
import contextlib, io, json
ends = []
for argv in json.load(sys.stdin):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(argv)
    ends.append([code, out.getvalue(), err.getvalue()])
json.dump(ends, sys.stdout)
"""

WITHOUT_A_BROWSER = {
    "pull": ["pull", "nano"],
    "models": ["models"],
    "inspect": ["inspect", "nano", "--json"],
    "generate": ["generate", "nano", "Up?", "--device", "numpy", "--max-tokens", "2"],
    "build": ["build"],
}
WITH_A_BROWSER = {
    "generate": ["generate", "nano", "Up?"],
    "bench": ["bench", "nano"],
}
COMMANDS = [*WITHOUT_A_BROWSER.values(), *WITH_A_BROWSER.values()]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    (folder / "index.html").write_text("<!doctype html>")
    return folder


@pytest.fixture(scope="module")
def environment(site: Path) -> dict[str, str]:
    home = str(site.with_name("home"))
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "LEADOUT_HOME": home}


@pytest.fixture(scope="module")
def ends(site: Path, environment: dict[str, str]) -> list[Any]:
    """How each of COMMANDS ended: its exit code, and what it printed and said."""
    done = subprocess.run(
        [sys.executable, "-c", HIDE + RUN_ALL, str(site)],
        input=json.dumps(COMMANDS),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", [name for name in WITHOUT_A_BROWSER if name != "build"])
def test_commands_that_need_no_browser_run(ends: list[Any], name: str) -> None:
    code, out, err = ends[COMMANDS.index(WITHOUT_A_BROWSER[name])]
    assert (code, err) == (0, "")
    assert out.strip()


def test_a_build_gets_as_far_as_the_folder_that_is_no_build(ends: list[Any]) -> None:
    """To build a whole site would take longer, and nothing that comes then knows of browsers."""
    code, _, err = ends[COMMANDS.index(WITHOUT_A_BROWSER["build"])]
    assert code == 1
    assert "holds files that are no build" in err


@pytest.mark.parametrize("name", WITH_A_BROWSER)
def test_commands_that_drive_a_browser_say_how_to_get_playwright(
    ends: list[Any], name: str
) -> None:
    code, out, err = ends[COMMANDS.index(WITH_A_BROWSER[name])]
    assert (code, out) == (1, "")
    assert err.startswith("leadout: error: ")
    assert err.count("\n") == 1
    assert "pip install 'leadout[browser]'" in err
    assert "playwright install chromium" in err
    assert "No module named 'playwright'" in err


def test_the_site_is_served(site: Path, environment: dict[str, str]) -> None:
    command = [sys.executable, "-c", HIDE + "main(['serve', '--port', '0'])", str(site)]
    with served(command, environment) as url, urllib.request.urlopen(url) as response:
        assert response.read() == b"<!doctype html>"
