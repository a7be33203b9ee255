"""The safetensors header parser, single files and shards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from leadout.checkpoint.safetensors import read_safetensors_header, read_sharded_headers
from leadout.checkpoint.source import FileSource, MemorySource, Source
from leadout.checkpoint.tensors import TensorInfo, check_formats
from leadout.errors import CheckpointError, LeadoutError, TensorError, UnsupportedFormatError
from raw_headers import GuardedSource, safetensors_file

INDEX = "model.safetensors.index.json"


def entry(dtype: Any, shape: Any, *offsets: Any) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": list(offsets)}


async def parse(data: bytes) -> dict[str, TensorInfo]:
    tensors = await read_safetensors_header(GuardedSource(data, "model.safetensors"))
    return {t.name: t for t in tensors}


async def refusal(data: bytes) -> LeadoutError:
    with pytest.raises(LeadoutError) as caught:
        await parse(data)
    assert "model.safetensors" in caught.value.message
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 600
    return caught.value


# ---- one file -----------------------------------------------------------------------------


async def test_tensors_lie_where_the_safetensors_package_wrote_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "matrix": rng.normal(size=(3, 5)).astype(np.float32),
        "half": rng.normal(size=7).astype(np.float16),
        "scalar": np.array(3.5, dtype=np.float32),
        "ids": np.arange(4, dtype=np.int64),
        "empty": np.zeros((0, 4), dtype=np.float32),
    }
    path = tmp_path / "model.safetensors"
    safetensors.numpy.save_file(arrays, path, metadata={"format": "np"})
    raw = path.read_bytes()

    tensors = await read_safetensors_header(FileSource(path), index=2)

    assert {t.name for t in tensors} == set(arrays)
    formats = {"float32": "F32", "float16": "F16", "int64": "I64"}
    for info in tensors:
        array = arrays[info.name]
        assert info.shape == array.shape
        assert info.format == formats[array.dtype.name]
        assert info.source == 2
        assert raw[info.offset : info.offset + info.bytes] == array.tobytes()


async def test_the_header_is_read_in_two_reads_and_no_tensor_is() -> None:
    file = safetensors_file({"t": entry("F32", [250_000], 0, 1_000_000)}, bytes(1_000_000))
    source = GuardedSource(file)
    await read_safetensors_header(source)
    assert source.reads == [(0, 8), (8, len(file) - 8 - 1_000_000)]


async def test_gaps_and_any_order_are_fine() -> None:
    header = {"b": entry("BF16", [2], 16, 20), "a": entry("F16", [2], 0, 4)}
    found = await parse(safetensors_file(header, bytes(32)))
    assert [(t.name, t.format, t.bytes) for t in found.values()] == [
        ("b", "BF16", 4),
        ("a", "F16", 4),
    ]


async def test_a_dtype_nobody_knows_is_passed_on_by_name() -> None:
    found = await parse(safetensors_file({"t": entry("F2_NEW", [3], 0, 1)}, bytes(1)))
    assert found["t"].format == "'F2_NEW'"


@pytest.mark.parametrize("dtype", ["Q4_0", "MLX_Q4_G64_BF16"])
async def test_a_dtype_that_is_another_format_s_name_is_not_taken_for_it(dtype: str) -> None:
    """Its size was not checked; MLX's formats are made of tensors of known dtypes."""
    data = safetensors_file({"t": entry(dtype, [2, 64], 0, 5)}, b"12345")
    tensors = await parse(data)
    with pytest.raises(UnsupportedFormatError, match=f"stored as '{dtype}', which"):
        check_formats(tensors)


DAMAGED: dict[str, tuple[bytes, str]] = {
    "an entry that is a list": (safetensors_file({"t": []}), "a list, not an object"),
    "no dtype": (safetensors_file({"t": {"shape": [], "data_offsets": [0, 0]}}), "no dtype"),
    "a dtype that is a number": (
        safetensors_file({"t": entry(32, [1], 0, 4)}, bytes(4)),
        "no dtype",
    ),
    "no shape": (safetensors_file({"t": {"dtype": "F32", "data_offsets": [0, 4]}}), "no shape"),
    "a negative dimension": (
        safetensors_file({"t": entry("F32", [-1, -1], 0, 4)}, bytes(4)),
        "no shape",
    ),
    "a fractional dimension": (
        safetensors_file({"t": entry("F32", [1.0], 0, 4)}, bytes(4)),
        "no shape",
    ),
    "a boolean dimension": (
        safetensors_file({"t": entry("F32", [True], 0, 4)}, bytes(4)),
        "no shape",
    ),
    "a thousand dimensions": (
        safetensors_file({"t": entry("F32", [1 << 63] * 1000, 0, 4)}, bytes(4)),
        "no shape of at most 16",
    ),
    "a dimension of 200 digits": (
        safetensors_file({"t": entry("F32", [10**200], 0, 4)}, bytes(4)),
        "no shape",
    ),
    "one offset": (safetensors_file({"t": entry("F32", [1], 0)}, bytes(4)), "no data_offsets"),
    "offsets backwards": (
        safetensors_file({"t": entry("F32", [1], 4, 0)}, bytes(4)),
        "no data_offsets",
    ),
    "a negative offset": (
        safetensors_file({"t": entry("F32", [1], -4, 0)}, bytes(4)),
        "no data_offsets",
    ),
    "an end past the file": (
        safetensors_file({"t": entry("F32", [2], 0, 8)}, bytes(7)),
        "past the file's",
    ),
    "an end near 2^64": (
        safetensors_file({"t": entry("F32", [1], (1 << 64) - 5, (1 << 64) - 1)}, bytes(4)),
        "past the file's",
    ),
    "too few bytes for the shape": (
        safetensors_file({"t": entry("F32", [2, 3], 0, 12)}, bytes(12)),
        "takes 24 bytes as F32, but its data_offsets hold 12",
    ),
    "too many bytes for the shape": (
        safetensors_file({"t": entry("BF16", [3], 0, 8)}, bytes(8)),
        "takes 6 bytes as BF16, but its data_offsets hold 8",
    ),
    "overlapping tensors": (
        safetensors_file(
            {"one": entry("F32", [2], 0, 8), "two": entry("F32", [1], 4, 8)}, bytes(8)
        ),
        "'one' and 'two' overlap",
    ),
    "a tensor twice": (
        safetensors_file(
            b'{"t":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
            b'"t":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
            bytes(8),
        ),
        "key 't' occurs twice",
    ),
    "a header that is not JSON": (safetensors_file(b"{nonsense}"), "JSON is invalid"),
    "a header that is a list": (safetensors_file(b"[1, 2]"), "JSON is a list"),
    "a header that is not UTF-8": (safetensors_file(b'{"\xff": 1}'), "JSON is invalid"),
    "NaN": (safetensors_file(b'{"t": NaN}'), "NaN is not JSON"),
    "brackets without end": (safetensors_file(b"[" * 200_000), "nested deeper than 64"),
    "a number of 10,000 digits": (safetensors_file(b'{"t": ' + b"9" * 10_000 + b"}"), "invalid"),
}


@pytest.mark.parametrize("what", DAMAGED)
async def test_a_damaged_header_is_a_checkpoint_error(what: str) -> None:
    data, words = DAMAGED[what]
    error = await refusal(data)
    assert type(error) is CheckpointError
    assert words in error.message


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(7),
        safetensors_file(b"{}", header_bytes=3),
        safetensors_file(b"{}", header_bytes=(1 << 64) - 1),
        b"GGUF" + bytes([3, 0, 0, 0]) + bytes(100),
    ],
)
async def test_a_header_longer_than_its_file_is_unsupported(data: bytes) -> None:
    assert isinstance(await refusal(data), UnsupportedFormatError)


async def test_what_git_keeps_in_a_files_place_is_named() -> None:
    error = await refusal(b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n")
    assert isinstance(error, UnsupportedFormatError)
    assert "the pointer that git keeps" in error.message


async def test_every_truncation_of_a_file_is_refused() -> None:
    file = safetensors_file({"t": entry("F32", [2], 0, 8)}, bytes(8))
    await parse(file)
    for length in range(len(file)):
        await refusal(file[:length])


# ---- shards -------------------------------------------------------------------------------


def shard(*names: str) -> bytes:
    header = {name: entry("F32", [1], 4 * i, 4 * i + 4) for i, name in enumerate(names)}
    return safetensors_file(header, bytes(4 * len(names)))


async def parse_shards(
    weight_map: object, shards: dict[str, bytes]
) -> tuple[list[Source], list[TensorInfo]]:
    index = MemorySource(INDEX, json.dumps({"weight_map": weight_map}).encode())
    files = {name: GuardedSource(data, name) for name, data in shards.items()}
    return await read_sharded_headers(index, files)


async def test_tensors_of_shards_know_their_source() -> None:
    sources, tensors = await parse_shards(
        {"a": "2.safetensors", "b": "1.safetensors", "c": "1.safetensors"},
        {
            "1.safetensors": shard("b", "c"),
            "2.safetensors": shard("a"),
            "unrelated.safetensors": b"",
        },
    )
    assert [source.name for source in sources] == ["1.safetensors", "2.safetensors"]
    assert {t.name: t.source for t in tensors} == {"a": 1, "b": 0, "c": 0}


async def test_a_missing_shard_is_named() -> None:
    with pytest.raises(CheckpointError, match=r"'a' is in '2\.safetensors', which is not among"):
        await parse_shards({"a": "2.safetensors"}, {"1.safetensors": shard("a")})


async def test_a_tensor_that_is_not_in_its_shard_is_named() -> None:
    with pytest.raises(TensorError, match=r"'b' is in 1\.safetensors, but it is in none"):
        await parse_shards(
            {"a": "1.safetensors", "b": "1.safetensors"}, {"1.safetensors": shard("a")}
        )


async def test_a_tensor_in_another_shard_than_the_index_says_is_named() -> None:
    with pytest.raises(TensorError, match=r"'b' is in 1\.safetensors, but it is in 2\.safetensors"):
        await parse_shards(
            {"a": "1.safetensors", "b": "1.safetensors", "c": "2.safetensors"},
            {"1.safetensors": shard("a"), "2.safetensors": shard("b", "c")},
        )


async def test_a_tensor_in_two_shards_is_named() -> None:
    with pytest.raises(TensorError, match=r"'b' is in two shards, 1\.safetensors and 2\.safeten"):
        await parse_shards(
            {"a": "1.safetensors", "b": "2.safetensors"},
            {"1.safetensors": shard("a", "b"), "2.safetensors": shard("b")},
        )


@pytest.mark.parametrize("weight_map", [None, [], {}, "x", {"a": 3}, {"a": None}, {"a": ["1"]}])
async def test_an_index_without_a_usable_weight_map_is_refused(weight_map: object) -> None:
    with pytest.raises(CheckpointError, match=r"model\.safetensors\.index\.json"):
        await parse_shards(weight_map, {"1.safetensors": shard("a")})
