"""Tests of leadout.checkpoint.mlx: what MLX's tensors are, and what they become on a device."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from leadout.checkpoint import FileSource, TensorInfo, load_plan
from leadout.checkpoint.load_plan import LoadPlanBuilder
from leadout.checkpoint.mlx import joined
from leadout.checkpoint.names import text_name_of_safetensors
from leadout.devices.numpy import NumpyDevice
from leadout.devices.numpy_ops.weights import dequantize
from leadout.errors import CheckpointError, LeadoutError, TensorError, UnsupportedFormatError
from leadout.layouts import FORMATS
from leadout.plan import MAX_WORKGROUPS_PER_DIMENSION
from mlx_matrices import FILE, mlx_matrices

MATRICES = {matrix.tensor.format: matrix for matrix in mlx_matrices()}
FOUR_BITS = {"group_size": 64, "bits": 4, "mode": "affine"}


def layer(
    words: int = 16, groups: int = 2, scales: str = "BF16", name: str = "q", weight: str = "U32"
) -> list[TensorInfo]:
    """Return the three tensors of a layer of 8 rows."""
    return [
        TensorInfo(f"{name}.weight", (8, words), weight, 0, 0, 32 * words),
        TensorInfo(f"{name}.scales", (8, groups), scales, 1, 0, 16 * groups),
        TensorInfo(f"{name}.biases", (8, groups), scales, 2, 0, 16 * groups),
    ]


def packed(infos: list[TensorInfo], **quantization: Any) -> dict[str, TensorInfo]:
    config = {"quantization": FOUR_BITS | quantization}
    return {info.name: info for info in joined(infos, config)}


def test_there_is_a_matrix_of_every_format() -> None:
    assert set(MATRICES) == {name for name, known in FORMATS.items() if len(known.parts) > 1}


@pytest.mark.parametrize("format_name", MATRICES)
@pytest.mark.parametrize("step_bytes", [load_plan.STEP_BYTES, 128])
async def test_every_value_is_what_mlx_makes_of_it(
    format_name: str, step_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random matrices, and words and scales of any bits: bit for bit, in one step or in many."""
    monkeypatch.setattr(load_plan, "STEP_BYTES", step_bytes)
    matrix = MATRICES[format_name]
    rows, cols = matrix.values.shape
    builder = LoadPlanBuilder(1 << 11, prefix="x.")  # in several shards, where bits are 8
    placed = builder.matrix("w", [matrix.tensor])
    plan = builder.build()
    device = NumpyDevice()
    await device.allocate(plan.buffers)
    await device.load(plan, [FileSource(FILE)], lambda *_: None)
    actual = np.concatenate(
        [
            dequantize(
                placed.layout,
                [device._memory.view(plane) for plane in shard.planes],
                shard.num_rows,
                cols,
            )
            for shard in placed.shards
        ]
    )
    assert actual.shape == (rows, cols)
    np.testing.assert_array_equal(actual.view(np.uint32), matrix.values.view(np.uint32))


def test_scales_of_a_large_table_fit_into_grids() -> None:
    """A step of scales has few bytes for many blocks."""
    rows, cols = 262_144, 35 * 256
    sizes = (rows * cols // 2, rows * cols // 64, rows * cols // 64)
    table = TensorInfo(
        "t",
        (rows, cols),
        "MLX_Q4_G128_BF16",
        0,
        0,
        sum(sizes),
        ((0, sizes[0]), (0, sum(sizes[:2]))),
    )
    builder = LoadPlanBuilder(1 << 40)
    builder.matrix("t", [table])
    steps = builder.build().steps
    assert max(step.workgroups[0] for step in steps) <= MAX_WORKGROUPS_PER_DIMENSION
    assert sum(step.bytes for step in steps) == sum(sizes)


def test_parts_are_joined_and_other_tensors_left_alone() -> None:
    norm = TensorInfo("norm.weight", (8,), "BF16", 0, 0, 16)
    tensors = packed(
        [norm, *layer(name="q"), *layer(32, 4, "F16", "v")], v={"bits": 8, "group_size": 32}
    )
    assert tensors["norm.weight"] is norm
    q, v = tensors["q.weight"], tensors["v.weight"]
    assert set(tensors) == {"norm.weight", "q.weight", "v.weight"}
    assert (q.shape, q.format, q.bytes) == ((8, 128), "MLX_Q4_G64_BF16", 512 + 2 * 32)
    assert q.ranges == ((0, 0), (1, 0), (2, 0))
    assert (v.shape, v.format) == ((8, 128), "MLX_Q8_G32_F16")


def test_an_entry_that_leaves_a_number_out_has_the_defaults_of_mlx() -> None:
    tensors = packed(layer(32, 2), group_size=32, q={"bits": 8})
    assert tensors["q.weight"].format == "MLX_Q8_G64_BF16"


@pytest.mark.parametrize("entry", [False, {"bits": 6, "group_size": 64}])
def test_an_entry_for_a_layer_without_scales_is_not_looked_at(entry: object) -> None:
    plain = TensorInfo("q.weight", (8, 64), "BF16", 0, 0, 1024)
    assert packed([plain], q=entry) == {"q.weight": plain}


@pytest.mark.parametrize(
    ("infos", "quantization", "error", "words"),
    [
        (layer(), {"bits": 3}, UnsupportedFormatError, "3 bits in groups of 64"),
        (layer(), {"q": {"bits": 6}}, UnsupportedFormatError, r"\['q'\] has 6 bits"),
        (layer(), {"group_size": 16}, UnsupportedFormatError, "groups of 16"),
        (layer(), {"mode": "mxfp4"}, UnsupportedFormatError, "mode 'mxfp4'"),
        (layer(scales="F32"), {}, UnsupportedFormatError, "scales stored as F32"),
        (layer(), {"bits": True}, CheckpointError, "wanted an object with group_size and bits"),
        (layer(), {"q": "no"}, CheckpointError, "is 'no'"),
        (layer(), {"q": False}, TensorError, "is not quantised, but"),
        (layer(weight="BF16"), {}, TensorError, "has 4 bits, but its weight is stored as BF16"),
        (layer()[:2], {}, TensorError, "'q.biases' is missing"),
        (layer()[1:], {}, TensorError, "'q.weight' is missing"),
        (layer(groups=4), {}, TensorError, r"of \[8, 2\]; found \[8, 4\]"),
        (layer(), {"bits": 8}, TensorError, "64 columns of 8 bits"),
    ],
)
def test_what_cannot_be_read_is_named(
    infos: list[TensorInfo], quantization: dict[str, Any], error: type[LeadoutError], words: str
) -> None:
    with pytest.raises(error, match=words):
        packed(infos, **quantization)


def test_scales_without_a_configuration_are_refused() -> None:
    with pytest.raises(CheckpointError, match="no `quantization`"):
        joined(layer(), {})


@pytest.mark.parametrize("module", ["switch_glu", "switch_mlp"])
def test_experts_have_the_names_of_files_that_keep_gate_and_up_apart(module: str) -> None:
    name = f"language_model.model.layers.3.experts.{module}.gate_proj.weight"
    assert text_name_of_safetensors(name) == "model.layers.3.experts.gate_proj"
