"""What `leadout generate` is asked, and how it prints several answers: without an engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from leadout.errors import ContextLengthError, RequestError
from leadout.rows import FEW_ROWS
from leadout_build import cli
from leadout_build.cli.answers import Answers
from leadout_build.cli.prompts import read_prompts
from leadout_build.cli.values import PARALLEL

#: Has a drafter beside it, and no tokenizer.
TINY = Path(__file__).parents[1] / "vectors" / "gemma4-tiny" / "e2b"

Captured = pytest.CaptureFixture[str]


def written(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def test_the_command_line_knows_how_many_requests_a_model_can_be_loaded_for() -> None:
    assert PARALLEL == FEW_ROWS


def test_a_text_file_has_a_prompt_a_line(tmp_path: Path) -> None:
    path = written(tmp_path / "p.txt", '\ufeffOne\r\n\n  Two, "quoted" \n\u2028x\n[3]')
    assert read_prompts(path) == ["One", 'Two, "quoted"', "x", "[3]"]


def test_json_lines_have_text_of_several_lines_or_ids(tmp_path: Path) -> None:
    lines = ['"One\\ntwo"', "", '{"prompt": "Three"}', '{"prompt_ids": [2, 5, 9]}']
    path = written(tmp_path / "p.jsonl", "\n".join(lines))
    assert read_prompts(path) == ["One\ntwo", "Three", [2, 5, 9]]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("One", "line 2 is not JSON"),
        ("[" * 100_000, "line 2 is not JSON"),
        ("7", 'wanted a string, {"prompt": "text"} or'),
        ('{"prompt": 7}', "line 2: wanted"),
        ('{"prompt_ids": [2, -1]}', "line 2: wanted"),
        ('{"prompt_ids": [true]}', "line 2: wanted"),
        ('{"prompt": "a", "seed": 3}', "line 2: wanted"),
    ],
)
def test_a_line_that_is_no_prompt_is_refused_by_its_number(
    tmp_path: Path, line: str, said: str
) -> None:
    path = written(tmp_path / "p.jsonl", f'"One"\n{line}\n')
    with pytest.raises(RequestError, match=r"p\.jsonl") as caught:
        read_prompts(path)
    assert said in caught.value.message


@pytest.mark.parametrize(("content", "said"), [(b"\n \n", "no prompts; write"), (b"\xff", "UTF-8")])
def test_a_file_without_prompts_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "p.txt"
    path.write_bytes(content)
    with pytest.raises(RequestError, match=said):
        read_prompts(path)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--prompts", "none.txt"], "none.txt: No such file"),
        (["Hi", " ", "--parallel", "2"], "Prompt 2 is empty; ask something."),
        ([""], "The prompt is empty; ask something."),
        (["--prompts", "ids.jsonl", "--table", "t.csv"], "The prompt is ids; --table goes before"),
    ],
)
def test_what_is_no_prompt_is_said_before_anything_is_loaded(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Captured,
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "ids.jsonl", '{"prompt_ids": [2]}')
    written(tmp_path / "t.csv", "asset,price\nABC,1\n")
    assert cli.main(["generate", str(TINY), *arguments, "--device", "numpy"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert said in err


def answers(*names: str, is_json: bool = False, is_list: bool = True) -> Answers:
    return Answers("m", names, is_json=is_json, is_list=is_list)


def test_answers_are_printed_in_order_though_they_come_beside_one_another(
    capsys: Captured,
) -> None:
    printer = answers("Ask a", "Ask\nb", "c" * 100)
    printer.add(1, "b1", "")
    printer.add(0, "a1", "")
    assert capsys.readouterr().out == "[1/3] Ask a\na1"  # at once, since it is its turn
    printer.add(2, "c1", "")
    printer.end(2, {})
    printer.add(0, " a2", "")
    printer.end(0, {})
    assert capsys.readouterr().out == " a2\n\n[2/3] Ask b\nb1"
    printer.add(1, " b2", "")
    printer.end(1, {})
    assert capsys.readouterr().out == f" b2\n\n[3/3] {'c' * 59}…\nc1\n"
    assert printer.close() == 0


def test_reasoning_waits_for_its_turn_and_goes_to_stderr(capsys: Captured) -> None:
    printer = answers("a", "b")
    printer.add(1, "", "so b")
    printer.add(0, "", "so a")
    assert capsys.readouterr().err == "so a"
    printer.end(0, {})
    assert capsys.readouterr().err == "so b"


def test_a_prompt_cannot_move_the_cursor(capsys: Captured) -> None:
    answers("a\x1b[2J")
    assert capsys.readouterr().out == "[1/1] a\\x1b[2J\n"


def test_one_answer_alone_has_no_line_above_it(capsys: Captured) -> None:
    printer = answers("a", is_list=False)
    printer.add(0, "yes", "")
    printer.end(0, {})
    assert printer.close() == 0
    assert capsys.readouterr().out == "yes\n"


def test_the_failure_of_the_only_one_is_the_commands(capsys: Captured) -> None:
    printer = answers("a", is_list=False)
    printer.end(0, ContextLengthError("Too long."))
    with pytest.raises(ContextLengthError):
        printer.close()
    assert capsys.readouterr() == ("", "")


def test_json_lines_come_in_order_with_the_errors_of_those_that_failed(capsys: Captured) -> None:
    printer = answers("a", "b", "c", is_json=True)
    printer.add(0, "never shown", "nor this")
    printer.end(2, {"text": "C"})
    assert capsys.readouterr().out == ""
    printer.end(0, {"text": "A"})
    printer.end(1, ContextLengthError("Too long.", prompt_tokens=9))
    out, err = capsys.readouterr()
    assert [json.loads(line) for line in out.splitlines()] == [
        {"model": "m", "index": 0, "text": "A"},
        {
            "model": "m",
            "index": 1,
            "error": {
                "name": "ContextLengthError",
                "message": "Too long.",
                "detail": {"prompt_tokens": 9},
            },
        },
        {"model": "m", "index": 2, "text": "C"},
    ]
    assert err == "leadout: error: prompt 2: ContextLengthError: Too long.\n"
    assert printer.close() == 1


def generated(capsys: Captured, *arguments: str, exit_code: int = 0) -> list[dict[str, Any]]:
    """Return the lines that a tiny model on NumPy writes."""
    command = ["generate", str(TINY), "--device", "numpy", "--max-tokens", "8", "--ignore-eos"]
    assert cli.main([*command, "--json", *arguments]) == exit_code
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_prompts_at_once_give_the_ids_that_each_gives_alone(
    tmp_path: Path, capsys: Captured
) -> None:
    prompts = [[2, 5, 9], [2, 7], [2, *range(3, 40)], [2, 5, 9, 7]]
    alone = [
        generated(capsys, "--prompt-ids", " ".join(map(str, ids)), "--seed", "3")[0]
        for ids in prompts
    ]
    lines = [json.dumps({"prompt_ids": ids}) for ids in prompts]
    path = written(tmp_path / "p.jsonl", "\n".join(lines))
    together = generated(capsys, "--prompts", str(path), "--parallel", "2", "--seed", "3")
    assert [one["index"] for one in together] == [0, 1, 2, 3]
    assert [one["prompt_tokens"] for one in together] == prompts
    assert [one["tokens"] for one in together] == [one["tokens"] for one in alone]
    assert len({tuple(one["tokens"]) for one in alone}) > 1


def test_a_prompt_that_is_too_long_loses_no_other(tmp_path: Path, capsys: Captured) -> None:
    prompts = [[2, 5], [2] * 64, [2, 7], [2, 999_999]]
    lines = [json.dumps({"prompt_ids": ids}) for ids in prompts]
    path = written(tmp_path / "p.jsonl", "\n".join(lines))
    options = ("--prompts", str(path), "--parallel", "4", "--context-length", "32")
    found = generated(capsys, *options, exit_code=1)
    names = [one.get("error", {}).get("name") for one in found]
    assert names == [None, "ContextLengthError", None, "RequestError"]
    assert [len(one.get("tokens", ())) for one in found] == [8, 0, 8, 0]
