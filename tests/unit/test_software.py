"""On an adapter that computes on the CPU other kernels run, and the text is the same."""

from __future__ import annotations

import dataclasses

import pytest

from engine_cases import generated, load
from leadout.devices.numpy import NumpyDevice
from leadout.engine import Engine
from leadout.errors import RequestError
from leadout.request import GenerateRequest
from speculation_cases import pair_files

#: What `ops` puts other kernels in the place of.
FOR_GPUS = {"matvec", "matmul"}

PROMPT = [2, *range(5, 45)]


async def loaded(family: str, *, is_software: bool, **options: object) -> Engine:
    device = NumpyDevice()
    device.info = dataclasses.replace(device.info, is_software=is_software)
    return await load(device, *pair_files(family), **options)


def kernels(engine: Engine) -> set[str]:
    passes = engine.decoder.passes
    plans = [*passes.prefills(), *passes.cycles.values(), *passes.checks.values(), passes.score]
    return {spec.variant.split(".")[0] for plan in plans for spec in plan.pipelines}


@pytest.mark.parametrize("family", ["e2b", "26b-a4b"])
async def test_software_and_gpus_have_kernels_of_their_own_and_write_the_same(family) -> None:
    on_gpu = await loaded(family, is_software=False, max_draft_tokens=3)
    on_software = await loaded(family, is_software=True)
    assert on_software.info()["self_test"] == "identical"
    assert kernels(on_gpu) & FOR_GPUS == FOR_GPUS
    assert not kernels(on_software) & FOR_GPUS
    for draft_tokens in (0, 3):
        wanted = await generated(on_gpu, PROMPT, max_tokens=12, draft_tokens=draft_tokens)
        found = await generated(on_software, PROMPT, max_tokens=12, draft_tokens=draft_tokens)
        assert found == wanted


async def test_on_software_three_tokens_are_always_drafted() -> None:
    engine = await loaded("e2b", is_software=True)
    info = engine.info()
    assert info["max_draft_tokens"] == 3, "nothing is compiled for more"
    request = GenerateRequest(prompt_ids=tuple(PROMPT), max_tokens=40, ignore_eos=True)
    stats = (await engine.generate(request)).stats
    assert stats.draft_tokens == "auto"
    # Near the end of a request fewer tokens are wanted.
    assert stats.drafted_tokens >= 3 * (stats.cycles - 3)
    with pytest.raises(RequestError, match="loaded for at most 3"):
        await engine.generate(dataclasses.replace(request, draft_tokens=7))


async def test_on_software_more_are_drafted_where_that_is_asked_for() -> None:
    engine = await loaded("e2b", is_software=True, max_draft_tokens=7)
    assert engine.info()["max_draft_tokens"] == 7
