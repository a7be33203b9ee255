"""The built-in models: found by name everywhere, first of all, with nothing to fetch."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from leadout.errors import ModelNotFoundError, StoreError
from leadout_build import cli
from leadout_build.cli.pull import pull
from leadout_build.serving.server import built_in_served, create_app, find_model
from leadout_build.site.assemble import MODELS_FOLDER
from leadout_build.store import built_in
from leadout_build.store.drafters import Drafter, drafter_named, drafter_of, require_drafter
from leadout_build.store.model_store import Store
from stand_in_nano import write_stand_in

REPOSITORY = Path(__file__).parents[2]
ORIGIN = "http://127.0.0.1:8000"

#: What may ship, both files together.
MOST_BYTES = 24 << 20


def test_the_model_card_is_of_what_ships() -> None:
    """Other weights need another evaluation; then these beginnings of digests may change."""
    card = (REPOSITORY / MODELS_FOLDER / "README.md").read_text("utf-8")
    for name in ("nano", "nano-assistant"):
        data = (REPOSITORY / MODELS_FOLDER / f"{name}.gguf").read_bytes()
        assert f"`{name}.gguf` ({hashlib.sha256(data).hexdigest()[:16]}…)" in card


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stand_in(tmp_path_factory.mktemp("nano") / "model")


@pytest.fixture
def nano(stand_in: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder that the built-in models lie in, with a stand-in; and an empty store."""
    monkeypatch.setattr(built_in, "FOLDER", stand_in)
    monkeypatch.setenv("LEADOUT_HOME", str(tmp_path / "home"))
    return stand_in


def put(store: Store, name: str) -> None:
    """Bring a model into the store under any name."""
    with store.write("other") as writer:
        writer.add("other.gguf", [b"GGUF"])
        writer.commit("a test", None)
    (store.models_folder / "other").rename(store.models_folder / name)


def test_nano_is_found_with_its_drafter_in_an_empty_store(nano: Path) -> None:
    store = Store()
    assert store.resolve("nano") == {"nano.gguf": nano / "nano.gguf"}
    drafter = Drafter("nano-assistant", {"nano-assistant.gguf": nano / "nano-assistant.gguf"})
    assert drafter_of(store, "nano") == drafter
    assert require_drafter(store, "nano") == drafter
    assert drafter_named(store, "nano-assistant") == drafter
    assert drafter_of(store, "nano-assistant") is None


def test_nano_is_ours_whatever_the_store_or_the_disk_have(
    nano: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store()
    put(store, "nano")
    (tmp_path / "nano").mkdir()
    monkeypatch.chdir(tmp_path)
    assert store.resolve("nano") == {"nano.gguf": nano / "nano.gguf"}
    assert store.list_models() == []
    theirs = store.models_folder / "nano"
    assert store.resolve(str(theirs)) == {"other.gguf": theirs / "other.gguf"}


def test_pull_says_that_nothing_needs_to_be_fetched(
    nano: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["pull", "nano"]) == 0
    out, err = capsys.readouterr()
    assert "comes with Leadout: there is nothing to download" in out
    assert err == ""
    assert not Store().models_folder.exists()


def test_pull_puts_nothing_under_a_built_in_name(nano: Path, tmp_path: Path) -> None:
    path = tmp_path / "nano.gguf"
    path.write_bytes((nano / "nano.gguf").read_bytes())
    with pytest.raises(StoreError, match="comes with Leadout, and always means that one"):
        pull(str(path))
    assert not Store().models_folder.exists()


def test_a_copy_without_the_files_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(built_in, "FOLDER", tmp_path)
    with pytest.raises(ModelNotFoundError, match=r"not in this copy of Leadout.*nano\.gguf"):
        Store(tmp_path).resolve("nano")
    with pytest.raises(ModelNotFoundError, match="Install Leadout again"):
        drafter_of(Store(tmp_path), "nano")
    assert built_in_served() == []


def test_an_unknown_model_is_told_of_nano(nano: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="nano is built in"):
        Store().resolve("nanno")


def test_inspect_takes_nano(nano: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["inspect", "nano", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["drafter"]["name"] == "nano-assistant"
    assert shown["has_chat_template"]


def test_generate_takes_nano_with_its_drafter_and_the_ids_are_the_same_without(
    nano: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def generated(*options: str) -> dict[str, Any]:
        command = ["generate", "nano", "Up or down?", "--device", "numpy", "--json"]
        assert cli.main([*command, "--max-tokens", "12", "--ignore-eos", *options]) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    drafted = generated("--draft-tokens", "3")
    assert drafted["stats"]["drafter"] == "mtp"
    assert drafted["tokens"] == generated("--drafter", "none")["tokens"]


# ---- serving --------------------------------------------------------------------------------


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "index.html").write_text('<meta charset="utf-8">')
    return folder


def listed(client: TestClient) -> list[dict[str, Any]]:
    models: list[dict[str, Any]] = client.get("/models/index.json").json()["models"]
    return models


def test_the_server_begins_with_nano_and_has_its_drafter(nano: Path, site: Path) -> None:
    store = Store()
    put(store, "alpha")
    put(store, "nano")
    client = TestClient(create_app(site, store, built_in=built_in_served()), base_url=ORIGIN)
    first, second = listed(client)
    assert (first["name"], first["default"]) == ("nano", True)
    assert (second["name"], second["default"]) == ("alpha", False)
    assert first["drafter"]["name"] == "nano-assistant"
    for model in (first, first["drafter"]):
        (file,) = model["files"]
        assert file["bytes"] == model["bytes"] == (nano / file["name"]).stat().st_size
        content = (nano / file["name"]).read_bytes()
        address = f"/models/{model['name']}/{file['name']}"
        assert client.get(address).content == content
        part = client.get(address, headers={"range": "bytes=4-99"})
        assert (part.status_code, part.content) == (206, content[4:100])
    assert client.get("/models/nano/nano-assistant.gguf").status_code == 404
    assert client.get("/models/nano/other.gguf").status_code == 404


def test_another_model_may_be_the_one_to_begin_with(nano: Path, site: Path) -> None:
    store = Store()
    put(store, "alpha")
    assert find_model(store, "nano") == ("nano", None)
    assert find_model(store, "alpha") == ("alpha", None)
    app = create_app(site, store, default_model="alpha", built_in=built_in_served())
    models = listed(TestClient(app, base_url=ORIGIN))
    assert [(model["name"], model["default"]) for model in models] == [
        ("nano", False),
        ("alpha", True),
    ]


def test_nano_may_be_served_with_another_drafter(nano: Path, site: Path) -> None:
    name, extra = find_model(Store(), "nano", str(nano / "nano-assistant.gguf"))
    app = create_app(site, Store(), extra_model=extra, built_in=built_in_served())
    (model,) = listed(TestClient(app, base_url=ORIGIN))
    assert (name, model["name"]) == ("nano", "nano")
    assert model["drafter"]["files"][0]["name"] == "nano-assistant.gguf"


# ---- what ships -----------------------------------------------------------------------------


def test_the_build_takes_them_from_where_the_package_has_them() -> None:
    assert built_in.FOLDER == REPOSITORY / MODELS_FOLDER


def test_what_ships_is_small() -> None:
    sizes = [path.stat().st_size for path in (REPOSITORY / MODELS_FOLDER).glob("*")]
    assert sum(sizes) <= MOST_BYTES
