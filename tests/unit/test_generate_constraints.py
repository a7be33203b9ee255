"""`leadout generate --schema`, `--grammar` and `--regex`: what they ask for, what is refused."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from leadout.errors import RequestError
from leadout_build import cli
from leadout_build.cli.generate import constraint_of


def asked(**given: Any) -> dict[str, Any]:
    return constraint_of(
        argparse.Namespace(**{"schema": None, "grammar": None, "regex": None} | given)
    )


def test_files_become_fields_of_the_request(tmp_path: Path) -> None:
    schema, grammar = tmp_path / "coin.json", tmp_path / "g.ebnf"
    schema.write_text('{"type": "boolean"}')
    grammar.write_text('root ::= "é"', "utf-8")
    about = {"name": "coin", "schema": {"type": "boolean"}}
    assert asked(schema=schema) == {
        "response_format": {"type": "json_schema", "json_schema": about}
    }
    assert asked(grammar=grammar) == {"grammar": 'root ::= "é"'}
    assert asked(regex="a|b") == {"regex": "a|b"}
    assert asked() == {}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("schema", b"{", "the schema is not JSON"),
        ("schema", b"[" * 10_000, "the schema is not JSON"),
        ("schema", b'"' + b"a" * 300_000 + b'"', "are allowed"),
        ("schema", b'{"if": true}', "'if' is not supported"),
        ("schema", b"\xff\xfe", "not UTF-8 text"),
        ("grammar", b"root ::= nowhere", "nowhere"),
        ("grammar", b"", "grammar"),
    ],
)
def test_what_a_file_cannot_be_is_said_before_anything_is_loaded(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(RequestError, match=message):
        asked(**{name: path})


def test_one_of_them_at_most_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["generate", "nano", "Hi", "--schema", "a", "--regex", "b"])
    assert "not allowed with argument" in capsys.readouterr().err
