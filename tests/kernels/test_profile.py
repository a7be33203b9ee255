"""The runtime's profiler: what dispatches cost, and that nothing is left changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gpu_page import GpuPage, GpuRuntime

from leadout.errors import DeviceError

#: y += x + 1, in a small table; and a loop that takes a while, in a buffer of its own.
WGSL = {
    "count": """
@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < arrayLength(&y)) { y[id.x] += x[id.x] + 1u; }
}
""",
    "spin": """
override TIMES: u32 = 1u;
@group(0) @binding(0) var<storage, read_write> z: array<u32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= arrayLength(&z)) { return; }
  var v = z[id.x];
  for (var i = 0u; i < TIMES; i++) { v = v * 1664525u + 1013904223u; }
  z[id.x] = v;
}
""",
}
WORDS = 64


@pytest.fixture
def runtime(make_runtime: Callable[..., GpuRuntime]) -> GpuRuntime:
    runtime = make_runtime(WGSL)
    runtime.allocate(dict.fromkeys("xyz", 4 * WORDS))
    runtime.write("x", np.arange(WORDS, dtype=np.uint32))
    runtime.write("y", np.full(WORDS, 7, np.uint32))
    return runtime


def a_plan() -> dict[str, Any]:
    """Two kernels: a cheap one twice, an expensive one, and one that a param leaves out."""
    whole = {name: {"buffer": name, "offset": 0, "bytes": 4 * WORDS} for name in "xyz"}

    def dispatch(pipeline: int, names: str, label: str, count: int | str = 1) -> dict[str, Any]:
        bindings = [whole[name] for name in names]
        return {
            "pipeline": pipeline,
            "bindings": bindings,
            "workgroups": [count, 1, 1],
            "label": label,
        }

    return {
        "name": "profiled",
        "pipelines": [
            {"variant": "count", "constants": {}},
            {"variant": "spin", "constants": {"TIMES": 100000}},
        ],
        "dispatches": [
            dispatch(0, "xy", "layers.0.count"),
            dispatch(1, "z", "spin"),
            dispatch(0, "xy", "layers.1.count"),
            dispatch(0, "xy", "left_out", "tiles"),
        ],
        "params": ["tiles"],
        "readback": None,
    }


#: Keeps which kernels ran in each pass that was timed, in order.
_RECORD = """() => {
  globalThis.timedPasses = [];
  const begin = GPUCommandEncoder.prototype.beginComputePass;
  GPUCommandEncoder.prototype.beginComputePass = function (descriptor) {
    const pass = begin.call(this, descriptor);
    if (!descriptor?.timestampWrites) return pass;
    const kernels = [];
    let kernel = "";
    const setPipeline = pass.setPipeline.bind(pass);
    pass.setPipeline = (pipeline) => {
      kernel = pipeline.label;
      setPipeline(pipeline);
    };
    const dispatchWorkgroups = pass.dispatchWorkgroups.bind(pass);
    pass.dispatchWorkgroups = (...counts) => {
      kernels.push(kernel);
      dispatchWorkgroups(...counts);
    };
    timedPasses.push(kernels);
    return pass;
  };
  globalThis.endRecording = () => {
    GPUCommandEncoder.prototype.beginComputePass = begin;
    return timedPasses;
  };
}"""


def test_each_kind_of_dispatch_is_timed(runtime: GpuRuntime, gpu_page: GpuPage) -> None:
    gpu_page.evaluate(_RECORD)
    found = runtime.profile(a_plan(), [0], [[0, 2], [1], [3]])
    passes = [one for one in gpu_page.evaluate("endRecording()") if set(one) <= {"count", "spin"}]
    counts, spin, left_out = found["group_us"]
    # What a time is of: how long a dispatch takes on a busy machine says nothing.
    whole = ["count", "spin", "count"]
    assert passes[0] == whole
    assert passes.count(whole) >= found["whole_us"]["runs"] >= 1
    # The groups come last, each with its last passes counted; nothing runs for the one left out.
    first_of_spin = 1 + max(i for i, one in enumerate(passes) if "count" in one)
    of_counts, of_spin = passes[:first_of_spin], passes[first_of_spin:]
    last = ["count", "count"] * counts["repeats"]
    assert of_counts[-counts["runs"] :] == [last] * counts["runs"]
    assert of_spin[-spin["runs"] :] == [["spin"] * spin["repeats"]] * spin["runs"]
    for times in (found["whole_us"], counts, spin):
        assert 0 < times["low"] <= times["median"] <= times["high"]
    assert (left_out["median"], left_out["repeats"]) == (0, 0)
    assert found["empty_us"] > 0
    assert found["binding_types"]["count"] == ["read-only-storage", "storage"]
    alone = found["alone_us"]
    assert len(alone) == 4
    assert alone[1] is None or alone[3] == 0


def test_small_tables_hold_afterwards_what_they_held_before(runtime: GpuRuntime) -> None:
    runtime.profile(a_plan(), [1], [[0, 2], [1], [3]])
    y = np.frombuffer(runtime.read("y", 4 * WORDS), np.uint32)
    assert y.tolist() == [7] * WORDS


def test_reading_has_a_rate(runtime: GpuRuntime) -> None:
    found = runtime.bandwidth()
    assert found["gb_per_s"]["median"] > 0
    assert found["read_bytes"] >= 1 << 24


def test_a_profile_checks_what_a_submit_checks(runtime: GpuRuntime) -> None:
    with pytest.raises(DeviceError, match="takes"):
        runtime.profile(a_plan(), [], [[0]])
