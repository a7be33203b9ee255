"""`leadout bench --shape`: weights without a file, and memory that is not there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from fake_bench import FakeRuntime, Run, a_load, run_with
from leadout.checkpoint.synthetic import SHAPES, synthetic_checkpoint
from leadout.devices.numpy import NumpyDevice
from leadout.engine import Engine
from leadout.errors import OutOfMemoryError
from leadout.forecast import Memory
from leadout.planning import LoadOptions
from leadout.request import GenerateRequest
from leadout_build.bench import memory
from leadout_build.bench.measures import Effort
from leadout_build.bench.runtime import Loaded, Subject
from leadout_build.cli import arguments
from leadout_build.cli import bench as command

TINY_FILES = Path(__file__).parents[1] / "vectors" / "gemma3-tiny" / "multi-query"

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def bench_with(monkeypatch: pytest.MonkeyPatch) -> Run:
    return run_with(monkeypatch)


def open_shape(shape: str) -> Any:
    return command.open_subject(Subject(shape, None))


class NumpyRuntime(FakeRuntime):
    """The engine itself, on the NumPy device."""

    def load(
        self,
        on_progress: Callable[[int, int], None],
        drafter: str,
        options: Mapping[str, Any] | None = None,
    ) -> Loaded:
        self.loads.append(drafter)
        self.loop = asyncio.new_event_loop()
        self.engine = self.loop.run_until_complete(
            Engine.load(
                NumpyDevice(),
                synthetic_checkpoint("tiny", "target"),
                LoadOptions(drafter=drafter, max_draft_tokens=2),
                make_tokenizer=None,  # type: ignore[arg-type]  # there is none to make
                on_phase=lambda phase: None,
                on_progress=on_progress,
                drafter=synthetic_checkpoint("tiny", "drafter") if drafter == "mtp" else None,
            )
        )
        seen = a_load(is_shape=True)
        return Loaded(seen.info | self.engine.info(), seen.events, seen.samples)

    def assume(self, ids: list[int]) -> None:
        self.engine.assume(ids)

    def generate(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self.num_submits += request["max_tokens"]
        wanted = GenerateRequest.from_json(request)
        return self.loop.run_until_complete(self.engine.generate(wanted)).to_json()


def test_a_shape_is_measured_without_a_file(
    bench_with: Run, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    effort = Effort((32,), 32, decode_tokens=2, cycle_tokens=3, warm_up_rounds=0, rounds=1)
    monkeypatch.setattr(command, "FULL_EFFORT", effort)
    runtime = NumpyRuntime()
    arguments = ("--shape", "tiny", "--rows", "1,4", "--drafter", "mtp", "--json")
    ((_, subject),) = bench_with(runtime, *arguments)
    runtime.loop.close()
    assert subject.load_message("mtp") == {
        "type": "load",
        "model": {"name": "tiny", "shape": "tiny"},
        "drafter": {"name": "tiny", "shape": "tiny"},
        "options": {"drafter": "mtp"},
    }
    report = json.loads(capsys.readouterr().out)
    assert report["adapter"].startswith("NumPy")
    assert report["load"]["bytes"] is None
    (drafter,) = report["drafters"]
    assert drafter["self_test"] == "identical"
    assert [run["sampling"] for run in drafter["runs"]] == ["greedy", "page"]
    for run in drafter["runs"]:
        assert [cycle["draft_tokens"] for cycle in run["cycles"]] == [0, 2]
        assert all(cycle["ms"]["median"] > 0 for cycle in run["cycles"])


async def test_what_is_planned_is_what_is_allocated() -> None:
    device, options = NumpyDevice(), LoadOptions(drafter="mtp", max_draft_tokens=1)
    target, drafter = open_shape("tiny")
    # The plan runs a loop of its own, as on the command line.
    planned = await asyncio.to_thread(memory.plan_memory, target, drafter, options)
    plan = Memory.of(planned.buffers)
    engine = await Engine.load(
        device,
        target,
        options,
        make_tokenizer=None,  # type: ignore[arg-type]  # there is none to make
        on_phase=lambda phase: None,
        on_progress=lambda loaded, total: None,
        drafter=drafter,
    )
    assert plan.total_bytes == device.allocated_bytes
    assert plan.weights_bytes == engine.model.weights_bytes
    assert engine.model.drafter is not None
    assert plan.drafter_bytes > engine.model.drafter.weights_bytes
    rings = engine.decoder.admission.rings
    kept_bytes = rings.num_places * rings.place_bytes
    caches_bytes = sum(2 * cache.bytes for cache in engine.decoder.caches)
    assert plan.kv_cache_bytes == caches_bytes + kept_bytes


def test_the_command_line_offers_the_shapes_that_there_are() -> None:
    assert arguments._SHAPES == SHAPES


def test_a_shape_s_table_says_that_its_text_is_noise(
    bench_with: Run, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "has_gpu", lambda: True)
    monkeypatch.setattr(
        FakeRuntime, "load", lambda self, on_progress, drafter, options: a_load(is_shape=True)
    )
    bench_with(FakeRuntime(), "--shape", "31b")
    out = capsys.readouterr().out
    assert "weights of the shape 31b in chromium" in out
    assert "weights made on the device in 1.1 s" in out
    assert "times are valid, acceptance is not" in out
    assert "planned 21.3 GB" in out
    assert "reads 18.0 GB of weights (1.5 GB the head)" in out


def test_memory_that_the_machine_does_not_have_is_missed_before_anything_runs(
    bench_with: Run, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "has_gpu", lambda: False)
    monkeypatch.setattr(command, "machine_bytes", lambda: 3_000_000_000)
    opened = bench_with(FakeRuntime(), "--shape", "31b", exit_code=1)
    assert opened == []
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    plan = command.plan_of(*open_shape("31b"), "mtp")
    assert f"31b needs {plan.total_bytes:,} bytes on the device" in err
    assert f"{plan.total_bytes - 3_000_000_000:,} bytes are missing" in err


def test_memory_that_the_device_does_not_have_is_said_in_bytes(
    bench_with: Run, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "has_gpu", lambda: True)
    runtime = FakeRuntime()
    runtime.error = OutOfMemoryError("the device has no 1.5 GB.", missing_bytes=1_500_000_000)
    bench_with(runtime, "--shape", "31b", exit_code=1)
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "1,500,000,000 bytes are missing: the device has no 1.5 GB. Take --kv" in err
    assert "--placement" not in err
    runtime.error = OutOfMemoryError("no.")
    bench_with(runtime, "--shape", "31b", exit_code=1)
    assert "memory is missing: no. Take" in capsys.readouterr().err


@pytest.mark.parametrize("shape", ["e2b", "e4b"])
def test_what_paging_saves_is_named_where_there_is_a_table_to_page(
    bench_with: Run, capsys: Captured, monkeypatch: pytest.MonkeyPatch, shape: str
) -> None:
    monkeypatch.setattr(command, "has_gpu", lambda: False)
    monkeypatch.setattr(command, "machine_bytes", lambda: 1_000_000_000)
    bench_with(FakeRuntime(), "--shape", shape, exit_code=1)
    err = capsys.readouterr().err
    whole, paged = (
        command.plan_of(*open_shape(shape), "mtp", {"placement": one}).total_bytes
        for one in ("gpu", "paged")
    )
    assert f"--placement paged ({(whole - paged) / 1e9:.2f} GB less), --drafter ngram (" in err
    assert err.endswith("a smaller model or shape, or another device.\n")
    bench_with(FakeRuntime(), "--shape", shape, "--placement", "paged", exit_code=1)
    assert "--placement" not in capsys.readouterr().err


def test_what_the_engine_has_tried_already_is_not_named(
    bench_with: Run, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Left to itself it pages where the table found no room: what then fails was paged."""
    monkeypatch.setattr(command, "has_gpu", lambda: True)
    runtime = FakeRuntime()
    drafter = {"option": "drafter", "value": "none", "saves_bytes": 300_000_000}
    paged = {"option": "placement", "value": "paged", "saves_bytes": 1_300_000_000}
    for savings, named in (
        ([drafter], "Take --drafter ngram (300.0 MB less), a smaller"),
        ([paged], "Take --placement paged (1.30 GB less), a smaller"),
    ):
        runtime.error = OutOfMemoryError(
            "no. The whole load takes: …", missing_bytes=1, cause="no.", savings=savings
        )
        bench_with(runtime, "--shape", "e2b", exit_code=1)
        assert f"1 bytes are missing: no. {named} model" in capsys.readouterr().err


def test_a_model_s_own_error_is_left_as_it_is(bench_with: Run, capsys: Captured) -> None:
    runtime = FakeRuntime()
    runtime.error = OutOfMemoryError("the device has no 1.5 GB.", missing_bytes=1)
    bench_with(runtime, str(TINY_FILES), exit_code=1)
    assert capsys.readouterr().err == "leadout: error: the device has no 1.5 GB.\n"


def test_the_machine_s_memory_is_known_here() -> None:
    available = memory.machine_bytes()
    assert available is None or available > 100_000_000


@pytest.mark.parametrize(("shape", "most_gb"), [("e2b", 4), ("e4b", 6), ("12b", 9.5)])
def test_the_small_shapes_fit_into_small_devices(shape: str, most_gb: float) -> None:
    plan = Memory.of(command.plan_of(*open_shape(shape), "mtp").buffers)
    assert plan.total_bytes < most_gb * 1e9
    assert plan.largest_buffer_bytes < 1 << 31
