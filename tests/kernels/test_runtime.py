"""The WebGPU runtime (web/runtime) in Chromium: replay, order, memory, and every named error."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from gpu_page import GpuPage, GpuRuntime
from hand_plan import PlanBuilder

from leadout.errors import (
    DeviceError,
    DeviceLimitError,
    DeviceLostError,
    DeviceUnavailableError,
    OutOfMemoryError,
)
from leadout.plan import Binding

#: y += SCALE * x + 1
ACCUMULATE = """
override SCALE: u32 = 2u;
@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < arrayLength(&y)) { y[id.x] += SCALE * x[id.x] + 1u; }
}
"""

#: y = the number of workgroups that ran
COUNT = """
@group(0) @binding(0) var<storage, read_write> y: array<atomic<u32>>;
@compute @workgroup_size(1)
fn main() { atomicAdd(&y[0], 1u); }
"""

SETTINGS = """
struct Settings { add: vec4<u32> }
@group(0) @binding(0) var<uniform> settings: Settings;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
@compute @workgroup_size(1)
fn main() { y[0] += settings.add.y; }
"""

BROKEN = """
@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@compute @workgroup_size(1)
fn main() { y[0] = nothing; }
"""

#: A value outside of its type's range shows when the pipeline is made, not in the module.
TOO_WIDE = """
override WIDTH: u32 = 1u;
@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@compute @workgroup_size(WIDTH)
fn main() { y[0] = 1u; }
"""

WGSL = {
    "accumulate": ACCUMULATE,
    "count": COUNT,
    "settings": SETTINGS,
    "broken": BROKEN,
    "too_wide": TOO_WIDE,
}

#: Of `accumulate_plan`: 256 of the result, the pass's times behind them, a power of two.
READBACK_BYTES = 512

MakeRuntime = Callable[..., GpuRuntime]


@pytest.fixture
def runtime(make_runtime: MakeRuntime) -> GpuRuntime:
    return make_runtime(WGSL)


def accumulate_plan(num_dispatches: int = 1, readback: bool = True) -> dict[str, Any]:
    """Add to "y" (64 words) from "x", in so many dispatches one after the other."""
    builder = PlanBuilder("sums")
    x, y = builder.scratch("x", 256), builder.scratch("y", 256)
    for i in range(num_dispatches):
        builder.dispatch("accumulate", {"SCALE": 3}, [x, y], (1, 1, 1), f"sum.{i}")
    return builder.build(y if readback else None).to_json()


def changed(plan: dict[str, Any], **dispatch: object) -> dict[str, Any]:
    """Return a Plan whose last dispatch has other fields."""
    *others, last = plan["dispatches"]
    return {**plan, "dispatches": [*others, {**last, **dispatch}]}


# ---- replay -------------------------------------------------------------------------------


def test_dispatches_of_a_plan_see_each_other_and_the_readback_sees_all(runtime: GpuRuntime) -> None:
    x = np.arange(64, dtype=np.uint32)
    results = runtime.run_plan(accumulate_plan(5), {"x": x, "y": 256}, [], ["y"])
    np.testing.assert_array_equal(results["readback"], 5 * (3 * x + 1))
    np.testing.assert_array_equal(results["y"], results["readback"])


def test_results_of_submits_in_flight_are_each_submits_own(runtime: GpuRuntime) -> None:
    x = np.arange(64, dtype=np.uint32)
    runtime.allocate({"x": 256, "y": 256})
    runtime.write("x", x)
    plan = runtime.compile(accumulate_plan())
    tickets = [runtime.submit(plan) for _ in range(8)]
    for count, ticket in reversed(list(enumerate(tickets, 1))):
        np.testing.assert_array_equal(runtime.collect(ticket), count * (3 * x + 1))


def test_writes_take_effect_between_the_submits_around_them(runtime: GpuRuntime) -> None:
    runtime.allocate({"x": 256, "y": 256})
    plan = runtime.compile(accumulate_plan())
    before = runtime.submit(plan)
    runtime.write("x", np.array([100], np.uint32), offset=8)
    after = runtime.submit(plan)
    assert runtime.collect(before)[2] == 1
    assert runtime.collect(after)[2] == 302


def test_a_plan_without_readback_has_no_ticket_and_no_words(runtime: GpuRuntime) -> None:
    runtime.allocate({"x": 256, "y": 256})
    ticket = runtime.submit(runtime.compile(accumulate_plan(readback=False)))
    assert ticket == -1
    assert runtime.collect(ticket).size == 0
    assert np.frombuffer(runtime.read("y", 4), np.uint32) == 1


def test_a_plan_without_readback_goes_in_parts_that_see_each_other(runtime: GpuRuntime) -> None:
    num_dispatches = 200  # three parts
    runtime.allocate({"x": 256, "y": 256})
    runtime.write("x", np.array([7], np.uint32))
    plan = runtime.compile(accumulate_plan(num_dispatches, readback=False))
    for _ in range(2):
        runtime.submit(plan)
    found = np.frombuffer(runtime.read("y", 8), np.uint32)
    np.testing.assert_array_equal(found, [2 * num_dispatches * 22, 2 * num_dispatches])


def test_params_set_the_grid_and_a_zero_leaves_the_dispatch_out(runtime: GpuRuntime) -> None:
    builder = PlanBuilder("counted", params=("num_rows", "num_columns"))
    y = builder.scratch("y", 4)
    builder.dispatch("count", {}, [y], ("num_columns", 2, "num_rows"), "count")
    runtime.allocate({"y": 4})
    plan = runtime.compile(builder.build(y).to_json())
    submits = [(2, 3), (0, 5), (5, 0), (1, 1)]
    counts = [runtime.collect(runtime.submit(plan, *params))[0] for params in submits]
    assert counts == [12, 12, 12, 14]


def test_params_of_a_plan_in_parts_may_be_those_of_before_or_others(runtime: GpuRuntime) -> None:
    builder = PlanBuilder("counted", params=("num_rows",))
    y = builder.scratch("y", 4)
    builder.dispatch("count", {}, [y], (1, 1, "num_rows"), "count")
    runtime.allocate({"y": 4})
    plan = runtime.compile(builder.build().to_json())
    counts = []
    for num_rows in (2, 2, 0, 5, 5, 2):
        runtime.submit(plan, num_rows)
        counts.append(int.from_bytes(runtime.read("y", 4), "little"))
    assert counts == [2, 4, 4, 9, 14, 16]


@pytest.mark.parametrize("params", [(), (1, 2), (-1,), (1.5,), (65536,)])
def test_wrong_params_are_refused(runtime: GpuRuntime, params: tuple[Any, ...]) -> None:
    builder = PlanBuilder("counted", params=("num_rows",))
    builder.dispatch("count", {}, [builder.scratch("y", 4)], ("num_rows", 1, 1), "count")
    runtime.allocate({"y": 4})
    plan = runtime.compile(builder.build().to_json())
    with pytest.raises(DeviceError, match=r'plan "counted" takes \(num_rows\), each 0 to 65535'):
        runtime.submit(plan, *params)


def test_uniform_bindings_work(runtime: GpuRuntime) -> None:
    builder = PlanBuilder("uniform")
    bindings = [builder.scratch("settings", 16), builder.scratch("y", 4)]
    builder.dispatch("settings", {}, bindings, (1, 1, 1), "settings")
    settings = np.array([0, 7, 0, 0], np.uint32)
    buffers = {"settings": settings, "y": 4}
    results = runtime.run_plan(builder.build().to_json(), buffers, [], ["y"])
    assert results["y"].tolist() == [7]


def test_ranges_of_one_buffer_can_be_written_apart(runtime: GpuRuntime) -> None:
    builder = PlanBuilder("ranges")
    x = builder.scratch("x", 256)
    builder.scratch("y", 1024)
    for i in (1, 3):
        y = Binding("y", 256 * i, 256)
        builder.dispatch("accumulate", {}, [x, y], (1, 1, 1), f"part.{i}")
    buffers = {"x": np.ones(64, np.uint32), "y": 1024}
    results = runtime.run_plan(builder.build().to_json(), buffers, [], ["y"])
    assert results["y"].reshape(4, 64).sum(axis=1).tolist() == [0, 192, 0, 192]


def test_a_large_buffer_is_read_back_whole(runtime: GpuRuntime) -> None:
    data = np.random.default_rng(0).integers(1 << 32, size=5 << 20, dtype=np.uint32)
    runtime.allocate({"x": data.nbytes})
    runtime.write("x", data)
    assert runtime.read("x", data.nbytes - 8, offset=4) == data[1:-1].tobytes()


def test_ad_hoc_wgsl_runs(run_wgsl: Callable[..., Any]) -> None:
    x, y = np.arange(4, dtype=np.int32), np.zeros(4, np.uint32)
    kept, written = run_wgsl(ACCUMULATE, {"SCALE": 5}, [x, y], (1, 1, 1))
    assert kept.tolist() == [0, 1, 2, 3]
    assert written.tolist() == [1, 6, 11, 16]


# ---- memory -------------------------------------------------------------------------------


def test_replay_reuses_readback_buffers(runtime: GpuRuntime) -> None:
    runtime.allocate({"x": 256, "y": 256})
    plan = runtime.compile(accumulate_plan())
    for _ in range(3):
        runtime.collect(runtime.submit(plan))
    assert runtime.allocated_bytes == 2 * 256 + READBACK_BYTES
    tickets = [runtime.submit(plan) for _ in range(4)]
    assert runtime.allocated_bytes == 2 * 256 + 4 * READBACK_BYTES
    for ticket in tickets:
        runtime.discard(ticket)
    runtime.idle()
    for _ in range(3):
        for ticket in [runtime.submit(plan) for _ in range(4)]:
            runtime.collect(ticket)
    assert runtime.allocated_bytes == 2 * 256 + 4 * READBACK_BYTES


def test_results_say_when_passes_ran(runtime: GpuRuntime) -> None:
    assert "timestamp-query" in runtime.info["features"]
    runtime.allocate({"x": 256, "y": 256})
    plan = runtime.compile(accumulate_plan())
    tickets = [runtime.submit(plan) for _ in range(12)]
    times = [runtime.collect_timed(ticket)[0] for ticket in tickets]
    assert [len(some) for some in times] == [0, 0, 0, 4] * 3, "for several passes together"
    ran = [one for some in times for one in some]
    for one in ran:
        assert one.began_ms is not None
        assert one.began_ms <= one.ended_ms
    for before, after in pairwise(ran):
        assert before.ended_ms <= (after.began_ms or 0) < before.ended_ms + 60_000


def test_without_timestamps_results_say_when_they_arrived(make_runtime: MakeRuntime) -> None:
    runtime = make_runtime(WGSL, hidden_features=["timestamp-query"])
    assert "timestamp-query" not in runtime.info["features"]
    runtime.allocate({"x": 256, "y": 256})
    plan = runtime.compile(accumulate_plan())
    arrived = []
    for _ in range(2):
        times, words = runtime.collect_timed(runtime.submit(plan))
        assert len(words) == 64
        assert [one.began_ms for one in times] == [None]
        arrived.append(times[0].ended_ms)
    assert 0 <= arrived[1] - arrived[0] < 60_000


def test_the_account_returns_to_zero_and_keeps_the_peak(runtime: GpuRuntime) -> None:
    runtime.allocate({"x": 256, "y": 256, "z": 4096})
    plan = runtime.compile(accumulate_plan())
    runtime.collect(runtime.submit(plan))
    runtime.free(["x", "y", "z", "never was"])
    runtime.release_plan(plan)
    assert runtime.allocated_bytes == 0
    assert runtime.peak_bytes == 4096 + 2 * 256 + READBACK_BYTES


def test_a_freed_buffer_comes_back_zeroed_under_its_name(runtime: GpuRuntime) -> None:
    for _ in range(2):
        runtime.allocate({"x": 256, "y": 256})
        plan = runtime.compile(accumulate_plan())
        assert runtime.collect(runtime.submit(plan)).tolist() == [1] * 64
        runtime.free(["x", "y"])
        with pytest.raises(DeviceError, match="uses a buffer that was freed"):
            runtime.submit(plan)


def test_a_buffer_above_the_limit_is_refused_with_the_numbers(runtime: GpuRuntime) -> None:
    limit = runtime.info["max_buffer_bytes"]
    with pytest.raises(DeviceLimitError, match='buffer "big" needs') as caught:
        runtime.allocate({"small": 256, "big": limit + 4})
    assert caught.value.detail == {"buffer": "big", "bytes": limit + 4, "limit_bytes": limit}
    assert runtime.allocated_bytes == 0


@pytest.mark.browser_only  # Node takes a machine's card
def test_a_failed_allocation_keeps_nothing_and_the_runtime_goes_on(runtime: GpuRuntime) -> None:
    # SwiftShader allows a buffer of 1 GiB and cannot allocate it.
    big = runtime.info["max_buffer_bytes"]
    runtime.allocate({"x": 256, "y": 256})
    with pytest.raises(
        OutOfMemoryError, match=r'no 1\.1 GB for buffer "big" .*512 bytes already held'
    ):
        runtime.allocate({"small": 256, "big": big})
    assert runtime.allocated_bytes == 512
    runtime.allocate({"small": 256})
    assert runtime.collect(runtime.submit(runtime.compile(accumulate_plan())))[0] == 1


@pytest.mark.parametrize("num_bytes", [0, 6, -4])
def test_a_buffer_of_no_whole_words_is_refused(runtime: GpuRuntime, num_bytes: int) -> None:
    with pytest.raises(DeviceError, match=f"{num_bytes} bytes; a size is a positive multiple of 4"):
        runtime.allocate({"x": num_bytes})


def test_a_buffer_is_allocated_once(runtime: GpuRuntime) -> None:
    runtime.allocate({"x": 256})
    with pytest.raises(DeviceError, match='there is a buffer "x" already'):
        runtime.allocate({"x": 256, "y": 256})
    assert runtime.allocated_bytes == 256


# ---- what compile refuses -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("dispatch", "message"),
    [
        ({"bindings": [Binding("x", 0, 256)]}, r"1 bindings for kernel .* has 2 \(x, y\)"),
        ({"bindings": [Binding("x", 0, 256), Binding("y", 0, 512)]}, "which has 256 bytes"),
        ({"bindings": [Binding("x", 0, 256), Binding("y", 256, 4)]}, "which has 256 bytes"),
        ({"bindings": [Binding("x", 0, 256), Binding("y", 4, 8)]}, "multiples of 256"),
        ({"bindings": [Binding("x", 0, 256), Binding("z", 0, 4)]}, 'no buffer "z"'),
        ({"bindings": [Binding("y", 0, 256), Binding("y", 0, 256)]}, "which WebGPU forbids"),
        ({"workgroups": (65536, 1, 1)}, r"grid \(65536, 1, 1\)"),
        ({"workgroups": ("rows", 1, 1)}, r"grid \(rows, 1, 1\)"),
        ({"pipeline": 1}, "no pipeline 1"),
    ],
)
def test_a_dispatch_that_is_wrong_is_named(
    runtime: GpuRuntime, dispatch: dict[str, Any], message: str
) -> None:
    runtime.allocate({"x": 256, "y": 256})
    if "bindings" in dispatch:
        dispatch = {"bindings": [vars(binding) for binding in dispatch["bindings"]]}
    with pytest.raises(DeviceError, match=rf"sums: sum\.2: .*{message}"):
        runtime.compile(changed(accumulate_plan(3), **dispatch))


def test_what_only_the_device_can_refuse_is_named_too(runtime: GpuRuntime) -> None:
    # A uniform binding is shorter than its struct: no rule of ours, so WebGPU's validation says it.
    builder = PlanBuilder("uniform")
    bindings = [builder.scratch("settings", 8), builder.scratch("y", 4)]
    builder.dispatch("settings", {}, bindings, (1, 1, 1), "short")
    runtime.allocate({"settings": 8, "y": 4})
    with pytest.raises(DeviceError, match='plan "uniform"'):
        runtime.compile(builder.build().to_json())


def test_an_unknown_variant_is_refused(runtime: GpuRuntime) -> None:
    plan = {**accumulate_plan(), "pipelines": [{"variant": "nope", "constants": {}}]}
    with pytest.raises(DeviceError, match='no kernel variant "nope"'):
        runtime.compile(plan)


def test_an_unknown_constant_is_refused(runtime: GpuRuntime) -> None:
    plan = {**accumulate_plan(), "pipelines": [{"variant": "accumulate", "constants": {"K": 1}}]}
    with pytest.raises(DeviceError, match='"accumulate" has no constant K; it has SCALE'):
        runtime.compile(plan)


def test_broken_wgsl_is_refused_by_file_and_line(runtime: GpuRuntime) -> None:
    plan = {**accumulate_plan(), "pipelines": [{"variant": "broken", "constants": {}}]}
    with pytest.raises(DeviceError, match=r"broken\.wgsl:4: .*nothing"):
        runtime.compile(plan)


def test_a_pipeline_that_cannot_be_made_is_refused_and_can_be_tried_again(
    runtime: GpuRuntime,
) -> None:
    builder = PlanBuilder("wide")
    y = builder.scratch("y", 4)
    builder.dispatch("too_wide", {"WIDTH": 1 << 20}, [y], (1, 1, 1), "wide")
    runtime.allocate({"y": 4})
    for _ in range(2):
        with pytest.raises(DeviceError, match=r'"too_wide" with .*1048576.* does not compile'):
            runtime.compile(builder.build().to_json())


def test_bindings_above_a_lowered_limit_are_refused(make_runtime: MakeRuntime) -> None:
    runtime = make_runtime(WGSL, max_binding_bytes=128)
    assert runtime.info["max_binding_bytes"] == 128
    runtime.allocate({"x": 256, "y": 256})
    with pytest.raises(DeviceLimitError, match="has 256 bytes, the adapter allows 128"):
        runtime.compile(accumulate_plan())


@pytest.mark.parametrize(
    ("offset", "num_bytes"), [(0, 260), (256, 4), (-4, 8), (2, 4), (0, 6), (1 << 40, 4)]
)
def test_reads_outside_a_buffer_are_refused(
    runtime: GpuRuntime, offset: int, num_bytes: int
) -> None:
    runtime.allocate({"x": 256})
    with pytest.raises(DeviceError, match="which has 256 bytes; ranges are whole words"):
        runtime.read("x", num_bytes, offset)


def test_writes_outside_a_buffer_are_refused(runtime: GpuRuntime) -> None:
    runtime.allocate({"x": 256})
    with pytest.raises(DeviceError, match='8 bytes at 252 of buffer "x"'):
        runtime.write("x", b"12345678", offset=252)


def test_an_error_that_no_scope_took_is_reported_by_the_next_wait(runtime: GpuRuntime) -> None:
    runtime.fail_unscoped()
    with pytest.raises(DeviceError, match="the device failed at earlier work"):
        runtime.idle()
    runtime.idle()


def test_a_result_is_taken_once(runtime: GpuRuntime) -> None:
    runtime.allocate({"x": 256, "y": 256})
    ticket = runtime.submit(runtime.compile(accumulate_plan()))
    runtime.collect(ticket)
    with pytest.raises(DeviceError, match=f"no result {ticket}"):
        runtime.collect(ticket)


def test_a_released_plan_cannot_be_submitted(runtime: GpuRuntime) -> None:
    runtime.allocate({"x": 256, "y": 256})
    plan = runtime.compile(accumulate_plan())
    runtime.release_plan(plan)
    with pytest.raises(DeviceError, match=f"no plan {plan}"):
        runtime.submit(plan)


# ---- the device ---------------------------------------------------------------------------


@pytest.mark.browser_only  # Node takes a machine's card
def test_info_says_what_the_adapter_is_and_allows(runtime: GpuRuntime) -> None:
    info = runtime.info
    assert (info["name"], info["is_software"]) == ("SwiftShader", True)
    assert info["max_binding_bytes"] >= 128 << 20
    assert info["max_buffer_bytes"] >= info["max_binding_bytes"]


@pytest.mark.parametrize(
    ("gpu", "message"), [("none", "has no WebGPU"), ("no adapter", "no graphics adapter")]
)
def test_without_webgpu_the_error_says_what_to_do(
    gpu_page: GpuPage, gpu: str, message: str
) -> None:
    with pytest.raises(DeviceUnavailableError, match=message):
        gpu_page.call("createWithGpu", gpu=gpu)


def test_an_adapter_that_is_there_when_asked_again_is_taken(gpu_page: GpuPage) -> None:
    gpu_page.call("createWithGpu", gpu="late")


def test_a_lost_device_rejects_what_is_pending_and_all_that_follows(runtime: GpuRuntime) -> None:
    runtime.allocate({"x": 256, "y": 256})
    plan = runtime.compile(accumulate_plan())
    tickets = [runtime.submit(plan) for _ in range(3)]
    runtime.lose()
    assert [error["name"] for error in runtime.lost] == ["DeviceLostError"]
    for ticket in tickets:
        with pytest.raises(DeviceLostError, match=r"destroyed.*load the model again"):
            runtime.collect(ticket)
    for follow in (
        lambda: runtime.submit(plan),
        lambda: runtime.compile(accumulate_plan()),
        lambda: runtime.allocate({"z": 256}),
        lambda: runtime.write("x", b"1234"),
        lambda: runtime.read("x", 4),
        runtime.idle,
    ):
        with pytest.raises(DeviceLostError):
            follow()


def test_a_pass_that_does_not_end_is_a_lost_device(make_runtime: MakeRuntime) -> None:
    runtime = make_runtime(WGSL, hang_ms=100)
    runtime.allocate({"x": 256, "y": 256})
    plan = runtime.compile(accumulate_plan())
    assert len(runtime.collect(runtime.submit(plan))) == 64
    runtime.page.evaluate(
        """() => {
          globalThis.mapAsync = GPUBuffer.prototype.mapAsync;
          GPUBuffer.prototype.mapAsync = () => new Promise(() => {});
        }"""
    )
    try:
        ticket = runtime.submit(plan)
        with pytest.raises(DeviceLostError, match=r"not ended a pass within 0\.1 s"):
            runtime.collect(ticket)
        assert [error["name"] for error in runtime.lost] == ["DeviceLostError"]
        with pytest.raises(DeviceLostError):
            runtime.submit(plan)
    finally:
        runtime.page.evaluate("() => { GPUBuffer.prototype.mapAsync = globalThis.mapAsync; }")
