"""`leadout bench`: its arithmetic, its table and its refusals, over a runtime that is not there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import fake_bench
from fake_bench import CYCLE_MS, FakeRuntime, Run, a_load, fake_cycle_ms, run_with
from leadout.errors import DeviceLostError, LeadoutError, RequestError
from leadout_build import cli
from leadout_build.bench import figures, measures, node, runtime, table
from leadout_build.bench.measures import Effort, Spread, Timed
from leadout_build.cli import bench as command

VECTORS = Path(__file__).parents[1] / "vectors"
TINY = VECTORS / "gemma3-tiny" / "multi-query"
TINY_GEMMA4 = VECTORS / "gemma4-tiny" / "e2b"
EFFORT = Effort((8, 64), 8, decode_tokens=4, cycle_tokens=12, warm_up_rounds=1, rounds=3)

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def bench_with(monkeypatch: pytest.MonkeyPatch) -> Run:
    return run_with(monkeypatch)


def test_a_spread_has_the_median_and_both_ends() -> None:
    assert Spread.of([3.0, 1.0, 8.0, 2.0]) == Spread(2.5, 1.0, 8.0, 4)
    assert Spread.of([3.0, 1.0, 8.0, 2.0]).shown() == "2.5 (1 to 8, 4 runs)"
    assert Spread.of([0.123456]).shown() == "0.1235"


def test_loading_is_timed_from_the_first_byte_to_the_last() -> None:
    load = figures.load_figures(a_load())["load"]
    assert load["bytes"] == 200_000_000
    assert load["mb_per_s"] == 200.0  # 200 MB in the second from 200 to 1200 ms
    assert (load["compiling_kernels_ms"], load["warming_up_ms"]) == (300, 250)


def test_weights_that_are_made_up_have_no_bytes_read() -> None:
    load = figures.load_figures(a_load(is_shape=True))["load"]
    assert (load["bytes"], load["mb_per_s"], load["weights_ms"]) == (None, None, None)
    assert load["loading_weights_ms"] == 1100


def test_heap_growth_is_from_the_start_of_the_load_and_the_peak_from_before() -> None:
    memory = figures.load_figures(a_load())["memory"]
    assert memory["js_heap_growth_bytes"] == 32_000_000
    assert memory["js_heap_peak_bytes"] == 90_000_000
    assert memory["gpu_peak_bytes"] == 310_000_000


@pytest.mark.parametrize("samples", [[], [(10, 5)], [(500, 5)]])
def test_heap_growth_is_unknown_without_a_sample_on_both_sides(samples: object) -> None:
    memory = figures.load_figures(a_load(samples=samples))["memory"]
    assert memory["js_heap_growth_bytes"] is None


def test_every_size_and_run_ahead_is_measured_in_every_round() -> None:
    runtime = FakeRuntime()
    figures = measures.measure_passes(runtime, EFFORT, 1000, 4096)
    assert [entry["tokens"] for entry in figures["prefill"]] == [8, 64]
    assert [entry["run_ahead"] for entry in figures["decode"]] == [1, 2, None]
    for entry in figures["prefill"] + figures["decode"]:
        assert entry["tokens_per_s"]["runs"] == EFFORT.rounds
    assert figures["prefill"][0]["tokens_per_s"]["median"] == 100.0
    num_rounds = EFFORT.warm_up_rounds + EFFORT.rounds
    assert len(runtime.requests) == 2 + num_rounds * (2 + 3)
    assert all(request["ignore_eos"] for request in runtime.requests)
    assert {request["draft_tokens"] for request in runtime.requests} == {0}


def test_warm_up_rounds_do_not_count() -> None:
    runtime = FakeRuntime()
    figures = measures.measure_passes(runtime, EFFORT, 1000, 4096)
    # The fake slows down with each request, so the fastest that counts is not of the first round.
    assert figures["decode"][0]["tokens_per_s"]["high"] == round(10 / (2 + 5 + 3), 4)


def test_ratios_compare_within_a_round() -> None:
    assert measures.ratios([3.0, 2.0], [2.0, 1.0]) == [1.5, 2.0]
    figures = measures.measure_passes(FakeRuntime(), EFFORT, 1000, 4096)
    assert figures["decode"][0]["ratio"] == {"median": 1.0, "low": 1.0, "high": 1.0, "runs": 3}
    assert 1 < figures["decode"][1]["ratio"]["median"] < 2


@pytest.mark.parametrize("submits_per_step", [1, 3])
def test_submits_of_the_prompt_are_not_a_step_s(submits_per_step: int) -> None:
    runtime = FakeRuntime(submits_per_step=submits_per_step)
    figures = measures.measure_passes(runtime, EFFORT, 1000, 4096)
    assert figures["submits_per_step"] == submits_per_step


def test_prompts_that_do_not_fit_are_left_out_or_refused() -> None:
    figures = measures.measure_passes(FakeRuntime(), EFFORT, 1000, 64)
    assert figures["effort"]["prefill_tokens"] == [8]
    with pytest.raises(RequestError, match="context of 12 tokens is too short"):
        measures.measure_passes(FakeRuntime(), EFFORT, 1000, 12)


def test_prompts_are_always_the_same_ids_of_the_vocabulary() -> None:
    ids = measures.prompt_ids(256, 300)
    assert ids == measures.prompt_ids(256, 300)
    assert len(ids) == 256
    assert 0 <= min(ids) <= max(ids) < 300
    assert len(set(ids)) > 200


def test_no_prompt_begins_like_another_one_that_may_be_in_the_cache() -> None:
    runtime = FakeRuntime()
    measures.measure_passes(runtime, EFFORT, 1000, 4096)
    firsts = [request["prompt_ids"][0] for request in runtime.requests]
    assert len(set(firsts)) == len(firsts)


# ---- cycles ---------------------------------------------------------------------------------


def cycles_of(runtime: FakeRuntime, rows: list[int], drafter: str = "mtp") -> list[dict[str, Any]]:
    info = runtime.load(lambda loaded, total: None, drafter).info
    counts = measures.wanted_drafts(info, rows, None)
    return measures.measure_cycles(runtime, EFFORT, 1000, info, counts, context_tokens=8)


def test_a_cycle_s_time_is_free_of_how_a_generation_begins_and_ends() -> None:
    for cycle in cycles_of(FakeRuntime(), [1, 2, 4, 8]):
        k = cycle["draft_tokens"]
        wanted = fake_cycle_ms(k)
        assert cycle["ms"] == {"median": wanted, "low": wanted, "high": wanted, "runs": 3}
        assert cycle["ratio"]["median"] == round(wanted / 10, 4)
        assert cycle["accepted_per_cycle"] == min(k, 1)
        assert cycle["tokens_per_s"]["median"] == round(1000 * (1 + min(k, 1)) / wanted, 4)


@pytest.mark.parametrize(
    ("rows", "counts"),
    [([1], [0]), ([2], [0, 1]), ([4], [0, 2, 3]), ([1, 8], [0, 5, 7]), ([1, 2, 4, 8], None)],
)
def test_cycles_are_chosen_by_their_rows_and_plain_ones_always(
    rows: list[int], counts: list[int] | None
) -> None:
    runtime = FakeRuntime()
    cycles = cycles_of(runtime, rows)
    wanted = counts or [0, 1, 2, 3, 5, 7]
    assert [cycle["draft_tokens"] for cycle in cycles] == wanted
    assert {request["draft_tokens"] for request in runtime.requests} == set(wanted)
    assert all(request["ignore_eos"] for request in runtime.requests)


def test_without_a_drafter_there_are_plain_cycles_alone() -> None:
    cycles = cycles_of(FakeRuntime(), [1, 2, 4, 8], drafter="none")
    assert [(cycle["draft_tokens"], cycle["rows"]) for cycle in cycles] == [(0, 1)]
    assert measures.draft_ms(cycles) is None


def test_where_everything_runs_through_the_widest_variant_all_cycles_have_its_rows() -> None:
    cycles = cycles_of(FakeRuntime(self_test="widest"), [8])
    assert [cycle["rows"] for cycle in cycles] == [8] * 6


def test_a_draft_s_cost_is_seen_between_cycles_of_as_many_rows() -> None:
    cycles = cycles_of(FakeRuntime(), [1, 2, 4, 8])
    assert measures.draft_ms(cycles) == 2.0
    found = figures.cycle_figures(cycles)
    for cycle in found["cycles"]:
        k, rows = cycle["draft_tokens"], cycle["rows"]
        assert cycle["verify_ms"] == 10.0 + rows - 1
        assert cycle["break_even_tokens"] == round(fake_cycle_ms(k) / 10, 4)
        assert cycle["can_pay"] is (k > 0 and fake_cycle_ms(k) < 10 * (1 + k))


def test_too_few_cycles_are_taken_as_they_are() -> None:
    stats = {"cycles": 4, "decode_ms": 80.0, "decode_tokens": 8, "accepted_tokens": 4}
    assert Timed.between(stats, stats) == Timed(20.0, 100.0, 1.0)


def test_a_context_too_short_for_cycles_is_refused() -> None:
    info = a_load().info | {"context_length": 24}
    with pytest.raises(RequestError, match="context of 24 tokens is too short"):
        measures.measure_cycles(FakeRuntime(), EFFORT, 1000, info, [0], context_tokens=8)


# ---- the command ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("adapter", "expected"),
    [("SwiftShader", True), ("llvmpipe (LLVM 19)", True), ("NVIDIA H100", False), ("Apple", False)],
)
def test_software_adapters_are_known_by_name(adapter: str, expected: bool) -> None:
    assert table.is_software(adapter) is expected


def test_json_is_one_object_with_every_figure(bench_with: Run, capsys: Captured) -> None:
    arguments = ("--runtime", "node", "--rows", "1,2", "--json")
    ((name, subject),) = bench_with(runtime := FakeRuntime(), str(TINY), *arguments)
    assert (name, subject.name, subject.has_drafter) == ("node", str(TINY), False)
    assert runtime.loads == ["ngram"]
    report = json.loads(capsys.readouterr().out)
    assert report["adapter"] == "NVIDIA H100"
    assert report["versions"] == {"leadout": "1.2", "fake": "3"}
    assert report["dispatches_per_layer"] == round(18 / report["num_layers"], 2)
    assert report["submits_per_step"] == 1
    assert report["effort"]["rounds"] == command.FULL_EFFORT.rounds
    assert {"load", "memory", "prefill", "decode", "machine"} <= set(report)
    assert report["step"]["ms"] == 10.0
    assert report["step"]["read_gb_per_s"] == round(report["step"]["read_bytes"] / 1e7, 2)
    (drafter,) = report["drafters"]
    assert [(run["context_tokens"], run["sampling"]) for run in drafter["runs"]] == [
        (command.FULL_EFFORT.context_tokens, "greedy"),
        (command.FULL_EFFORT.context_tokens, "page"),
    ]
    for run in drafter["runs"]:
        assert [cycle["draft_tokens"] for cycle in run["cycles"]] == [0, 1]
    assert drafter["cycle_ms_at_load"] == CYCLE_MS


def test_a_model_with_a_drafter_is_loaded_with_each_that_there_is(
    bench_with: Run, capsys: Captured
) -> None:
    ((_, subject),) = bench_with(runtime := FakeRuntime(), str(TINY_GEMMA4), "--json")
    assert runtime.loads == ["mtp", "ngram"]
    message = subject.load_message("mtp")
    assert message["options"] == {"drafter": "mtp"}
    for role, folder in (("model", "e2b"), ("drafter", "e2b-assistant")):
        urls = [ref["url"] for ref in message[role]["files"]]
        assert urls
        assert all(f"/{folder}/" in url for url in urls)
    assert subject.load_message("ngram")["drafter"] is None
    mtp, ngram = json.loads(capsys.readouterr().out)["drafters"]
    assert (mtp["kind"], ngram["kind"]) == ("mtp", "ngram")
    assert mtp["draft_reads"]["total_bytes"] > mtp["draft_reads"]["head_bytes"] > 0
    assert ngram["draft_reads"] is None


@pytest.mark.parametrize("drafter", ["none", "mtp", "ngram"])
def test_one_drafter_can_be_asked_for(drafter: str, bench_with: Run) -> None:
    bench_with(runtime := FakeRuntime(), str(TINY_GEMMA4), "--drafter", drafter)
    assert runtime.loads == [drafter]


def test_the_table_says_each_thing_once(bench_with: Run, capsys: Captured) -> None:
    ((name, _),) = bench_with(FakeRuntime("SwiftShader"), str(TINY))
    assert name == "chromium"
    out = capsys.readouterr().out
    labels = [line.split()[0] for line in out.splitlines() if not line.startswith(" ")]
    assert labels == [
        "model",
        "machine",
        "load",
        "prefill",
        "decode",
        "step",
        "ngram",
        "text",
        "memory",
    ]
    assert "200 MB/s (200.0 MB, 1 s)" in out
    assert "software rendering" in out
    assert "growth while loading 32.0 MB" in out
    assert "a draft 2 ms" in out
    assert "3 drafted, rows 4: 19 ms a cycle, × 1.900, pays" in out
    assert "pays from 1.9 tokens a cycle" in out
    costs = "0 drafted: 9 / 10 (-10 %, 2 cycles); 3 drafted: 20 / 19 (+5 %, 12 cycles)"
    assert f"ms a cycle, believed at the end / taken: {costs}" in out


def test_a_cycle_that_cannot_pay_is_said_to_be_one(
    bench_with: Run, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake_bench, "fake_cycle_ms", lambda k: 10.0 + 30.0 * k)
    bench_with(FakeRuntime(), str(TINY), "--rows", "2")
    assert "never pays: 2 tokens at most" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Give a MODEL"),
        ([str(TINY), "--rows", "1,3"], "--rows has 3; the passes of a cycle have 1, 2, 4, 8 rows"),
        ([str(TINY), "--drafter", "mtp"], "There is no drafter beside"),
        ([f"{TINY_GEMMA4}-assistant"], "is a drafter"),
        (["no-such-model"], 'No model "no-such-model"'),
    ],
)
def test_what_cannot_be_measured_is_refused(
    arguments: list[str], said: str, capsys: Captured
) -> None:
    assert cli.main(["bench", *arguments]) != 0
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err


# ---- runtimes -------------------------------------------------------------------------------


def test_a_missing_site_is_said(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="Run `leadout build` first"):
        runtime.read_build(tmp_path)


def test_errors_keep_their_class_and_facts() -> None:
    with pytest.raises(DeviceLostError, match="gone") as caught:
        runtime.raise_named(
            {"name": "DeviceLostError", "message": "gone", "detail": {"reason": "x"}}
        )
    assert caught.value.detail == {"reason": "x"}
    with pytest.raises(LeadoutError, match="odd") as other:
        runtime.raise_named({"name": "TypeError", "message": "odd"})
    assert type(other.value) is LeadoutError


def test_a_named_vulkan_driver_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "has_gpu", lambda: False)
    monkeypatch.setattr(node, "find_browser", lambda: pytest.fail("asked"))
    environment = {"VK_DRIVER_FILES": "/somewhere/icd.json"}
    assert node.vulkan_environment(environment) == environment


@pytest.mark.parametrize("folder", ["bin", "lib/chromium"])
def test_without_a_gpu_the_browser_s_swiftshader_is_used(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    browser = tmp_path / "bin/chromium"
    browser.touch()
    icd = tmp_path / folder / node.SWIFTSHADER_ICD
    icd.parent.mkdir(parents=True, exist_ok=True)
    icd.touch()
    monkeypatch.setattr(node, "has_gpu", lambda: False)
    monkeypatch.setattr(node, "find_browser", lambda: browser)
    found = node.vulkan_environment({"LD_LIBRARY_PATH": "/libs"})
    assert found["VK_DRIVER_FILES"] == str(icd)
    assert found["LD_LIBRARY_PATH"] == f"/libs:{icd.parent}"


def test_a_gpu_needs_no_help(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "has_gpu", lambda: True)
    assert node.vulkan_environment({"PATH": "/bin"}) == {"PATH": "/bin"}
