"""Ids with the per-layer embeddings in the file are those with them on the device, in NumPy."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from engine_cases import generated, load, scored
from leadout import pager
from leadout.devices.numpy import NumpyDevice
from leadout.engine import Engine
from leadout.models import gemma4_text
from leadout.plan import Binding
from leadout.sampling import Sampling
from leadout.state import Result, read_result
from speculation_cases import Case, cases, pair_files
from thoroughness import IS_THOROUGH

#: Cases drawn per engine; each is generated with the table on the device and paged.
NUM_CASES = 400 if IS_THOROUGH else 8

#: A cycle may want so many rows: no cache can have fewer.
FEWEST_ROWS = 8


async def both(drafter: str = "none") -> tuple[Engine, Engine]:
    """Return two engines of the trained pair: with the table on the device, and paged."""
    target, assistant = pair_files("trained-e2b")
    files = assistant if drafter == "mtp" else None
    whole = await load(NumpyDevice(), target, files, drafter=drafter, placement="gpu")
    paged = await load(NumpyDevice(), target, files, drafter=drafter, placement="paged")
    assert (whole.model.placement, paged.model.placement) == ("gpu", "paged")
    return whole, paged


@pytest.mark.parametrize(
    ("drafter", "num_rows"),
    [("none", FEWEST_ROWS), ("mtp", FEWEST_ROWS), ("mtp", 40), ("ngram", FEWEST_ROWS)],
)
def test_ids_are_those_of_the_table_on_the_device(
    monkeypatch: pytest.MonkeyPatch, drafter: str, num_rows: int
) -> None:
    """Whatever drafts, however far ahead, greedy and sampled; rows are evicted all the time."""
    monkeypatch.setattr(gemma4_text, "num_cached_rows", lambda tensor, at_least: num_rows)
    # However many cycles are run again for it.
    monkeypatch.setattr(pager, "ROUND_TRIP_MS", math.inf)
    whole, paged = asyncio.run(both(drafter))
    assert paged.decoder.pager is not None
    # No pass of a prompt may want more rows than there are.
    few = range(3, 2 + num_rows)

    @settings(max_examples=NUM_CASES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(case=cases())
    def check(case: Case) -> None:
        prompt = tuple(id_ if id_ == 2 else few[id_ % len(few)] for id_ in case.prompt)
        asyncio.run(check_one(replace(case, prompt=prompt)))

    async def check_one(case: Case) -> None:
        wanted = await whole.generate(case.request(drafter))
        found = await paged.generate(case.request(drafter))
        assert found.tokens == wanted.tokens, case
        assert found.stats.self_test == wanted.stats.self_test
        assert found.stats.placement == "paged"

    check()
    counts = paged.decoder.pager.counts
    assert counts.misses > NUM_CASES
    assert counts.repeated_cycles > 0
    assert counts.single_cycles == 0


async def test_a_cycle_without_its_rows_leaves_the_lane_and_the_drafter_as_they_were() -> None:
    """So the cycle that is run in its place drafts the same, and is right as often."""
    target, assistant = pair_files("trained-e2b")
    engine = await load(NumpyDevice(), target, assistant, placement="paged", paged_rows=256)
    decoder, device = engine.decoder, engine.device
    prompt = [2, 9, 11, 40]
    await generated(engine, prompt, max_tokens=2, draft_tokens=0)
    await decoder.prepare(3)
    assert decoder.pager is not None
    slots = decoder.pager.plan.slots
    state = Binding("draft_input", 4 * 64, 4 * 64)
    decoder.stage(prompt, Sampling())
    kept = (decoder.tables.state, decoder.tables.seen, decoder.tables.history, state)

    async def run_cycle() -> tuple[Result, list[bytes]]:
        compiled = decoder._compiled[decoder.passes.cycles[3].name]
        words = await device.submit(compiled, len(prompt) + 3)
        held = [await device.read(one.buffer, one.offset, one.bytes) for one in kept]
        return read_result(words, 0), held

    before = [await device.read(one.buffer, one.offset, one.bytes) for one in kept]
    here = await device.read(slots.buffer, 0, slots.bytes)
    device.write(slots.buffer, 0, bytes(slots.bytes))
    void, after = await run_cycle()
    assert (void.tokens, void.num_drafted) == ([], 0)
    assert after == before
    device.write(slots.buffer, 0, here)
    await decoder.pager.bring(void.missing)
    found, after = await run_cycle()
    assert void.missing[0] == prompt[-1]
    assert len(void.missing) == 4
    assert found.num_drafted == 3
    assert found.tokens[:-1] == void.missing[1 : len(found.tokens)]
    assert after != before


async def test_turns_of_a_conversation_and_long_prompts_give_the_same_ids() -> None:
    """Prompts of several passes, whose rows take each other's places."""
    whole, paged = await both_with_rows(256)
    ids = np.random.default_rng(0).integers(3, 512, 700).tolist()
    for length in (300, 310, 700):
        fields = {"max_tokens": 6, "temperature": 1.5, "seed": length}
        wanted = await generated(whole, [2, *ids[:length]], **fields)
        assert await generated(paged, [2, *ids[:length]], **fields) == wanted
    assert paged.decoder.pager is not None
    assert paged.decoder.pager.counts.misses > 256
    logits = await scored(whole, [2, *ids[:50]])
    assert np.array_equal(await scored(paged, [2, *ids[:50]]), logits)


async def both_with_rows(num_rows: int) -> tuple[Engine, Engine]:
    """Return engines of the trained target, without a drafter, as `both` does."""
    target, _ = pair_files("trained-e2b")
    paged = await load(NumpyDevice(), target, placement="paged", paged_rows=num_rows)
    return await load(NumpyDevice(), target, placement="gpu"), paged
