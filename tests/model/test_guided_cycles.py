"""Cycles of answers that keep to a grammar: in which order their parts run, beside what."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leadout import pager
from leadout.engine import Engine, Generated, LoadOptions
from leadout.models import gemma4_text
from leadout.request import GenerateRequest
from leadout.resumption import Resumption, WrittenCycle
from leadout.session.guide import Guide
from leadout.session.stream import Cycle, Stream
from leadout_build.cli.native import load_engine
from session_cases import slow_prompts
from stand_in_nano import write_stand_in
from thoroughness import IS_THOROUGH

#: Schedules drawn per engine.
NUM_SCHEDULES = 200 if IS_THOROUGH else 8

PATTERN = "[a-z ]{50,60}"
CONSTANT = {"const": "the capital of France is the capital of France"}


@pytest.fixture(scope="module")
def get(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Engine]:
    folder = write_stand_in(tmp_path_factory.mktemp("guided") / "models")

    @cache
    def load(drafter: str = "mtp", parallel: int = 1, placement: str = "gpu") -> Engine:
        target, assistant = (
            {f"{name}.gguf": folder / f"{name}.gguf"} for name in ("nano", "nano-assistant")
        )
        options = LoadOptions(drafter=drafter, parallel=parallel, placement=placement)
        beside = assistant if drafter == "mtp" else None
        return asyncio.run(load_engine(target, options, drafter_files=beside))

    return load


def request_of(fields: dict[str, Any]) -> GenerateRequest:
    return GenerateRequest.from_json({"prompt": "the", "max_tokens": 30, **fields})


def run(engine: Engine, **fields: Any) -> Generated:
    return asyncio.run(engine.generate(request_of(fields)))


class Watched:
    """A readback that says when it is waited for."""

    def __init__(self, readback: Any, name: str, log: list[tuple[str, str]]) -> None:
        self._readback, self._name, self._log = readback, name, log

    @property
    def times(self) -> Sequence[Any]:
        return self._readback.times

    def __await__(self) -> Generator[object, None, Sequence[int]]:
        self._log.append(("await", self._name))
        return (yield from self._readback.__await__())

    def discard(self) -> None:
        self._readback.discard()


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Callable[[Engine], list[tuple[str, str]]]:
    """Return what is submitted and waited for, in order, from now on."""

    def begin(engine: Engine) -> list[tuple[str, str]]:
        log: list[tuple[str, str]] = []
        submit = engine.decoder.submit

        def watched(plan: Any, *given: Any) -> Watched:
            log.append(("submit", plan.name))
            return Watched(submit(plan, *given), plan.name, log)

        monkeypatch.setattr(engine.decoder, "submit", watched)
        return log

    return begin


def check_order(log: list[tuple[str, str]]) -> list[str]:
    """Return what was submitted; nothing runs between a cycle's logits and its choices."""
    submitted = [name for verb, name in log if verb == "submit"]
    for before, after in itertools.pairwise(submitted):
        if before.startswith("forward"):
            assert after == before.replace("forward", "close")
        if before.startswith("given"):
            assert after == before.replace("given", "close")
        if before.startswith("draft"):
            assert after == before.replace("draft", "forward")
    return submitted


@pytest.mark.parametrize("draft_tokens", [0, 1, 3])
def test_the_next_logits_are_queued_before_choices_are_waited_for(get, watch, draft_tokens) -> None:
    engine = get()
    fields = {"regex": PATTERN, "draft_tokens": draft_tokens}
    run(engine, **fields)
    log = watch(engine)
    found = run(engine, **fields)
    assert len(found.tokens) == 30
    check_order(log)
    closings = [i for i, (verb, name) in enumerate(log) if (verb, name[:5]) == ("submit", "close")]
    assert len(closings) >= 5
    num_drafted = 0
    for at in closings[:-1]:
        # The last id of all needs no drafts.
        is_drafted = log[at + 1][1].startswith("draft")
        num_drafted += is_drafted
        opening = ["draft", "forward"] if is_drafted else ["given"]
        following = log[at + 1 : at + 1 + len(opening)]
        assert [verb for verb, _ in following] == ["submit"] * len(opening), following
        assert [name.split("-")[0] for _, name in following] == opening
        assert log[at + 1 + len(opening)] == ("await", log[at][1]), "the choices come first"
    assert num_drafted >= (len(closings) - 2 if draft_tokens else 0)
    # The first cycle alone was opened with nothing to wait for.
    logits = [name for verb, name in log if verb == "submit" and name[:5] in ("forwa", "given")]
    assert len(logits) == len(closings)


def test_readers_are_woken_behind_the_next_choices(get, watch, monkeypatch) -> None:
    engine = get()
    masks_for, cycles = Guide.masks_for, Stream.cycles
    log = watch(engine)

    async def slow(self: Guide, drafts: Sequence[int]) -> list[bytes]:
        for _ in range(20):  # others may run meanwhile, as beside a library in JavaScript
            await asyncio.sleep(0)
        return await masks_for(self, drafts)

    async def logged(self: Stream, on_wait: Callable[[], None]) -> AsyncGenerator[Cycle]:
        async for cycle in cycles(self, on_wait):
            log.append(("read", "cycle"))
            yield cycle

    monkeypatch.setattr(Guide, "masks_for", slow)
    monkeypatch.setattr(Stream, "cycles", logged)
    run(engine, regex=PATTERN, draft_tokens=0)
    check_order(log)
    # When choices are submitted, all passes before have come, the prompt's last one among them. The
    # last of these is not read yet.
    num_read, num_closed = 0, 0
    for verb, name in log:
        num_read += verb == "read"
        if verb == "submit" and name.startswith("close"):
            assert num_read <= num_closed
            num_closed += 1
    assert num_closed == 29
    assert num_read == 30


def test_forced_text_is_given_to_the_cycle_behind_the_one_that_runs(get, watch) -> None:
    engine = get()
    log = watch(engine)
    schema = {"type": "json_schema", "json_schema": {"name": "answer", "schema": CONSTANT}}
    found = run(engine, response_format=schema, draft_tokens=7)
    told = found.stats.constraint
    submitted = check_order(log)
    assert any(name.startswith("given-") and name != "given-0" for name in submitted)
    assert 0 < told["accepted_forced_tokens"] <= told["forced_tokens"]
    assert found.stats.cycles < len(found.tokens) - 1


def test_a_prompts_passes_run_between_cycles_and_both_go_on(get, watch, monkeypatch) -> None:
    engine = get("mtp", 2)
    slow_prompts(engine, monkeypatch)
    guided = request_of({"regex": "[a-z ]+", "max_tokens": 90, "draft_tokens": 0})
    long = request_of({"prompt": "of the capital " * 60, "max_tokens": 4, "draft_tokens": 0})

    async def both() -> None:
        first = asyncio.ensure_future(engine.generate(guided))
        for _ in range(10_000):
            if any(name.startswith("close") for _, name in log):
                break
            await asyncio.sleep(0)
        await engine.generate(long)
        await first

    log = watch(engine)
    asyncio.run(both())
    submitted = check_order(log)
    prompts = [i for i, name in enumerate(submitted) if name.startswith("prefill")][1:]
    assert len(prompts) >= 2
    for a, b in itertools.pairwise(prompts):
        assert any(name.startswith("close") for name in submitted[a:b]), submitted


@pytest.mark.parametrize("fields", [{"draft_tokens": 0}, {"draft_tokens": 3, "temperature": 1.2}])
def test_a_guided_answer_goes_on_wherever_it_was_cut(get, fields) -> None:
    engine, request = get(), request_of({"regex": PATTERN, "seed": 3, **fields})
    whole = asyncio.run(engine.generate(request))
    for cut in (1, 5, 29, 30):
        known = Resumption((WrittenCycle(tuple(whole.tokens[:cut])),))
        resumed = asyncio.run(engine.generate(request, resumption=known))
        assert (resumed.tokens, resumed.finish_reason) == (whole.tokens, whole.finish_reason), cut


def test_stats_say_that_one_cycle_is_in_flight_where_the_host_has_a_say(get) -> None:
    engine, free = get(), request_of({"run_ahead": 3, "max_tokens": 4})
    own_code = engine.own_code([lambda ids, logits: logits])
    assert asyncio.run(engine.generate(free)).stats.run_ahead == 3
    assert asyncio.run(engine.generate(free, own_code=own_code)).stats.run_ahead == 1
    assert run(engine, regex=PATTERN, run_ahead=3, max_tokens=4).stats.run_ahead == 1


@dataclass(frozen=True)
class Arrival:
    """A request among others.

    Attributes:
        fields: of the request.
        turns: of the event loop before it comes.
        cancelled_after: tokens after which it is aborted; None: not at all.
    """

    fields: tuple[tuple[str, Any], ...]
    turns: int
    cancelled_after: int | None


ANSWERS = st.one_of(
    st.sampled_from(
        [
            (),
            (("regex", PATTERN),),
            (("regex", "[a-z ]{3,9}"),),
            (("regex", "the capital of (France|the) is the capital"),),
            (("grammar", 'root ::= ("the capital " | "of ")+ "."'),),
        ]
    )
)

ARRIVALS = st.lists(
    st.builds(
        lambda answer, prompt, more, turns, after: Arrival((*answer, *prompt, *more), turns, after),
        ANSWERS,
        st.sampled_from([(("prompt", "the"),), (("prompt", "of the capital " * 20),)]),
        st.fixed_dictionaries(
            {
                "max_tokens": st.integers(1, 30),
                "draft_tokens": st.sampled_from([0, 1, 3, 7, "auto"]),
                "run_ahead": st.integers(1, 3),
                "temperature": st.sampled_from([0.0, 1.5]),
                "frequency_penalty": st.sampled_from([0.0, 0.0, 0.4]),
                "seed": st.integers(0, 9),
            }
        ).map(lambda fields: tuple(fields.items())),
        st.integers(0, 60),
        st.one_of(st.none(), st.none(), st.integers(0, 12)),
    ),
    min_size=2,
    max_size=8,
)


async def arrive(engine: Engine, arrival: Arrival) -> Generated:
    for _ in range(arrival.turns):
        await asyncio.sleep(0)
    told: list[int] = []
    limit = arrival.cancelled_after
    return await engine.generate(
        request_of(dict(arrival.fields)),
        lambda delta: told.extend(delta.tokens),
        lambda: limit is not None and len(told) >= limit,
    )


@pytest.mark.parametrize(
    ("drafter", "parallel", "placement"),
    [("mtp", 2, "gpu"), ("mtp", 8, "gpu"), ("ngram", 4, "gpu"), ("mtp", 4, "paged")],
)
def test_ids_do_not_depend_on_what_runs_beside_joins_or_leaves(
    get, monkeypatch, drafter, parallel, placement
) -> None:
    """Guided and free requests; with a paged table, rows are evicted all the time."""
    monkeypatch.setattr(gemma4_text, "num_cached_rows", lambda tensor, at_least: 256)
    monkeypatch.setattr(pager, "ROUND_TRIP_MS", math.inf)
    alone, together = get(), get(drafter, parallel, placement)
    plain: dict[tuple[tuple[str, Any], ...], Generated] = {}

    @settings(
        max_examples=NUM_SCHEDULES, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    @given(arrivals=ARRIVALS)
    def check(arrivals: list[Arrival]) -> None:
        async def all_of() -> list[Generated]:
            return await asyncio.gather(*(arrive(together, one) for one in arrivals))

        ended = asyncio.run(all_of())
        for arrival, found in zip(arrivals, ended, strict=True):
            key = arrival.fields
            if key not in plain:
                plain[key] = run(alone, **{**dict(key), "draft_tokens": 0, "run_ahead": 1})
            wanted = plain[key]
            if found.finish_reason == "abort":
                assert found.tokens == wanted.tokens[: len(found.tokens)], arrival
            else:
                assert found.tokens == wanted.tokens, arrival
                assert found.finish_reason == wanted.finish_reason, arrival

    check()
    assert not any(lane.is_taken for lane in together.decoder.lanes)
    if placement == "paged":
        assert together.decoder.pager.counts.misses > 0
