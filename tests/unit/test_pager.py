"""Which table is paged, and which of its rows are on the device (leadout.pager, page_plan)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from engine_cases import folder_files, generated, load
from gemma4_gguf import write_gemma4_gguf
from leadout import ops
from leadout import pager as paging
from leadout.checkpoint import Checkpoint, MemorySource, open_checkpoint
from leadout.checkpoint.page_plan import CACHE_BYTES, Move, PagePlan, num_cached_rows, saved_bytes
from leadout.checkpoint.source import Source
from leadout.checkpoint.synthetic import synthetic_checkpoint
from leadout.checkpoint.tensors import TensorInfo
from leadout.devices.numpy import NumpyDevice
from leadout.errors import OutOfMemoryError, RequestError, SourceError, TensorError
from leadout.forecast import forecast
from leadout.models import gemma4_text
from leadout.pager import Pager
from leadout.plan import BufferSpec
from leadout.planning import LoadOptions, plan_load
from leadout.request import GenerateRequest

VECTORS = Path(__file__).parents[1] / "vectors"
TRAINED = VECTORS / "gemma4-tiny" / "trained-e2b"
PAGED = {"placement": "paged", "paged_rows": 256}


async def opened(folder: Path) -> Checkpoint:
    files = folder_files(folder)
    return await open_checkpoint({n: MemorySource(n, p.read_bytes()) for n, p in files.items()})


class NoDevice(NumpyDevice):
    """Notes what it is asked to bring, or fails."""

    def __init__(self) -> None:
        super().__init__()
        self.moves: list[list[Move]] = []
        self.is_failing = False

    async def page_in(
        self, pages: PagePlan, sources: Sequence[Source], moves: Sequence[Move]
    ) -> None:
        if self.is_failing:
            raise SourceError("gone")
        self.moves.append(list(moves))
        await super().page_in(pages, sources, moves)


async def small_pager(monkeypatch: pytest.MonkeyPatch, num_rows: int) -> tuple[NoDevice, Pager]:
    monkeypatch.setattr(gemma4_text, "num_cached_rows", lambda tensor, at_least: num_rows)
    device = NoDevice()
    engine = await load(device, folder_files(TRAINED), placement="paged")
    assert engine.decoder.pager is not None
    # Loading has brought a row.
    plan = engine.decoder.pager.plan
    device.write(plan.slots.buffer, 0, bytes(plan.slots.bytes))
    device.moves.clear()
    return device, Pager(device, plan, engine.checkpoint.sources)


async def test_the_row_that_was_used_longest_ago_gives_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    device, pager = await small_pager(monkeypatch, 8)
    slots = pager.plan.slots

    async def held() -> dict[int, int]:
        words = np.frombuffer(await device.read(slots.buffer, 0, slots.bytes), np.uint32)
        return {int(id_): int(words[id_]) - 1 for id_ in np.flatnonzero(words)}

    assert await held() == {i: i for i in range(8)}
    assert await pager.bring([100, 0, 100]) == 1
    assert device.moves == [[Move(100, 7, 7)]], "of the first ids, the highest goes first"
    assert await pager.bring([6, 101, 102]) == 2
    assert device.moves[1] == [Move(101, 5, 5), Move(102, 4, 4)]
    await pager.bring([3, 2, 1])
    assert await pager.bring([103]) == 1
    assert device.moves[-1] == [Move(103, 0, 0)]
    assert await held() == {1: 1, 2: 2, 3: 3, 6: 6, 100: 7, 101: 5, 102: 4, 103: 0}
    assert (pager.counts.hits, pager.counts.misses) == (5, 4)
    assert pager.counts.read_bytes == 4 * sum(part.bytes for part in pager.plan.parts)
    # All rows at once, none of which may take another's place.
    await pager.bring(range(200, 208))
    assert set(await held()) == set(range(200, 208))


async def test_a_read_that_fails_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    device, pager = await small_pager(monkeypatch, 8)
    device.is_failing = True
    with pytest.raises(SourceError):
        await pager.bring([1, 100])
    device.is_failing = False
    assert await pager.bring([*range(8)]) == 0
    assert await pager.bring([100]) == 1


async def test_a_request_whose_row_cannot_be_read_is_refused_and_the_next_one_runs() -> None:
    engine = await load(NumpyDevice(), folder_files(TRAINED), **PAGED)
    whole = await load(NumpyDevice(), folder_files(TRAINED), placement="gpu")
    wanted = await generated(whole, [2, 300, 9], max_tokens=4)
    source = next(one for one in engine.checkpoint.sources if isinstance(one, MemorySource))
    data, source.data = source.data, b""
    with pytest.raises(SourceError):
        await generated(engine, [2, 300, 9], max_tokens=4)
    source.data = data
    assert await generated(engine, [2, 300, 9], max_tokens=4) == wanted


async def test_a_row_with_a_value_that_is_no_number_is_an_error_and_not_a_text() -> None:
    """In the prompt, and among the tokens that come; the next request runs."""
    engine = await load(NumpyDevice(), folder_files(TRAINED), **PAGED)
    whole = await load(NumpyDevice(), folder_files(TRAINED), placement="gpu")
    pager = engine.decoder.pager
    assert pager is not None
    (part,) = pager.plan.parts
    source = engine.checkpoint.sources[part.source]
    assert isinstance(source, MemorySource)
    data = source.data
    options = {"max_tokens": 12, "ignore_eos": True, "temperature": 3.0}
    wanted = await generated(whole, [2, 3, 9], **options)
    own = next(id_ for id_ in wanted if id_ >= PAGED["paged_rows"])
    for prompt, id_ in (([2, 300, 9], 300), ([2, 3, 9], own)):
        start = part.offset + id_ * part.bytes
        source.data = data[: start + 64] + b"\xc0\x7f" + data[start + 66 :]
        with pytest.raises(TensorError, match=f"row {id_} holds values that are infinite or not"):
            await generated(engine, prompt, **options)
        assert len(await generated(engine, [2, 4, 9], max_tokens=1)) == 1
    source.data = data
    assert await generated(engine, [2, 3, 9], **options) == wanted


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q8_0", "Q6_K"])
async def test_a_row_that_is_read_later_is_the_table_s(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    """Bit for bit, in a GGUF; K formats take rows of 256, which this model has."""
    monkeypatch.setattr(gemma4_text, "num_cached_rows", lambda tensor, at_least: 8)

    def formats(name: str) -> str:
        return kind if "per_layer_token_embd" in name or "embed_tokens_per_layer" in name else "F32"

    path = write_gemma4_gguf(tmp_path / "e2b.gguf", VECTORS / "gemma4-tiny" / "e2b", formats)
    await check_rows({path.name: path})


@pytest.mark.parametrize("name", ["trained-e2b-4bit", "e2b-mixed"])
async def test_a_row_of_mlx_s_is_the_table_s(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(gemma4_text, "num_cached_rows", lambda tensor, at_least: 8)
    await check_rows(folder_files(VECTORS / "mlx-tiny" / name))


async def check_rows(files: Mapping[str, Path]) -> None:
    devices = NumpyDevice(), NumpyDevice()
    whole = await load(devices[0], files, placement="gpu")
    paged = await load(devices[1], files, placement="paged")
    pager = paged.decoder.pager
    assert pager is not None
    (embed,) = [
        op
        for op in whole.decoder.passes.cycles[0].ops
        if isinstance(op, ops.Embed) and op.label == "embed_tokens_per_layer"
    ]
    table = devices[0]._memory.matrix(embed.table)
    for first in range(0, pager.plan.num_ids, 7):
        ids = range(first, min(first + 7, pager.plan.num_ids))
        await pager.bring(ids)
        for id_ in ids:
            row = devices[1]._memory.matrix_row(pager.plan.cache, pager._slots[id_])
            assert np.array_equal(row.view(np.uint32), table[id_].view(np.uint32)), id_


# ---- where the table lies ----------------------------------------------------------------------


class SmallDevice(NumpyDevice):
    """Has so many bytes of memory for a model, and some for what a load needs for a moment."""

    def __init__(self, num_bytes: int) -> None:
        super().__init__()
        self.num_bytes = num_bytes

    async def allocate(self, buffers: Mapping[str, BufferSpec]) -> None:
        wanted = sum(spec.bytes for spec in buffers.values())
        if self.allocated_bytes == 0 and wanted > self.num_bytes:
            raise OutOfMemoryError("too much", bytes=wanted)
        await super().allocate(buffers)


#: No rings are kept, which would be given up first.
PAGING = {"paged_rows": 256, "kept_prompts": 0}


async def sizes() -> tuple[int, int]:
    """Return what the trained model takes: with the table, and paged."""
    checkpoint = await opened(TRAINED)
    found = [
        await forecast(NumpyDevice(), checkpoint, None, LoadOptions(placement=one, **PAGING))
        for one in ("gpu", "paged")
    ]
    whole, paged = (one.memory.total_bytes for one in found)
    assert [one.placement for one in found] == ["gpu", "paged"]
    assert [one.paging_saves_bytes for one in found] == [whole - paged, 0]
    assert whole > paged
    return whole, paged


async def test_auto_pages_where_memory_does_not_suffice() -> None:
    whole, paged = await sizes()
    for room, placement in ((whole, "gpu"), (whole - 1, "paged"), (paged, "paged")):
        device = SmallDevice(room)
        engine = await load(device, folder_files(TRAINED), **PAGING)
        assert engine.info()["placement"] == placement
        assert device.allocated_bytes == (whole if placement == "gpu" else paged)
        assert await generated(engine, [2, 300, 9], max_tokens=4)
        engine.close()
        assert device.allocated_bytes == 0


async def test_rings_go_before_the_table_and_come_back_where_it_is_paged() -> None:
    whole, paged = await sizes()
    every = {"paged_rows": 256, "max_draft_tokens": 0}
    places = {}
    for room in (whole, whole - 1, paged):
        engine = await load(SmallDevice(room), folder_files(TRAINED), parallel=1, **every)
        places[room] = engine.info()["placement"], len(engine.decoder.admission.kept)
    rings = engine.decoder.admission.rings
    has_room = paged + 2 * rings.place_bytes <= whole - 1
    assert places == {
        whole: ("gpu", 0),
        whole - 1: ("paged", 2 if has_room else 0),
        paged: ("paged", 0),
    }


async def test_what_does_not_fit_even_so_is_an_error_that_says_what_would_help() -> None:
    whole, paged = await sizes()
    device = SmallDevice(paged - 1)
    saving = {"option": "placement", "value": "paged", "saves_bytes": whole - paged}
    for placement, is_said in (("auto", False), ("gpu", True)):
        with pytest.raises(OutOfMemoryError, match=r"^too much\. The whole load takes") as caught:
            await load(device, folder_files(TRAINED), placement=placement, **PAGING)
        assert ("placement paged takes" in str(caught.value)) == is_said
        assert (saving in caught.value.detail["savings"]) == is_said
    assert device.allocated_bytes == 0


async def test_a_forecast_pages_where_the_memory_that_is_known_does_not_suffice() -> None:
    checkpoint = await opened(TRAINED)
    whole, paged = await sizes()
    auto = LoadOptions(memory_bytes=whole, **PAGING)
    assert (await forecast(NumpyDevice(), checkpoint, None, auto)).placement == "gpu"
    less = dataclasses.replace(auto, memory_bytes=whole - 1)
    found = await forecast(NumpyDevice(), checkpoint, None, less)
    assert (found.placement, found.memory.total_bytes, found.fits) == ("paged", paged, True)
    stays = dataclasses.replace(less, placement="gpu")
    found = await forecast(NumpyDevice(), checkpoint, None, stays)
    assert not found.fits
    assert f"placement paged ({whole - paged:,} bytes less)" in str(found.problem)


@pytest.mark.parametrize(
    ("max_buffer_bytes", "is_software", "placement"),
    [(1 << 30, False, "paged"), (1 << 30, True, "gpu"), ((1 << 31) - 4, False, "gpu")],
)
async def test_auto_pages_e2b_on_adapters_with_small_buffers(
    max_buffer_bytes: int, is_software: bool, placement: str
) -> None:
    device = NumpyDevice()
    device.info = dataclasses.replace(
        device.info, max_buffer_bytes=max_buffer_bytes, is_software=is_software
    )
    planned = await plan_load(device, synthetic_checkpoint("e2b", "target"), None, LoadOptions())
    assert planned.placement == placement
    if placement == "paged":
        assert planned.model.pageable_bytes > 1.2e9
        assert planned.total_bytes < 2e9


async def test_models_without_such_a_table_say_so() -> None:
    for name in ("12b", "31b"):
        files = folder_files(VECTORS / "gemma4-tiny" / name)
        engine = await load(NumpyDevice(), files, placement="paged")
        assert engine.info()["placement"] == "none"
        assert engine.decoder.pager is None


def test_a_table_that_would_be_cached_whole_is_not_worth_paging() -> None:
    tensor = TensorInfo("t", (2000, 512), "Q4_0", 0, 0, 2000 * 16 * 18)
    assert num_cached_rows(tensor, 256) == 2000
    assert saved_bytes(tensor, 2000) == 0
    assert saved_bytes(tensor, 1000) > 0
    odd = dataclasses.replace(tensor, shape=(2000, 96), bytes=2000 * 3 * 18)
    assert saved_bytes(odd, 256) == 0, "rows begin in the middle of a word"
    large = dataclasses.replace(tensor, shape=(262_144, 8960), bytes=262_144 * 280 * 18)
    rows = num_cached_rows(large, 256)
    assert CACHE_BYTES - 5040 < rows * 5040 <= CACHE_BYTES
    assert saved_bytes(large, rows) > 1.25e9


@pytest.mark.parametrize(
    "options",
    [{"placement": "disk"}, {"paged_rows": 255}, {"paged_rows": True}, {"memory_bytes": -1}],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(RequestError):
        LoadOptions.from_json(options)


# ---- how far ahead -----------------------------------------------------------------------------


async def test_cycles_are_queued_alone_while_misses_cost_more_than_waiting() -> None:
    engine = await load(NumpyDevice(), folder_files(TRAINED), **PAGED)
    pager = engine.decoder.pager
    assert pager is not None
    assert pager.run_ahead(4, 1000.0) == 4, "nothing has missed yet"
    ids = iter(range(256, 512))
    for _ in range(20):
        await pager.follow([next(ids)], [])
    assert pager.run_ahead(1, 1000.0) == 1
    assert pager.run_ahead(4, 100.0) == 1
    assert pager.run_ahead(4, 0.01) == 4
    for _ in range(200):
        await pager.follow([3], [])
    assert pager.run_ahead(4, 100.0) == 4


async def test_stats_say_what_paging_took(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "ROUND_TRIP_MS", 1e9)
    engine = await load(NumpyDevice(), folder_files(TRAINED), **PAGED)
    fields = {"prompt_ids": [2, 300, 301, 9], "max_tokens": 12, "ignore_eos": True}
    request = GenerateRequest.from_json({**fields, "temperature": 3.0, "run_ahead": 4})
    first = (await engine.generate(request)).stats
    assert first.placement == "paged"
    assert first.paging is not None
    assert first.paging["misses"] > 2
    assert first.paging["repeated_cycles"] > 0
    assert first.paging["read_bytes"] == first.paging["misses"] * 6 * 32 * 2
    again = (await engine.generate(request)).stats
    assert again.paging is not None
    assert (again.paging["misses"], again.paging["repeated_cycles"]) == (0, 0)
    assert again.paging["hits"] > 0
    whole = await load(NumpyDevice(), folder_files(TRAINED), paged_rows=256)
    stats = (await whole.generate(request)).stats
    assert (stats.placement, stats.paging) == ("gpu", None)
