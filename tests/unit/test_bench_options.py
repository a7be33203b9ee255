"""`leadout bench`: contexts, sampling, drafting on real weights, profiles; over a fake runtime."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fake_bench import FakeRuntime, Run, a_load, a_profile, run_with
from leadout.errors import RequestError
from leadout_build import cli
from leadout_build.bench import drafting, measures
from leadout_build.bench.measures import Effort
from leadout_build.bench.profiles import profile_lines, profile_passes

TINY = Path(__file__).parents[1] / "vectors" / "gemma3-tiny" / "multi-query"
TINY_GEMMA4 = Path(__file__).parents[1] / "vectors" / "gemma4-tiny" / "e2b"
EFFORT = Effort((8, 64), 8, decode_tokens=4, cycle_tokens=12, warm_up_rounds=1, rounds=3)

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def bench_with(monkeypatch: pytest.MonkeyPatch) -> Run:
    return run_with(monkeypatch)


def test_cycles_are_timed_behind_every_context_with_every_sampling(
    bench_with: Run, capsys: Captured
) -> None:
    runtime = FakeRuntime()
    arguments = ("--context", "64,128", "--sampling", "page,greedy", "--draft-tokens", "3")
    bench_with(runtime, str(TINY), *arguments, "--rounds", "2", "--json")
    report = json.loads(capsys.readouterr().out)
    (drafter,) = report["drafters"]
    assert [(run["context_tokens"], run["sampling"]) for run in drafter["runs"]] == [
        (64, "page"),
        (64, "greedy"),
        (128, "page"),
        (128, "greedy"),
    ]
    for run in drafter["runs"]:
        assert [cycle["draft_tokens"] for cycle in run["cycles"]] == [0, 3]
        assert run["cycles"][0]["ms"]["runs"] == 2
    page = [request for request in runtime.requests if request.get("temperature") == 1.0]
    assert {(request["top_k"], request["top_p"]) for request in page} == {(64, 0.95)}
    assert {len(request["prompt_ids"]) for request in page} == {64, 128}
    # What is not measured is not compiled.
    assert runtime.options == [{"max_draft_tokens": 3}]


def test_a_long_context_is_loaded_for(bench_with: Run, capsys: Captured) -> None:
    runtime = FakeRuntime()
    runtime.error = RequestError("enough seen")
    seen: list[Any] = []
    runtime.load = lambda progress, kind, options: seen.append(options) or _raise(runtime)  # type: ignore[method-assign, func-returns-value]
    arguments = ("--shape", "e2b", "--context", "32000", "--prompt", "512", "--kv-dtype", "f16")
    bench_with(runtime, *arguments, exit_code=1)
    assert seen == [{"kv_dtype": "f16", "context_length": 32256}]
    assert cli.main(["bench", "--shape", "tiny", "--context", "32000"]) == 1
    assert "the model has at most 512" in capsys.readouterr().err


def _raise(runtime: FakeRuntime) -> Any:
    assert runtime.error is not None
    raise runtime.error


def test_made_up_weights_need_no_prefill_behind_a_context() -> None:
    runtime = FakeRuntime()
    info = a_load(is_shape=True).info
    measures.measure_cycles(
        runtime, EFFORT, 1000, info, [0], context_tokens=100, sampling="page", is_shape=True
    )
    assert runtime.assumed == runtime.requests[-1]["prompt_ids"]
    assert len(runtime.assumed) == 100


def test_prompts_that_were_asked_for_are_measured_or_refused() -> None:
    found = measures.measure_passes(FakeRuntime(), EFFORT, 1000, 4096, [300, 20])
    assert [entry["tokens"] for entry in found["prefill"]] == [20, 300]
    with pytest.raises(RequestError, match="--prompt has 300"):
        measures.measure_passes(FakeRuntime(), EFFORT, 1000, 256, [300, 20])


def test_more_drafts_than_were_loaded_for_are_refused() -> None:
    info = a_load().info | {"max_draft_tokens": 2}
    assert measures.wanted_drafts(info, [1], [2]) == [0, 2]
    with pytest.raises(RequestError, match="drafts at most 2"):
        measures.wanted_drafts(info, [1], [3])
    assert measures.wanted_drafts(a_load(drafter="none").info, [1, 4], [3]) == [0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--sampling", "best"], '"best"; wanted greedy or page'),
        (["--context", "0"], '"0"; wanted a whole number of at least 1'),
        (["--draft-tokens", "8"], '"8"; wanted 0 to 7'),
    ],
)
def test_bad_arguments_are_said(arguments: list[str], said: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit):
        cli.main(["bench", "nano", *arguments])
    assert said in capsys.readouterr().err


# ---- drafting on real weights ---------------------------------------------------------------


def test_texts_of_real_weights_are_compared_with_those_without_drafts(
    bench_with: Run, capsys: Captured
) -> None:
    runtime = FakeRuntime()
    bench_with(runtime, str(TINY_GEMMA4), "--drafter", "mtp", "--draft-tokens", "3", "--json")
    ((drafter),) = json.loads(capsys.readouterr().out)["drafters"]
    greedy, page = drafter["drafting"]
    assert (greedy["sampling"], page["sampling"]) == ("greedy", "page")
    plain, three, automatic = greedy["counts"]
    assert [entry["draft_tokens"] for entry in greedy["counts"]] == [0, 3, "auto"]
    assert plain["acceptance"] is None
    assert three["acceptance"] == round(1 / 3, 4)
    assert three["has_plain_ids"]
    assert automatic["ratio"]["runs"] == plain["tokens_per_s"]["runs"]
    seeds = {request["seed"] for request in runtime.requests if "seed" in request}
    assert len(seeds) > 1  # each round of sampling is another text


def test_ids_that_differ_are_said(bench_with: Run, capsys: Captured) -> None:
    runtime = FakeRuntime()
    runtime.tokens = lambda num_drafts: [1, 2, 3 + num_drafts]  # type: ignore[method-assign]
    bench_with(runtime, str(TINY_GEMMA4), "--drafter", "mtp", "--draft-tokens", "3")
    assert "NOT THE SAME ids" in capsys.readouterr().out


def test_nano_writes_the_page_s_first_brief() -> None:
    request = drafting.request_for("nano", a_load().info, 1000, True)
    assert [message["role"] for message in request["messages"]] == ["system", "user"]
    assert request["messages"][1]["content"].endswith("Write a brief.")
    assert "prompt_ids" in drafting.request_for("x", a_load().info, 1000, False)
    info = a_load().info | {"has_chat_template": False}
    assert set(drafting.request_for("x", info, 1000, True)) == {"prompt"}


# ---- profiles -------------------------------------------------------------------------------


def test_plain_steps_a_cycle_and_a_prefill_are_profiled() -> None:
    runtime = FakeRuntime()
    found = profile_passes(runtime, [0, 1, 3, 7], ["greedy", "page"], [512, 4000])
    assert [profile["sampling"] for profile in found] == ["greedy", "page"] * 2 + ["greedy"] * 2
    assert [request["context_tokens"] for request in runtime.profiled] == [
        512,
        512,
        4000,
        4000,
        512,
        512,
    ]
    assert runtime.profiled[4]["draft_tokens"] == 3
    assert (runtime.profiled[5]["kind"], runtime.profiled[5]["rows"]) == ("prefill", 256)
    assert len(profile_passes(FakeRuntime(), [0], ["greedy"], [512])) == 2


def test_cycles_of_several_lanes_are_profiled_where_they_are_measured() -> None:
    runtime = FakeRuntime()
    profile_passes(runtime, [0, 1, 3], ["greedy"], [512], parallel=8)
    several = [one["draft_tokens"] for one in runtime.profiled if one.get("parallel") == 8]
    assert several == [0, 1]


def test_a_profile_is_a_table(bench_with: Run, capsys: Captured) -> None:
    bench_with(FakeRuntime(), str(TINY), "--profile", "--draft-tokens", "1")
    out = capsys.readouterr().out
    assert "profile of cycle-0, 512 tokens before it, greedy: 5,900 us as it runs" in out
    assert "less the 6.5 us of an empty one" in out
    lines = [line.split() for line in out.splitlines() if "self_attn" in line]
    assert lines[0] == [
        "2800.0",
        "35",
        "80.00",
        "2802.0",
        "35.0",
        "kB",
        "25",
        "%",
        "layers.*.self_attn",
        "attention.tiles",
    ]


def test_a_clock_that_is_rounded_is_said() -> None:
    profile = {"sampling": "greedy", **a_profile(), "tick_us": 65.536}
    assert "rounded to 66 us" in list(profile_lines(profile))[1]
