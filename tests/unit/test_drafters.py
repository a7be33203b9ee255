"""Finding a target's drafter: by name in the store, by header and by folder on the disk."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import gguf
import pytest

from leadout.errors import DrafterError, ModelNotFoundError
from leadout_build.store.drafter_files import is_drafter, is_drafter_gguf
from leadout_build.store.drafters import (
    Drafter,
    drafter_named,
    drafter_of,
    pair_names,
    require_drafter,
    stored_drafters,
)
from leadout_build.store.model_store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "home")


def write_gguf(path: Path, architecture: str, width: int, target_width: int | None = None) -> Path:
    """Write a GGUF's header, without tensors."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_embedding_length(width)
    if target_width is not None:
        writer.add_uint32(f"{architecture}.embedding_length_out", target_width)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_target(path: Path, width: int = 1536) -> Path:
    return write_gguf(path, "gemma4", width)


def write_drafter(path: Path, target_width: int = 1536) -> Path:
    return write_gguf(path, "gemma4-assistant", 256, target_width)


def write_folder(folder: Path, model_type: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def put(store: Store, name: str, path: Path) -> None:
    """Bring a file, or the files of a folder, into the store."""
    with store.write(name) as writer:
        for file in [path] if path.is_file() else sorted(path.iterdir()):
            writer.add(file.name, [file.read_bytes()])
        writer.commit("a test", None)


# ---- folders ----------------------------------------------------------------------------------


@pytest.mark.parametrize("model_type", ["gemma4_assistant", "gemma4_unified_assistant"])
@pytest.mark.parametrize("place", ["gemma-4-E2B-it/assistant", "gemma-4-E2B-it-assistant"])
def test_the_drafter_of_a_folder_lies_in_it_or_beside_it(
    store: Store, tmp_path: Path, place: str, model_type: str
) -> None:
    target = write_folder(tmp_path / "gemma-4-E2B-it", "gemma4")
    assert drafter_of(store, str(target)) is None
    folder = write_folder(tmp_path / place, model_type)
    assert drafter_of(store, str(target)) == Drafter(
        "gemma-4-E2B-it-assistant",
        {name: folder / name for name in ("config.json", "model.safetensors")},
    )


def test_a_folder_is_found_from_inside_of_it(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(write_folder(tmp_path / "target", "gemma4"))
    write_folder(tmp_path / "target-assistant", "gemma4_assistant")
    found = drafter_of(store, ".")
    assert found is not None
    assert found.name == "target-assistant"


@pytest.mark.parametrize("config", ['{"model_type": "gemma3_text"}', "{}", "[]", "{", "\xff"])
def test_a_folder_that_is_no_drafter_is_passed_over(
    store: Store, tmp_path: Path, config: str
) -> None:
    target = write_folder(tmp_path / "target", "gemma4")
    beside = write_folder(tmp_path / "target" / "assistant", "gemma4_assistant")
    (beside / "config.json").write_text(config, encoding="latin-1")
    assert drafter_of(store, str(target)) is None


# ---- GGUF -------------------------------------------------------------------------------------


def test_the_drafter_of_a_gguf_is_told_by_its_header(store: Store, tmp_path: Path) -> None:
    small = write_target(tmp_path / "small.gguf", 1536)
    large = write_target(tmp_path / "large.gguf", 2560)
    other = write_target(tmp_path / "other.gguf", 3840)
    for_small = write_drafter(tmp_path / "a.gguf", 1536)
    for_large = write_drafter(tmp_path / "b.gguf", 2560)
    (tmp_path / "broken.gguf").write_bytes(b"GGUF gemma4-assistant")
    (tmp_path / "empty.gguf").write_bytes(b"")
    assert drafter_of(store, str(small)) == Drafter("a", {"a.gguf": for_small})
    assert drafter_of(store, str(large)) == Drafter("b", {"b.gguf": for_large})
    assert drafter_of(store, str(other)) is None
    assert drafter_of(store, str(for_small)) is None
    assert drafter_of(store, str(tmp_path / "broken.gguf")) is None


def test_of_several_drafters_the_one_named_most_like_the_target_is_taken(
    store: Store, tmp_path: Path
) -> None:
    for name in ("gemma-4-E2B-it-assistant", "gemma-4-E2B-it-qat-assistant", "a"):
        write_drafter(tmp_path / f"{name}.gguf")
    for target, drafter in {
        "gemma-4-E2B-it-Q4_0": "gemma-4-E2B-it-assistant",
        "gemma-4-E2B-it-qat-Q4_0": "gemma-4-E2B-it-qat-assistant",
        "zzz": "a",
    }.items():
        found = drafter_of(store, str(write_target(tmp_path / f"{target}.gguf")))
        assert found is not None
        assert found.name == drafter


def test_a_folder_with_a_gguf_and_its_drafter_is_one_model(store: Store, tmp_path: Path) -> None:
    target = write_target(tmp_path / "target.gguf")
    drafter = write_drafter(tmp_path / "drafter.gguf")
    assert store.resolve(str(tmp_path)) == {"target.gguf": target}
    assert drafter_of(store, str(tmp_path)) == Drafter("drafter", {"drafter.gguf": drafter})
    write_target(tmp_path / "another.gguf")
    with pytest.raises(ModelNotFoundError, match=r"another\.gguf, drafter\.gguf, target\.gguf"):
        store.resolve(str(tmp_path))


def test_a_drafter_can_be_told_while_an_event_loop_runs(tmp_path: Path) -> None:
    path = write_drafter(tmp_path / "a.gguf")

    async def ask() -> bool:
        return is_drafter_gguf(path)

    assert asyncio.run(ask())


# ---- the store --------------------------------------------------------------------------------


def test_in_the_store_the_name_tells(store: Store, tmp_path: Path) -> None:
    put(store, "gemma-4-E2B-it", write_folder(tmp_path / "a", "gemma4"))
    put(store, "my-assistant", write_folder(tmp_path / "b", "gemma3_text"))
    put(store, "my", write_folder(tmp_path / "c", "gemma3_text"))
    assert drafter_of(store, "gemma-4-E2B-it") is None
    put(store, "gemma-4-E2B-it-assistant", write_folder(tmp_path / "d", "gemma4_assistant"))
    found = drafter_of(store, "gemma-4-E2B-it")
    assert found is not None
    assert found.name == "gemma-4-E2B-it-assistant"
    assert found.files == store.resolve("gemma-4-E2B-it-assistant")
    assert stored_drafters(store.list_models()) == ["gemma-4-E2B-it-assistant"]
    assert drafter_of(store, "my") is None  # a model that is called so is no drafter
    assert drafter_of(store, "gemma-4-E2B-it-assistant") is None


def test_a_gguf_in_the_store_has_a_drafter_by_name_too(store: Store, tmp_path: Path) -> None:
    put(store, "gemma-4-E2B-it-Q4_0", write_target(tmp_path / "gemma-4-E2B-it-Q4_0.gguf"))
    put(store, "gemma-4-E2B-it-assistant-Q8_0", write_drafter(tmp_path / "d.gguf"))
    found = drafter_of(store, "gemma-4-E2B-it-Q4_0")
    assert found is not None
    assert found.name == "gemma-4-E2B-it-assistant-Q8_0"


@pytest.mark.parametrize(
    ("target", "drafter"),
    [
        ("gemma-4-E2B-it", "gemma-4-E2B-it-assistant"),
        ("gemma-4-E2B-it-Q4_0", "gemma-4-E2B-it-assistant"),
        ("gemma-4-E2B-it-qat-Q4_0", "gemma-4-E2B-it-qat-assistant"),
        ("gemma-4-E2B", None),
        ("gemma-4-E4B-it", None),
        ("gemma-4-E2B-italian", None),
        ("x.y", "x.y-assistant"),
        ("xay", None),
    ],
)
def test_names_pair_by_what_they_begin_with(target: str, drafter: str | None) -> None:
    drafters = [
        "gemma-4-E2B-it-assistant",
        "gemma-4-E2B-it-qat-assistant",
        "gemma-4-E2B-it-assistant-Q8_0",
        "x.y-assistant",
        "no-assistants",
    ]
    assert pair_names([target], drafters).get(target) == drafter


# ---- named, and missing -----------------------------------------------------------------------


def test_a_drafter_that_somebody_names_may_lie_anywhere(store: Store, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "target" / "assistant", "gemma4_assistant")
    path = write_drafter(tmp_path / "small one.gguf")
    put(store, "stored", folder)
    assert drafter_named(store, str(folder)).name == "target-assistant"
    assert drafter_named(store, str(path)) == Drafter("small one", {path.name: path})
    assert drafter_named(store, "stored") == Drafter("stored", store.resolve("stored"))
    with pytest.raises(ModelNotFoundError, match="no-such"):
        drafter_named(store, "no-such")


def test_a_missing_drafter_is_told_with_where_it_was_looked_for(
    store: Store, tmp_path: Path
) -> None:
    folder = write_folder(tmp_path / "target", "gemma4")
    (tmp_path / "x").mkdir()
    path = write_target(tmp_path / "x" / "target.gguf")
    put(store, "stored", folder)
    for target, places in {
        "stored": ['"stored-assistant" and the like in the store'],
        str(folder): [str(folder / "assistant"), str(tmp_path / "target-assistant")],
        str(path): ["architecture gemma4-assistant", str(tmp_path / "x")],
    }.items():
        with pytest.raises(DrafterError, match="--drafter-model") as caught:
            require_drafter(store, target)
        assert all(place in caught.value.message for place in [target, *places])


def test_kinds_of_files_are_told_apart(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "d", "gemma4_assistant")
    assert is_drafter({"config.json": folder / "config.json"})
    assert is_drafter({"d.gguf": write_drafter(tmp_path / "d.gguf")})
    assert not is_drafter({"t.gguf": write_target(tmp_path / "t.gguf")})
    assert not is_drafter({"gone.gguf": tmp_path / "gone.gguf"})
    assert not is_drafter({})
