"""`leadout generate --table`: a market table before the prompt."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from leadout.errors import RequestError
from leadout_build import cli
from leadout_build.cli import generate
from leadout_build.cli.prompts import Asked, prompts_of
from leadout_build.cli.table_prompt import read_table
from leadout_build.store.nano_prompts import EXAMPLE_TABLE_CSV, NANO_SYSTEM

BROKEN = {
    "": "has no lines of a table",
    "Buy low, sell high.": "is no column of a market table",
    "asset,price\nBTC,NaN": "'NaN' in the row of BTC is no number",
    "asset,price\nBTC,inf": "'inf' in the row of BTC is no number",
    "asset,price\nBTC,1234567890123": "more than 12 digits",
    "asset,price\nBTC,1\nBTC,2": "BTC has two rows",
}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    path.write_text(f"\ufeff{EXAMPLE_TABLE_CSV}\n\n", "utf-8")
    return path


def asked(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> list[Asked]:
    kept: list[argparse.Namespace] = []
    monkeypatch.setattr(generate, "run", lambda args: kept.append(args) or 0)
    assert cli.main(["generate", *arguments]) == 0
    return prompts_of(kept[0])


def test_the_table_goes_before_the_prompt_behind_nanos_system_turn(
    table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"{EXAMPLE_TABLE_CSV}\n\nWrite a brief."
    messages = [{"role": "system", "content": NANO_SYSTEM}, {"role": "user", "content": text}]
    assert asked(monkeypatch, "nano", "Write a brief.", "--table", str(table)) == [
        Asked("Write a brief.", {"prompt": text}, {"messages": messages})
    ]


def test_other_models_get_no_system_turn(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (found,) = asked(monkeypatch, "gemma", "Sum it up.", "--table", str(table))
    text = f"{EXAMPLE_TABLE_CSV}\n\nSum it up."
    assert found.chat == {"messages": [{"role": "user", "content": text}]}


def test_without_a_table_the_prompt_is_all(monkeypatch: pytest.MonkeyPatch) -> None:
    chat = {"messages": [{"role": "user", "content": "Hi"}]}
    assert asked(monkeypatch, "nano", "Hi") == [Asked("Hi", {"prompt": "Hi"}, chat)]
    as_it_is = {"prompt": "Hi"}
    assert asked(monkeypatch, "nano", "Hi", "--raw") == [Asked("Hi", as_it_is, as_it_is)]


@pytest.mark.parametrize("text", BROKEN)
def test_what_is_no_table_is_refused_by_the_files_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "notes.txt"
    path.write_text(text)
    with pytest.raises(RequestError) as caught:
        read_table(path)
    assert str(path) in caught.value.message
    assert BROKEN[text] in caught.value.message


def test_a_file_that_is_no_text_or_too_large_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.bin"
    path.write_bytes(b"\xff\xfe\x00" * 10)
    with pytest.raises(RequestError, match="not UTF-8 text"):
        read_table(path)
    path.write_bytes(b"a" * (2 << 20))
    with pytest.raises(RequestError, match="more than a MiB"):
        read_table(path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nano", "Hi", "--table", "no-such-file.csv"], "no-such-file.csv: No such file"),
        (["nano", "   "], "The prompt is empty; ask something."),
    ],
)
def test_bad_input_is_one_clear_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert cli.main(["generate", *arguments, "--device", "numpy"]) != 0
    error = capsys.readouterr().err
    assert error.startswith("leadout: error: ")
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("others", [["--raw"], ["--prompt-ids", "2 3"]])
def test_a_table_needs_a_prompt_of_a_chat(
    table: Path, capsys: pytest.CaptureFixture[str], others: list[str]
) -> None:
    prompt = [] if "--prompt-ids" in others else ["Hi"]
    with pytest.raises(SystemExit):
        cli.main(["generate", "nano", *prompt, "--table", str(table), *others])
    assert "--table goes before a PROMPT" in capsys.readouterr().err


def test_a_table_longer_than_the_context_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "long.csv"
    rows = [f"A{i},{i}.123456,+1.25%,-2.50%" for i in range(100)]
    path.write_text("\n".join(["asset,price,1d,7d", *rows]))
    arguments = ["generate", "nano", "Write a brief.", "--table", str(path), "--device", "numpy"]
    assert cli.main(arguments) != 0
    assert "the context holds 2048 with the answer" in capsys.readouterr().err


def test_nano_answers_about_the_table_on_numpy(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["generate", "nano", "Which asset fell most this week?", "--table", str(table)]
    assert cli.main([*arguments, "--device", "numpy", "--max-tokens", "40"]) == 0
    answer = capsys.readouterr().out
    assert "DOGE" in answer
    assert "-8.96%" in answer
