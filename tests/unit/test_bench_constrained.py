"""`leadout bench --constrained`: free and constrained answers, over a runtime that is not there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from fake_bench import FakeRuntime, Run, run_with
from leadout_build.bench.constrained import SCHEMA, constrained_parts, measure_constrained
from leadout_build.bench.measures import SAMPLINGS, Effort

EFFORT = Effort((8, 64), 8, decode_tokens=4, cycle_tokens=12, warm_up_rounds=1, rounds=3)


class MaskingRuntime(FakeRuntime):
    """A constrained token takes half as long again; of four forced drafts three are accepted."""

    def __init__(self, wrong_ids_at: int | None = None) -> None:
        super().__init__()
        self.num_assumed = 0
        self.wrong_ids_at = wrong_ids_at

    def assume(self, ids: list[int]) -> None:
        super().assume(ids)
        self.num_assumed += 1

    def generate(self, request: Mapping[str, Any]) -> dict[str, Any]:
        found = super().generate(request)
        stats, k = found["stats"], request["draft_tokens"]
        stats["decode_ms"], stats["constraint"] = 4.0 * stats["decode_tokens"], None
        if "response_format" in request:
            stats["decode_ms"] *= 1.5
            forced = {"forced_tokens": 4 if k else 0, "accepted_forced_tokens": 3 if k else 0}
            stats["constraint"] = {"host_ms": 0.5 * stats["decode_tokens"], **forced}
        found["tokens"] = [request.get("seed", 0), 9 if k == self.wrong_ids_at else 8]
        return found


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command over such a runtime."""
    return run_with(monkeypatch)


def measured(runtime: MaskingRuntime, *, is_shape: bool = False) -> list[dict[str, Any]]:
    return measure_constrained(
        runtime, EFFORT, 512, [0, 3], context_tokens=64, sampling="page", is_shape=is_shape
    )


def test_a_token_of_each_kind_is_compared_within_its_round() -> None:
    plain, drafted = measured(MaskingRuntime())
    assert (plain["draft_tokens"], drafted["draft_tokens"]) == (0, 3)
    for entry in (plain, drafted):
        assert entry["free_ms"]["median"] == 4.0
        assert entry["ms"]["median"] == 6.0
        assert entry["ratio"] == {"median": 1.5, "low": 1.5, "high": 1.5, "runs": 3}
        assert entry["host_ms"]["median"] == 0.5
        assert entry["same_ids"]
    assert plain["accepted_forced_share"] is None
    assert drafted["accepted_forced_share"] == 0.75
    assert "× 1.500" in constrained_parts(drafted)
    assert "75 % of forced ones accepted" in constrained_parts(drafted)


def test_free_and_constrained_requests_take_turns_and_differ_in_that_alone() -> None:
    runtime = MaskingRuntime()
    measured(runtime, is_shape=True)
    assert runtime.num_assumed == len(runtime.requests) == 2 * 2 * 4
    for free, kept in zip(runtime.requests[::2], runtime.requests[1::2], strict=True):
        assert {name for name in free if kept.get(name) != free[name]} == {"ignore_eos"}
        assert kept["response_format"]["json_schema"]["schema"] is SCHEMA
        assert free["temperature"] == SAMPLINGS["page"]["temperature"]


def test_other_ids_are_not_passed_over() -> None:
    plain, drafted = measured(MaskingRuntime(wrong_ids_at=3))
    assert plain["same_ids"]
    assert not drafted["same_ids"]
    assert "OTHER IDS" in constrained_parts(drafted)


def test_the_command_tells_of_it(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--shape", "tiny", "--constrained", "--draft-tokens", "1", "--drafter", "mtp")
    opened = run(MaskingRuntime(), *options, "--json")
    report = json.loads(capsys.readouterr().out)
    for runs in report["drafters"][0]["runs"]:
        assert [entry["draft_tokens"] for entry in runs["constrained"]] == [0, 1]
    assert opened[0][1].has_vocabulary, "a shape has none of its own"
