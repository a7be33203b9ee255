"""`leadout generate`, without an engine: what it loads, what it asks for, and what it prints."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from leadout import engine, request
from leadout.errors import DrafterError, ModelNotFoundError, RequestError
from leadout_build import cli
from leadout_build.cli import generate, native
from leadout_build.store.model_store import Store

#: Has its drafter beside it.
TINY = Path(__file__).parents[1] / "vectors" / "gemma4-tiny" / "e2b"

GENERATED = {
    "prompt_tokens": [2],
    "tokens": [5],
    "text": "Paris.",
    "reasoning": "so",
    "finish_reason": "stop",
    "stats": {"self_test": "identical"},
}


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("LEADOUT_HOME", str(tmp_path / "home"))
    return Store()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "target", "gemma4")


def write_folder(folder: Path, model_type: str) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def arguments(target: Path | str, *options: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what the command line makes of these options."""
    seen: list[argparse.Namespace] = []

    def note(args: argparse.Namespace) -> int:
        seen.append(args)
        return 0

    monkeypatch.setattr(generate, "run", note)
    assert cli.main(["generate", str(target), "Hi", *options]) == 0
    monkeypatch.undo()
    return seen[0]


Found = Callable[..., str | None]


@pytest.fixture
def found(target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Found:
    """Returns the name of the drafter that options lead to."""

    def find(*options: str) -> str | None:
        with pytest.MonkeyPatch.context() as patch:
            args = arguments(target, *options, monkeypatch=patch)
        drafter = generate.find_drafter(args, Store())
        return None if drafter is None else drafter.name

    return find


def test_auto_takes_the_drafter_beside_the_model_if_there_is_one(
    found: Found, tmp_path: Path
) -> None:
    assert found() is None
    write_folder(tmp_path / "target-assistant", "gemma4_assistant")
    assert found() == "target-assistant"
    assert found("--drafter", "mtp") == "target-assistant"
    assert found("--drafter", "none") is None
    assert found("--drafter", "ngram") is None


def test_a_named_drafter_wins_over_the_one_beside_the_model(found: Found, tmp_path: Path) -> None:
    write_folder(tmp_path / "target-assistant", "gemma4_assistant")
    other = write_folder(tmp_path / "other", "gemma4_assistant")
    assert found("--drafter-model", str(other)) == "other"
    assert found("--drafter", "mtp", "--drafter-model", str(other)) == "other"


def test_mtp_without_a_drafter_says_where_one_was_looked_for(found: Found, tmp_path: Path) -> None:
    with pytest.raises(DrafterError, match="looked for") as caught:
        found("--drafter", "mtp")
    for place in (tmp_path / "target" / "assistant", tmp_path / "target-assistant"):
        assert str(place) in caught.value.message
    with pytest.raises(ModelNotFoundError, match="no-such-drafter"):
        found("--drafter-model", "no-such-drafter")


@pytest.mark.parametrize("drafter", ["none", "ngram"])
def test_weights_for_a_drafter_without_any_are_refused(found: Found, drafter: str) -> None:
    with pytest.raises(RequestError, match=f"--drafter {drafter} needs no weights"):
        found("--drafter", drafter, "--drafter-model", "x")


def test_defaults_ask_for_nothing_special(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    args = arguments(target, monkeypatch=monkeypatch)
    assert generate.load_options_of(args) == {}
    assert not {"drafter", "draft_tokens", "enable_thinking"} & set(generate.request_of(args))


def test_options_reach_the_load_and_the_request(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--drafter", "ngram", "--draft-tokens", "0", "--thinking", "--context-length", "64")
    args = arguments(target, *options, monkeypatch=monkeypatch)
    assert generate.load_options_of(args) == {
        "context_length": 64,
        "drafter": "ngram",
        "max_draft_tokens": 0,
    }
    asked = generate.request_of(args)
    assert (asked["draft_tokens"], asked["enable_thinking"]) == (0, True)


class FakeEngine:
    """Answers with GENERATED, in two pieces."""

    def info(self) -> dict[str, object]:
        return {"has_chat_template": True}

    async def generate(self, asked: Any, on_delta: engine.OnDelta) -> FakeEngine:
        on_delta(engine.Delta("", "so", [4], False, 1.0))
        on_delta(engine.Delta("Paris.", "", [5], True, 1.0))
        return self

    def to_json(self) -> dict[str, object]:
        return GENERATED


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Put a fake in the engine's place; holds what it was loaded with."""
    seen: dict[str, Any] = {}

    async def load_engine(
        files: Mapping[str, Path], options: Any, on_progress: Any, drafter_files: Any
    ) -> FakeEngine:
        seen.update(files=files, options=options, drafter_files=drafter_files)
        return FakeEngine()

    monkeypatch.setattr(native, "load_engine", load_engine)
    monkeypatch.setattr(engine, "LoadOptions", lambda **options: options)
    monkeypatch.setattr(request.GenerateRequest, "from_json", lambda fields: fields)
    return seen


def test_on_numpy_the_drafters_files_are_loaded_beside_the_models(
    target: Path, tmp_path: Path, loaded: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    drafter = write_folder(tmp_path / "target-assistant", "gemma4_assistant")
    command = ["generate", str(target), "Hi", "--device", "numpy", "--draft-tokens", "2", "--json"]
    assert cli.main(command) == 0
    assert loaded["files"]["config.json"] == target / "config.json"
    assert loaded["drafter_files"]["config.json"] == drafter / "config.json"
    assert loaded["options"] == {"max_draft_tokens": 2}
    assert json.loads(capsys.readouterr().out) == {"model": str(target), **GENERATED}


def test_the_answer_goes_to_stdout_and_the_reasoning_to_stderr(
    target: Path, loaded: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["generate", str(target), "Hi", "--device", "numpy", "--thinking"]) == 0
    shown = capsys.readouterr()
    assert shown.out == "Paris.\n"
    assert "so" in shown.err
    assert loaded["drafter_files"] is None


def test_a_tiny_model_says_the_same_with_any_drafter(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["generate", str(TINY), "--prompt-ids", "2 5 9 7 5 9 7", "--device", "numpy"]
    command += ["--max-tokens", "8", "--ignore-eos", "--draft-tokens", "2", "--json"]
    generated = {}
    for drafter in ("auto", "none", "mtp", "ngram"):
        assert cli.main([*command, "--drafter", drafter]) == 0
        generated[drafter] = json.loads(capsys.readouterr().out)
    assert {name: found["stats"]["drafter"] for name, found in generated.items()} == {
        "auto": "mtp",  # it lies beside the model
        "none": "none",
        "mtp": "mtp",
        "ngram": "ngram",
    }
    assert all(found["tokens"] == generated["none"]["tokens"] for found in generated.values())
    assert generated["mtp"]["stats"]["self_test"] in ("identical", "widest")
