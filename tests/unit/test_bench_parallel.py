"""`leadout bench --parallel`: several requests at once, over a runtime that is not there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from fake_bench import FakeRuntime, Run, run_with
from leadout_build.bench.measures import SAMPLINGS, Effort
from leadout_build.bench.parallel import (
    ACCEPTED_SHARE,
    expected_tokens,
    measure_parallel,
    parallel_parts,
)

EFFORT = Effort((8, 64), 8, decode_tokens=4, cycle_tokens=12, warm_up_rounds=1, rounds=3)

Captured = pytest.CaptureFixture[str]


class LanesRuntime(FakeRuntime):
    """Several streams share a cycle: 8 ms, 2 ms a draft and 1 ms a stream; no draft is accepted.

    Every round takes a tenth longer than the one before, as on a card that gets hot. The last of
    several streams takes a cycle more than the others.
    """

    def __init__(self) -> None:
        super().__init__()
        self.together: list[list[Mapping[str, Any]]] = []
        self.num_assumed = 0

    def assume(self, ids: list[int]) -> None:
        super().assume(ids)
        self.num_assumed += 1

    def generate_together(self, requests: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        self.together.append(list(requests))
        number, num_drafts = len(requests), requests[0]["draft_tokens"]
        rounds = sum(
            len(one) == number and one[0]["draft_tokens"] == num_drafts for one in self.together
        )
        ms = (8.0 + 2.0 * num_drafts + number) * (1 + 0.1 * (rounds - 1))
        decoded = requests[0]["max_tokens"] - 1
        found = []
        for i in range(number):
            cycles = decoded + (number > 1 and i == number - 1)
            stats = {"decode_ms": ms * cycles, "cycles": cycles, "decode_tokens": decoded}
            found.append({"tokens": [7], "stats": stats})
        return found


def measured(
    runtime: LanesRuntime,
    streams: Sequence[int] = (1, 2, 4),
    num_drafts: Sequence[int] = (0, 1),
    **options: Any,
) -> dict[tuple[int, int], dict[str, Any]]:
    """Return the entries, by streams and drafts."""
    options = {"context_tokens": 8, "sampling": "greedy"} | options
    entries = measure_parallel(runtime, EFFORT, 1000, streams, num_drafts, **options)
    return {(entry["streams"], entry["draft_tokens"]): entry for entry in entries}


def test_every_case_is_measured_in_every_round_with_a_seed_a_stream() -> None:
    runtime = LanesRuntime()
    entries = measured(runtime)
    cases = [(1, 0), (1, 1), (2, 0), (2, 1), (4, 0), (4, 1)]
    assert list(entries) == cases
    num_rounds = EFFORT.warm_up_rounds + EFFORT.rounds
    asked = [(len(requests), requests[0]["draft_tokens"]) for requests in runtime.together]
    assert asked == cases * num_rounds  # the cases take turns, so that a hot card slows all alike
    for requests in runtime.together:
        assert [request["seed"] for request in requests] == list(range(len(requests)))
        assert len({request["max_tokens"] for request in requests}) == 1
        assert all(request["ignore_eos"] for request in requests)
        assert len({tuple(request["prompt_ids"]) for request in requests}) == 1
    assert runtime.num_assumed == 0


def test_a_cycles_time_is_the_median_of_rounds_that_count() -> None:
    entries = measured(LanesRuntime())
    # Behind one round of warm-up, rounds take 1.1, 1.2 and 1.3 times as long.
    plain, two = entries[1, 0]["ms"], entries[2, 1]["ms"]
    assert plain == pytest.approx({"median": 10.8, "low": 9.9, "high": 11.7, "runs": 3})
    assert two == pytest.approx({"median": 14.4, "low": 13.2, "high": 15.6, "runs": 3})


def test_tokens_of_all_streams_count_until_the_last_has_ended() -> None:
    runtime = LanesRuntime()
    entries = measured(runtime)
    tokens = runtime.together[0][0]["max_tokens"] - 1
    assert entries[1, 0]["tokens_per_s"]["median"] == pytest.approx(1000 / 10.8, rel=1e-4)
    seconds = (tokens + 1) * 12.0 * 1.2 / 1000  # four streams, 12 ms, and one cycle more
    four = entries[4, 0]["tokens_per_s"]["median"]
    assert four == pytest.approx(4 * tokens / seconds, rel=1e-4)
    each = entries[4, 0]["tokens_per_s_each"]["median"]
    assert each == pytest.approx(1000 / (12.0 * 1.2), rel=1e-4)  # of three, no cycle more


def test_ratios_are_to_one_plain_stream_of_the_same_round() -> None:
    runtime = LanesRuntime()
    entries = measured(runtime)
    assert entries[1, 0]["ratio"] == {"median": 1.0, "low": 1.0, "high": 1.0, "runs": 3}
    four = entries[4, 0]["ratio"]
    # Rounds differ by a fifth, their ratios not at all.
    assert four["low"] == four["median"] == four["high"]
    tokens = runtime.together[0][0]["max_tokens"] - 1
    assert four["median"] == pytest.approx(4 * 9 / 12 * tokens / (tokens + 1), rel=1e-4)


def test_what_made_up_weights_would_bring_is_told_for_accepted_drafts() -> None:
    assert expected_tokens(0) == 1.0
    assert expected_tokens(3, 0.5) == 1.875
    assert expected_tokens(1) == 1 + ACCEPTED_SHARE
    entries = measured(LanesRuntime())
    told = entries[4, 1]["tokens_per_s_at_65"]
    assert told == pytest.approx(1000 * 4 * 1.65 / (14.0 * 1.2), rel=1e-3)


def test_what_no_cycle_of_several_streams_drafts_is_left_out() -> None:
    entries = measured(LanesRuntime(), streams=(8, 2, 2), num_drafts=(5, 3, 2))
    # Plain cycles and one stream are always there, to compare with.
    assert list(entries) == [(1, 0), (1, 3), (2, 0), (2, 3), (8, 0), (8, 3)]


def test_a_shape_assumes_its_prompt_before_every_case() -> None:
    runtime = LanesRuntime()
    measured(runtime, streams=(2,), num_drafts=(0,), is_shape=True)
    assert runtime.num_assumed == len(runtime.together)
    assert runtime.together[0][0]["prompt_ids"] == runtime.assumed


@pytest.mark.parametrize("sampling", sorted(SAMPLINGS))
def test_all_streams_sample_alike(sampling: str) -> None:
    runtime = LanesRuntime()
    measured(runtime, sampling=sampling)
    (request, *_) = runtime.together[-1]
    assert {name: request[name] for name in SAMPLINGS[sampling]} == SAMPLINGS[sampling]


def test_people_read_speed_as_it_came_or_as_it_would_come() -> None:
    entries = measured(LanesRuntime())
    plain, drafted = parallel_parts(entries[2, 0]), parallel_parts(entries[2, 1])
    assert plain[0] == "  2 at once, 0 drafted: 12 (11 to 13, 3 runs) ms a cycle"
    assert "tokens/s in all" in plain[1]
    assert plain[2] == f"{entries[2, 0]['tokens_per_s_each']['median']:.4g} each"
    assert plain[3] == f"× {entries[2, 0]['ratio']['median']:.3f}"
    told = entries[2, 1]["tokens_per_s_at_65"]
    assert drafted[1:] == [f"{told:.4g} tokens/s if 65 % are accepted"]


@pytest.fixture
def bench_with(monkeypatch: pytest.MonkeyPatch) -> Run:
    return run_with(monkeypatch)


def test_the_command_loads_for_the_most_streams_and_reports_all(
    bench_with: Run, capsys: Captured
) -> None:
    runtime = LanesRuntime()
    arguments = ["--shape", "e2b", "--parallel", "2,4", "--rows", "1,4", "--rounds", "1"]
    bench_with(runtime, *arguments, "--sampling", "greedy", "--json")
    report = json.loads(capsys.readouterr().out)
    assert {options["parallel"] for options in runtime.options} == {4}
    kinds = {drafter["kind"]: drafter["runs"][0] for drafter in report["drafters"]}
    cases = [(entry["streams"], entry["draft_tokens"]) for entry in kinds["mtp"]["parallel"]]
    assert cases == [(1, 0), (1, 3), (2, 0), (2, 3), (4, 0), (4, 3)]
    assert "parallel" not in kinds["ngram"]  # what it costs says nothing new


def test_the_table_has_a_line_for_every_case(bench_with: Run, capsys: Captured) -> None:
    arguments = ["--shape", "e2b", "--parallel", "2", "--rows", "1", "--rounds", "1"]
    bench_with(LanesRuntime(), *arguments, "--sampling", "greedy")
    lines = capsys.readouterr().out.splitlines()
    told = [line for line in lines if "at once" in line]
    assert len(told) == 2
    assert told[0].lstrip().startswith("parallel")
    assert "2 at once, 0 drafted" in told[1]


def test_without_the_option_one_request_runs_at_a_time(bench_with: Run, capsys: Captured) -> None:
    runtime = LanesRuntime()
    arguments = ["--shape", "e2b", "--rows", "1", "--rounds", "1", "--sampling", "greedy"]
    bench_with(runtime, *arguments, "--json")
    assert runtime.together == []
    assert all("parallel" not in options for options in runtime.options)
    report = json.loads(capsys.readouterr().out)
    assert all("parallel" not in run for one in report["drafters"] for run in one["runs"])
