"""Drafter-invariant decoding: whatever drafts, the ids are those of plain decoding."""

import asyncio

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from engine_cases import folder_files, generated, load
from leadout.cycle_costs import CycleCosts
from leadout.devices.numpy import NumpyDevice
from leadout.request import GenerateRequest
from leadout.sampling import Sampling
from leadout.scheduler import MAX_LOSS
from speculation_cases import TINY, Case, cases, check_case, pair_files
from stand_in_tokenizer import LetterTokenizer
from thoroughness import IS_THOROUGH

#: Cases drawn per engine; each compares a generation with drafts to plain decoding.
NUM_CASES = 1000 if IS_THOROUGH else 20

#: Of a GPU, by number of drafts: E2B's on an H100.
CYCLE_MS = {0: 5.9, 1: 6.8, 2: 7.4, 3: 8.1, 4: 9.0, 5: 9.9, 6: 10.8, 7: 11.7}


@pytest.fixture(scope="module")
def engines():
    """Loaded engines by (pair, drafter), each loaded once."""
    made = {}

    async def get(name: str, drafter: str):
        key = (name, drafter)
        if key not in made:
            target, assistant = pair_files(name)
            files = assistant if drafter == "mtp" else None
            made[key] = await load(NumpyDevice(), target, files, drafter=drafter)
        return made[key]

    return get


@pytest.mark.parametrize("drafter", ["mtp", "ngram"])
@pytest.mark.parametrize("name", ["trained-e2b", "trained-31b", "26b-a4b"])
def test_ids_equal_plain_ids_for_every_drafter_length_and_run_ahead(engines, name, drafter) -> None:
    plain: dict[Case, list[int]] = {}

    @settings(max_examples=NUM_CASES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(case=cases())
    def check(case: Case) -> None:
        asyncio.run(check_one(case))

    async def check_one(case: Case) -> None:
        await check_case(await engines(name, drafter), case, plain)

    check()


async def test_the_noise_of_a_draft_is_the_targets_noise_at_its_position(engines) -> None:
    """With the target's own distribution nearly learned, sampled drafts are accepted, too."""
    engine = await engines("trained-e2b", "mtp")
    request = GenerateRequest(
        prompt_ids=(2, 9, 11, 40), max_tokens=96, ignore_eos=True, draft_tokens=3,
        sampling=Sampling(temperature=0.7, seed=5),
    )  # fmt: skip
    stats = (await engine.generate(request)).stats
    assert stats.accepted_tokens > 0.3 * stats.drafted_tokens


async def test_a_drafter_that_agrees_often_saves_cycles(engines) -> None:
    engine = await engines("trained-e2b", "mtp")
    for draft_tokens, least in ((1, 1.3), (3, 1.6), (7, 1.8)):
        request = GenerateRequest(
            prompt_ids=(2, 9, 11, 40), max_tokens=64, ignore_eos=True, draft_tokens=draft_tokens
        )
        stats = (await engine.generate(request)).stats
        assert stats.tokens_per_cycle > least, draft_tokens
        assert stats.decode_tokens == stats.cycles + stats.accepted_tokens
        assert sum(stats.accepted_per_position) == stats.accepted_tokens
        assert sum(stats.drafted_per_position) == stats.drafted_tokens


@pytest.mark.parametrize("name", ["e2b", "trained-e2b"])
@pytest.mark.parametrize("run_ahead", [1, 3])
async def test_auto_costs_at_most_its_share_more_than_no_drafter(
    engines, monkeypatch, name, run_ahead
) -> None:
    """With the costs of a GPU; a random drafter never agrees, so texts are adverse."""
    engine = await engines(name, "mtp")
    decoder = engine.decoder
    costs = CycleCosts(7)
    monkeypatch.setattr(decoder, "_costs", {1: costs})
    monkeypatch.setattr(
        decoder,
        "learn",
        lambda timed, num_groups: costs.note(
            [(t.num_drafts, CYCLE_MS[t.num_drafts]) for t in timed], 0.1
        ),
    )
    for first in (9, 40, 77):
        submitted: list[int] = []
        schedule = engine.model.schedule()
        note = schedule.submitted
        schedule.submitted = lambda k, note=note, seen=submitted: (seen.append(k), note(k))
        run = decoder.run([2, first, 17], Sampling(), 120, run_ahead, lambda: False, schedule)
        tokens = sum([len(cycle.tokens) async for cycle in run if not cycle.is_prefill])
        spent = sum(CYCLE_MS[k] for k in submitted)
        assert spent <= (1 + MAX_LOSS) * CYCLE_MS[0] * tokens + 1e-9
        if name == "trained-e2b":
            assert max(submitted) > 0, "it never tried"
            assert costs.ms[0] == pytest.approx(CYCLE_MS[0], rel=0.05)


async def test_stats_say_what_cycles_cost_and_what_that_was_believed_to_be(engines) -> None:
    engine = await engines("trained-e2b", "mtp")
    request = GenerateRequest(
        prompt_ids=(2, 9, 11, 40), max_tokens=64, ignore_eos=True, draft_tokens=3
    )
    stats = (await engine.generate(request)).stats
    assert list(stats.cycle_ms) == ["0", "1", "2", "3", "5", "7"]
    assert set(stats.cycle_run_ms) <= {"0", "1", "2", "3"}, "fewer at the end"
    assert stats.cycle_run_ms["3"] > 0
    assert stats.cycle_runs.keys() == stats.cycle_run_ms.keys()
    assert stats.cycle_runs["3"] > 1
    assert 0 <= stats.gpu_idle_share < 1
    assert engine.info()["cycle_ms"] == stats.cycle_ms, "what the next request begins with"


# ---- ends --------------------------------------------------------------------------------------


async def test_a_stop_inside_a_draft_cuts_exactly_there(engines) -> None:
    """Wherever the end falls, among accepted drafts or on a bonus token, the ids are the same."""
    engine = await engines("trained-e2b", "mtp")
    prompt = (2, 9, 11, 40)
    ids = await generated(engine, list(prompt), max_tokens=24, drafter="none")
    eos = engine.checkpoint.eos_token_ids
    try:
        for token in dict.fromkeys(ids):
            object.__setattr__(engine.checkpoint, "eos_token_ids", (token, 1))
            for draft_tokens in (3, 7):
                request = GenerateRequest(
                    prompt_ids=prompt, max_tokens=24, draft_tokens=draft_tokens
                )
                result = await engine.generate(request)
                assert result.tokens == ids[: ids.index(token)]
                assert result.finish_reason == "stop"
                assert result.stats.accepted_tokens <= len(result.tokens) + 1
    finally:
        object.__setattr__(engine.checkpoint, "eos_token_ids", eos)


async def test_max_tokens_cuts_inside_a_draft(engines) -> None:
    engine = await engines("trained-e2b", "mtp")
    ids = await generated(engine, [2, 9, 11, 40], max_tokens=20, drafter="none")
    for max_tokens in range(1, 20, 2):
        for run_ahead in (1, 4):
            cut = await generated(
                engine, [2, 9, 11, 40], max_tokens=max_tokens, draft_tokens=7, run_ahead=run_ahead
            )
            assert cut == ids[:max_tokens]


async def test_drafts_end_where_the_context_does() -> None:
    target, assistant = pair_files("trained-e2b")
    engine = await load(NumpyDevice(), target, assistant, context_length=64)
    prompt = [2, *np.random.default_rng(0).integers(5, 90, 44).tolist()]
    wanted = await generated(engine, prompt, max_tokens=100, drafter="none")
    assert len(prompt) + len(wanted) == 64
    for draft_tokens in (1, 3, 7, "auto"):
        request = GenerateRequest(
            prompt_ids=tuple(prompt), max_tokens=100, ignore_eos=True, draft_tokens=draft_tokens
        )
        result = await engine.generate(request)
        assert result.tokens == wanted
        assert result.finish_reason == "length"


async def test_an_abort_between_cycles_leaves_the_next_request_its_own_ids(engines) -> None:
    engine = await engines("trained-e2b", "mtp")
    wanted = await generated(engine, [2, 9, 11, 40], max_tokens=20, drafter="none")
    asked = []

    def is_aborted() -> bool:
        asked.append(0)
        return len(asked) > 4

    request = GenerateRequest(
        prompt_ids=(2, 9, 60), max_tokens=60, ignore_eos=True, draft_tokens=3, run_ahead=4
    )
    result = await engine.generate(request, is_aborted=is_aborted)
    assert result.finish_reason == "abort"
    assert await generated(engine, [2, 9, 11, 40], max_tokens=20, draft_tokens=3) == wanted


# ---- conversations -----------------------------------------------------------------------------


async def test_the_next_turn_takes_over_what_was_prefilled_and_nothing_else(engines) -> None:
    engine = await engines("trained-e2b", "mtp")
    fresh = await load(NumpyDevice(), *pair_files("trained-e2b"))
    request = {"max_tokens": 12, "draft_tokens": 3, "temperature": 0.9, "seed": 4}
    history = before = [2, 9, 11, 40]
    for turn in range(4):
        stats = await generated_with_stats(engine, history, **request)
        fresh.decoder.lanes[0].forget()
        assert stats.tokens == await generated(fresh, history, **request)
        if turn:
            # All of the turn before but its answer, which no prefill has seen.
            assert stats.stats.cached_tokens == len(before)
        before = history
        history = [*history, *stats.tokens[:7], 33 + turn, 50]


async def generated_with_stats(engine, prompt: list[int], **fields):
    request = {"prompt_ids": prompt, "ignore_eos": True, **fields}
    return await engine.generate(GenerateRequest.from_json(request))


@pytest.mark.parametrize(("kept_prompts", "num_cached"), [(0, 0), (1, 100)])
async def test_a_ring_that_has_been_written_over_is_not_taken_over_but_from_its_copy(
    kept_prompts, num_cached
) -> None:
    target, assistant = pair_files("trained-e2b")
    options = {"context_length": 1024, "kept_prompts": kept_prompts}
    engine = await load(NumpyDevice(), target, assistant, **options)
    fresh = await load(NumpyDevice(), target, assistant, **options)
    prompt = [2, *np.random.default_rng(1).integers(5, 90, 99).tolist()]
    await generated(engine, prompt, max_tokens=400, draft_tokens=7)
    again = await generated_with_stats(engine, [*prompt, 17], max_tokens=8)
    assert again.stats.cached_tokens == num_cached
    assert again.tokens == await generated(fresh, [*prompt, 17], max_tokens=8)


async def test_the_same_prompt_again_is_prefilled_but_for_its_last_token(engines) -> None:
    engine = await engines("trained-e2b", "mtp")
    prompt = [2, *np.random.default_rng(2).integers(5, 90, 30).tolist()]
    first = await generated_with_stats(engine, prompt, max_tokens=6)
    second = await generated_with_stats(engine, prompt, max_tokens=6)
    assert (first.tokens, second.stats.cached_tokens) == (second.tokens, len(prompt) - 1)


async def test_deltas_say_which_tokens_were_drafted(engines) -> None:
    engine = await engines("trained-e2b", "mtp")
    files = folder_files(TINY / "trained-e2b")
    assert files
    deltas = []
    request = GenerateRequest(
        prompt_ids=(2, 9, 11, 40), max_tokens=30, ignore_eos=True, draft_tokens=3
    )
    engine.tokenizer, tokenizer = LetterTokenizer(), engine.tokenizer
    try:
        result = await engine.generate(request, deltas.append)
    finally:
        engine.tokenizer = tokenizer
    assert [token for delta in deltas for token in delta.tokens] == result.tokens
    assert "".join(delta.text for delta in deltas) == result.text
    drafted = sum(len(delta.tokens) for delta in deltas if delta.is_draft)
    assert 0 < drafted == result.stats.accepted_tokens
