"""Tests of leadout.checkpoint.load_plan: the builder."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

import raw_blocks
from leadout.checkpoint.load_plan import (
    BLOCKS_PER_WORKGROUP,
    STEP_BYTES,
    VALUES_PER_WORKGROUP,
    VECTORS_BUFFER,
    LoadPlan,
    LoadPlanBuilder,
    group_by_layout,
)
from leadout.devices.numpy_ops.repack import REPACKERS, Call
from leadout.devices.numpy_ops.weights import dequantize
from leadout.errors import DeviceLimitError, TensorError, UnsupportedFormatError
from leadout.layouts import BLOCK, FORMATS, Matrix
from leadout.plan import BINDING_ALIGNMENT_BYTES, MAX_WORKGROUPS_PER_DIMENSION
from lowered import kernels

UNLIMITED = 1 << 40


@dataclass(frozen=True)
class Tensor:
    """A tensor in a checkpoint of one source or more."""

    name: str
    shape: tuple[int, ...]
    format: str
    offset: int = 0
    source: int = 0

    @property
    def bytes(self) -> int:
        known = FORMATS[self.format]
        return int(np.prod(self.shape)) // known.columns * known.bytes

    @property
    def ranges(self) -> tuple[tuple[int, int], ...]:
        return ((self.source, self.offset),)


def in_file_order(*tensors: tuple[str, tuple[int, ...]], start: int = 96) -> list[Tensor]:
    """Return tensors of (format, shape), one behind the other in one source."""
    placed = []
    for index, (format_name, shape) in enumerate(tensors):
        placed.append(Tensor(f"t{index}", shape, format_name, start))
        start += placed[-1].bytes
    return placed


def load(load_plan: LoadPlan, sources: Sequence[raw_blocks.Bytes]) -> dict[str, raw_blocks.Words]:
    """Run a LoadPlan's steps with the twins, over poisoned buffers."""
    buffers = {
        name: np.full(spec.bytes // 4, raw_blocks.POISON, np.uint32)
        for name, spec in load_plan.buffers.items()
    }
    for step in load_plan.steps:
        payload = sources[step.source][step.offset : step.offset + step.bytes]
        assert len(payload) == step.bytes
        planes = [
            buffers[binding.buffer][binding.offset // 4 :][: binding.bytes // 4]
            for binding in step.bindings
        ]
        pipeline = load_plan.pipelines[step.pipeline]
        kernel, *args = pipeline.variant.split(".")
        call = Call(
            tuple(args),
            pipeline.constants,
            [raw_blocks.staging(payload, *step.params), *planes],
        )
        REPACKERS[kernel](call)
    return buffers


def weights_of(matrix: Matrix, buffers: dict[str, raw_blocks.Words]) -> np.ndarray:
    """Return a loaded matrix, its shards put together."""
    parts = []
    for shard in matrix.shards:
        planes = [
            buffers[binding.buffer][binding.offset // 4 :][: binding.bytes // 4]
            for binding in shard.planes
        ]
        parts.append(dequantize(matrix.layout, planes, shard.num_rows, matrix.num_cols))
    return np.concatenate(parts)


def source_of(tensors: Sequence[Tensor]) -> raw_blocks.Bytes:
    """Return a source with random tensors at their offsets."""
    data = np.zeros(max(tensor.offset + tensor.bytes for tensor in tensors), np.uint8)
    for seed, tensor in enumerate(tensors):
        raw = raw_blocks.raw_blocks(tensor.format, int(np.prod(tensor.shape)), seed)
        data[tensor.offset : tensor.offset + tensor.bytes] = raw
    return data


def load_whole(tensor: Tensor, source: raw_blocks.Bytes) -> np.ndarray:
    """Return one tensor loaded alone, on a device without limits."""
    builder = LoadPlanBuilder(UNLIMITED)
    matrix = builder.matrix("m", [tensor])
    return weights_of(matrix, load(builder.build(), [source]))


def assert_read_once(load_plan: LoadPlan, tensors: Sequence[Tensor]) -> None:
    """Assert that the steps read each tensor's bytes exactly once, and nothing else."""
    expected = sorted((tensor.source, tensor.offset, tensor.bytes) for tensor in tensors)
    by_tensor = {(source, start): start for source, start, _ in expected}
    for step in load_plan.steps:
        assert 0 < step.bytes <= STEP_BYTES
        key = max(key for key in by_tensor if key <= (step.source, step.offset))
        assert step.offset == by_tensor[key]
        by_tensor[key] += step.bytes
    for source, start, num_bytes in expected:
        assert by_tensor[source, start] == start + num_bytes
    assert load_plan.total_bytes == sum(num_bytes for _, _, num_bytes in expected)


@pytest.mark.parametrize("format_name", raw_blocks.WHOLE_FORMATS)
def test_a_matrix_that_fits_is_one_shard_with_aligned_planes(format_name: str) -> None:
    builder = LoadPlanBuilder(UNLIMITED)
    (tensor,) = in_file_order((format_name, (6, 256)))
    matrix = builder.matrix("model.layers.0.mlp", [tensor])
    load_plan = builder.build()
    (shard,) = matrix.shards
    assert (shard.row_start, shard.num_rows) == (0, 6)
    assert list(load_plan.buffers) == ["model.layers.0.mlp#0"]
    layout = raw_blocks.layout_of(format_name)
    assert matrix.layout == layout.name
    end = 0
    for plane, binding in zip(layout.planes, shard.planes, strict=True):
        assert binding.offset % BINDING_ALIGNMENT_BYTES == 0
        assert end <= binding.offset < end + BINDING_ALIGNMENT_BYTES
        assert binding.bytes == plane.bytes(6 * 256 // BLOCK)
        end = binding.offset + binding.bytes
    assert load_plan.buffers["model.layers.0.mlp#0"].bytes == end
    assert_read_once(load_plan, [tensor])


@pytest.mark.parametrize("max_binding_bytes", [UNLIMITED, 20_000, 4096, 1024])
@pytest.mark.parametrize("max_buffer_bytes", [None, 3000])
def test_stacked_tensors_of_two_formats_are_loaded_row_under_row(
    max_binding_bytes: int, max_buffer_bytes: int | None
) -> None:
    tensors = in_file_order(("Q5_0", (64, 96)), ("Q8_0", (32, 96)), ("Q5_0", (7, 96)))
    source = source_of(tensors)
    builder = LoadPlanBuilder(max_binding_bytes, max_buffer_bytes)
    matrix = builder.matrix("qkv_proj", tensors)
    load_plan = builder.build()
    assert (matrix.num_rows, matrix.num_cols, matrix.layout) == (103, 96, "q8_scale")
    assert_read_once(load_plan, tensors)
    actual = weights_of(matrix, load(load_plan, [source]))
    expected = np.concatenate([load_whole(tensor, source) for tensor in tensors])
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("format_name", raw_blocks.WHOLE_FORMATS)
@pytest.mark.parametrize("rows_allowed", [2, 3, 10, 16])
def test_shards_cover_every_row_once_within_the_limit(format_name: str, rows_allowed: int) -> None:
    (tensor,) = in_file_order((format_name, (37, 256)))
    largest = raw_blocks.layout_of(format_name).planes[0].bytes(256 // BLOCK)
    builder = LoadPlanBuilder(rows_allowed * largest + 4)
    matrix = builder.matrix("m", [tensor])
    next_row = 0
    for shard in matrix.shards:
        assert shard.row_start == next_row
        assert shard.num_rows % 2 == 0 or shard is matrix.shards[-1]
        assert all(binding.bytes <= rows_allowed * largest + 4 for binding in shard.planes)
        next_row += shard.num_rows
    assert next_row == 37
    assert len(matrix.shards) == -(-37 // (rows_allowed // 2 * 2))
    load_plan = builder.build()
    assert list(load_plan.buffers) == [f"m#{i}" for i in range(len(matrix.shards))]
    assert_read_once(load_plan, [tensor])
    source = source_of([tensor])
    np.testing.assert_array_equal(
        weights_of(matrix, load(load_plan, [source])), load_whole(tensor, source)
    )


def test_a_buffer_limit_shards_what_bindings_alone_would_not() -> None:
    (tensor,) = in_file_order(("Q4_0", (64, 256)))
    builder = LoadPlanBuilder(64 * 128, 64 * 128)
    matrix = builder.matrix("m", [tensor])
    assert len(matrix.shards) == 2
    assert all(spec.bytes <= 64 * 128 for spec in builder.build().buffers.values())


def test_rows_that_no_binding_holds_are_refused_with_the_numbers() -> None:
    (tensor,) = in_file_order(("F32", (8, 1024)))
    with pytest.raises(DeviceLimitError, match=r"8192 bytes as f32.* at most 8188") as refused:
        LoadPlanBuilder(8188).matrix("m", [tensor])
    assert refused.value.detail["needed_bytes"] == 8192


def test_large_tensors_are_read_in_steps_of_whole_blocks_in_file_order() -> None:
    tensors = [
        Tensor("k", (2048, 6400), "Q6_K", 32),
        Tensor("a", (1001, 9632), "Q4_0", 100_000_000),
        Tensor("v", (3_000_000,), "F16", 200_000_000),
        Tensor("f", (1024, 5024), "BF16", 77, source=1),
    ]
    builder = LoadPlanBuilder(UNLIMITED)
    for tensor in reversed(tensors):
        if len(tensor.shape) == 1:
            builder.vector(tensor.name, tensor, add=1.0)
        else:
            builder.matrix(tensor.name, [tensor])
    load_plan = builder.build()
    assert_read_once(load_plan, tensors)
    places = [(step.source, step.offset) for step in load_plan.steps]
    assert places == sorted(places)
    by_name = {tensor.name: tensor for tensor in tensors}
    done = dict.fromkeys(by_name, 0)
    for step in load_plan.steps:
        count, first = step.params
        known = FORMATS[by_name[step.label].format]
        assert first == done[step.label]
        done[step.label] += count
        if step.label == "v":
            assert step.bytes == 2 * count
            assert step.workgroups == (-(-count // 64), 1, 1)
        else:
            assert step.bytes * known.columns == count * BLOCK * known.bytes
            assert step.workgroups == (-(-count // 128), 1, 1)
            assert first % (8 if step.label == "k" else 2) == 0
        assert step.workgroups[0] <= MAX_WORKGROUPS_PER_DIMENSION
    assert done == {"k": 409_600, "a": 301_301, "v": 3_000_000, "f": 160_768}


def test_vectors_share_one_buffer_and_are_widened_there() -> None:
    tensors = in_file_order(("F32", (640,)), ("F16", (33,)), ("BF16", (1, 5)), ("F32", (640,)))
    builder = LoadPlanBuilder(UNLIMITED)
    vectors = [builder.vector(tensor.name, tensor, add=1.0) for tensor in tensors]
    load_plan = builder.build()
    assert list(load_plan.buffers) == [VECTORS_BUFFER]
    assert [vector.length for vector in vectors] == [640, 33, 5, 640]
    assert [vector.binding.offset for vector in vectors] == [0, 2560, 2816, 3072]
    assert_read_once(load_plan, tensors)
    source = source_of(tensors)
    words = load(load_plan, [source])[VECTORS_BUFFER]
    first = source[96 : 96 + 2560].view(np.float32) + np.float32(1)
    np.testing.assert_array_equal(words[:640].view(np.float32), first)
    second = source[tensors[1].offset :][:66].view(np.float16).astype(np.float32) + np.float32(1)
    np.testing.assert_array_equal(words[640:673].view(np.float32), second)


def test_equal_pipelines_are_listed_once() -> None:
    tensors = in_file_order(
        ("F32", (4, 32)), ("F32", (8, 64)), ("F16", (4, 32)), ("F32", (9,)), ("F32", (9,))
    )
    builder = LoadPlanBuilder(UNLIMITED)
    for tensor in tensors[:3]:
        builder.matrix(tensor.name, [tensor])
    builder.vector("plain", tensors[3])
    builder.vector("plus_one", tensors[4], add=1.0)
    assert [(p.variant, dict(p.constants)) for p in builder.build().pipelines] == [
        ("repack_float", {"VEC4S_PER_BLOCK": 8}),
        ("repack_float", {"VEC4S_PER_BLOCK": 4}),
        ("repack_vector.f32", {"ADD": 0.0}),
        ("repack_vector.f32", {"ADD": 1.0}),
    ]


def test_a_load_plan_survives_json() -> None:
    (tensor,) = in_file_order(("Q4_K", (4, 512)))
    builder = LoadPlanBuilder(UNLIMITED)
    builder.matrix("m", [tensor])
    as_json = json.loads(json.dumps(builder.build().to_json()))
    assert as_json["total_bytes"] == tensor.bytes
    assert as_json["steps"][0]["params"] == [64, 0]
    assert as_json["pipelines"] == [{"variant": "repack_super.q4_k", "constants": {}}]


def test_neighbours_of_one_layout_are_grouped_in_order() -> None:
    tensors = in_file_order(*((name, (2, 256)) for name in ("Q5_0", "Q8_0", "Q6_K", "Q8_0")))
    assert group_by_layout(tensors) == [tuple(tensors[:2]), (tensors[2],), (tensors[3],)]


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ([("F32", (32,))], r"shape \[32\]: wanted \[rows, 32\]"),
        ([("F32", ())], r"shape \[\]"),
        ([("F32", (2, 3, 32))], r"shape \[2, 3, 32\]"),
        ([("F32", (0, 32))], r"shape \[0, 32\]"),
        ([("F32", (4, 0))], "multiple of 32 columns"),
        ([("F32", (4, 40))], "multiple of 32 columns"),
        ([("Q4_K", (4, 128))], "multiple of 256 columns"),
        ([("F32", (4, 32)), ("F32", (4, 64))], r"wanted \[rows, 32\]"),
        ([("F32", (3, 32)), ("F32", (4, 32))], "odd number of blocks"),
    ],
)
def test_a_shape_that_does_not_fit_is_refused(
    tensors: list[tuple[str, tuple[int, ...]]], message: str
) -> None:
    builder = LoadPlanBuilder(UNLIMITED)
    with pytest.raises(TensorError, match=message):
        builder.matrix("m", in_file_order(*tensors))


def test_workgroups_write_as_much_as_steps_count_on() -> None:
    """Two blocks a thread, or one value of a vector."""
    repacking = {name: one for name, one in kernels().items() if name.startswith("repack_")}
    assert len(repacking) > 10
    for name, one in repacking.items():
        threads = math.prod(one["workgroup_size"])
        if one["kernel"] == "repack_vector":
            assert threads == VALUES_PER_WORKGROUP, name
        else:
            assert 2 * threads == BLOCKS_PER_WORKGROUP, name


def test_an_unknown_format_and_a_quantised_vector_are_refused() -> None:
    @dataclass(frozen=True)
    class Unknown:
        name: str = "t"
        shape: tuple[int, ...] = (1, 256)
        format: str = "IQ2_XXS"
        source: int = 0
        offset: int = 0
        bytes: int = 66

    with pytest.raises(
        UnsupportedFormatError, match="'t' is stored as 'IQ2_XXS'; wanted one of F32"
    ):
        LoadPlanBuilder(UNLIMITED).matrix("m", [Unknown()])
    with pytest.raises(UnsupportedFormatError, match="'t0' is Q8_0"):
        LoadPlanBuilder(UNLIMITED).vector("v", in_file_order(("Q8_0", (64,)))[0])
