"""Copies from buffer to buffer (web/runtime/copies.js): their order, their sizes, their errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from gpu_page import GpuRuntime
from hand_plan import PlanBuilder

from leadout.errors import DeviceError
from leadout.plan import Binding, Copy

ADD_ONE = """
@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < arrayLength(&y)) { y[id.x] += 1u; }
}
"""


@pytest.fixture
def runtime(make_runtime: Callable[..., GpuRuntime]) -> GpuRuntime:
    return make_runtime({"add_one": ADD_ONE})


def copied(source: str, start: int, target: str, to: int, num_bytes: int) -> dict[str, object]:
    return asdict(Copy(Binding(source, start, num_bytes), Binding(target, to, num_bytes)))


def test_copies_take_effect_in_order_between_the_submits_around_them(runtime: GpuRuntime) -> None:
    runtime.allocate({"x": 256, "y": 256})
    x = np.arange(64, dtype=np.uint32)
    runtime.write("x", x)
    builder = PlanBuilder("add")
    y = builder.scratch("y", 256)
    builder.dispatch("add_one", {}, [y], (1, 1, 1), "add")
    plan = runtime.compile(builder.build(y).to_json())
    before = runtime.submit(plan)
    runtime.copy([copied("x", 4, "y", 0, 128), copied("y", 0, "y", 128, 128)])
    after = runtime.submit(plan)
    np.testing.assert_array_equal(runtime.collect(before), 0 * x + 1)
    np.testing.assert_array_equal(runtime.collect(after), np.tile(x[1:33], 2) + 1)


def test_a_large_copy_within_a_buffer_is_whole(runtime: GpuRuntime) -> None:
    size = (9 << 20) + 4
    runtime.allocate({"big": 2 * size})
    words = np.arange(size // 4, dtype=np.uint32)
    runtime.write("big", words)
    runtime.copy([copied("big", 0, "big", size, size)])
    np.testing.assert_array_equal(np.frombuffer(runtime.read("big", size, size), np.uint32), words)


@pytest.mark.parametrize(
    ("ranges", "named"),
    [
        (("x", 0, "y", 0, 260), 'buffer "x"'),
        (("x", 0, "y", 252, 8), 'buffer "y"'),
        (("x", 0, "z", 0, 8), 'no buffer "z"'),
    ],
)
def test_copies_outside_a_buffer_are_refused(
    runtime: GpuRuntime, ranges: tuple[Any, ...], named: str
) -> None:
    runtime.allocate({"x": 256, "y": 256})
    with pytest.raises(DeviceError, match=named):
        runtime.copy([copied(*ranges)])


def test_copies_of_different_sizes_are_refused(runtime: GpuRuntime) -> None:
    runtime.allocate({"x": 256, "y": 256})
    ranges = copied("x", 0, "y", 0, 8)
    with pytest.raises(DeviceError, match="8 bytes to a range of 16"):
        runtime.copy([{**ranges, "target": {"buffer": "y", "offset": 0, "bytes": 16}}])
