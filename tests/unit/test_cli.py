"""The command line: help, arguments, exit codes, one clear line on bad input."""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leadout.errors import LeadoutError, PortInUseError, StoreError
from leadout_build import cli
from leadout_build.cli import build, serve
from leadout_build.cli.headers import open_pair
from leadout_build.cli.inspect import describe, inspect_model
from leadout_build.cli.progress import Progress
from leadout_build.store.model_store import Store
from leadout_build.store.sizes import format_bytes
from tiny_gguf import write_tiny_gguf

TINY_SAFETENSORS = Path(__file__).parents[1] / "vectors" / "gemma3-tiny" / "multi-query"
COMMANDS = ("serve", "build", "pull", "inspect", "generate", "bench")

Run = Callable[[argparse.Namespace], int]


@pytest.fixture(autouse=True)
def empty_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEADOUT_HOME", str(tmp_path / "home"))


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[argparse.Namespace]:
    """Let `generate` and `bench` only note their arguments."""
    seen: list[argparse.Namespace] = []

    def run(args: argparse.Namespace) -> int:
        seen.append(args)
        return 0

    for name in ("generate", "bench"):
        module = types.ModuleType(f"leadout_build.cli.{name}")
        module.run = run  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return seen


def fail_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def run(*_args: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr(serve, "serve", run)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main([command, "--help"])
    assert caught.value.code == 0
    assert f"usage: leadout {command}" in capsys.readouterr().out


def test_a_build_says_where_its_folders_are_and_what_packs_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(build, "build_site", lambda out, *, allow_origins: None)
    monkeypatch.setattr(build, "build_package", lambda folder, site: None)
    package = tmp_path / "a package"
    assert cli.main(["build", "--out", str(tmp_path / "site"), "--package", str(package)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"The site is in {tmp_path / 'site'}, for any static host.",
        f"The npm package is in {package}; `npm pack '{package}'` makes one file of it.",
    ]


def test_help_is_quick_and_names_every_command() -> None:
    started = time.monotonic()
    shown = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "leadout_build.cli", "--help"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert time.monotonic() - started < 10
    for command in COMMANDS:
        assert f"\n    {command} " in shown.stdout
    for heavy in ("numpy", "starlette", "uvicorn", "huggingface_hub", "tokenizers", "playwright"):
        assert f" {heavy}\n" not in shown.stderr


def one_error_line(capsys: pytest.CaptureFixture[str]) -> str:
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("leadout: error: ")
    assert err.count("\n") == 1
    return err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "COMMAND"),
        (["fly"], "invalid choice: 'fly'"),
        (["serve", "--port", "x"], '--port: "x"; wanted 0 to 65535'),
        (["serve", "--port", "65536"], "wanted 0 to 65535"),
        (["pull"], "MODEL"),
        (["generate", "m"], "either PROMPT or --prompt-ids"),
        (["generate", "m", "Hi", "--prompt-ids", "1"], "either PROMPT or --prompt-ids"),
        (["generate", "m", "Hi", "--prompts", "f"], "PROMPT or --prompt-ids or --prompts"),
        (["generate", "m", "Hi", "--parallel", "3"], "--parallel: invalid choice: 3"),
        (["generate", "m", "Once", "upon"], "upon; several prompts want --parallel"),
        (["generate", "m", "--prompt-ids", ""], "wanted token ids"),
        (["generate", "m", "--prompt-ids", "2 x"], "wanted token ids"),
        (["generate", "m", "--prompt-ids=-2"], "wanted token ids"),
        (["generate", "m", "Hi", "--max-tokens", "0"], "at least 1"),
        (["generate", "m", "Hi", "--temperature", "-1"], "wanted 0 (greedy) to 100"),
        (["generate", "m", "Hi", "--temperature", "nan"], "wanted 0 (greedy) to 100"),
        (["generate", "m", "Hi", "--temperature", "inf"], "wanted 0 (greedy) to 100"),
        (["generate", "m", "Hi", "--top-k", "-1"], "at least 0"),
        (["generate", "m", "Hi", "--top-k", "1.5"], "a whole number"),
        (["generate", "m", "Hi", "--top-p", "0"], "above 0, up to 1"),
        (["generate", "m", "Hi", "--top-p", "1.1"], "above 0, up to 1"),
        (["generate", "m", "Hi", "--min-p", "2"], "wanted 0 to 1"),
        (["generate", "m", "Hi", "--repetition-penalty", "0"], "above 0"),
        (["generate", "m", "Hi", "--presence-penalty", "3"], "-2 to 2"),
        (["generate", "m", "Hi", "--logit-bias", "the=3"], "wanted ID=B"),
        (["generate", "m", "Hi", "--logit-bias", "7=101"], "-100 to 100"),
        (["generate", "m", "Hi", "--seed", "4294967296"], "0 to 4294967295"),
        (["generate", "m", "Hi", "--seed", "-1"], "0 to 4294967295"),
        (["generate", "m", "Hi", "--run-ahead", "9"], "1 to 8"),
        (["generate", "m", "Hi", "--device", "cpu"], "invalid choice: 'cpu'"),
        (["generate", "m", "Hi", "--drafter", "big"], "invalid choice: 'big'"),
        (["generate", "m", "Hi", "--draft-tokens", "8"], "0 to 7"),
        (["generate", "m", "Hi", "--draft-tokens", "-1"], "0 to 7"),
        (["generate", "m", "Hi", "--draft-tokens", "some"], "0 to 7 or auto"),
        (["generate", "m", "Hi", "--raw", "there"], "unrecognized arguments: there"),
        (["generate", "m", "--raw", "Hi", "there"], "unrecognized arguments: there"),
        (["generate", "m", "--raw", "--hot"], "unrecognized arguments: --hot"),
        (["pull", "m", "n"], "unrecognized arguments: n"),
        (["bench", "m", "--shape", "e2b"], "not both"),
        (["bench", "--rows", "1,0"], "at least 1"),
    ],
)
def test_bad_arguments_get_one_clear_line(
    arguments: list[str],
    said: str,
    parsed: list[argparse.Namespace],
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    assert said in one_error_line(capsys)
    assert parsed == []


@pytest.mark.parametrize(
    "arguments",
    [["m", "Hi", "--seed", "1"], ["m", "--seed", "1", "Hi"], ["--seed", "1", "m", "Hi"]],
)
def test_a_prompt_may_stand_before_options_or_after_them(
    arguments: list[str], parsed: list[argparse.Namespace]
) -> None:
    assert cli.main(["generate", *arguments]) == 0
    assert (parsed[0].model, parsed[0].prompts, parsed[0].seed) == ("m", ["Hi"], 1)


@pytest.mark.parametrize(
    "arguments",
    [
        ["m", "a", "b c", "--parallel", "2"],
        ["m", "--parallel", "2", "a", "b c"],
        ["m", "a", "--parallel", "2", "b c"],
        ["--parallel", "2", "m", "a", "b c"],
    ],
)
def test_several_prompts_may_stand_anywhere_behind_the_model(
    arguments: list[str], parsed: list[argparse.Namespace]
) -> None:
    assert cli.main(["generate", *arguments]) == 0
    assert (parsed[0].prompts, parsed[0].parallel) == (["a", "b c"], 2)


def test_generate_passes_every_option_on(parsed: list[argparse.Namespace]) -> None:
    command = [
        *("generate", "m", "--prompt-ids", "2 5,9", "--max-tokens", "7", "--device", "numpy"),
        *("--drafter", "mtp", "--drafter-model", "d", "--draft-tokens", "3", "--thinking"),
        *("--temperature", "0.7", "--top-k", "40", "--top-p", "0.9"),
        *("--min-p", "0.1", "--repetition-penalty", "1.1", "--seed", "4294967295", "--stop", "a"),
        *("--stop", "b", "--run-ahead", "2", "--context-length", "512", "--placement", "paged"),
        *("--presence-penalty", "-0.5", "--frequency-penalty", "2"),
        *("--logit-bias", "7=-100", "--logit-bias", "9=0.5", "--logprobs", "4"),
        *("--precision", "fast", "--parallel", "4", "--regex", "a|b"),
        *("--raw", "--ignore-eos", "--json"),
    ]
    assert cli.main(command) == 0
    args = vars(parsed[0])
    args.pop("run")
    assert args == {
        "model": "m",
        "prompts": [],
        "prompts_file": None,
        "parallel": 4,
        "table": None,
        "prompt_ids": [2, 5, 9],
        "max_tokens": 7,
        "device": "numpy",
        "drafter": "mtp",
        "drafter_model": "d",
        "draft_tokens": 3,
        "thinking": True,
        "temperature": 0.7,
        "top_k": 40,
        "top_p": 0.9,
        "min_p": 0.1,
        "repetition_penalty": 1.1,
        "presence_penalty": -0.5,
        "frequency_penalty": 2.0,
        "logit_bias": [("7", -100.0), ("9", 0.5)],
        "logprobs": 4,
        "schema": None,
        "grammar": None,
        "regex": "a|b",
        "seed": 4294967295,
        "stop": ["a", "b"],
        "run_ahead": 2,
        "context_length": 512,
        "placement": "paged",
        "precision": "fast",
        "raw": True,
        "ignore_eos": True,
        "json": True,
    }


def test_defaults_are_greedy_and_take_nothing_over_from_the_last_run(
    parsed: list[argparse.Namespace],
) -> None:
    cli.main(["generate", "m", "Hi", "--stop", "x"])
    cli.main(["generate", "m", "Hi"])
    assert (parsed[1].temperature, parsed[1].seed, parsed[1].stop) == (0.0, 0, [])
    assert (parsed[1].drafter, parsed[1].draft_tokens, parsed[1].thinking) == (
        "auto",
        "auto",
        False,
    )
    cli.main(["bench"])
    assert (parsed[2].model, parsed[2].shape, parsed[2].rows) == (None, None, [1, 2, 4, 8])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StoreError("The disk\nis full."), 1),
        (PortInUseError("Port 1 is in use."), 1),
        (LeadoutError("Something."), LeadoutError.exit_code),
        (PermissionError(13, "Permission denied", "/some/file"), 1),
    ],
)
def test_an_error_is_one_line_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    code: int,
) -> None:
    fail_with(monkeypatch, error)
    assert cli.main(["serve"]) == code
    assert "Traceback" not in one_error_line(capsys)


def test_ctrl_c_is_exit_code_130_without_a_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fail_with(monkeypatch, KeyboardInterrupt())
    assert cli.main(["serve"]) == 130
    assert capsys.readouterr() == ("", "")


def test_serve_passes_its_options_on(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def note(host: str, port: int, **options: object) -> None:
        seen.update(host=host, port=port, **options)

    monkeypatch.setattr(serve, "serve", note)
    origins = ["--allow-origin", "https://a.b", "--cors", "https://c.d"]
    cli.main(["serve", "--port", "0", "--open", "--model", "m", *origins])
    assert seen == {
        "host": "127.0.0.1",
        "port": 0,
        "open_browser": True,
        "model": "m",
        "allow_origins": ["https://a.b"],
        "cors_origins": ["https://c.d"],
    }


def test_a_reader_that_has_enough_is_no_error(tmp_path: Path) -> None:
    write_tiny_gguf(tmp_path / "tiny.gguf")
    command = [sys.executable, "-m", "leadout_build.cli", "inspect", str(tmp_path / "tiny.gguf")]
    with subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=10) == 0


# ---- inspect --------------------------------------------------------------------------------


def test_pull_then_inspect_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tiny_gguf(tmp_path / "tiny.gguf")
    assert cli.main(["pull", str(tmp_path / "tiny.gguf")]) == 0
    assert capsys.readouterr().err == ""
    assert cli.main(["inspect", "tiny", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["model"], shown["kind"], shown["architecture"]) == (
        "tiny",
        "gguf",
        "gemma3_text",
    )
    assert shown["context_length"] == 256


def test_inspect_of_an_unknown_model_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["inspect", "no-such-model"]) == 1
    assert '"no-such-model"' in one_error_line(capsys)


def test_inspect_counts_what_a_decode_step_reads() -> None:
    inspection = inspect_model(*open_pair(Store(), str(TINY_SAFETENSORS)))
    config = json.loads((TINY_SAFETENSORS / "config.json").read_text())
    layers, hidden = config["num_hidden_layers"], config["hidden_size"]
    kv_values = 2 * config["num_key_value_heads"] * config["head_dim"]
    assert inspection.num_layers == layers
    assert inspection.num_full_layers == config["layer_types"].count("full_attention")
    assert inspection.kv_bytes_per_token == {
        "f32": 4 * kv_values * layers,
        "f16": 2 * kv_values * layers,
    }
    assert inspection.kv_bytes_per_token_past_window["f16"] == 2 * kv_values
    # All in float32 here, and the embedding is the head: every value once, and one row.
    assert inspection.stored_bytes == inspection.device_bytes == 4 * inspection.num_parameters
    assert inspection.decode_step_read_bytes == inspection.device_bytes + 4 * hidden
    assert sum(kind.count for kind in inspection.tensors) == 2 + 13 * layers
    report = describe(inspection)
    assert "model.layers.*.mlp.down_proj.weight" in report
    assert f"{inspection.num_parameters:,}" in report


# ---- progress -------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_is_drawn_on_a_terminal_and_not_when_piped() -> None:
    for stream, is_drawn in ((Terminal(), True), (io.StringIO(), False)):
        with Progress("loading", 1000, stream) as progress:
            progress.advance(400)
            progress.advance(600)
        assert bool(stream.getvalue()) is is_drawn
    text = Terminal()
    with Progress("loading", 1000, text) as progress:
        progress.update(1000)
    assert "100%" in text.getvalue()
    assert text.getvalue().endswith("\n")


@pytest.mark.parametrize("columns", [20, 40, 80, 200])
def test_a_bar_never_breaks_the_line(columns: int) -> None:
    progress = Progress("downloading gemma3-270m", 253_113_024, io.StringIO())
    for done_bytes in (0, 100_000_000, 999_999_999_999):
        progress.update(done_bytes)
        line = progress.line(columns)
        assert len(line) < columns
        assert "\n" not in line
    assert progress.done_bytes == progress.total_bytes


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (253_113_024, "253.1 MB"), (5e9, "5.0 GB")],
)
def test_bytes_are_written_for_people(count: float, text: str) -> None:
    assert format_bytes(count) == text
