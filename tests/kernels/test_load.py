"""Loading (web/runtime/load.js) in Chromium: each byte in its place, errors by tensor name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gpu_page import AbortedError, GpuPage, GpuRuntime

from leadout.errors import DeviceError, SourceError

#: A repacking kernel: four words of params, then the payload.
REPACK = """
@group(0) @binding(0) var<storage, read> staging: array<u32>;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < staging[0]) { y[staging[1] + id.x] = staging[4u + id.x] ^ 0x01010101u; }
}
"""


@pytest.fixture
def runtime(make_runtime: Callable[..., GpuRuntime]) -> GpuRuntime:
    return make_runtime({"repack": REPACK})


def load_plan(tensors: list[tuple[int, int, int]]) -> dict[str, Any]:
    """Return a LoadPlan of (source, offset, words) per tensor, into "w" one after the other."""
    steps = []
    first = 0
    for i, (source, offset, words) in enumerate(tensors):
        steps.append(
            {
                "source": source,
                "offset": offset,
                "bytes": 4 * words,
                "params": (words, first),
                "pipeline": 0,
                "bindings": [{"buffer": "w", "offset": 0, "bytes": W_BYTES}],
                "workgroups": (-(-words // 64), 1, 1),
                "label": f"tensor.{i}",
            }
        )
        first += words
    total = sum(4 * words for _, _, words in tensors)
    pipelines = [{"variant": "repack", "constants": {}}]
    return {"buffers": {}, "pipelines": pipelines, "steps": steps, "total_bytes": total}


W_BYTES = 24 << 20

#: Small ones side by side, large ones, one that ends off a multiple of 16 bytes, a gap, a shard.
TENSORS = [
    *[(0, 4 + 40 * i, 10) for i in range(50)],
    (0, 2004, 1 << 20),
    (0, 2004 + (4 << 20), 1 << 20),
    (0, (8 << 20) + 5000, 77),
    (1, 0, 1 << 20),
    (1, 4 << 20, (1 << 20) - 3),
    (0, 0, 1),
]


@pytest.fixture
def sources() -> list[bytes]:
    generator = np.random.default_rng(1)
    return [generator.bytes(size) for size in ((8 << 20) + 6000, (8 << 20) - 12)]


def test_every_tensor_of_a_load_arrives_in_its_place(
    runtime: GpuRuntime, sources: list[bytes]
) -> None:
    runtime.allocate({"w": W_BYTES})
    held = runtime.allocated_bytes
    progress = runtime.load(load_plan(TENSORS), sources)
    assert runtime.allocated_bytes == held
    assert runtime.peak_bytes <= held + (32 << 20)
    expected = b"".join(sources[s][offset : offset + 4 * n] for s, offset, n in TENSORS)
    words = np.frombuffer(expected, np.uint32) ^ np.uint32(0x01010101)
    assert runtime.read("w", len(expected)) == words.tobytes()
    assert progress[0] == [0, len(expected)]
    assert progress[-1] == [len(expected), len(expected)]
    assert progress == sorted(progress)


def test_a_load_over_http_makes_few_requests(
    runtime: GpuRuntime, gpu_page: GpuPage, sources: list[bytes]
) -> None:
    served = [gpu_page.server.file(f"{i}.bin", data) for i, data in enumerate(sources)]
    runtime.allocate({"w": W_BYTES})
    urls = [gpu_page.server.url(f"/files/{i}.bin") for i in range(2)]
    runtime.load(load_plan(TENSORS), urls)
    expected = b"".join(sources[s][offset : offset + 4 * n] for s, offset, n in TENSORS)
    words = np.frombuffer(expected, np.uint32) ^ np.uint32(0x01010101)
    assert runtime.read("w", len(expected)) == words.tobytes()
    assert len(served[0].requests) <= 7
    assert len(served[1].requests) <= 4


def test_an_aborted_load_stops_between_steps_and_gives_its_staging_back(
    runtime: GpuRuntime, sources: list[bytes]
) -> None:
    runtime.allocate({"w": W_BYTES})
    with pytest.raises(AbortedError):
        runtime.load(load_plan(TENSORS), sources, abort_after_bytes=5 << 20)
    assert runtime.allocated_bytes == W_BYTES
    runtime.load(load_plan(TENSORS[:3]), sources)


def test_a_truncated_source_names_the_tensor_and_the_numbers(
    runtime: GpuRuntime, sources: list[bytes]
) -> None:
    runtime.allocate({"w": W_BYTES})
    cut = [sources[0][: 6 << 20], sources[1]]
    with pytest.raises(SourceError, match=r"tensor\.51: source 0 has 6291456 bytes") as caught:
        runtime.load(load_plan(TENSORS), cut)
    assert caught.value.detail["tensor"] == "tensor.51"
    assert runtime.allocated_bytes == W_BYTES


def test_a_step_whose_binding_is_wrong_is_named(runtime: GpuRuntime, sources: list[bytes]) -> None:
    plan = load_plan(TENSORS[:3])
    plan["steps"][1]["bindings"] = [{"buffer": "nowhere", "offset": 0, "bytes": 4}]
    runtime.allocate({"w": W_BYTES})
    with pytest.raises(DeviceError, match=r'tensor\.1: there is no buffer "nowhere"'):
        runtime.load(plan, sources)
    assert runtime.allocated_bytes == W_BYTES
