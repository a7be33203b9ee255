"""`leadout bench`: its arithmetic, its table and its refusals, over a runtime that is not there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from leadout.errors import DeviceLostError, LeadoutError, RequestError
from leadout_build import bench, bench_runtimes, cli
from leadout_build.bench import Effort, Spread
from leadout_build.bench_runtimes import Loaded

TINY = Path(__file__).parents[1] / "vectors" / "gemma3-tiny" / "multi-query"
EFFORT = Effort((8, 64), decode_tokens=4, warm_up_rounds=1, rounds=3)


class FakeRuntime:
    """Prefills 100 tokens/s; decodes 10 tokens/s for each pass in flight, slower each time."""

    def __init__(self, device: str = "NVIDIA H100", submits_per_step: int = 1) -> None:
        self.versions = {"leadout": "1.2", "fake": "3"}
        self.requests: list[Mapping[str, Any]] = []
        self.device = device
        self.submits_per_step = submits_per_step
        self.num_submits = 17  # what loading took

    def load(self, on_progress: Callable[[int, int], None]) -> Loaded:
        on_progress(50, 50)
        return a_load(device=self.device)

    def generate(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self.requests.append(request)
        num_steps = request["max_tokens"] - 1
        # A pass of the prompt, then the steps.
        self.num_submits += -(-len(request["prompt_ids"]) // 64) + num_steps * self.submits_per_step
        return {
            "stats": {
                "prefill_tokens": len(request["prompt_ids"]),
                "prefill_ms": 10 * len(request["prompt_ids"]),
                "decode_tokens_per_s": 10 * request["run_ahead"] / len(self.requests),
            }
        }

    def submits(self) -> int:
        return self.num_submits


def a_load(device: str = "NVIDIA H100", samples: object = None) -> Loaded:
    times = {
        "loading_runtime": 0,
        "loading_package": 50,
        "loading_weights": 100,
        "compiling_kernels": 1200,
        "warming_up": 1500,
        "ready": 1750,
    }
    events: list[dict[str, Any]] = [
        {"type": "phase", "phase": phase, "at_ms": at_ms} for phase, at_ms in times.items()
    ]
    for loaded_bytes, at_ms in ((0, 200), (30_000_000, 500), (200_000_000, 1200)):
        events.append({"type": "progress", "loaded_bytes": loaded_bytes, "at_ms": at_ms})
    info = {
        "device": device,
        "load_ms": 1650.0,
        "context_length": 4096,
        "peak_bytes": 310_000_000,
        "allocated_bytes": 300_000_000,
        "weights_bytes": 250_000_000,
        "dispatches_per_step": 18,
    }
    default = [(10, 90_000_000), (90, 20_000_000), (100, 30_000_000), (1700, 52_000_000)]
    return Loaded(info, events, default if samples is None else samples)  # type: ignore[arg-type]


def test_a_spread_has_the_median_and_both_ends() -> None:
    assert Spread.of([3.0, 1.0, 8.0, 2.0]) == Spread(2.5, 1.0, 8.0, 4)
    assert Spread.of([3.0, 1.0, 8.0, 2.0]).shown() == "2.5 (1 to 8, 4 runs)"
    assert Spread.of([0.123456]).shown() == "0.1235"


def test_loading_is_timed_from_the_first_byte_to_the_last() -> None:
    load = bench.load_figures(a_load())["load"]
    assert load["bytes"] == 200_000_000
    assert load["mb_per_s"] == 200.0  # 200 MB in the second from 200 to 1200 ms
    assert (load["compiling_kernels_ms"], load["warming_up_ms"]) == (300, 250)


def test_heap_growth_is_from_the_start_of_the_load_and_the_peak_from_before() -> None:
    memory = bench.load_figures(a_load())["memory"]
    assert memory["js_heap_growth_bytes"] == 32_000_000
    assert memory["js_heap_peak_bytes"] == 90_000_000
    assert memory["gpu_peak_bytes"] == 310_000_000


@pytest.mark.parametrize("samples", [[], [(10, 5)], [(500, 5)]])
def test_heap_growth_is_unknown_without_a_sample_on_both_sides(samples: object) -> None:
    memory = bench.load_figures(a_load(samples=samples))["memory"]
    assert memory["js_heap_growth_bytes"] is None


def test_every_size_and_run_ahead_is_measured_in_every_round() -> None:
    runtime = FakeRuntime()
    figures = bench.measure(runtime, EFFORT, 1000, 4096)
    assert [entry["tokens"] for entry in figures["prefill"]] == [8, 64]
    assert [entry["run_ahead"] for entry in figures["decode"]] == [1, 2, 3]
    for entry in figures["prefill"] + figures["decode"]:
        assert entry["tokens_per_s"]["runs"] == EFFORT.rounds
    assert figures["prefill"][0]["tokens_per_s"]["median"] == 100.0
    num_rounds = EFFORT.warm_up_rounds + EFFORT.rounds
    assert len(runtime.requests) == 2 + num_rounds * (2 + 3)
    assert all(request["ignore_eos"] for request in runtime.requests)


def test_warm_up_rounds_do_not_count() -> None:
    runtime = FakeRuntime()
    figures = bench.measure(runtime, EFFORT, 1000, 4096)
    # The fake slows down with each request, so the fastest that counts is not of the first round.
    assert figures["decode"][0]["tokens_per_s"]["high"] == round(10 / (2 + 5 + 3), 4)


def test_ratios_compare_within_a_round() -> None:
    assert bench.ratios([3.0, 2.0], [2.0, 1.0]) == [1.5, 2.0]
    figures = bench.measure(FakeRuntime(), EFFORT, 1000, 4096)
    assert figures["decode"][0]["ratio"] == {"median": 1.0, "low": 1.0, "high": 1.0, "runs": 3}
    assert 1 < figures["decode"][1]["ratio"]["median"] < 2


@pytest.mark.parametrize("submits_per_step", [1, 3])
def test_submits_of_the_prompt_are_not_a_step_s(submits_per_step: int) -> None:
    runtime = FakeRuntime(submits_per_step=submits_per_step)
    figures = bench.measure(runtime, EFFORT, 1000, 4096)
    assert figures["submits_per_step"] == submits_per_step


def test_prompts_that_do_not_fit_are_left_out_or_refused() -> None:
    figures = bench.measure(FakeRuntime(), EFFORT, 1000, 64)
    assert figures["effort"]["prefill_tokens"] == [8]
    with pytest.raises(RequestError, match="context of 12 tokens is too short"):
        bench.measure(FakeRuntime(), EFFORT, 1000, 12)


def test_prompts_are_always_the_same_ids_of_the_vocabulary() -> None:
    ids = bench.prompt_ids(256, 300)
    assert ids == bench.prompt_ids(256, 300)
    assert len(ids) == 256
    assert 0 <= min(ids) <= max(ids) < 300
    assert len(set(ids)) > 200


@pytest.mark.parametrize(
    ("adapter", "expected"),
    [("SwiftShader", True), ("llvmpipe (LLVM 19)", True), ("NVIDIA H100", False), ("Apple", False)],
)
def test_software_adapters_are_known_by_name(adapter: str, expected: bool) -> None:
    assert bench.is_software(adapter) is expected


@pytest.fixture
def bench_with(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Run the command over a runtime; return the runtimes that were opened."""

    def run(runtime: FakeRuntime, *arguments: str) -> list[str]:
        opened: list[str] = []
        for name in ("chromium", "node"):

            @contextmanager
            def fake(model: str, name: str = name) -> Iterator[FakeRuntime]:
                opened.append(f"{name} {model}")
                yield runtime

            monkeypatch.setattr(bench, f"open_{name}", fake)
        assert cli.main(["bench", *arguments]) == 0
        return opened

    return run


def test_json_is_one_object_with_every_figure(
    bench_with: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    opened = bench_with(FakeRuntime(), str(TINY), "--runtime", "node", "--rows", "1,2", "--json")
    assert opened == [f"node {TINY}"]
    report = json.loads(capsys.readouterr().out)
    assert report["adapter"] == "NVIDIA H100"
    assert report["versions"] == {"leadout": "1.2", "fake": "3"}
    assert report["dispatches_per_layer"] == round(18 / report["num_layers"], 2)
    assert report["submits_per_step"] == 1
    assert report["effort"]["rounds"] == bench.FULL_EFFORT.rounds
    assert {"load", "memory", "prefill", "decode", "machine"} <= set(report)
    assert report["rows"][0]["step_ms"] == round(
        1000 / report["decode"][2]["tokens_per_s"]["median"], 3
    )
    assert report["rows"][1]["step_ms"] is None
    assert "one row" in report["rows"][1]["reason"]


def test_the_table_says_each_thing_once(
    bench_with: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    opened = bench_with(FakeRuntime("SwiftShader"), str(TINY))
    assert opened == [f"chromium {TINY}"]
    out = capsys.readouterr().out
    labels = [line.split()[0] for line in out.splitlines() if not line.startswith(" ")]
    assert labels == ["model", "machine", "load", "prefill", "decode", "step", "memory"]
    assert "200 MB/s (200.0 MB, 1 s)" in out
    assert "software rendering" in out
    assert "growth while loading 32.0 MB" in out
    for rows in (2, 4, 8):
        assert f"rows {rows}: not measured" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--shape", "e2b"], "needs Gemma 4, which this version does not run"),
        ([], "Give a MODEL"),
        ([str(TINY), "--rows", "2,4"], "--rows 2,4: this version's decode step has one row"),
        (["no-such-model"], 'No model "no-such-model"'),
    ],
)
def test_what_cannot_be_measured_is_refused(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["bench", *arguments]) != 0
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err


def test_a_missing_site_is_said(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="Run `leadout build` first"):
        bench_runtimes.read_build(tmp_path)


def test_errors_keep_their_class_and_facts() -> None:
    with pytest.raises(DeviceLostError, match="gone") as caught:
        bench_runtimes.raise_named(
            {"name": "DeviceLostError", "message": "gone", "detail": {"reason": "x"}}
        )
    assert caught.value.detail == {"reason": "x"}
    with pytest.raises(LeadoutError, match="odd") as other:
        bench_runtimes.raise_named({"name": "TypeError", "message": "odd"})
    assert type(other.value) is LeadoutError


def test_a_named_vulkan_driver_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_runtimes, "has_gpu", lambda: False)
    monkeypatch.setattr(bench_runtimes, "find_browser", lambda: pytest.fail("asked"))
    environment = {"VK_DRIVER_FILES": "/somewhere/icd.json"}
    assert bench_runtimes.vulkan_environment(environment) == environment


@pytest.mark.parametrize("folder", ["bin", "lib/chromium"])
def test_without_a_gpu_the_browser_s_swiftshader_is_used(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    browser = tmp_path / "bin/chromium"
    browser.touch()
    icd = tmp_path / folder / bench_runtimes.SWIFTSHADER_ICD
    icd.parent.mkdir(parents=True, exist_ok=True)
    icd.touch()
    monkeypatch.setattr(bench_runtimes, "has_gpu", lambda: False)
    monkeypatch.setattr(bench_runtimes, "find_browser", lambda: browser)
    found = bench_runtimes.vulkan_environment({"LD_LIBRARY_PATH": "/libs"})
    assert found["VK_DRIVER_FILES"] == str(icd)
    assert found["LD_LIBRARY_PATH"] == f"/libs:{icd.parent}"


def test_a_gpu_needs_no_help(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_runtimes, "has_gpu", lambda: True)
    assert bench_runtimes.vulkan_environment({"PATH": "/bin"}) == {"PATH": "/bin"}
