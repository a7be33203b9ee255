"""Split GGUFs: they are the whole they were made of, and parts that do not fit are refused."""

from __future__ import annotations

import asyncio
from pathlib import Path

import gguf
import pytest

from gemma4_gguf import write_gemma4_gguf
from leadout.checkpoint import Checkpoint, FileSource, open_checkpoint
from leadout.errors import CheckpointError, LeadoutError, TensorError
from split_gguf import split_gguf

MODEL = Path(__file__).parents[1] / "vectors/gemma4-tiny/e2b"
PER_PART = 24


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gemma4_gguf(tmp_path_factory.mktemp("whole") / "tiny.gguf", MODEL, "Q8_0")


@pytest.fixture(scope="module")
def parts(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return split_gguf(whole, tmp_path_factory.mktemp("parts"), PER_PART)


def open_files(*paths: Path, **renamed: Path) -> Checkpoint:
    files = {path.name: path for path in paths} | renamed
    sources = {name: FileSource(path) for name, path in files.items()}
    return asyncio.run(open_checkpoint(sources))


def refusal(*paths: Path, **renamed: Path) -> LeadoutError:
    with pytest.raises(LeadoutError) as caught:
        open_files(*paths, **renamed)
    return caught.value


def content(checkpoint: Checkpoint) -> dict[str, bytes]:
    """Return every tensor's bytes."""

    def read(name: str) -> bytes:
        tensor = checkpoint.tensors[name]
        source = checkpoint.sources[tensor.source]
        return asyncio.run(source.read(tensor.offset, tensor.bytes))

    return {name: read(name) for name in checkpoint.tensors}


def test_a_split_is_the_model_that_it_was_made_of(whole: Path, parts: list[Path]) -> None:
    assert len(parts) > 2
    one, split = open_files(whole), open_files(*reversed(parts))
    assert split.name == one.name == "tiny.gguf"
    assert len(split.sources) == len(parts)
    assert content(split) == content(one)
    assert (split.config, split.eos_token_ids) == (one.config, one.eos_token_ids)


@pytest.mark.parametrize("number", [0, 1, -1])
def test_a_missing_part_is_named(parts: list[Path], number: int) -> None:
    lost = parts[number]
    error = refusal(*(path for path in parts if path != lost))
    assert isinstance(error, CheckpointError)
    assert lost.name in error.message
    assert "give all of its parts" in error.message


def test_a_part_alone_says_that_it_is_one(parts: list[Path]) -> None:
    error = refusal(**{"renamed.gguf": parts[1]})
    assert isinstance(error, CheckpointError)
    assert f"part 2 of {len(parts)}; wanted a whole file" in error.message


def test_parts_under_each_others_names_are_refused(parts: list[Path]) -> None:
    swapped = {parts[1].name: parts[2], parts[2].name: parts[1]}
    error = refusal(parts[0], *parts[3:], **swapped)
    assert isinstance(error, CheckpointError)
    assert f"{parts[1].name} says that it is part 3" in error.message


def test_parts_of_different_models_are_refused(parts: list[Path], tmp_path: Path) -> None:
    # As many parts, of a model with another number of tensors.
    other = write_gemma4_gguf(tmp_path / "tiny.gguf", MODEL.with_name("e4b"), "Q8_0")
    total = len(gguf.GGUFReader(other).tensors)
    per_part = next(n for n in range(1, total) if -(-total // n) == len(parts))
    others = split_gguf(other, tmp_path, per_part)
    assert [path.name for path in others] == [path.name for path in parts]
    error = refusal(parts[0], **{path.name: path for path in others[1:]})
    assert isinstance(error, CheckpointError)
    assert "tensors in all" in error.message


def test_a_tensor_in_two_parts_is_refused(parts: list[Path]) -> None:
    copied = bytearray(parts[1].read_bytes())
    field = copied.index(b"split.no") + len("split.no") + 4
    copied[field : field + 2] = (2).to_bytes(2, "little")
    twice = parts[2].with_name("twice")
    twice.write_bytes(copied)
    error = refusal(*parts[:2], *parts[3:], **{parts[2].name: twice})
    assert isinstance(error, TensorError)
    assert "is in two parts" in error.message
