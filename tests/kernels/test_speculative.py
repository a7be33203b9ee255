"""Drafter-invariant decoding on WebGPU in Chromium: ids equal plain decoding's, bit for bit."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from page_device import PageDevice

from engine_cases import generated, load
from leadout.devices.numpy import NumpyDevice
from leadout.engine import Engine, Generated
from leadout.request import GenerateRequest
from session_cases import Arrival, arrivals, check_arrivals
from speculation_cases import Case, cases, check_case, pair_files, ways
from thoroughness import IS_THOROUGH

#: Requests drawn per drafter, and ways of drafting for each; each is compared to plain decoding.
NUM_REQUESTS = 70 if IS_THOROUGH else 6
NUM_WAYS = 3

#: Between devices; the most seen is 4e-6. Segments of the cache that are left out make it 0.06.
LOGPROB_TOLERANCE = 1e-4

#: Schedules of several requests; the first that hypothesis draws is the smallest there is.
NUM_SCHEDULES = 1 + (24 if IS_THOROUGH else 2)


@pytest.mark.parametrize("drafter", ["mtp", "ngram"])
def test_ids_equal_plain_ids_for_every_draft_length_and_run_ahead(kernel_runtime, drafter) -> None:
    """Greedy and sampled, with the ids of plain decoding on the same device.

    On the kernels for software, which a CPU runs many times as fast; that those for GPUs give a
    row the same bits beside any others is tested one by one, and in tests/bench/gpu/ids.py.
    """
    loop = asyncio.new_event_loop()
    # The smaller of the trained pairs: a step has half of the other's dispatches.
    target, assistant = pair_files("trained-31b")
    files = assistant if drafter == "mtp" else None
    device = PageDevice(kernel_runtime, is_software=True)
    loading = load(device, target, files, drafter=drafter, max_draft_tokens=7)
    engine = loop.run_until_complete(loading)
    assert engine.info()["self_test"] == "identical"
    plain: dict[Case, list[int]] = {}

    @settings(
        max_examples=NUM_REQUESTS,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
        phases=[Phase.generate],
    )
    @given(case=cases(max_tokens=10), ways=st.lists(ways(), min_size=NUM_WAYS, max_size=NUM_WAYS))
    def check(case: Case, ways: list[tuple[int | str, int]]) -> None:
        for draft_tokens, run_ahead in ways:
            drafted = replace(case, draft_tokens=draft_tokens, run_ahead=run_ahead)
            loop.run_until_complete(check_case(engine, drafted, plain))

    check()
    engine.close()
    loop.close()


def test_ids_do_not_depend_on_what_runs_beside_joins_or_leaves(kernel_runtime) -> None:
    """Beside neighbours beyond other borders of tiles and windows (64 and 32 positions)."""
    loop = asyncio.new_event_loop()
    target, _ = pair_files("trained-31b")
    device = PageDevice(kernel_runtime, is_software=True)
    loading = load(device, target, drafter="ngram", max_draft_tokens=7, parallel=4)
    engine = loop.run_until_complete(loading)
    plain: dict[Case, list[int]] = {}

    @settings(
        max_examples=NUM_SCHEDULES,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
        phases=[Phase.generate],
    )
    @given(schedule=arrivals(max_tokens=12, more=(30, 160), sizes=(3, 5)))
    def check(schedule: list[Arrival]) -> None:
        loop.run_until_complete(check_arrivals(engine, engine, schedule, plain))

    check()
    engine.close()
    loop.close()


async def test_drafted_ids_equal_those_of_the_numpy_device(kernel_runtime) -> None:
    pair = pair_files("trained-31b")
    # No more drafts than are asked for: kernels for GPUs take a CPU long to compile, and to run.
    on_gpu = await load(PageDevice(kernel_runtime), *pair, max_draft_tokens=3)
    on_numpy = await load(NumpyDevice(), *pair, max_draft_tokens=3)
    for fields in ({}, {"temperature": 0.9, "top_k": 20, "top_p": 0.95, "seed": 4}):
        request = {"max_tokens": 8, "draft_tokens": 3, **fields}
        wanted = await generated(on_numpy, [2, 9, 11, 40], **request)
        assert await generated(on_gpu, [2, 9, 11, 40], **request) == wanted
    on_gpu.close()


async def test_logprobs_have_the_same_bits_with_drafts_and_those_of_numpy_nearly(
    kernel_runtime,
) -> None:
    target, _ = pair_files("trained-31b")
    device = PageDevice(kernel_runtime, is_software=True)
    on_gpu = await load(device, target, drafter="ngram", max_draft_tokens=3)
    on_numpy = await load(NumpyDevice(), target, drafter="none")
    for fields in ({}, {"temperature": 0.6, "seed": 4, "frequency_penalty": -1.0}):
        request = {
            "prompt_ids": [2, 9, 11, 40], "ignore_eos": True, "max_tokens": 16,
            "logprobs": True, "top_logprobs": 3, **fields,
        }  # fmt: skip
        found = [
            await engine.generate(GenerateRequest.from_json({**request, "draft_tokens": k}))
            for engine, k in ((on_gpu, 0), (on_gpu, 3), (on_numpy, 0))
        ]
        plain, drafted, wanted = ([(e["id"], e["logprob"]) for e in one.logprobs] for one in found)
        assert found[0].logprobs == found[1].logprobs
        assert found[1].stats.accepted_tokens > 0 or fields
        assert [id_ for id_, _ in plain] == [id_ for id_, _ in wanted] == found[0].tokens
        assert [p for _, p in drafted] == pytest.approx(
            [p for _, p in wanted], abs=LOGPROB_TOLERANCE
        )
    on_gpu.close()


async def test_neighbours_with_more_and_with_less_context_change_nothing(kernel_runtime) -> None:
    """A pass has as many workgroups as its longest lane wants, on the kernels for GPUs.

    Neither the first lane is the longest nor the last. An id may well be right where a part of the
    cache was left out, so log-probabilities are compared.

    A step takes a CPU the better part of a second, so two prompts end shortly before the border of
    a tile of the KV cache (64, 192), and their answers shortly behind it.
    """
    target, _ = pair_files("trained-31b")
    long = [2, *(3 + (7 * i + i // 9) % 90 for i in range(185))]
    requests = [
        (long[:58], {"max_tokens": 16}),
        (long, {"temperature": 1.5, "seed": 11, "max_tokens": 12}),
        ([2, 40], {"temperature": 0.8, "seed": 2, "max_tokens": 6}),
    ]
    on_numpy = await load(NumpyDevice(), target, drafter="none")
    engine = await load(PageDevice(kernel_runtime), target, drafter="none", parallel=4)

    async def answer(engine: Engine, prompt: list[int], fields: dict[str, object]) -> Generated:
        given = {"prompt_ids": prompt, "ignore_eos": True, "logprobs": True, **fields}
        return await engine.generate(GenerateRequest.from_json(given))

    wanted = [await answer(on_numpy, *one) for one in requests]
    found = await asyncio.gather(*(answer(engine, *one) for one in requests))
    assert [one.tokens for one in found] == [one.tokens for one in wanted]
    for one, right in zip(found, wanted, strict=True):
        probs, right_probs = ([e["logprob"] for e in each.logprobs] for each in (one, right))
        assert probs == pytest.approx(right_probs, abs=LOGPROB_TOLERANCE)
    engine.close()
