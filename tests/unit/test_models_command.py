"""`leadout models`: listing, verifying and removing what the store has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from leadout_build.cli import main
from leadout_build.store.model_store import Store


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store with two models and the rest of a pull."""
    monkeypatch.setenv("LEADOUT_HOME", str(tmp_path))
    store = Store()
    for name in ("alpha", "beta"):
        with store.write(name) as writer:
            writer.add("model.gguf", [b"GGUF" + name.encode()])
            writer.commit(f"hf:some/{name}", None)
    with store.write("gamma") as writer:
        (writer.parts_folder / "x.download").write_bytes(b"12345")
    return store


def test_models_are_listed_with_size_and_source(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models"]) == 0
    out = capsys.readouterr().out
    assert "alpha        9 B  hf:some/alpha\n" in out
    assert "gamma: unfinished, 5 B" in out
    assert main(["models", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [model["name"] for model in listed["models"]] == ["alpha", "beta"]
    assert listed["unfinished"] == {"gamma": 5}


def test_a_removed_model_is_gone_unfinished_ones_too(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "remove", "alpha", "gamma"]) == 0
    assert [path.name for path in store.models_folder.iterdir()] == ["beta"]
    # One name that is wrong removes nothing.
    assert main(["models", "remove", "beta", "delta"]) != 0
    assert store.find("beta") is not None
    assert 'no model "delta". It has: beta' in capsys.readouterr().err
    assert main(["models", "remove"]) != 0


def test_a_model_under_way_is_not_removed(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    with store.write("beta"):
        assert main(["models", "remove", "beta"]) != 0
    assert "Another process" in capsys.readouterr().err
    assert store.find("beta") is not None


def test_a_damaged_model_is_told(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "verify"]) == 0
    (store.models_folder / "beta" / "model.gguf").write_bytes(b"GGUFbetb")
    assert main(["models", "verify"]) != 0
    out, err = capsys.readouterr()
    assert "alpha: intact\nbeta: model.gguf has changed\n" in out
    assert "Damaged: beta" in err
