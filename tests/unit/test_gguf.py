"""The GGUF header parser: what it reads, and that it refuses what is wrong by name."""

from __future__ import annotations

import struct
from array import array
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from leadout.checkpoint import FileSource, MemorySource
from leadout.checkpoint import gguf as gguf_module
from leadout.checkpoint.ggml_types import GGML_TYPES
from leadout.checkpoint.gguf import GgufHeader, read_gguf_header
from leadout.errors import (
    CheckpointError,
    LeadoutError,
    SourceError,
    TensorError,
    UnsupportedFormatError,
)
from raw_blocks import WHOLE_FORMATS
from raw_headers import (
    ARRAY,
    BOOL,
    FLOAT32,
    STRING,
    U64,
    GuardedSource,
    array_key,
    gguf_file,
    key,
    string,
    tensor,
    text_key,
    u32_key,
)


async def parse(data: bytes) -> GgufHeader:
    return await read_gguf_header(GuardedSource(data, "model.gguf"))


async def refusal(data: bytes) -> LeadoutError:
    with pytest.raises(LeadoutError) as caught:
        await parse(data)
    assert caught.value.message.startswith("model.gguf")
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 600
    return caught.value


# ---- what is read -------------------------------------------------------------------------


async def test_every_value_type_is_read_as_the_gguf_package_wrote_it(tmp_path: Path) -> None:
    path = tmp_path / "values.gguf"
    writer = gguf.GGUFWriter(path, "gemma3")
    numbers: dict[str, Any] = {
        "uint8": 200,
        "int8": -100,
        "uint16": 60_000,
        "int16": -30_000,
        "uint32": 4_000_000_000,
        "int32": -2_000_000_000,
        "uint64": 1 << 63,
        "int64": -(1 << 62),
        "float32": 0.5,
        "float64": 0.1,
    }
    for name, value in numbers.items():
        getattr(writer, f"add_{name}")(f"a.{name}", value)
    writer.add_bool("a.true", True)
    writer.add_bool("a.false", False)
    writer.add_string("a.string", "Größe 日本語")
    writer.add_array("a.strings", ["", "▁the", "語"])
    writer.add_array("a.ints", [1, -2, 3])
    writer.add_array("a.floats", [0.5, -1.5])
    writer.add_array("a.bools", [True, False, True])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    header = await read_gguf_header(FileSource(path))

    assert header.version == 3
    expected = {
        **{f"a.{name}": value for name, value in numbers.items()},
        "general.architecture": "gemma3",
        "a.true": True,
        "a.false": False,
        "a.string": "Größe 日本語",
        "a.strings": ["", "▁the", "語"],
        "a.ints": array("i", [1, -2, 3]),
        "a.floats": array("f", [0.5, -1.5]),
        "a.bools": [True, False, True],
    }
    assert header.metadata == expected
    assert {k: type(v) for k, v in header.metadata.items()} == {
        k: type(v) for k, v in expected.items()
    }


@pytest.mark.parametrize("alignment", [None, 8, 64, 4096])
async def test_tensors_lie_where_the_gguf_package_says(
    tmp_path: Path, alignment: int | None
) -> None:
    path = tmp_path / "tensors.gguf"
    writer = gguf.GGUFWriter(path, "gemma3")
    if alignment is not None:
        writer.add_custom_alignment(alignment)
    rng = np.random.default_rng(0)
    writer.add_tensor("vector", rng.normal(size=5).astype(np.float32))
    writer.add_tensor("matrix", rng.normal(size=(3, 7)).astype(np.float16))
    writer.add_tensor("stack", rng.normal(size=(2, 3, 4, 5)).astype(np.float32))
    quantized = gguf.quants.quantize(
        rng.normal(size=(6, 64)).astype(np.float32), gguf.GGMLQuantizationType.Q8_0
    )
    writer.add_tensor("blocks", quantized, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    found = {t.name: t for t in (await read_gguf_header(FileSource(path), index=3)).tensors}

    assert {name: t.shape for name, t in found.items()} == {
        "vector": (5,),
        "matrix": (3, 7),
        "stack": (2, 3, 4, 5),
        "blocks": (6, 64),
    }
    for expected in gguf.GGUFReader(path).tensors:
        info = found[expected.name]
        assert info.format == expected.tensor_type.name
        assert info.offset == expected.data_offset
        assert info.bytes == expected.n_bytes
        assert info.source == 3


@pytest.mark.parametrize("version", [2, 3])
async def test_both_versions_are_read(version: int) -> None:
    file = gguf_file([u32_key("a", 7)], [tensor("t", [4])], bytes(16), version=version)
    header = await parse(file)
    assert header.version == version
    assert header.metadata == {"a": 7}
    assert header.tensors[0].offset == len(file) - 16


async def test_a_tensor_without_dimensions_is_a_scalar() -> None:
    header = await parse(gguf_file([], [tensor("t", [])], bytes(4)))
    assert header.tensors[0].shape == ()
    assert header.tensors[0].bytes == 4


async def test_an_empty_file_with_a_valid_header_is_read() -> None:
    assert (await parse(gguf_file())).tensors == []


async def test_the_type_table_agrees_with_the_gguf_package() -> None:
    for known in gguf.GGMLQuantizationType:
        expected = gguf.GGML_QUANT_SIZES[known]
        assert GGML_TYPES[known.value] == (known.name, *expected)


def test_every_readable_format_but_mlxs_is_a_ggml_type() -> None:
    assert set(WHOLE_FORMATS) <= {known.name for known in GGML_TYPES.values()}


async def test_pieces_double_and_end_soon_after_the_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf_module, "FIRST_PIECE_BYTES", 64)
    tokens = [f"token {i}" for i in range(500)]
    keys = [array_key("tokens", STRING, 500, b"".join(map(string, tokens))), u32_key("last", 1)]
    header_bytes = len(gguf_file(keys, [tensor("t", [25_000])]))
    source = GuardedSource(gguf_file(keys, [tensor("t", [25_000])], bytes(100_000)))

    header = await read_gguf_header(source)

    assert header.metadata == {"tokens": tokens, "last": 1}
    lengths = [length for _, length in source.reads]
    assert lengths == [64 << i for i in range(len(lengths))]
    assert sum(lengths) < 2 * header_bytes + 64
    ends = [offset + length for offset, length in source.reads]
    assert [offset for offset, _ in source.reads] == [0, *ends[:-1]]


@pytest.mark.parametrize("piece_bytes", [1, 2, 3, 7, 8, 9, 1000])
async def test_the_result_does_not_depend_on_where_pieces_end(
    monkeypatch: pytest.MonkeyPatch, piece_bytes: int
) -> None:
    items = b"".join(string(text) for text in ["", "a", "語" * 40, "b" * 300])
    file = gguf_file(
        [
            array_key("strings", STRING, 4, items),
            array_key("floats", FLOAT32, 50, struct.pack("<50f", *range(50))),
            text_key("text", "x" * 99),
        ],
        [tensor("one", [8]), tensor("two", [8], offset=32)],
        bytes(64),
    )
    expected = await parse(file)
    monkeypatch.setattr(gguf_module, "FIRST_PIECE_BYTES", piece_bytes)
    assert await parse(file) == expected
    assert expected.metadata["strings"] == ["", "a", "語" * 40, "b" * 300]


# ---- what is refused ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "too few"),
        (b"GGUF\3\0\0", "too few"),
        (b"GGML" + bytes(40), "starts with b'GGML'"),
        (b"version https://git-lfs.github.com/spec/v1\n", "the pointer that git keeps"),
        (b"<!doctype html>", "it is a web page"),
        (gguf_file(version=1), "version 1"),
        (gguf_file(version=4), "version 4"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
        (b"GGUF" + struct.pack(">IQQ", 2, 0, 0), "big-endian"),
    ],
)
async def test_another_format_or_version_is_unsupported(data: bytes, words: str) -> None:
    error = await refusal(data)
    assert isinstance(error, UnsupportedFormatError)
    assert words in error.message


HUGE = (1 << 64) - 1

DAMAGED = {
    "more keys than bytes": (gguf_file(num_keys=HUGE), "metadata keys are declared"),
    "more tensors than bytes": (gguf_file(num_tensors=HUGE), "tensors are declared"),
    "a key longer than the file": (
        gguf_file([struct.pack("<Q", 1 << 40) + bytes(40)]),
        "goes on for 1,099,511,627,784 bytes",
    ),
    "a key of the largest length": (
        gguf_file([struct.pack("<Q", HUGE) + bytes(40)]),
        "goes on for",
    ),
    "a string longer than the file": (
        gguf_file([key("a", STRING, struct.pack("<Q", 1000) + b"abc")]),
        "goes on for 1,008 bytes",
    ),
    "an array of more strings than bytes": (
        gguf_file([array_key("a", STRING, HUGE, b"")]),
        "strings of 'a' are declared",
    ),
    "an array of more numbers than bytes": (
        gguf_file([array_key("a", U64, 1 << 61, bytes(64))]),
        "items of metadata 'a' are declared",
    ),
    "an array of more booleans than bytes": (
        gguf_file([array_key("a", BOOL, HUGE, b"")]),
        "items of metadata 'a' are declared",
    ),
    "a boolean of 2": (gguf_file([key("a", BOOL, b"\2")]), "value 2, not 0 or 1"),
    "a boolean of 3 in an array": (
        gguf_file([array_key("a", BOOL, 2, b"\1\3")]),
        "value 3, not 0 or 1",
    ),
    "an unknown value type": (gguf_file([key("a", 13, bytes(8))]), "of type 13"),
    "an unknown item type": (gguf_file([array_key("a", 99, 1, bytes(8))]), "array of type 99"),
    "a key twice": (gguf_file([u32_key("a", 1), u32_key("a", 1)]), "'a' occurs twice"),
    "a key that is not UTF-8": (gguf_file([string(b"\xff") + bytes(8)]), "is not UTF-8"),
    "a string that is not UTF-8": (
        gguf_file([key("a", STRING, string(b"ab\xff"))]),
        "a string of 'a' is not UTF-8",
    ),
    "alignment 0": (gguf_file([u32_key("general.alignment", 0)]), "general.alignment is 0"),
    "alignment 4": (gguf_file([u32_key("general.alignment", 4)]), "general.alignment is 4"),
    "alignment 48": (gguf_file([u32_key("general.alignment", 48)]), "general.alignment is 48"),
    "alignment as text": (
        gguf_file([text_key("general.alignment", "32")]),
        "general.alignment is '32'",
    ),
    "five dimensions": (gguf_file([], [tensor("t", [1] * 5)], bytes(4)), "has 5 dimensions"),
    "four billion dimensions": (
        gguf_file([], [string("t") + struct.pack("<I", 0xFFFFFFFF) + bytes(99)]),
        "has 4,294,967,295 dimensions",
    ),
    "a dimension of 0": (gguf_file([], [tensor("t", [4, 0])], bytes(4)), "dimensions [4, 0]"),
    "half a block": (gguf_file([], [tensor("t", [48, 2], 8)], bytes(102)), "blocks of 32"),
    "a crooked offset": (
        gguf_file([], [tensor("t", [1], offset=16)], bytes(64)),
        "not a multiple of the file's alignment, 32",
    ),
    "a tensor past the end": (
        gguf_file([], [tensor("t", [5])], bytes(16)),
        "but the file has only",
    ),
    "a tensor of 2^128 values": (
        gguf_file([], [tensor("t", [1 << 63] * 4)], bytes(16)),
        "ends past the file's",
    ),
    "an offset near 2^64": (
        gguf_file([], [tensor("t", [1], offset=HUGE - 31)], bytes(16)),
        "ends past the file's",
    ),
    "overlapping tensors": (
        gguf_file([], [tensor("one", [16]), tensor("two", [1], offset=32)], bytes(64)),
        "'one' and 'two' overlap",
    ),
    "equal tensors": (
        gguf_file([], [tensor("one", [1]), tensor("two", [1])], bytes(32)),
        "'one' and 'two' overlap",
    ),
}


@pytest.mark.parametrize("what", DAMAGED)
async def test_a_damaged_header_is_a_checkpoint_error(what: str) -> None:
    data, words = DAMAGED[what]
    error = await refusal(data)
    assert type(error) is CheckpointError
    assert words in error.message


async def test_a_tensor_twice_is_a_tensor_error() -> None:
    error = await refusal(gguf_file([], [tensor("t", [1]), tensor("t", [1], offset=32)], bytes(64)))
    assert isinstance(error, TensorError)
    assert "'t' occurs twice" in error.message


async def test_an_array_of_arrays_is_unsupported() -> None:
    nested = struct.pack("<IQ", ARRAY, 1) * 500
    error = await refusal(gguf_file([key("a", ARRAY, nested)]))
    assert isinstance(error, UnsupportedFormatError)
    assert "array of arrays" in error.message


@pytest.mark.parametrize(("type_id", "name"), [(4, "Q4_2"), (31, "Q4_0_4_4"), (999, "unknown")])
async def test_a_tensor_type_without_a_size_is_unsupported_by_name(type_id: int, name: str) -> None:
    error = await refusal(gguf_file([], [tensor("t", [32], type_id)], bytes(99)))
    assert isinstance(error, UnsupportedFormatError)
    assert f"'t' has ggml type {type_id} ({name})" in error.message


async def test_every_truncation_of_a_file_is_refused() -> None:
    file = gguf_file(
        [u32_key("a", 1), array_key("b", STRING, 2, string("x") + string("yz"))],
        [tensor("t", [8])],
        bytes(32),
    )
    await parse(file)
    for length in range(len(file)):
        await refusal(file[:length])


async def test_a_failing_source_stays_a_source_error() -> None:
    class Lost(MemorySource):
        async def read(self, offset: int, length: int) -> bytes:
            raise SourceError("the connection was lost")

    with pytest.raises(SourceError, match="the connection was lost"):
        await read_gguf_header(Lost("model.gguf", gguf_file()))


async def test_a_long_name_is_cut_in_a_message() -> None:
    error = await refusal(gguf_file([key("k" * 100_000 + "\n", 13, b"")], [], bytes(64)))
    assert "of type 13" in error.message


async def test_u32_and_u64_alignment_are_both_taken() -> None:
    for alignment in (
        u32_key("general.alignment", 64),
        key("general.alignment", U64, b"@" + bytes(7)),
    ):
        file = gguf_file([alignment], [tensor("t", [16])], bytes(64), alignment=64)
        assert (await parse(file)).tensors[0].offset % 64 == 0
