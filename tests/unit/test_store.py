"""The model store: complete models are seen, everything else is not, whatever went wrong."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from leadout.errors import IntegrityError, ModelNotFoundError, StoreError
from leadout_build.store.model_store import Store, StoredFile, check_name

CONTENT = b"weights" * 1000


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def put(store: Store, name: str = "tiny", file: str = "tiny.gguf") -> None:
    with store.write(name) as writer:
        writer.add(file, [CONTENT])
        writer.add("NOTICE.md", [b"terms"])
        writer.commit("a test", "Be nice.")


def disk_is_full() -> Iterator[bytes]:
    yield CONTENT
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_committed_model_is_found_with_its_files_hashes_and_notice(store: Store) -> None:
    put(store)
    model = store.find("tiny")
    assert model is not None
    assert model == store.list_models()[0]
    assert model.files[0] == StoredFile(
        "tiny.gguf", len(CONTENT), hashlib.sha256(CONTENT).hexdigest()
    )
    assert (model.source, model.notice) == ("a test", "Be nice.")
    assert [file.name for file in model.checkpoint_files] == ["tiny.gguf"]
    assert (model.folder / "tiny.gguf").read_bytes() == CONTENT


def test_a_model_is_invisible_until_its_manifest_is_written(store: Store) -> None:
    with store.write("tiny") as writer:
        writer.add("tiny.gguf", [CONTENT])
        assert store.find("tiny") is None
        assert store.list_models() == []
        writer.commit("a test", None)
    assert store.find("tiny") is not None


def test_replacing_a_file_hides_the_model_until_it_is_complete_again(store: Store) -> None:
    put(store)
    with store.write("tiny") as writer:
        assert store.find("tiny") is not None
        writer.add("tiny.gguf", [b"new"])
        assert store.find("tiny") is None


def test_a_full_disk_is_a_store_error_that_leaves_no_half_file(store: Store) -> None:
    put(store, "other")
    with store.write("tiny") as writer:
        with pytest.raises(StoreError, match="is full"):
            writer.add("tiny.gguf", disk_is_full())
        assert not list(writer.folder.glob("tiny.gguf*"))
    assert [model.name for model in store.list_models()] == ["other"]


def test_too_little_free_space_is_told_with_both_numbers(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1_500_000))
    with store.write("tiny") as writer:
        writer.require_free(1_500_000)
        with pytest.raises(StoreError, match=r"253\.1 MB more .* 1\.5 MB are free") as caught:
            writer.require_free(253_113_024)
    assert caught.value.detail == {"needed_bytes": 253_113_024, "free_bytes": 1_500_000}


@pytest.mark.parametrize(
    "wanted",
    [
        StoredFile("tiny.gguf", len(CONTENT) + 1, hashlib.sha256(CONTENT).hexdigest()),
        StoredFile("tiny.gguf", len(CONTENT), "0" * 64),
    ],
    ids=["size", "hash"],
)
def test_content_other_than_published_is_dropped(store: Store, wanted: StoredFile) -> None:
    with store.write("tiny") as writer:
        with pytest.raises(IntegrityError, match=r"tiny\.gguf has (bytes|sha256)"):
            writer.add("tiny.gguf", [CONTENT], wanted)
        assert not list(writer.folder.glob("tiny.gguf*"))


def test_two_writers_of_one_model_exclude_each_other(store: Store) -> None:
    with store.write("tiny"):
        with pytest.raises(StoreError, match="Another process"), store.write("tiny"):
            pass
        with store.write("other") as writer:
            assert writer.folder.name == "other"


def test_a_writer_that_kept_nothing_leaves_nothing(store: Store) -> None:
    with store.write("tiny"):
        pass
    assert list(store.models_folder.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".hidden", "a/b", "a\\b", "/etc", "a b", "index.json", "x" * 129, "a\0"]
)
def test_a_name_cannot_leave_the_store_or_hide_in_it(name: str) -> None:
    with pytest.raises(StoreError, match="cannot be a name"):
        check_name(name)


@pytest.mark.parametrize(
    "manifest",
    [
        "",
        "[]",
        "{",
        '{"version": 2}',
        '{"version": 1, "source": "", "notice": null, "files": [{"name": "../x"}]}',
        '{"version": 1, "source": "", "notice": null, "files": [{"name": "x"}]}',
    ],
)
def test_a_damaged_manifest_is_named_and_other_models_stay_usable(
    store: Store, manifest: str, caplog: pytest.LogCaptureFixture
) -> None:
    put(store, "good")
    put(store, "bad")
    (store.models_folder / "bad" / "manifest.json").write_text(manifest)
    with pytest.raises(StoreError, match="bad"):
        store.resolve("bad")
    with caplog.at_level(logging.WARNING):
        assert [model.name for model in store.list_models()] == ["good"]
    assert "manifest.json cannot be read" in caplog.text


@pytest.mark.parametrize("change", ["missing", "short"])
def test_a_stored_model_with_a_lost_file_is_refused(store: Store, change: str) -> None:
    put(store)
    path = store.models_folder / "tiny" / "tiny.gguf"
    if change == "missing":
        path.unlink()
    else:
        path.write_bytes(CONTENT[:-1])
    with pytest.raises(StoreError, match=r"tiny\.gguf of the stored model"):
        store.resolve("tiny")


def test_resolve_takes_a_name_a_gguf_and_two_kinds_of_folder(store: Store, tmp_path: Path) -> None:
    put(store)
    assert store.resolve("tiny") == {"tiny.gguf": store.models_folder / "tiny" / "tiny.gguf"}
    gguf = tmp_path / "x.gguf"
    gguf.write_bytes(CONTENT)
    assert store.resolve(str(gguf)) == {"x.gguf": gguf}
    folder = tmp_path / "hf"
    folder.mkdir()
    (folder / "only.gguf").write_bytes(CONTENT)
    (folder / "config.json").write_text("{}")
    assert list(store.resolve(str(folder))) == ["only.gguf"]
    for name in ("model.safetensors", "tokenizer.json", "README.md", ".hidden.safetensors"):
        (folder / name).write_bytes(b"x")
    assert list(store.resolve(str(folder))) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]


def test_an_unknown_model_is_told_with_what_there_is(store: Store, tmp_path: Path) -> None:
    put(store)
    with pytest.raises(ModelNotFoundError, match=r'"tinny".*the store has: tiny\.'):
        store.resolve("tinny")
    with pytest.raises(ModelNotFoundError, match="holds no model"):
        store.resolve(str(tmp_path))


def test_the_store_lies_where_leadout_home_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LEADOUT_HOME", str(tmp_path / "elsewhere"))
    assert Store().models_folder == tmp_path / "elsewhere" / "models"
    monkeypatch.delenv("LEADOUT_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Store().models_folder == tmp_path / ".cache" / "leadout" / "models"


def test_a_store_that_cannot_be_made_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be used"), Store(tmp_path / "file").write("tiny"):
        pass


def test_the_manifest_is_json_that_names_every_file(store: Store) -> None:
    put(store)
    manifest = json.loads((store.models_folder / "tiny" / "manifest.json").read_text())
    assert [file["name"] for file in manifest["files"]] == ["tiny.gguf", "NOTICE.md"]
