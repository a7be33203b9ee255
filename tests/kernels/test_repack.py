"""The repacking kernels against their twins, word for word."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import raw_blocks
from leadout.devices.numpy_ops.repack import REPACKERS, Call
from leadout.layouts import BLOCK, FORMATS
from leadout.plan import Pipeline
from raw_blocks import POISON, WHOLE_FORMATS, Words

RunKernel = Callable[[str, dict[str, int | float], list[Words], tuple[int, int, int]], list[Words]]


def assert_kernel_equals_twin(
    run_kernel: RunKernel,
    pipeline: Pipeline,
    bindings: list[Words],
    workgroups: tuple[int, int, int],
) -> list[Words]:
    """Run both on copies of the same bindings and return what they left there."""
    kernel, *args = pipeline.variant.split(".")
    expected = [binding.copy() for binding in bindings]
    REPACKERS[kernel](Call(tuple(args), pipeline.constants, expected))
    actual = run_kernel(pipeline.variant, dict(pipeline.constants), bindings, workgroups)
    for index, (mine, wanted) in enumerate(zip(actual, expected, strict=True)):
        np.testing.assert_array_equal(mine, wanted, err_msg=f"binding {index}")
    return actual


@pytest.mark.parametrize("format_name", WHOLE_FORMATS)
def test_every_kind_of_block_is_repacked_as_by_the_twin(
    run_kernel: RunKernel, format_name: str
) -> None:
    num_blocks = 2048  # several workgroups
    payload = raw_blocks.raw_blocks(format_name, num_blocks * BLOCK)
    planes = raw_blocks.poisoned_planes(raw_blocks.layout_of(format_name), num_blocks)
    pipeline, bindings, workgroups = raw_blocks.repack_call(format_name, payload, 0, planes)
    assert_kernel_equals_twin(run_kernel, pipeline, bindings, workgroups)


@pytest.mark.parametrize("first_block", [0, 16])
@pytest.mark.parametrize("format_name", WHOLE_FORMATS)
def test_a_step_writes_its_own_blocks_alone(
    run_kernel: RunKernel, format_name: str, first_block: int
) -> None:
    payload = raw_blocks.raw_blocks(format_name, 136 * BLOCK)  # ends just inside a workgroup
    planes = raw_blocks.poisoned_planes(raw_blocks.layout_of(format_name), 160)
    pipeline, bindings, workgroups = raw_blocks.repack_call(
        format_name, payload, first_block, planes
    )
    _, *written = assert_kernel_equals_twin(run_kernel, pipeline, bindings, workgroups)
    for plane in written:
        blocks = plane.reshape(20, -1)  # in groups of eight
        is_outside = np.ones(20, bool)
        is_outside[first_block // 8 :][:17] = False
        assert (blocks[is_outside] == POISON).all()


@pytest.mark.parametrize("num_blocks", [1, 3, 129])
@pytest.mark.parametrize("format_name", [name for name in WHOLE_FORMATS if not name.endswith("_K")])
def test_an_odd_number_of_blocks_ends_the_planes(
    run_kernel: RunKernel, format_name: str, num_blocks: int
) -> None:
    # Neither the staging buffer nor the planes have a word too many: a kernel that read or wrote
    # past them would be kept to the last word, and so repeat or overwrite it.
    first_block = 6
    payload = raw_blocks.raw_blocks(format_name, num_blocks * BLOCK)
    planes = raw_blocks.poisoned_planes(raw_blocks.layout_of(format_name), first_block + num_blocks)
    pipeline, bindings, workgroups = raw_blocks.repack_call(
        format_name, payload, first_block, planes
    )
    assert_kernel_equals_twin(run_kernel, pipeline, bindings, workgroups)


@pytest.mark.parametrize("first_block", [0, 6])
@pytest.mark.parametrize("num_blocks", [4, 132, 2048])
@pytest.mark.parametrize("format_name", ["MLX_Q4_G32_F16", "MLX_Q8_G64_BF16", "MLX_Q4_G128_BF16"])
def test_the_parts_of_a_tensor_of_mlx_are_repacked_as_by_the_twin(
    run_kernel: RunKernel, format_name: str, num_blocks: int, first_block: int
) -> None:
    """Each writes its blocks alone, scales and biases a half of each word."""
    known = FORMATS[format_name]
    rng = np.random.default_rng(3)
    planes = raw_blocks.poisoned_planes(raw_blocks.layout_of(format_name), num_blocks + 8)
    for part in known.parts:
        num_bytes = num_blocks * BLOCK // part.columns * part.bytes
        payload = rng.integers(0, 256, num_bytes, np.uint8)
        assert part.plane is not None
        bindings = [raw_blocks.staging(payload, num_blocks, first_block), planes[part.plane]]
        _, planes[part.plane] = assert_kernel_equals_twin(
            run_kernel, part.repack, bindings, (-(-num_blocks // 128), 1, 1)
        )
    for plane in planes:
        blocks = plane.reshape(num_blocks + 8, -1)
        assert (blocks[:first_block] == POISON).all()
        assert (blocks[first_block + num_blocks :] == POISON).all()
        assert (blocks[first_block : first_block + num_blocks] != POISON).all()


@pytest.mark.parametrize("add", [0.0, 1.0])
@pytest.mark.parametrize("length", [1, 33, 640])
@pytest.mark.parametrize("format_name", ["F32", "F16", "BF16"])
def test_vectors_are_widened_as_by_the_twin(
    run_kernel: RunKernel, format_name: str, length: int, add: float
) -> None:
    payload = raw_blocks.raw_blocks(format_name, length)
    bindings = [raw_blocks.staging(payload, length, 5), np.full(length + 7, POISON, np.uint32)]
    pipeline = Pipeline(f"repack_vector.{format_name.lower()}", {"ADD": add})
    _, written = assert_kernel_equals_twin(run_kernel, pipeline, bindings, (-(-length // 64), 1, 1))
    assert (written[:5] == POISON).all()
    assert (written[-2:] == POISON).all()
    assert (written[5:-2] != POISON).all()


def test_every_half_is_widened_exactly(run_kernel: RunKernel) -> None:
    halves = np.arange(1 << 16).astype(np.uint16)
    is_finite = (halves & 0x7C00) != 0x7C00
    halves = halves[is_finite]
    bindings = [
        raw_blocks.staging(halves.view(np.uint8), len(halves), 0),
        np.full(len(halves), POISON, np.uint32),
    ]
    workgroups = (-(-len(halves) // 64), 1, 1)
    _, written = run_kernel("repack_vector.f16", {"ADD": 0.0}, bindings, workgroups)
    expected = halves.view(np.float16).astype(np.float32)
    np.testing.assert_array_equal(written, expected.view(np.uint32))
