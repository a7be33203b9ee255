"""Pulling from a hub: names, choices, drafters, what a hub may answer, and what is left behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fake_hub import COMMIT, REPO, TOKEN, FakeHub, serve_hub
from gemma4_gguf import write_gemma4_gguf
from leadout.errors import (
    CheckpointError,
    IntegrityError,
    ModelNotFoundError,
    SourceError,
    StoreError,
    UnsupportedModelError,
)
from leadout_build.cli import main
from leadout_build.cli.pull import pull
from leadout_build.serving.server import find_model
from leadout_build.store.drafters import drafter_of
from leadout_build.store.known_models import known_drafter, known_models
from leadout_build.store.model_store import ModelWriter, Store, StoredModel
from leadout_build.store.sizes import format_bytes
from raw_headers import gguf_file, text_key
from split_gguf import split_gguf

TINY = Path(__file__).parents[1] / "vectors/gemma4-tiny"
LICENSED = "evil\x1b]0;title\x07"


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("target") / "tiny-Q8_0.gguf"
    return write_gemma4_gguf(path, TINY / "trained-e2b", "Q8_0").read_bytes()


@pytest.fixture(scope="session")
def drafter(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("drafter") / "mtp-tiny.gguf"
    return write_gemma4_gguf(path, TINY / "trained-e2b-assistant", "Q8_0").read_bytes()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "home")


@pytest.fixture
def hub(target: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    hub = FakeHub({"tiny-Q8_0.gguf": target})
    with serve_hub(hub):
        yield hub


def pull_from(hub: FakeHub, store: Store, model: str = REPO) -> StoredModel:
    pulled = pull(model, store, hub_endpoint=hub.endpoint)
    assert pulled is not None
    return pulled


def names(store: Store) -> list[str]:
    return [model.name for model in store.list_models()]


# ---- names and choices ----------------------------------------------------------------------


def test_the_smallest_readable_gguf_is_taken_from_a_plain_name(
    hub: FakeHub, store: Store, target: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.files = {"tiny-Q2_K.gguf": b"x", "tiny-Q8_0.gguf": target, "tiny-F16.gguf": target * 2}
    model = pull_from(hub, store)
    assert (model.name, model.source) == ("tiny", f"hf:{REPO}")
    assert [file.name for file in model.files] == ["tiny-Q8_0.gguf", "tokenizer.json"]
    assert (
        f"tiny-Q8_0.gguf ({format_bytes(len(target))}) is chosen, the smallest"
        in capsys.readouterr().out
    )
    by_quantisation = pull_from(hub, store, f"hf:{REPO}@v1:q8_0")
    assert (by_quantisation.name, by_quantisation.source) == ("tiny-q8_0", f"hf:{REPO}@v1:q8_0")


def test_a_repository_that_moved_is_followed(hub: FakeHub, store: Store) -> None:
    hub.renamed = {"old/name": REPO}
    model = pull_from(hub, store, "old/name")
    assert (model.name, model.source) == ("name", "hf:old/name")


def test_a_revision_that_is_not_there_is_named(hub: FakeHub, store: Store) -> None:
    with pytest.raises(ModelNotFoundError, match='no revision "v2"'):
        pull_from(hub, store, f"{REPO}@v2")


def test_a_split_is_pulled_whole(
    hub: FakeHub, store: Store, target: bytes, drafter: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "tiny-Q8_0.gguf"
    path.write_bytes(target)
    (tmp_path / "parts").mkdir()
    parts = split_gguf(path, tmp_path / "parts", 30)
    hub.files = {f"Q8_0/{part.name}": part.read_bytes() for part in parts}
    model = pull_from(hub, store)
    assert sorted(store.resolve(model.name)) == [*(part.name for part in parts), "tokenizer.json"]
    # Any part of one on the disk stands for all.
    local = pull(str(parts[-1]), store)
    assert local is not None
    assert local.name == "tiny-Q8_0"
    assert len(local.files) == len(parts) + 1
    # And where it lies, for what loads it from there.
    (parts[0].parent / "a-drafter.gguf").write_bytes(drafter)
    _, served = find_model(store, str(parts[1]))
    assert served is not None
    assert served.name == "tiny-Q8_0"
    assert list(served.files) == [part.name for part in parts]
    assert served.drafter is not None
    assert served.drafter.name == "a-drafter"
    del hub.files[f"Q8_0/{parts[1].name}"]
    with pytest.raises(CheckpointError, match=f"lacks part 2 of {len(parts)}"):
        pull_from(hub, Store(tmp_path / "other"), f"{REPO}:Q8_0")


def test_the_drafter_beside_a_gguf_comes_along(hub: FakeHub, store: Store, drafter: bytes) -> None:
    hub.files["mtp-tiny.gguf"] = drafter
    pull_from(hub, store)
    assert names(store) == ["tiny", "tiny-assistant"]
    found = drafter_of(store, "tiny")
    assert found is not None
    assert found.name == "tiny-assistant"
    hub.requests.clear()
    pull_from(hub, store)
    assert hub.requests == []


def test_a_drafter_that_is_not_run_is_left_out_and_said(
    hub: FakeHub, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.files["mtp-tiny.gguf"] = gguf_file([text_key("general.architecture", "gemma4_mtp")])
    assert pull_from(hub, store).name == "tiny"
    assert names(store) == ["tiny"]
    assert "mtp-tiny.gguf, is left out: " in capsys.readouterr().out


def test_a_file_of_any_name_finds_a_place(hub: FakeHub, store: Store, target: bytes) -> None:
    hub.files = {"My model (1) für Ü.gguf": target}
    model = pull_from(hub, store)
    assert [file.name for file in model.files] == ["My-model-1-f-r-.gguf", "tokenizer.json"]


def test_the_drafter_of_its_own_repository_comes_along(hub: FakeHub, store: Store) -> None:
    folder = TINY / "trained-e2b-assistant"
    wanted = ("config.json", "model.safetensors", "generation_config.json")
    hub.repos["someone/tiny-assistant"] = {name: (folder / name).read_bytes() for name in wanted}
    pull_from(hub, store)
    assert names(store) == ["tiny", "tiny-assistant"]
    found = drafter_of(store, "tiny")
    assert found is not None
    assert set(found.files) == set(wanted)


def test_a_known_name_means_its_repository_and_drafter(
    hub: FakeHub, store: Store, target: bytes, drafter: bytes
) -> None:
    known = known_models()[0]
    assert known.drafter is not None
    hub.repos = {known.hub.repo: {"m-Q4_0.gguf": target}, known.drafter.repo: {"d.gguf": drafter}}
    pull_from(hub, store, known.name)
    assert names(store) == [known.name, f"{known.name}-assistant"]
    assert known_drafter(known.hub) == known.drafter


def test_a_model_of_full_size_names_its_smaller_one(
    hub: FakeHub, store: Store, target: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    known = known_models()[0]
    assert known.of is not None
    hub.repos = {known.of: {"m-F16.gguf": target}}
    pull_from(hub, store, known.of)
    assert f"the same model in 4 bits is `leadout pull {known.name}`" in capsys.readouterr().out


# ---- what a hub may answer --------------------------------------------------------------------


def test_a_token_goes_to_the_hub_alone(
    hub: FakeHub, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.private = {REPO}
    with pytest.raises(ModelNotFoundError, match="or it is private"):
        pull_from(hub, store)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    pull_from(hub, store)
    elsewhere = [seen for seen in hub.seen if seen.host == hub.other_host.removeprefix("http://")]
    assert elsewhere
    assert {seen.authorization for seen in elsewhere} == {None}


@pytest.mark.parametrize(
    "change",
    [
        {"size": "12"}, {"size": -1}, {"size": None}, {"rfilename": 7}, {"rfilename": None},
        {"lfs": "x"}, {"lfs": {"sha256": 1}},
    ],
)  # fmt: skip
def test_a_listing_that_is_nonsense_is_one_error(
    hub: FakeHub, store: Store, change: dict[str, Any]
) -> None:
    info = hub.info()
    info["siblings"][0] |= change
    hub.listing = json.dumps(info).encode()
    with pytest.raises(SourceError, match=r"The hub's answer|publishes no hash"):
        pull_from(hub, store)


@pytest.mark.parametrize("listing", [b"[]", b"{}", b"not json", b'{"sha": 5, "siblings": 1}'])
def test_what_is_no_listing_is_one_error(hub: FakeHub, store: Store, listing: bytes) -> None:
    hub.listing = listing
    with pytest.raises(SourceError, match="The hub's answer"):
        pull_from(hub, store)


@pytest.mark.parametrize(("status", "says"), [(429, "again in 7 seconds"), (503, "again later")])
def test_a_busy_hub_says_when_to_come_back(
    hub: FakeHub, store: Store, status: int, says: str
) -> None:
    headers = {"Retry-After": "7"} if status == 429 else {}
    hub.refusals = [(status, headers)] * 9
    with pytest.raises(SourceError, match=rf"answered {status}.*{says}"):
        pull_from(hub, store)


def test_a_pointer_in_a_files_place_is_refused(hub: FakeHub, store: Store) -> None:
    hub.pointers = {"tiny-Q8_0.gguf"}
    with pytest.raises(SourceError, match="a pointer to the file"):
        pull_from(hub, store)
    assert list(store.models_folder.iterdir()) == []


def test_what_a_hub_writes_cannot_move_the_cursor(
    hub: FakeHub, store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    info = hub.info()
    info["cardData"]["license"] = LICENSED
    info["id"] = f"someone/{LICENSED}"
    hub.listing = json.dumps(info).encode()
    pull_from(hub, store)
    monkeypatch.setenv("LEADOUT_HOME", str(store.models_folder.parent / "other"))
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.endpoint)
    hub.listing = None
    hub.files = {f"{LICENSED}-Q2_K.gguf": b"x"}
    assert main(["pull", REPO]) != 0
    out, err = capsys.readouterr()
    assert "evil\\x1b]0;title\\x07" in out
    assert "evil\\x1b]0;title\\x07-Q2_K.gguf" in err
    assert "\x1b" not in out + err


# ---- what is left behind ----------------------------------------------------------------------


def test_a_model_that_is_not_run_is_not_fetched(hub: FakeHub, store: Store) -> None:
    weights = bytes(8 << 20)
    hub.files = {
        "llama-Q8_0.gguf": gguf_file([text_key("general.architecture", "llama")]) + weights
    }
    with pytest.raises(UnsupportedModelError):
        pull_from(hub, store)
    assert [asked for _, asked in hub.requests] == ["bytes=0-1048575"]
    assert list(store.models_folder.iterdir()) == []
    config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}
    hub.files = {"config.json": json.dumps(config).encode(), "model.safetensors": weights}
    with pytest.raises(UnsupportedModelError):
        pull_from(hub, store)
    assert "model.safetensors" not in [name for name, _ in hub.requests]
    assert list(store.models_folder.iterdir()) == []


def test_a_pull_that_is_killed_before_its_manifest_loses_nothing(
    hub: FakeHub, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ModelWriter, "commit", die)
        with pytest.raises(KeyboardInterrupt):
            pull_from(hub, store)
    assert names(store) == []
    hub.requests.clear()
    pull_from(hub, store)
    assert names(store) == ["tiny"]
    assert [asked for _, asked in hub.requests if asked is None] == []
    # And what another pull left there goes.
    assert not (store.models_folder / "tiny" / ".parts").exists()


def test_wrong_content_is_dropped_and_fetched_again(hub: FakeHub, store: Store) -> None:
    hub.wrong = {"tiny-Q8_0.gguf"}
    with pytest.raises(IntegrityError):
        pull_from(hub, store)
    hub.wrong = set()
    assert pull_from(hub, store).name == "tiny"


def test_another_revision_does_not_take_a_names_place(hub: FakeHub, store: Store) -> None:
    pull_from(hub, store)
    with pytest.raises(StoreError, match="leadout models remove tiny"):
        pull_from(hub, store, f"{REPO}@{COMMIT}")
