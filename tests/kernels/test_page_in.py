"""Rows of a paged table (web/runtime/paging.js) in Chromium, word for word as NumPy has them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from page_device import PageDevice

from leadout.checkpoint.load_plan import LoadPlanBuilder
from leadout.checkpoint.page_plan import STAGED_ROWS, Move, PagePlan, place_paged
from leadout.checkpoint.source import MemorySource, Source
from leadout.checkpoint.tensors import TensorInfo
from leadout.devices.base import Device
from leadout.devices.numpy import NumpyDevice
from leadout.errors import SourceError, TensorError
from leadout.layouts import FORMATS
from mlx_matrices import FILE, mlx_matrices
from raw_blocks import SCALE_OFFSETS, WHOLE_FORMATS, raw_blocks

MLX_MATRICES = mlx_matrices()

NUM_IDS, COLUMNS = 128, 512
NUM_ROWS = 64

#: More than are staged at a time, to rows of the cache in another order.
MOVES = [Move(64 + i, 7 * i % NUM_ROWS, 7 * i % NUM_ROWS) for i in range(STAGED_ROWS + 18)]


def table_in(format_name: str) -> tuple[TensorInfo, bytes]:
    """Return a table in a format of one part, and its file, in which other bytes come before."""
    data = raw_blocks(format_name, NUM_IDS * COLUMNS).tobytes()
    tensor = TensorInfo("table", (NUM_IDS, COLUMNS), format_name, 0, 1000, len(data))
    return tensor, bytes(1000) + data


async def brought(
    device: Device,
    tensor: TensorInfo,
    sources: Sequence[Source],
    moves: Sequence[Move] = MOVES,
    num_rows: int = NUM_ROWS,
) -> tuple[list[bytes], PagePlan]:
    """Load the first rows, bring others, and return the cache and the slots."""
    load_plan = LoadPlanBuilder(1 << 27)
    plan = place_paged(load_plan, "table", tensor, num_rows)
    built = load_plan.build()
    await device.allocate(built.buffers)
    try:
        await device.load(built, sources, lambda *_: None)
        await device.page_in(plan, sources, moves)
        planes = [*plan.cache.shards[0].planes, plan.slots]
        return [await device.read(one.buffer, one.offset, one.bytes) for one in planes], plan
    finally:
        device.free(built.buffers)


@pytest.mark.parametrize("format_name", WHOLE_FORMATS)
async def test_rows_of_every_format_come_to_their_places(kernel_runtime, format_name) -> None:
    tensor, data = table_in(format_name)
    sources = [MemorySource("file", data)]
    wanted, _ = await brought(NumpyDevice(), tensor, sources)
    found, plan = await brought(PageDevice(kernel_runtime), tensor, sources)
    assert found == wanted
    slots = np.frombuffer(found[-1], np.uint32)
    assert np.array_equal(np.flatnonzero(slots), sorted({move.id for move in MOVES}))
    assert len(plan.parts) == 1


@pytest.mark.parametrize("bits", [4, 8])
async def test_rows_of_mlx_come_from_their_three_places(kernel_runtime, bits) -> None:
    matrix = next(one for one in MLX_MATRICES if one.tensor.name.startswith(f"q{bits}"))
    last = matrix.tensor.shape[0] - 1
    moves = [Move(last, 0, 0), Move(last - 1, 1, 1)]
    sources = [MemorySource("file", FILE.read_bytes())]
    wanted, plan = await brought(NumpyDevice(), matrix.tensor, sources, moves, 4)
    found, _ = await brought(PageDevice(kernel_runtime), matrix.tensor, sources, moves, 4)
    assert found == wanted
    assert len(plan.parts) == len(FORMATS[matrix.tensor.format].parts) == 3


async def test_a_row_that_cannot_be_read_changes_nothing(kernel_runtime) -> None:
    tensor, data = table_in("Q4_0")
    device = PageDevice(kernel_runtime)
    load_plan = LoadPlanBuilder(1 << 27)
    plan = place_paged(load_plan, "table", tensor, NUM_ROWS)
    buffers = load_plan.build().buffers
    await device.allocate(buffers)
    cut = [MemorySource("file", data[: len(data) - 8])]
    moves = [Move(64, 0, 0), Move(NUM_IDS - 1, 1, 1)]
    with pytest.raises(SourceError, match=r"table: source 0 has \d+ bytes") as caught:
        await device.page_in(plan, cut, moves)
    assert caught.value.detail["tensor"] == "table"
    assert not any(await device.read(plan.slots.buffer, 0, plan.slots.bytes))
    await device.page_in(plan, cut, moves[:1])
    slots = np.frombuffer(await device.read(plan.slots.buffer, 0, plan.slots.bytes), np.uint32)
    assert np.flatnonzero(slots).tolist() == [64]
    device.free(buffers)


#: The upper halves of a NaN and of an infinity or a NaN, whether of float16, bfloat16 or float32.
NO_NUMBERS = (b"\xc0\x7f", b"\x80\xff")


async def check_refused(
    device: Device, tensor: TensorInfo, data: bytes, places: Sequence[int], num_rows: int
) -> None:
    """Damage the table's last row at each of some places in the file; it is not brought."""
    last = tensor.shape[0] - 1
    for place in places:
        for value in NO_NUMBERS:
            damaged = data[:place] + value + data[place + 2 :]
            load_plan = LoadPlanBuilder(1 << 27)
            plan = place_paged(load_plan, "table", tensor, num_rows)
            buffers = load_plan.build().buffers
            await device.allocate(buffers)
            sources = [MemorySource("file", damaged)]
            moves = [Move(last - 1, 0, 0), Move(last, 1, 1)]
            with pytest.raises(TensorError, match=f"row {last} holds values that are") as caught:
                await device.page_in(plan, sources, moves)
            assert caught.value.detail == {"tensor": tensor.name, "row": last}
            for one in (plan.slots, *plan.cache.shards[0].planes):
                assert not any(await device.read(one.buffer, one.offset, one.bytes))
            await device.page_in(plan, sources, moves[:1])
            device.free(buffers)


@pytest.mark.parametrize("format_name", WHOLE_FORMATS)
async def test_a_row_with_a_value_that_is_no_number_changes_nothing(
    kernel_runtime, format_name
) -> None:
    tensor, data = table_in(format_name)
    last_block = len(data) - FORMATS[format_name].bytes
    offsets = SCALE_OFFSETS.get(format_name, (FORMATS[format_name].bytes - 2,))
    for device in (NumpyDevice(), PageDevice(kernel_runtime)):
        places = [last_block + offset for offset in offsets]
        await check_refused(device, tensor, data, places, NUM_ROWS)


@pytest.mark.parametrize("scales", ["F16", "BF16"])
async def test_mlx_s_scales_and_biases_are_looked_at(kernel_runtime, scales) -> None:
    tensor = next(one.tensor for one in MLX_MATRICES if one.tensor.format.endswith(f"_{scales}"))
    rows = tensor.shape[0]
    halves = [part for part in FORMATS[tensor.format].parts if part.bytes == 2]
    groups = tensor.shape[1] // halves[0].columns
    places = [offset + 2 * rows * groups - 2 for _, offset in tensor.ranges[1:]]
    assert len(places) == 2
    for device in (NumpyDevice(), PageDevice(kernel_runtime)):
        await check_refused(device, tensor, FILE.read_bytes(), places, 4)
