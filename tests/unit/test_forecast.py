"""Forecasts against what loading then allocates (leadout.forecast, leadout.probe)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from engine_cases import folder_files
from leadout.checkpoint import Checkpoint, MemorySource, open_checkpoint
from leadout.checkpoint.synthetic import synthetic_checkpoint
from leadout.devices.numpy import NumpyDevice
from leadout.engine import Engine
from leadout.errors import SourceError
from leadout.forecast import forecast
from leadout.planning import LoadOptions
from leadout.probe import MEASURED_S, is_wanted, probe

VECTORS = Path(__file__).parents[1] / "vectors"

#: Folders under `VECTORS`, target and drafter, or a synthetic shape.
SHAPES: tuple[tuple[str, str | None], ...] = (
    ("gemma4-tiny/e2b", "gemma4-tiny/e2b-assistant"),
    ("gemma4-tiny/12b", None),
    ("gemma4-tiny/26b-a4b", "gemma4-tiny/26b-a4b-assistant"),
    ("gemma4-tiny/31b", None),
    ("gemma3-tiny/odd-scale", None),
    ("mlx-tiny/trained-e2b-4bit", "mlx-tiny/trained-e2b-4bit-assistant"),
    ("tiny", "tiny"),
)
OPTIONS = (
    LoadOptions(context_length=200),
    LoadOptions(context_length=300, kv_dtype="f16", parallel=2, max_draft_tokens=2),
    LoadOptions(context_length=200, placement="paged", paged_rows=256),
)


class HeaderSource(MemorySource):
    """Counts what is read, and refuses more than headers."""

    num_read = 0

    async def read(self, offset: int, length: int) -> bytes:
        self.num_read += length
        return await super().read(offset, length)


async def opened(name: str, role: str) -> Checkpoint:
    if "/" not in name:
        return synthetic_checkpoint(name, role)
    files = folder_files(VECTORS / name)
    return await open_checkpoint({n: HeaderSource(n, p.read_bytes()) for n, p in files.items()})


async def loaded(
    device: NumpyDevice, target: Checkpoint, drafter: Checkpoint | None, options: LoadOptions
) -> Engine:
    return await Engine.load(
        device,
        target,
        options,
        make_tokenizer=None,  # type: ignore[arg-type]
        on_phase=lambda phase: None,
        on_progress=lambda loaded, total: None,
        drafter=drafter,
    )


@pytest.mark.parametrize("options", OPTIONS, ids=["plain", "halves", "paged"])
@pytest.mark.parametrize(("name", "beside"), SHAPES)
async def test_what_is_forecast_is_what_is_allocated(
    name: str, beside: str | None, options: LoadOptions
) -> None:
    """To the byte on NumPy; so for the sum of any other context that is listed."""
    target = await opened(name, "target")
    drafter = None if beside is None else await opened(beside, "drafter")
    device = NumpyDevice()
    found = await forecast(device, target, drafter, options)
    assert device.allocated_bytes == 0
    await loaded(device, target, drafter, options)
    assert found.memory.total_bytes == device.allocated_bytes
    assert found.fits
    assert (found.drafter is None) == (drafter is None)
    other = next(one for one in found.contexts if one.context_length != found.context_length)
    device = NumpyDevice()
    await loaded(
        device, target, drafter, dataclasses.replace(options, context_length=other.context_length)
    )
    assert other.total_bytes == device.allocated_bytes


async def test_only_headers_are_read() -> None:
    target = await opened("gemma4-tiny/e2b", "target")
    drafter = await opened("gemma4-tiny/e2b-assistant", "drafter")
    sources = [*target.sources, *drafter.sources]
    assert all(isinstance(source, HeaderSource) for source in sources)
    before = [source.num_read for source in sources]  # type: ignore[attr-defined]
    found = await forecast(NumpyDevice(), target, drafter, LoadOptions())
    assert [source.num_read for source in sources] == before  # type: ignore[attr-defined]
    assert 0 < found.read_bytes < found.file_bytes
    assert found.file_bytes == sum([await source.size() for source in sources])


async def test_the_longest_context_is_what_the_limits_allow() -> None:
    target = synthetic_checkpoint("e2b", "target")
    most = 100_000_000
    device = NumpyDevice(max_binding_bytes=most)
    found = await forecast(device, target, None, LoadOptions(context_length=131_072))
    assert not found.fits
    assert "binds at most 100,000,000; a context of 48768 fits" in str(found.problem)
    assert found.max_context_length == 48_768
    by_length = {one.context_length: one.fits for one in found.contexts}
    assert (by_length[32_768], by_length[65_536]) == (True, False)
    fixed = LoadOptions(context_length=48_768, kept_prompts=0)
    again = await forecast(device, target, None, fixed)
    assert again.fits
    room = again.memory.total_bytes
    exact = await forecast(device, target, None, LoadOptions(memory_bytes=room))
    assert exact.max_context_length == 48_768
    less = await forecast(
        device,
        target,
        None,
        dataclasses.replace(fixed, memory_bytes=room - 1, placement="gpu"),
    )
    assert "bytes of memory, and there are" in str(less.problem)
    assert less.max_context_length == 48_768 - 64
    nothing = await forecast(device, target, None, LoadOptions(memory_bytes=1000))
    assert (nothing.max_context_length, nothing.fits) == (0, False)


async def test_rings_are_kept_as_far_as_there_is_room() -> None:
    target, device = synthetic_checkpoint("e2b", "target"), NumpyDevice()
    none = await forecast(device, target, None, LoadOptions(kept_prompts=0))
    kept = await forecast(device, target, None, LoadOptions())
    more = kept.memory.kv_cache_bytes - none.memory.kv_cache_bytes
    rings = 12 * 2 * 768 * 256 * 4  # of the layers with a window of 512 that own a cache
    assert more == kept.memory.total_bytes - none.memory.total_bytes == 2 * rings
    room = none.memory.total_bytes + rings
    for memory_bytes, num_kept in ((room, 1), (room - 1, 0)):
        options = LoadOptions(memory_bytes=memory_bytes, placement="gpu")
        found = await forecast(device, target, None, options)
        assert found.memory.total_bytes == none.memory.total_bytes + num_kept * rings
        assert found.fits
    short = await forecast(device, target, None, LoadOptions(context_length=768))
    without = await forecast(device, target, None, LoadOptions(context_length=768, kept_prompts=0))
    assert short.memory == without.memory, "rings that hold the whole context lose nothing"


@pytest.mark.parametrize(
    ("shape", "kv_dtype", "kept"),
    [
        ("e4b", "f32", 2),
        ("12b", "f32", 1),
        ("26b-a4b", "f32", 2),
        ("31b", "f32", 0),
        ("31b", "f16", 1),
    ],
)
async def test_large_models_keep_fewer_rings_unless_asked(
    shape: str, kv_dtype: str, kept: int
) -> None:
    target, device = synthetic_checkpoint(shape, "target"), NumpyDevice()
    found = [
        (await forecast(device, target, None, LoadOptions(kv_dtype=kv_dtype, kept_prompts=count)))
        for count in (None, kept)
    ]
    assert found[0].memory == found[1].memory


async def test_a_forecast_is_plain_data() -> None:
    target = synthetic_checkpoint("tiny", "target")
    found = (await forecast(NumpyDevice(), target, None, LoadOptions())).to_json()
    memory, contexts = found["memory"], found["contexts"]
    assert isinstance(memory, Mapping)
    assert isinstance(contexts, list | tuple)
    assert memory["total_bytes"] == sum(
        memory[f"{kind}_bytes"] for kind in ("weights", "drafter", "kv_cache", "other")
    )
    assert found["fits"] is True
    assert found["probe"] is None


async def test_a_probe_at_auto_is_left_out_where_it_would_take_long() -> None:
    found = await forecast(
        NumpyDevice(), synthetic_checkpoint("e2b", "target"), None, LoadOptions()
    )
    card = NumpyDevice().info
    software = dataclasses.replace(card, is_software=True)
    small = dataclasses.replace(found.memory, weights_bytes=1000)
    assert is_wanted("auto", card, found.memory)
    assert not is_wanted("auto", software, found.memory)
    assert is_wanted("auto", software, small)
    assert is_wanted(True, software, found.memory)
    assert not is_wanted(False, card, small)


async def test_a_probe_whose_time_is_up_before_the_first_token_waits_for_a_cycle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on a busy machine; several passes are submitted before anything comes."""
    monkeypatch.setattr("leadout.probe.MEASURED_S", 0.0)
    target = await opened("gemma4-tiny/e2b", "target")
    found = await probe(NumpyDevice(), target, None, LoadOptions())
    assert found.decode_tokens_per_s > 0
    assert found.cycle_ms[0] > 0


async def test_a_probe_runs_made_up_weights_of_the_shape_and_frees_them() -> None:
    target = await opened("gemma4-tiny/e2b", "target")
    drafter = await opened("gemma4-tiny/e2b-assistant", "drafter")
    for source in (*target.sources, *drafter.sources):
        source.data = b""  # type: ignore[attr-defined]
    with pytest.raises(SourceError):
        await target.sources[0].read(0, 8)
    device = NumpyDevice()
    found = await probe(device, target, drafter, LoadOptions(max_draft_tokens=3))
    assert device.allocated_bytes == 0
    assert found.decode_tokens_per_s > 0
    assert set(found.cycle_ms) == {0, 3}
    assert all(ms > 0 for ms in found.cycle_ms.values())
    assert found.decode_tokens_per_s == pytest.approx(1000 / found.cycle_ms[0], rel=0.05)


async def test_a_probe_that_fills_the_context_begins_again(monkeypatch: pytest.MonkeyPatch) -> None:
    generate, tokens_s, runs = Engine.generate, 0.0, 0

    async def counted(engine: Engine, *args: Any, **fields: Any) -> Any:
        nonlocal tokens_s, runs
        result = await generate(engine, *args, **fields)
        tokens_s += result.stats.decode_ms / 1000
        runs += 1
        return result

    monkeypatch.setattr(Engine, "generate", counted)
    target = await opened("gemma4-tiny/e2b", "target")
    found = await probe(NumpyDevice(), target, None, LoadOptions(context_length=64))
    assert found.context_length == 32
    assert runs > 2  # the first one, which does not count, and at least two that fill the context
    assert tokens_s >= MEASURED_S
