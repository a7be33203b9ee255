"""Ids with the per-layer embeddings in the file and on the device (leadout.pager), in NumPy."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from engine_cases import folder_files, generated, load, scored
from gemma4_gguf import write_gemma4_gguf
from leadout import pager
from leadout.checkpoint.source import MemorySource
from leadout.devices.numpy import NumpyDevice
from leadout.engine import Engine
from leadout.errors import OutOfMemoryError, RequestError, SourceError
from leadout.models import gemma4_text
from leadout.planning import LoadOptions
from leadout.request import GenerateRequest
from leadout.sampling import Sampling
from speculation_cases import Case, cases, pair_files
from thoroughness import IS_THOROUGH

VECTORS = Path(__file__).parents[1] / "vectors"

#: Cases drawn per engine; each is generated with the table on the device and paged.
NUM_CASES = 400 if IS_THOROUGH else 12

#: Rows of a cycle at most: no cache can be smaller.
FEWEST_ROWS = 8


@pytest.fixture
def keep_rows(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Have caches of so few rows; prompts may then have no more different ids in a pass."""

    def keep(num_rows: int) -> None:
        monkeypatch.setattr(gemma4_text, "num_cached_rows", lambda tensor, at_least: num_rows)

    return keep


def always_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run ahead however many cycles are then run again."""
    monkeypatch.setattr(pager, "ROUND_TRIP_MS", math.inf)


async def both(drafter: str = "none", **options: object) -> tuple[Engine, Engine]:
    """Return two engines of the trained pair: with the table on the device, and paged."""
    target, assistant = pair_files("trained-e2b")
    files = assistant if drafter == "mtp" else None
    options = {"drafter": drafter, **options}
    whole = await load(NumpyDevice(), target, files, placement="gpu", **options)
    paged = await load(NumpyDevice(), target, files, placement="paged", **options)
    assert (whole.model.placement, paged.model.placement) == ("gpu", "paged")
    return whole, paged


@pytest.mark.parametrize("num_rows", [FEWEST_ROWS, 40])
@pytest.mark.parametrize("drafter", ["none", "mtp", "ngram"])
def test_ids_are_those_of_the_table_on_the_device(
    monkeypatch: pytest.MonkeyPatch, keep_rows: Callable[[int], None], drafter: str, num_rows: int
) -> None:
    """Whatever drafts, how far ahead, greedy and sampled; rows are evicted all the time."""
    keep_rows(num_rows)
    always_ahead(monkeypatch)
    whole, paged = asyncio.run(both(drafter))
    assert paged.decoder.pager is not None

    @settings(max_examples=NUM_CASES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(case=cases())
    def check(case: Case) -> None:
        few = [*range(3, 3 + num_rows - 1)]
        case = replace(case, prompt=tuple(id_ if id_ == 2 else few[id_ % len(few)] for id_ in case.prompt))
        asyncio.run(check_one(case))

    async def check_one(case: Case) -> None:
        request = case.request(drafter)
        wanted = await whole.generate(request)
        found = await paged.generate(request)
        assert found.tokens == wanted.tokens, case
        assert found.stats.paging is not None
        if case.draft_tokens != "auto" and drafter == "mtp":
            # What is drafted again is what was drafted before.
            assert found.stats.accepted_tokens <= wanted.stats.accepted_tokens

    check()
    counts = paged.decoder.pager.counts
    assert counts.misses > NUM_CASES
    assert counts.repeated_cycles > 0
