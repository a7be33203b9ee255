"""Tests that are written in JavaScript, in a file of tests/adapters/: each is one of pytest's, too.

A file runs once, in one Node, since most of its time goes into loading the libraries.
"""

from __future__ import annotations

import json
import re
import subprocess
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).with_name("adapters")


def names_of(script: str) -> list[str]:
    """Return the names of a file's tests, as they stand in its text."""
    text = (FOLDER / script).read_text(encoding="utf-8")
    names = re.findall(r'^test\("([^"]+)"', text, re.MULTILINE)
    assert names, f"{script} has no test"
    return names


@cache
def outcomes_of(script: str) -> dict[str, str]:
    """Run a file, and return how each test went: "passed", or what failed."""
    process = subprocess.run(
        ["node", str(FOLDER / script)],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    outcomes: dict[str, str] = json.loads(process.stdout.splitlines()[-1])
    assert sorted(outcomes) == sorted(names_of(script))
    return outcomes


def check(script: str, name: str) -> None:
    """Fail as the test of this name did."""
    outcome = outcomes_of(script)[name]
    assert outcome == "passed", outcome
