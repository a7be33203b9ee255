"""`leadout generate` as a person runs it: Nano with its drafter on both devices, and bad input."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from leadout_build import DIST

MODEL = "nano"
PROMPT = "What is the price of ABC?"
TABLE = "asset,price,1d\nABC,12.50,+2.10%\nXYZ,7.25,-0.40%\n"
NUM_TOKENS = 12

#: Of one command; most of it is for a software renderer on a busy machine.
PATIENCE_S = 400

#: Enough for the header of the file, so that what is missing is weights.
CUT_BYTES = 32_000_000


@pytest.fixture(scope="module", autouse=True)
def built_site(site: Path) -> None:
    """The site of this tree where the command looks for it."""
    if DIST.exists():
        shutil.rmtree(DIST)
    shutil.copytree(site, DIST)


def leadout(*args: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "leadout_build.cli", *args],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def generate(device: str, table: Path) -> dict[str, Any]:
    """Return what `leadout generate --json` prints."""
    options = ["--table", str(table), "--max-tokens", str(NUM_TOKENS), "--device", device, "--json"]
    done = leadout("generate", MODEL, PROMPT, *options)
    assert done.returncode == 0, done.stderr
    generated: dict[str, Any] = json.loads(done.stdout)
    return generated


def test_both_devices_print_the_same_ids_and_text(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text(TABLE)
    webgpu, numpy = generate("webgpu", table), generate("numpy", table)
    for generated in (webgpu, numpy):
        assert generated["model"] == MODEL
        assert len(generated["tokens"]) == NUM_TOKENS
        assert generated["finish_reason"] == "length"
        assert generated["stats"]["decode_tokens"] == NUM_TOKENS - 1
        assert generated["stats"]["drafter"] == "mtp"
    assert "12.50" in webgpu["text"]
    for field in ("prompt_tokens", "tokens", "text"):
        assert webgpu[field] == numpy[field], field
    assert webgpu["stats"]["device"] != numpy["stats"]["device"]


def test_prompts_at_once_lose_none_to_one_that_is_too_long(tmp_path: Path) -> None:
    """In Chromium; tests/unit/test_prompts.py has the other device."""
    prompts = ["Hello!", "word " * 3000, PROMPT, "Who are you?"]
    path = tmp_path / "prompts.txt"
    path.write_text("\n".join(prompts))
    options = ("--parallel", "2", "--max-tokens", "8")
    done = leadout("generate", MODEL, "--prompts", str(path), *options, "--json")
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("leadout: error: prompt 2: ContextLengthError: ")
    found = [json.loads(answer) for answer in done.stdout.splitlines()]
    assert [one["index"] for one in found] == [0, 1, 2, 3]
    assert found[1]["error"]["name"] == "ContextLengthError"
    alone = leadout("generate", MODEL, PROMPT, "--max-tokens", "8", "--device", "numpy")
    assert alone.stdout == found[2]["text"] + "\n"
    shown = leadout("generate", MODEL, "Hello!", PROMPT, *options, "--device", "numpy")
    texts = [found[0]["text"], found[2]["text"]]
    assert shown.stdout == f"[1/2] Hello!\n{texts[0]}\n\n[2/2] {PROMPT}\n{texts[1]}\n"
    assert len(set(texts)) == 2


def one_line_of(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one line that a failed command says."""
    assert done.returncode != 0
    assert done.stdout == ""
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("leadout: error: ")
    return line


@pytest.mark.parametrize("device", ["webgpu", "numpy"])
def test_an_unknown_model_gets_one_clear_line(device: str) -> None:
    line = one_line_of(leadout("generate", "no-such-model", PROMPT, "--device", device))
    assert "no-such-model" in line
    assert MODEL in line  # what there is instead


@pytest.mark.parametrize("device", ["webgpu", "numpy"])
def test_a_file_cut_short_gets_one_clear_line(
    device: str, gemma3_gguf: Path, tmp_path: Path
) -> None:
    path = tmp_path / "cut.gguf"
    with gemma3_gguf.open("rb") as whole:
        path.write_bytes(whole.read(CUT_BYTES))
    line = one_line_of(leadout("generate", str(path), "--prompt-ids", "2 5", "--device", device))
    assert "cut.gguf" in line
    assert "cut short" in line


def test_an_id_outside_of_the_vocabulary_gets_one_clear_line() -> None:
    line = one_line_of(leadout("generate", MODEL, "--prompt-ids", "2 262144", "--device", "numpy"))
    assert "262144" in line
