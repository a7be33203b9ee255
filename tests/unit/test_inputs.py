"""What the host gives with a submit goes to the inputs of its Plan, and nowhere else."""

from pathlib import Path

import numpy as np
import pytest

from engine_cases import folder_files, load
from leadout import inputs, state
from leadout.devices.base import submit
from leadout.devices.numpy import NumpyDevice
from leadout.plan import Binding, Upload

TINY = Path(__file__).parents[1] / "vectors/gemma4-tiny/trained-e2b"


@pytest.fixture
async def decoder():
    return (await load(NumpyDevice(), folder_files(TINY), drafter="ngram", parallel=2)).decoder


def names(plan) -> set[str]:
    return {one.buffer for one in plan.inputs}


async def test_each_plan_names_what_it_is_given(decoder) -> None:
    passes, parts = decoder.passes, decoder.passes.parts[2]
    assert names(passes.prefill[256]) == {"rows"}
    assert names(passes.prefill_last[32]) == {"rows", "last_row", "seen"}
    assert names(passes.prefill_open[32]) == {"rows", "last_row"}
    assert names(passes.embedded.prefill[32]) == {"rows", "embeddings"}
    assert names(passes.embedded.prefill_last[32]) == {"rows", "last_row", "embeddings", "seen"}
    assert names(passes.cycles[0]) == {"turns"}
    assert names(parts.draft[3]) == names(parts.given[3]) == {"turns", "given"}
    assert names(parts.forward[3]) == set()
    assert names(passes.closing[2, False][3]) == {"seen", "logits", "cycle_rows"}
    assert names(passes.checks[4]) == {"cycle_rows"}


async def test_a_plan_is_given_nothing_that_it_does_not_name(decoder) -> None:
    plan = decoder.passes.prefill_last[32]
    await decoder.compile([plan])
    compiled = decoder._compiled[plan.name]
    rows = inputs.prompt_rows(0, 0, [2, 9], 32)
    await submit(decoder.device, compiled, 2, [rows, inputs.last_row(0, 1, 9)])
    before = await decoder.device.read("given", 0, 8)
    for wrong in (
        inputs.drafts(0, [5]),
        Upload("rows", 32 * state.ROW_BYTES, bytes(state.ROW_BYTES)),  # behind its rows
        Upload("rows", 4, rows.data),
    ):
        with pytest.raises(AssertionError, match="prefill-32-last: "):
            submit(decoder.device, compiled, 2, [wrong])
    assert await decoder.device.read("given", 0, 8) == before


async def test_turns_are_given_again_until_a_submit_took_them(decoder) -> None:
    plan = decoder.passes.cycles_of(2)[0]
    await decoder.compile([plan])
    turns = decoder.turns([1, 0])
    assert decoder.turns([1, 0]) == turns != []
    with pytest.raises(AssertionError):
        decoder.submit(plan, 1, [*turns, inputs.drafts(0, [5])])
    assert decoder.turns([1, 0]) == turns
    await decoder.submit(plan, 1, turns)
    assert decoder.turns([1, 0]) == []
    decoder.give(decoder.turns([0]))
    assert decoder.turns([1, 0]) == turns


def test_masks_go_around_the_end_of_their_slots() -> None:
    tables = state.Tables(2, 64, 32)
    some = [bytes([i]) * 8 for i in range(4)]
    first, second = inputs.masks(tables, 1, 6, some)
    lane = tables.seen_bytes + tables.masks_offset
    assert (first.offset, first.data) == (lane + 6 * 8, some[0] + some[1])
    assert (second.offset, second.data) == (lane, some[2] + some[3])
    assert inputs.masks(tables, 1, 6, []) == []


def test_rows_that_are_replayed_or_struck() -> None:
    table = np.frombuffer(inputs.replayed_rows(1, 7, [5, 6], 4, 8).data, np.uint32).reshape(-1, 4)
    assert table[:2].tolist() == [[1, 7, 5, state.ROW_VALID], [1, 8, 6, state.ROW_VALID]]
    assert len(table) == 8
    assert not table[2:].any()
    struck = inputs.struck_rows(2, 3)
    assert (struck.offset, struck.data) == (2 * 4 * state.ROW_BYTES, bytes(4 * state.ROW_BYTES))


@pytest.mark.parametrize(
    ("offset", "num_bytes", "is_inside"),
    [(256, 64, True), (256, 68, False), (252, 4, False), (316, 4, True), (320, 4, False)],
)
def test_where_an_upload_lies(offset: int, num_bytes: int, is_inside: bool) -> None:
    binding = Binding("a", 256, 64)
    assert Upload("a", offset, bytes(num_bytes)).lies_in(binding) == is_inside
    assert not Upload("b", 256, bytes(4)).lies_in(binding)
