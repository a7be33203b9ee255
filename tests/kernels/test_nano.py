"""The model that ships, in Chromium: NumPy's ids, whatever drafts for them."""

from __future__ import annotations

from typing import Any

from gpu_page import GpuRuntime
from page_device import PageDevice

from engine_cases import load
from leadout.engine import Engine
from leadout.request import GenerateRequest
from leadout.sampling import Sampling
from leadout_build.cli.native import load_engine
from leadout_build.store.built_in import NANO, NANO_DRAFTER, built_in_files

TABLE = """\
asset,price,1d,7d,rsi
BTC,97412.50,+1.84%,+4.12%,63.4
DOGE,0.3412,-3.74%,-8.96%,28.9
fear-and-greed index: 68

Write a brief."""

SAMPLED = {"temperature": 0.8, "top_k": 64, "top_p": 0.95, "seed": 7}


FILES = built_in_files(NANO), built_in_files(NANO_DRAFTER)


async def ids(
    engine: Engine, prompt: list[int], drafter: str, draft_tokens: int | str, **sampling: Any
) -> list[int]:
    request = GenerateRequest(
        prompt_ids=tuple(prompt),
        sampling=Sampling(**sampling),
        max_tokens=24,
        drafter=drafter,
        draft_tokens=draft_tokens,
    )
    return (await engine.generate(request)).tokens


async def test_nano_writes_the_ids_of_numpy_with_any_draft(kernel_runtime: GpuRuntime) -> None:
    """On the kernels for software; for those for GPUs there is tests/bench/gpu/ids.py."""
    device = PageDevice(kernel_runtime, is_software=True)
    on_numpy = await load_engine(FILES[0], drafter_files=FILES[1])
    message = {"role": "user", "content": TABLE}
    prompt = await on_numpy.prompt_tokens(GenerateRequest(messages=(message,)))
    engine = await load(device, *FILES, max_draft_tokens=7)
    assert engine.info()["self_test"] == "identical"
    for sampling in ({}, SAMPLED):
        wanted = await ids(on_numpy, prompt, "none", 0, **sampling)
        assert len(wanted) == 24
        ways: list[tuple[str, int | str]] = [("none", 0), ("mtp", 1), ("mtp", 4), ("mtp", 7)]
        found = {way: await ids(engine, prompt, *way, **sampling) for way in ways}
        assert found == dict.fromkeys(ways, wanted)
    engine.close()
