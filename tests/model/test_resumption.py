"""A generation that goes on in another engine: the same ids, text and counts, wherever cut."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine_cases import load
from leadout.devices.numpy import NumpyDevice
from leadout.engine import Delta, Engine, LoadOptions
from leadout.errors import RequestError
from leadout.reasoning import CHANNEL_CLOSE, CHANNEL_OPEN
from leadout.request import GenerateRequest
from leadout.resumption import Resumption, WrittenCycle
from leadout.sampling import Sampling
from leadout_build.cli.native import load_engine
from published_templates import GEMMA_4_TOOLS
from speculation_cases import cases, pair_files
from stand_in_nano import write_stand_in
from thoroughness import IS_THOROUGH

#: Cases drawn per engine; each is cut at one place.
NUM_CASES = 1000 if IS_THOROUGH else 6

PROMPT = (2, *((7 * i) % 80 + 5 for i in range(50)))

SCHEMA = {
    "type": "object",
    "properties": {
        "a": {"const": "the capital of France"},
        "b": {"type": "string", "maxLength": 6},
    },
    "required": ["a", "b"],
    "additionalProperties": False,
}
TOOL = {"type": "function", "function": {"name": "get", "parameters": SCHEMA}}
SAMPLED = {"temperature": 1.0, "seed": 3}

#: Requests whose answers have more state than their ids.
STATEFUL = {
    "schema": {
        "prompt": "the",
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}},
    },
    "regex": {"prompt": "the", "regex": "[a-z ]{20,25}", "draft_tokens": 3, **SAMPLED},
    "tools": {
        "messages": [{"role": "user", "content": "the capital"}],
        "tools": [TOOL],
        "tool_choice": "required",
        **SAMPLED,
    },
    "penalties": {
        "prompt": "the",
        "ignore_eos": True,
        "presence_penalty": 1.0,
        "frequency_penalty": 1.0,
        "draft_tokens": 3,
        **SAMPLED,
    },
    "logprobs": {
        "prompt": "the",
        "ignore_eos": True,
        "logprobs": True,
        "top_logprobs": 3,
        "draft_tokens": 3,
    },
}


@pytest.fixture(scope="module")
def engines():
    """Loaded engines by (pair, drafter), each loaded once."""
    made: dict[tuple[str, str], Engine] = {}

    async def get(name: str, drafter: str) -> Engine:
        if (name, drafter) not in made:
            target, assistant = pair_files(name)
            files = assistant if drafter == "mtp" else None
            made[name, drafter] = await load(NumpyDevice(), target, files, drafter=drafter)
        engine = made[name, drafter]
        engine.decoder.lanes[0].forget()  # as one that was just loaded
        return engine

    return get


@pytest.fixture(scope="module")
def with_text(tmp_path_factory) -> Engine:
    """An engine with a tokenizer and a chat template that knows tools."""
    folder = write_stand_in(tmp_path_factory.mktemp("text") / "models", GEMMA_4_TOOLS)
    target, drafter = ({f"{n}.gguf": folder / f"{n}.gguf"} for n in ("nano", "nano-assistant"))
    return asyncio.run(load_engine(target, LoadOptions(drafter="mtp"), drafter_files=drafter))


def resumption_of(deltas: list[Delta]) -> Resumption:
    """Return what a page knows behind these deltas; web/client/open_request.js does the same."""
    cycles: list[WrittenCycle] = []
    drafts: list[int] = []
    for delta in deltas:
        drafts += delta.tokens
        if not delta.is_draft and drafts:
            cycles.append(WrittenCycle(tuple(drafts), delta.num_drafted))
            drafts = []
    if drafts:
        cycles.append(WrittenCycle(tuple(drafts), len(drafts)))
    return Resumption(tuple(cycles), 5.0, 7.0)


async def caches_of(engine: Engine) -> dict[str, bytes]:
    bindings = [part for cache in engine.decoder.caches for part in (cache.keys, cache.values)]
    return {one.buffer: await engine.device.read(one.buffer, 0, one.bytes) for one in bindings}


@pytest.mark.parametrize(
    ("name", "drafter"),
    [("trained-e2b", "mtp"), ("trained-e2b", "ngram"), ("26b-a4b", "mtp")],
)
def test_ids_are_those_of_an_undisturbed_generation_wherever_it_is_cut(
    engines, name, drafter
) -> None:
    @settings(max_examples=NUM_CASES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(case=cases(max_tokens=24), cut=st.floats(0, 1))
    def check(case, cut) -> None:
        asyncio.run(check_one(case, cut))

    async def check_one(case, cut) -> None:
        whole: list[Delta] = []
        request = case.request()
        wanted = await (await engines(name, drafter)).generate(request, whole.append)
        known = whole[: round(cut * len(whole))]
        rest: list[Delta] = []
        engine = await engines(name, drafter)
        got = await engine.generate(request, rest.append, resumption=resumption_of(known))
        assert got.tokens == wanted.tokens
        assert got.finish_reason == wanted.finish_reason
        told = [token for delta in known + rest for token in delta.tokens]
        assert told == got.tokens, "a token was told twice or never"
        # And again, as engines may be lost several times.
        again = resumption_of(known + rest[: len(rest) // 2])
        assert (await engine.generate(request, resumption=again)).tokens == wanted.tokens

    check()


async def test_a_paged_model_brings_the_rows_of_what_is_replayed() -> None:
    pair, sizes = pair_files("trained-e2b"), {"context_length": 256}
    sampling = Sampling(temperature=1.0)
    request = GenerateRequest(
        prompt_ids=PROMPT, sampling=sampling, max_tokens=40, ignore_eos=True, draft_tokens=0
    )
    whole = await load(NumpyDevice(), *pair, **sizes)
    tokens = (await whole.generate(request)).tokens
    assert max(tokens[:35]) >= 256, "an id whose row is not there from the beginning"
    paged = await load(NumpyDevice(), *pair, **sizes, placement="paged", paged_rows=256)
    known = Resumption((WrittenCycle(tuple(tokens[:36])),))
    assert (await paged.generate(request, resumption=known)).tokens == tokens
    assert await caches_of(paged) == await caches_of(whole)


async def test_the_cache_has_the_bits_of_an_undisturbed_generation() -> None:
    """Those of a prompt with the tokens behind it are others, so this is no matter of course."""
    pair = pair_files("trained-e2b")
    request = GenerateRequest(prompt_ids=PROMPT, max_tokens=60, ignore_eos=True, draft_tokens=0)
    undisturbed = await load(NumpyDevice(), *pair, context_length=256)
    tokens = (await undisturbed.generate(request)).tokens
    wanted = await caches_of(undisturbed)

    resumed = await load(NumpyDevice(), *pair, context_length=256)
    known = Resumption((WrittenCycle(tuple(tokens[:37])),))
    assert (await resumed.generate(request, resumption=known)).tokens == tokens
    assert await caches_of(resumed) == wanted

    prefilled = await load(NumpyDevice(), *pair, context_length=256)
    longer = replace(request, prompt_ids=(*PROMPT, *tokens[:37]), max_tokens=23)
    await prefilled.generate(longer)
    assert await caches_of(prefilled) != wanted


@pytest.mark.parametrize("stop_at", [None, 18])
async def test_text_reasoning_stops_and_counts_go_on(engines, stop_at) -> None:
    """Cut behind every other delta, in the midst of a thought and of a stop string among them."""
    engine = await engines("trained-e2b", "mtp")
    request = GenerateRequest(prompt_ids=PROMPT, max_tokens=24, ignore_eos=True, draft_tokens=0)
    ids = (await engine.generate(request)).tokens
    request = replace(request, stop=(letters(ids[stop_at : stop_at + 3]),) if stop_at else ())
    engine.tokenizer, tokenizer = LetterTokenizer(ids[3], ids[9]), engine.tokenizer
    try:
        whole: list[Delta] = []
        wanted = await engine.generate(request, whole.append)
        assert wanted.reasoning
        assert wanted.finish_reason == ("stop" if stop_at else "length")
        for cut in range(0, len(whole) + 1, 1 if IS_THOROUGH else 2):
            rest: list[Delta] = []
            engine.decoder.lanes[0].forget()
            known = resumption_of(whole[:cut])
            got = await engine.generate(request, rest.append, resumption=known)
            assert (got.tokens, got.text, got.reasoning) == (
                *(wanted.tokens, wanted.text, wanted.reasoning),
            ), cut
            assert got.finish_reason == wanted.finish_reason
            deltas = whole[:cut] + rest
            assert "".join(delta.text for delta in deltas) == wanted.text
            assert "".join(delta.reasoning for delta in deltas) == wanted.reasoning
            counts = ("cycles", "decode_tokens", "tokens_per_cycle", "reasoning_tokens")
            for count in counts:
                assert getattr(got.stats, count) == getattr(wanted.stats, count), (cut, count)
            assert got.stats.resumed_tokens == len(known.tokens)
            if cut > 0:
                assert got.stats.ttft_ms == 5.0
                assert got.stats.decode_ms >= 7.0
    finally:
        engine.tokenizer = tokenizer


@pytest.mark.parametrize("kind", STATEFUL)
async def test_grammars_calls_penalties_and_logprobs_go_on(with_text, kind) -> None:
    request = GenerateRequest.from_json({"max_tokens": 30, **STATEFUL[kind]})
    whole: list[Delta] = []
    wanted = await with_text.generate(request, whole.append)
    assert len(whole) >= 8
    assert bool(wanted.tool_calls) == (kind == "tools")
    # As the page asks again: with the ids that the first answer told of.
    ids = {"prompt": None, "messages": None, "prompt_ids": wanted.prompt_tokens}
    again = GenerateRequest.from_json({"max_tokens": 30, **STATEFUL[kind], **ids})
    for cut in range(1, len(whole), 1 if IS_THOROUGH else len(whole) // 3):
        rest: list[Delta] = []
        with_text.decoder.lanes[0].forget()
        known = resumption_of(whole[:cut])
        got = await with_text.generate(again, rest.append, resumption=known)
        for name in ("tokens", "text", "finish_reason", "tool_calls"):
            assert getattr(got, name) == getattr(wanted, name), (cut, name)
        assert told(whole[:cut] + rest) == told(whole), cut


def told(deltas: list[Delta]) -> tuple[str, list[str], list[str]]:
    """Return the text, the calls and the tokens with logprobs that these deltas tell of."""
    calls: list[str] = []
    for part in (part for delta in deltas for part in delta.tool_calls or []):
        if "id" in part:
            calls.append(part["id"] + part["function"]["name"])
        calls[part["index"]] += part["function"].get("arguments", "")
    entries = [entry for delta in deltas for entry in delta.logprobs or []]
    return "".join(delta.text for delta in deltas), calls, [entry["token"] for entry in entries]


async def test_drafts_are_counted_over_the_cut(engines) -> None:
    engine = await engines("trained-e2b", "mtp")
    request = GenerateRequest(prompt_ids=PROMPT, max_tokens=40, ignore_eos=True, draft_tokens=3)
    whole: list[Delta] = []
    await engine.generate(request, whole.append)
    known = resumption_of(whole[: len(whole) // 2])
    stats = (await engine.generate(request, resumption=known)).stats
    assert stats.drafted_tokens >= sum(cycle.num_drafted for cycle in known.cycles) > 0
    assert stats.accepted_tokens == stats.decode_tokens - stats.cycles
    assert stats.decode_tokens == 39


async def test_ids_that_the_model_does_not_have_are_refused(engines) -> None:
    engine = await engines("trained-e2b", "mtp")
    request = GenerateRequest(prompt_ids=PROMPT)
    with pytest.raises(RequestError, match="100000"):
        await engine.generate(request, resumption=Resumption((WrittenCycle((100000,)),)))


@pytest.mark.parametrize(
    "fields",
    [{}, {"cycles": 3, "ttft_ms": 0, "decode_ms": 0}, {"cycles": [{"tokens": "x"}]}],
)
def test_a_malformed_resumption_is_refused(fields) -> None:
    with pytest.raises(RequestError, match="malformed"):
        Resumption.from_json(fields)


def letters(ids) -> str:
    return "".join(chr(0x4E00 + token) for token in ids)


class LetterTokenizer:
    """A letter an id, and two ids that open and close a thought."""

    def __init__(self, open_id: int, close_id: int) -> None:
        self._ids = {CHANNEL_OPEN: open_id, CHANNEL_CLOSE: close_id}

    def encode(self, text: str, add_special_tokens: bool) -> list[int]:
        return [ord(char) - 0x4E00 for char in text]

    def decode(self, ids, skip_special_tokens: bool = True) -> str:
        return letters(ids)

    def id_of(self, token: str) -> int | None:
        return self._ids.get(token)
