"""Presence and frequency penalties and biases, against logits that the model itself gives."""

import asyncio

import pytest

from engine_cases import generated, load, scored
from leadout.devices.numpy import NumpyDevice
from leadout.errors import RequestError
from leadout.request import GenerateRequest
from leadout.resumption import Resumption, WrittenCycle
from leadout.sampling import Sampling
from speculation_cases import pair_files

PROMPT = [2, 9, 11, 40]
NUM_TOKENS = 24

SETTINGS = [
    {"presence_penalty": 1.5},
    {"frequency_penalty": 0.7},
    {"frequency_penalty": -1.0, "presence_penalty": 0.5},
    {"frequency_penalty": 2.0, "logit_bias": {"107": 3.0, "474": -100}},
]


@pytest.fixture(scope="module")
def engine():
    return asyncio.run(load(NumpyDevice(), *pair_files("trained-31b")))


async def chosen(engine, ids: list[int], sampling: Sampling) -> int:
    """Return the greedy choice behind the prompt and what was generated, by OpenAI's formula."""
    logits = (await scored(engine, [*PROMPT, *ids]))[-1].copy()
    for token in set(ids):
        logits[token] -= sampling.presence_penalty + ids.count(token) * sampling.frequency_penalty
    for token, bias in sampling.logit_bias.items():
        logits[token] += bias if bias > -100 else -1e30
    return int(logits.argmax())


@pytest.mark.parametrize("fields", SETTINGS, ids=str)
async def test_greedy_ids_are_those_of_the_formula_with_and_without_drafts(engine, fields) -> None:
    plain = await generated(engine, PROMPT, max_tokens=NUM_TOKENS)
    sampling = GenerateRequest.from_json({"prompt": "", **fields}).sampling
    wanted: list[int] = []
    while len(wanted) < NUM_TOKENS:
        wanted.append(await chosen(engine, wanted, sampling))
    assert wanted != plain
    for draft_tokens in (0, 1, 3, 7):
        request = {"max_tokens": NUM_TOKENS, "draft_tokens": draft_tokens, **fields}
        assert await generated(engine, PROMPT, **request) == wanted, draft_tokens


async def test_the_next_request_knows_nothing_of_the_counts_before_it(engine) -> None:
    fields = {"frequency_penalty": 1.3, "max_tokens": NUM_TOKENS, "draft_tokens": 3}
    first = await generated(engine, PROMPT, **fields)
    plain = await generated(engine, PROMPT, max_tokens=NUM_TOKENS)
    assert await generated(engine, PROMPT, **fields) == first
    assert await generated(engine, PROMPT, max_tokens=NUM_TOKENS) == plain


async def test_a_resumed_request_counts_what_was_written_before(engine) -> None:
    fields = {"frequency_penalty": 1.1, "presence_penalty": 0.3, "max_tokens": NUM_TOKENS}
    wanted = await generated(engine, PROMPT, **fields)
    request = GenerateRequest.from_json({"prompt_ids": PROMPT, "ignore_eos": True, **fields})
    for known in (1, 2, 13):
        resumption = Resumption(tuple(WrittenCycle((token,)) for token in wanted[:known]))
        assert (await engine.generate(request, resumption=resumption)).tokens == wanted


async def test_a_bias_of_an_id_that_is_not_there_is_refused(engine) -> None:
    with pytest.raises(RequestError, match="outside of the vocabulary"):
        await generated(engine, PROMPT, logit_bias={"1000000": 1})
