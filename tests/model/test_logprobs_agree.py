"""Log-probabilities in the engine: the model's own, and the same with and without drafts."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from engine_cases import generated, load, scored
from leadout.devices.numpy import NumpyDevice
from leadout.engine import Delta, Generated
from leadout.errors import RequestError
from leadout.request import GenerateRequest
from speculation_cases import Case, cases, pair_files
from stand_in_tokenizer import LetterTokenizer

PROMPT = [2, 9, 11, 40]

#: Between passes with many rows and with few, in nats.
TOLERANCE = 1e-3


@pytest.fixture(scope="module")
def engine():
    return asyncio.run(load(NumpyDevice(), *pair_files("trained-e2b")))


async def answered(engine, **fields) -> Generated:
    request = {"prompt_ids": PROMPT, "ignore_eos": True, "logprobs": True, **fields}
    return await engine.generate(GenerateRequest.from_json(request))


@pytest.mark.parametrize("fields", [{}, {"temperature": 0.7, "seed": 3, "presence_penalty": 1.0}])
async def test_they_are_log_softmax_of_the_models_own_logits(engine, fields) -> None:
    result = await answered(engine, max_tokens=12, top_logprobs=3, draft_tokens=3, **fields)
    ids = [*PROMPT, *result.tokens]
    logits = (await scored(engine, ids)).astype(np.float64)
    for place, entry in enumerate(result.logprobs, start=len(PROMPT) - 1):
        row = logits[place] - logits[place].max()
        row -= np.log(np.exp(row).sum())
        assert entry["id"] == ids[place + 1]
        assert entry["logprob"] == pytest.approx(row[entry["id"]], abs=TOLERANCE)
        top = [other["id"] for other in entry["top_logprobs"]]
        assert top == np.argsort(-row, kind="stable")[:3].tolist()
        assert entry["top_logprobs"][0]["logprob"] == pytest.approx(row.max(), abs=TOLERANCE)
    assert len(result.logprobs) == len(result.tokens) == 12


def test_drafts_change_no_bit_of_them(engine) -> None:
    @settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(case=cases())
    def check(case: Case) -> None:
        asyncio.run(check_one(case))

    async def check_one(case: Case) -> None:
        asked = replace(case, sampling=replace(case.sampling, logprobs=True, top_logprobs=5))
        plain = replace(asked, draft_tokens=0, run_ahead=1)
        # What is prefilled beside fewer tokens differs in its last bits on this device.
        engine.decoder.lanes[0].forget()
        wanted = await engine.generate(plain.request("none"))
        engine.decoder.lanes[0].forget()
        got = await engine.generate(asked.request())
        assert (got.tokens, got.logprobs) == (wanted.tokens, wanted.logprobs)
        assert (await engine.generate(case.request())).tokens == got.tokens, "without logprobs"

    check()


async def test_who_does_not_ask_gets_none_and_waits_for_nothing(engine) -> None:
    fresh = await load(NumpyDevice(), *pair_files("trained-e2b"))
    result = await answered(fresh, max_tokens=3, logprobs=False)
    assert result.logprobs is None
    assert "logprobs" not in result.to_json()
    assert not any("logprobs" in name for name in fresh.decoder._compiled)


async def test_the_first_request_that_asks_is_drafted_for_too() -> None:
    fresh = await load(NumpyDevice(), *pair_files("trained-e2b"))
    result = await answered(fresh, max_tokens=24)
    assert result.stats.drafted_tokens > 0


async def test_deltas_tell_of_every_token_once_and_what_a_stop_can_take_back(engine) -> None:
    plain = await generated(engine, PROMPT, max_tokens=24)
    engine.tokenizer, before = LetterTokenizer(), engine.tokenizer
    try:
        letters = [chr(0x4E00 + token) for token in plain]
        deltas: list[Delta] = []
        request = {"prompt_ids": PROMPT, "ignore_eos": True, "logprobs": True, "draft_tokens": 3}
        # The first stop string begins again and again, the second ends the text.
        stop = [letters[4] + letters[5] + "x", letters[9] + letters[10] + letters[11]]
        result = await engine.generate(
            GenerateRequest.from_json({**request, "stop": stop, "max_tokens": 24}), deltas.append
        )
    finally:
        engine.tokenizer = before
    assert (result.tokens, result.finish_reason) == (plain[:9], "stop")
    told = [entry for delta in deltas if delta.tokens for entry in delta.logprobs]
    assert [entry["id"] for entry in told] == plain[:12]
    assert result.logprobs == told[:9]
    assert [entry["token"] for entry in result.logprobs] == letters[:9]
    assert result.logprobs[0]["bytes"] == list(letters[0].encode())
    settled = [delta.num_settled for delta in deltas if delta.tokens]
    assert settled == sorted(settled)
    assert settled[-1] <= 9


async def test_alternatives_without_logprobs_are_refused(engine) -> None:
    with pytest.raises(RequestError, match="needs logprobs: true"):
        await answered(engine, logprobs=False, top_logprobs=2)
    for fields, message in (({"top_logprobs": 21}, "0 to 20"), ({"logprobs": 3}, "true or false")):
        with pytest.raises(RequestError, match=message):
            await answered(engine, **fields)


async def test_they_are_the_same_beside_requests_that_ask_for_none(engine) -> None:
    many = await load(NumpyDevice(), *pair_files("trained-e2b"), parallel=4)
    fields = {"max_tokens": 20, "top_logprobs": 2, "temperature": 0.8, "seed": 5}
    engine.decoder.lanes[0].forget()
    wanted = await answered(engine, draft_tokens=0, **fields)
    others = [
        # They share no beginning with the prompt: what is prefilled beside fewer tokens differs in
        # its last bits on this device.
        generated(many, [3, 30, 7 * i], max_tokens=10 + 9 * i, seed=i, draft_tokens=i)
        for i in range(3)
    ]
    got, *_ = await asyncio.gather(answered(many, draft_tokens=3, **fields), *others)
    assert (got.tokens, got.logprobs) == (wanted.tokens, wanted.logprobs)
