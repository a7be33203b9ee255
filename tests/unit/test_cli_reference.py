"""The command line's page in the documentation: every command and option, as --help has them."""

from __future__ import annotations

import argparse
import re
import shlex

import pytest

from leadout_build import DIST, ROOT
from leadout_build.cli.arguments import _HelpFormatter, _parser, parse

PAGE = (ROOT / "static/docs/cli.md").read_text("utf-8")

COMMAND = re.compile(r"^ *(leadout \w.*)$", re.MULTILINE)


def commands() -> dict[str, argparse.ArgumentParser]:
    (choices,) = (a.choices for a in _parser()._actions if a.metavar == "COMMAND")
    assert isinstance(choices, dict)
    return choices


def reference(parser: argparse.ArgumentParser) -> list[str]:
    """Return the rows that a command's table has to have."""
    formatter = _HelpFormatter(parser.prog)
    rows = []
    for action in parser._actions:
        if action.dest == "help":
            continue
        value = formatter._format_args(action, action.dest.upper()) if action.nargs != 0 else ""
        names = ", ".join(action.option_strings)
        name = " ".join(part for part in (names, value) if part).replace("|", "\\|")
        text = formatter._expand_help(action).replace(str(DIST), "dist").replace("|", "\\|")
        rows.append(f"| `{name}` | {text} |")
    return rows


@pytest.mark.parametrize("name", commands())
def test_every_option_of_a_command_is_on_its_page(name: str) -> None:
    section = re.search(rf"^## leadout {name}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert section is not None
    rows = re.findall(r"^\| `.*\|$", section[1], re.MULTILINE)
    assert rows == reference(commands()[name])


def test_the_page_names_no_command_that_is_not_there() -> None:
    assert re.findall(r"^## leadout (\w+)$", PAGE, re.MULTILINE) == list(commands())
    examples = re.findall(r"^leadout (\w+)", PAGE, re.MULTILINE)
    assert len(examples) > 10
    assert set(examples) == set(commands())


def test_every_example_parses() -> None:
    texts = [PAGE, (ROOT / "README.md").read_text("utf-8")]
    lines = [line for text in texts for line in COMMAND.findall(text)]
    assert len(lines) > 15
    for line in lines:
        assert parse(shlex.split(line, comments=True)[1:]) is not None, line
