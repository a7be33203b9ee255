"""Several requests at once: whatever runs beside one, its ids are those of running alone."""

import asyncio
import itertools
from collections.abc import Callable, Generator, Sequence

import pytest
from hypothesis import HealthCheck, given, settings

from engine_cases import generated, load
from leadout.devices.base import CompiledPlan, PassTimes, Readback
from leadout.devices.numpy import NumpyDevice, NumpyReadback
from leadout.devices.numpy_ops import Memory
from leadout.errors import DeviceError
from leadout.ops import Attention
from leadout.request import GenerateRequest
from leadout.sampling import Sampling
from leadout.state import ROW_VALID
from session_cases import Arrival, arrivals, check_arrivals, slow_prompts
from speculation_cases import Case, pair_files
from thoroughness import IS_THOROUGH

#: Schedules of several requests drawn per engine; a thousand for all three.
NUM_SCHEDULES = 334 if IS_THOROUGH else 8


class CoveringDevice(NumpyDevice):
    """A device on which a pass fails that is submitted for fewer positions than its rows have.

    What a prefill's kernels do does not depend on that number.
    """

    def __init__(self) -> None:
        super().__init__()
        self.num_positions = 0
        attention = self._meanings[Attention]

        def checked(op: Attention, memory: Memory) -> None:
            table = memory.view(op.rows.table).reshape(-1, 4)
            positions = table[table[:, 3] & ROW_VALID != 0, 1]
            is_covered = op.rows.is_prefill or (positions < self.num_positions).all()
            assert is_covered, f"{positions} in a pass for {self.num_positions}"
            attention(op, memory)

        self._meanings[Attention] = checked

    def submit(self, compiled: CompiledPlan, num_positions: int = 0) -> NumpyReadback:
        self.num_positions = num_positions
        return super().submit(compiled, num_positions)


@pytest.fixture(scope="module")
def engines():
    """Loaded engines by (pair, drafter, parallel), each loaded once."""
    made = {}

    async def get(name: str, drafter: str, parallel: int = 1):
        key = (name, drafter, parallel)
        if key not in made:
            target, assistant = pair_files(name)
            files = assistant if drafter == "mtp" else None
            device = CoveringDevice()
            made[key] = await load(device, target, files, drafter=drafter, parallel=parallel)
        return made[key]

    return get


@pytest.mark.parametrize(
    ("name", "drafter", "parallel"),
    [("trained-e2b", "mtp", 2), ("trained-e2b", "mtp", 8), ("trained-31b", "ngram", 4)],
)
def test_ids_do_not_depend_on_what_runs_beside_joins_or_leaves(
    engines, name, drafter, parallel
) -> None:
    plain: dict[Case, list[int]] = {}

    @settings(
        max_examples=NUM_SCHEDULES, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    @given(schedule=arrivals())
    def check(schedule: list[Arrival]) -> None:
        asyncio.run(check_all(schedule))

    async def check_all(schedule: list[Arrival]) -> None:
        alone, together = await engines(name, drafter), await engines(name, drafter, parallel)
        await check_arrivals(alone, together, schedule, plain)

    check()


def request(prompt: list[int], **fields: object) -> GenerateRequest:
    return GenerateRequest.from_json({"prompt_ids": prompt, "ignore_eos": True, **fields})


async def until(is_so: Callable[[], bool]) -> None:
    for _ in range(10_000):
        if is_so():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never was")


def a_prompt(length: int, first: int = 3) -> list[int]:
    return [2, *(3 + (first + 7 * i) % 90 for i in range(length - 1))]


@pytest.mark.parametrize("lengths", [(10, 70, 20), (70, 20, 10), (10, 20, 70)])
async def test_a_cycle_has_positions_enough_for_its_longest_lane(engines, lengths) -> None:
    engine = await engines("trained-e2b", "mtp", 4)
    prompts = [a_prompt(length) for length in lengths]
    together = (generated(engine, one, max_tokens=8, draft_tokens=1) for one in prompts)
    assert [len(ids) for ids in await asyncio.gather(*together)] == [8, 8, 8]


async def test_more_requests_than_lanes_wait_and_are_served_in_order(engines) -> None:
    engine = await engines("trained-e2b", "mtp", 2)
    began: list[int] = []

    async def one(number: int) -> None:
        def note(delta) -> None:
            if number not in began:
                began.append(number)

        await engine.generate(request([2, 9, number + 3], max_tokens=12), note)

    await asyncio.gather(*(one(number) for number in range(6)))
    assert sorted(began[:2]) == [0, 1]
    assert sorted(began) == list(range(6))
    assert began.index(5) > began.index(2)


@pytest.mark.parametrize("num_prompts", [1, 2])
@pytest.mark.parametrize("run_ahead", [1, 3, 8])
async def test_long_prompts_do_not_hold_up_a_stream_that_runs(
    engines, monkeypatch, run_ahead, num_prompts
) -> None:
    engine = await engines("trained-e2b", "mtp", 8)
    engine.decoder.admission.forget()
    slow_prompts(engine, monkeypatch)
    submitted: list[str] = []
    submit = engine.decoder.submit
    monkeypatch.setattr(
        engine.decoder,
        "submit",
        lambda plan, *given: (submitted.append(plan.name), Later(submit(plan, *given)))[1],
    )
    running = asyncio.ensure_future(
        engine.generate(request([2, 9, 11], max_tokens=60, draft_tokens=0, run_ahead=run_ahead))
    )
    await until(lambda: any(name.startswith("cycle") for name in submitted))
    long = [request(a_prompt(150, 3 + i), max_tokens=1) for i in range(num_prompts)]
    await asyncio.gather(*(engine.generate(one) for one in long))
    await running
    prompts = [i for i, name in enumerate(submitted) if name.startswith("prefill")][1:]
    assert len(prompts) == 5 * num_prompts, "no pass takes longer than 100 ms"
    assert all(b > a + 1 for a, b in itertools.pairwise(prompts)), submitted


class Later:
    """A readback that is waited for while readers run, as a GPU's is."""

    def __init__(self, readback: Readback) -> None:
        self.readback = readback

    @property
    def times(self) -> Sequence[PassTimes]:
        return self.readback.times

    def __await__(self) -> Generator[object, None, Sequence[int]]:
        for _ in range(5):
            yield
        return (yield from self.readback.__await__())

    def discard(self) -> None:
        self.readback.discard()


async def test_a_lane_that_knows_the_prompt_is_taken(engines) -> None:
    engine = await engines("trained-e2b", "mtp", 4)
    prompts = [a_prompt(40, first) for first in (3, 17, 31)]
    await asyncio.gather(*(engine.generate(request(one, max_tokens=4)) for one in prompts))
    for prompt in reversed(prompts):
        result = await engine.generate(request([*prompt, 5, 6], max_tokens=4))
        assert result.stats.cached_tokens == len(prompt)


async def test_drafts_are_counted_for_those_that_asked_for_them(engines) -> None:
    """Rows are shared: beside a stream with drafts, one without has as many."""
    engine = await engines("trained-e2b", "mtp", 2)
    plain, drafted = await asyncio.gather(
        engine.generate(request([2, 9, 11], max_tokens=40, drafter="none")),
        engine.generate(request([2, 9, 12], max_tokens=40, draft_tokens=3)),
    )
    assert drafted.stats.drafted_tokens > 0
    assert plain.stats.cycles < 39, "it took part in what was drafted"
    assert (plain.stats.drafted_tokens, plain.stats.accepted_tokens) == (0, 0)


async def test_a_device_that_fails_fails_all_streams_and_then_serves_again(
    engines, monkeypatch
) -> None:
    engine = await engines("trained-e2b", "mtp", 2)
    wanted = await generated(engine, [2, 9, 11], max_tokens=20)
    submit, count = engine.decoder.submit, 0

    def fails(plan, *given):
        nonlocal count
        count += 1
        if count == 9:
            raise DeviceError("it broke")
        return submit(plan, *given)

    monkeypatch.setattr(engine.decoder, "submit", fails)
    both = [engine.generate(request([2, 9, 11], max_tokens=20, draft_tokens=0)) for _ in range(2)]
    ended = await asyncio.gather(*both, return_exceptions=True)
    assert [str(one) for one in ended] == ["it broke"] * 2
    monkeypatch.undo()
    assert await generated(engine, [2, 9, 11], max_tokens=20) == wanted


async def test_a_score_waits_for_streams_and_streams_wait_for_it(engines) -> None:
    engine = await engines("trained-e2b", "mtp", 2)
    wanted = await generated(engine, [2, 9, 11], max_tokens=30)
    first = asyncio.ensure_future(generated(engine, [2, 9, 11], max_tokens=30))
    await asyncio.sleep(0)

    async def score() -> list[bytes]:
        return [bytes(chunk) async for chunk in engine.score([2, 9, 11, 40])]

    scored = asyncio.ensure_future(score())
    await asyncio.sleep(0)
    assert await generated(engine, [2, 9, 11], max_tokens=30) == wanted
    assert first.done(), "the score waited for it"
    assert scored.done(), "it came before"
    assert await first == wanted
    assert len(await scored) == 1


async def test_a_stream_that_nobody_reads_stops_and_leaves_its_lane(engines) -> None:
    engine = await engines("trained-e2b", "mtp", 2)
    decoder = engine.decoder
    schedule = engine.model.schedule()
    stream = decoder.run([2, 9, 11], Sampling(), 400, 1, lambda: False, schedule)
    await anext(stream)
    # It takes no part while nobody asks for more; the other one is served.
    wanted = await generated(engine, [2, 40, 11], max_tokens=30)
    assert len(wanted) == 30
    await stream.aclose()
    assert not any(lane.is_taken for lane in decoder.lanes)


async def test_a_request_that_waits_for_a_lane_is_aborted_though_nothing_runs(engines) -> None:
    engine = await engines("trained-e2b", "none")
    schedule = engine.model.schedule()
    unread = engine.decoder.run([2, 9, 11], Sampling(), 400, 1, lambda: False, schedule)
    await anext(unread)
    is_aborted = False
    waiting = asyncio.ensure_future(engine.generate(request([2, 9]), is_aborted=lambda: is_aborted))
    for _ in range(20):
        await asyncio.sleep(0)
    is_aborted = True
    found = await asyncio.wait_for(waiting, 20)
    assert (found.tokens, found.finish_reason) == ([], "abort")
    await unread.aclose()
