"""Sources: every read gives exactly what was asked for, or a named error."""

from __future__ import annotations

from pathlib import Path

import pytest

from leadout.checkpoint.source import FileSource, MemorySource, Source
from leadout.errors import SourceError

DATA = bytes(range(100))


@pytest.fixture(params=["memory", "file"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Source:
    if request.param == "memory":
        return MemorySource("data.bin", DATA)
    path = tmp_path / "data.bin"
    path.write_bytes(DATA)
    return FileSource(path)


async def test_size_is_the_length_in_bytes(source: Source) -> None:
    assert await source.size() == 100


@pytest.mark.parametrize(("offset", "length"), [(0, 100), (0, 0), (100, 0), (7, 11), (99, 1)])
async def test_a_read_returns_exactly_its_range(source: Source, offset: int, length: int) -> None:
    assert await source.read(offset, length) == DATA[offset : offset + length]


@pytest.mark.parametrize(("offset", "length"), [(0, 101), (100, 1), (1 << 60, 1), (-1, 1), (0, -1)])
async def test_a_range_outside_the_source_is_refused(
    source: Source, offset: int, length: int
) -> None:
    with pytest.raises(SourceError, match=r"data\.bin has 100 bytes") as caught:
        await source.read(offset, length)
    assert caught.value.detail["wanted_bytes"] == length
    assert caught.value.detail["size_bytes"] == 100


async def test_a_missing_file_is_a_source_error(tmp_path: Path) -> None:
    source = FileSource(tmp_path / "absent.gguf")
    with pytest.raises(SourceError, match=r"absent\.gguf cannot be read"):
        await source.size()
    with pytest.raises(SourceError, match=r"absent\.gguf cannot be read"):
        await source.read(0, 1)


async def test_a_folder_is_a_source_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is a folder"):
        await FileSource(tmp_path, "models").size()


async def test_a_file_that_shrinks_while_it_is_read_is_a_source_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "data.bin"
    path.write_bytes(DATA[:60])
    source = FileSource(path)
    monkeypatch.setattr(source, "_size", lambda: 100)
    with pytest.raises(SourceError, match="60 bytes came of 100"):
        await source.read(0, 100)
