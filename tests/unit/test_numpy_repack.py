"""Tests of leadout.devices.numpy_ops: repacking, and weights read back from the layouts."""

from __future__ import annotations

import gguf
import numpy as np
import pytest

import raw_blocks
from leadout.devices.numpy_ops.repack import REPACKERS, Call
from leadout.devices.numpy_ops.weights import dequantize
from leadout.layouts import BLOCK, FORMATS
from raw_blocks import WHOLE_FORMATS

QUANTISED = [name for name in WHOLE_FORMATS if FORMATS[name].columns > 1]
CAN_QUANTISE = ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"]

#: Rows of 256 columns.
NUM_ROWS = 64
NUM_COLS = 256


def repacked(
    format_name: str, payload: raw_blocks.Bytes, step_blocks: int | None = None
) -> list[raw_blocks.Words]:
    """Return the planes that a tensor becomes, in steps of so many blocks of 32 columns."""
    known = FORMATS[format_name]
    num_blocks = len(payload) // known.bytes * known.columns // BLOCK
    step_blocks = step_blocks or num_blocks
    planes = raw_blocks.poisoned_planes(raw_blocks.layout_of(format_name), num_blocks)
    step_bytes = step_blocks * BLOCK // known.columns * known.bytes
    for step, start in enumerate(range(0, len(payload), step_bytes)):
        pipeline, bindings, _ = raw_blocks.repack_call(
            format_name, payload[start : start + step_bytes], step * step_blocks, planes
        )
        kernel, *args = pipeline.variant.split(".")
        REPACKERS[kernel](Call(tuple(args), pipeline.constants, bindings))
    return planes


def reference(format_name: str, payload: raw_blocks.Bytes) -> np.ndarray:
    """Return what the gguf package makes of the bytes, [NUM_ROWS, NUM_COLS]."""
    if format_name in ("F32", "F16"):
        values = payload.view(np.float32 if format_name == "F32" else np.float16)
        return values.astype(np.float32).reshape(-1, NUM_COLS)
    rows = payload.reshape(
        -1, NUM_COLS // FORMATS[format_name].columns * FORMATS[format_name].bytes
    )
    return gguf.quants.dequantize(rows, gguf.GGMLQuantizationType[format_name])


def assert_same_bits(actual: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_array_equal(actual.view(np.uint32), expected.view(np.uint32))


@pytest.mark.parametrize("format_name", CAN_QUANTISE)
def test_quantised_weights_come_back_as_gguf_reads_them(format_name: str) -> None:
    weights = np.random.default_rng(1).standard_normal((NUM_ROWS, NUM_COLS)).astype(np.float32)
    raw = gguf.quants.quantize(weights, gguf.GGMLQuantizationType[format_name])
    payload = np.ascontiguousarray(raw).view(np.uint8).reshape(-1)
    planes = repacked(format_name, payload)
    actual = dequantize(FORMATS[format_name].layout, planes, NUM_ROWS, NUM_COLS)
    assert_same_bits(actual, reference(format_name, payload))
    # The weights themselves, to within half a step of the coarsest format (4 bits of ±4).
    np.testing.assert_allclose(actual, weights, atol=0.5)


@pytest.mark.parametrize("format_name", WHOLE_FORMATS)
def test_any_finite_block_comes_back_as_gguf_reads_it(format_name: str) -> None:
    payload = raw_blocks.raw_blocks(format_name, NUM_ROWS * NUM_COLS)
    planes = repacked(format_name, payload)
    actual = dequantize(FORMATS[format_name].layout, planes, NUM_ROWS, NUM_COLS)
    assert np.isfinite(actual).all()
    assert_same_bits(actual, reference(format_name, payload))
    layout = raw_blocks.layout_of(format_name)
    if layout.bits == 8:
        assert set(planes[0].view(np.int8)) <= set(layout.quants)


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
@pytest.mark.parametrize("half", raw_blocks.NON_FINITE_HALVES)
@pytest.mark.parametrize("format_name", QUANTISED)
def test_infinite_and_nan_scales_propagate(format_name: str, half: int) -> None:
    payload = raw_blocks.raw_blocks(format_name, NUM_ROWS * NUM_COLS)
    blocks = payload.reshape(-1, FORMATS[format_name].bytes)
    for offset in raw_blocks.SCALE_OFFSETS[format_name]:
        blocks[::2, offset : offset + 2] = np.frombuffer(np.uint16(half).tobytes(), np.uint8)
    planes = repacked(format_name, payload)
    actual = dequantize(FORMATS[format_name].layout, planes, NUM_ROWS, NUM_COLS)
    is_finite = np.isfinite(actual.reshape(len(blocks), -1))
    assert not is_finite[::2].any()
    assert is_finite[1::2].all()
    np.testing.assert_array_equal(actual, reference(format_name, payload))


@pytest.mark.parametrize("format_name", WHOLE_FORMATS)
def test_steps_of_any_size_write_the_same_planes(format_name: str) -> None:
    payload = raw_blocks.raw_blocks(format_name, NUM_ROWS * NUM_COLS)
    whole = repacked(format_name, payload)
    for step_blocks in (8, 24, 504):
        for expected, actual in zip(
            whole, repacked(format_name, payload, step_blocks), strict=True
        ):
            np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("format_name", [name for name in WHOLE_FORMATS if not name.endswith("_K")])
def test_an_odd_number_of_blocks_fills_its_planes_and_ends_in_zero(format_name: str) -> None:
    payload = raw_blocks.raw_blocks(format_name, 35 * BLOCK)
    planes = repacked(format_name, payload)
    actual = dequantize(FORMATS[format_name].layout, planes, 35, BLOCK)
    known = FORMATS[format_name]
    rows = payload.reshape(35, BLOCK // known.columns * known.bytes)
    if format_name in ("F32", "F16"):
        expected = reference(format_name, np.tile(payload, NUM_COLS // BLOCK)).reshape(-1, BLOCK)[
            :35
        ]
    else:
        expected = gguf.quants.dequantize(rows, gguf.GGMLQuantizationType[format_name])
    assert_same_bits(actual, expected)
    if raw_blocks.layout_of(format_name).scaling == "scale":
        assert planes[1][-1] >> 16 == 0


@pytest.mark.parametrize("format_name", WHOLE_FORMATS)
def test_a_step_writes_its_own_blocks_alone(format_name: str) -> None:
    planes = raw_blocks.poisoned_planes(raw_blocks.layout_of(format_name), 32)
    payload = raw_blocks.raw_blocks(format_name, 8 * BLOCK)
    pipeline, bindings, _ = raw_blocks.repack_call(format_name, payload, 16, planes)
    kernel, *args = pipeline.variant.split(".")
    REPACKERS[kernel](Call(tuple(args), pipeline.constants, bindings))
    for plane in planes:
        quarters = plane.reshape(4, -1)
        assert (quarters[[0, 1, 3]] == raw_blocks.POISON).all()
        assert (quarters[2] != raw_blocks.POISON).all()


@pytest.mark.parametrize("add", [0.0, 1.0])
@pytest.mark.parametrize("format_name", ["F32", "F16", "BF16"])
def test_vectors_are_widened_and_added_to(format_name: str, add: float) -> None:
    payload = raw_blocks.raw_blocks(format_name, NUM_COLS)
    values = np.full(NUM_COLS + 8, raw_blocks.POISON, np.uint32)
    bindings = [raw_blocks.staging(payload, NUM_COLS, 5), values]
    REPACKERS["repack_vector"](Call((format_name.lower(),), {"ADD": add}, bindings))
    expected = reference(format_name, payload).reshape(-1)
    if add:
        expected = expected + np.float32(add)
    assert_same_bits(values[5:-3].view(np.float32), expected)
    assert (values[[0, 1, 2, 3, 4, -3, -2, -1]] == raw_blocks.POISON).all()
