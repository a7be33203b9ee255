"""The tokens of a drafter's centroids: every id once, or refused."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence

import pytest

from leadout.checkpoint import Checkpoint, MemorySource, TensorInfo
from leadout.checkpoint.token_ordering import read_token_ordering
from leadout.errors import CheckpointError, SourceError, TensorError, UnsupportedFormatError

NAME = "masked_embedding.token_ordering"
OFFSET = 24
CODES = {"I32": "i", "I64": "q", "F32": "f"}


def checkpoint(ids: Sequence[int], kind: str = "I64", shape: tuple[int, ...] = ()) -> Checkpoint:
    """Return a drafter's checkpoint that has this tensor alone."""
    data = struct.pack(f"<{len(ids)}{CODES[kind]}", *ids)
    tensor = TensorInfo(NAME, shape or (len(ids),), kind, 0, OFFSET, len(data))
    return Checkpoint(
        name="tiny-assistant",
        kind="safetensors",
        sources=[MemorySource("model.safetensors", bytes(OFFSET) + data)],
        tensors={NAME: tensor},
        config={},
        norms_are_folded=True,
        eos_token_ids=(),
        bos_token_id=None,
    )


@pytest.mark.parametrize("kind", ["I32", "I64"])
@pytest.mark.parametrize("size", [1, 32, 4096])
async def test_ids_come_in_their_order_as_32_bit_numbers(kind: str, size: int) -> None:
    ids = random.Random(size).sample(range(size), size)
    data = await read_token_ordering(checkpoint(ids, kind), size)
    assert struct.unpack(f"<{size}I", data) == tuple(ids)


@pytest.mark.parametrize("kind", ["I32", "I64"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ((5, 64), "has 64 at index 5, which is no token id"),
        ((63, -1), "has -1 at index 63, which is no token id"),
        ((9, 2), "has token 2 twice, at index 2 and 9"),
        ((1, 63), "has token 63 twice, at index 1 and 63"),
        ((0, 2_147_483_647), "has 2,147,483,647 at index 0"),
    ],
)
async def test_a_number_that_does_not_belong_there_is_named(
    kind: str, change: tuple[int, int], words: str
) -> None:
    ids = list(range(64))
    ids[change[0]] = change[1]
    with pytest.raises(CheckpointError) as caught:
        await read_token_ordering(checkpoint(ids, kind), 64)
    assert words in caught.value.message
    assert "wanted each of the 64 token ids once" in caught.value.message
    assert caught.value.detail["tensor"] == NAME


async def test_a_number_of_64_bits_is_named() -> None:
    ids = [*range(31), 1 << 40]
    with pytest.raises(CheckpointError, match="has 1,099,511,627,776 at index 31"):
        await read_token_ordering(checkpoint(ids), 32)


async def test_a_missing_tensor_is_named() -> None:
    without = checkpoint([0])
    without.tensors.clear()
    with pytest.raises(TensorError, match=rf"tiny-assistant has no tensor '{NAME}'"):
        await read_token_ordering(without, 1)


@pytest.mark.parametrize("shape", [(31,), (33,), (4, 8), (1, 32)])
async def test_another_shape_is_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(TensorError, match=r"configuration calls for \[32\]") as caught:
        await read_token_ordering(checkpoint(range(32), shape=shape), 32)
    assert caught.value.detail["found"] == list(shape)


async def test_numbers_that_are_not_whole_are_refused() -> None:
    with pytest.raises(UnsupportedFormatError, match="stored as F32"):
        await read_token_ordering(checkpoint(range(32), "F32"), 32)


async def test_a_file_that_ends_early_is_a_source_error() -> None:
    short = checkpoint(range(32))
    source = short.sources[0]
    assert isinstance(source, MemorySource)
    source.data = source.data[:-1]
    with pytest.raises(SourceError):
        await read_token_ordering(short, 32)


async def test_the_real_size_is_read() -> None:
    size = 262_144
    ids = random.Random(0).sample(range(size), size)
    data = await read_token_ordering(checkpoint(ids), size)
    assert data == struct.pack(f"<{size}I", *ids)
