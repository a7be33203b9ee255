"""Weights that are no numbers are refused, wherever they stand; made-up ones are usable."""

import json

import numpy as np
import pytest

import tiny_checkpoints
from engine_cases import folder_files, load
from leadout.checkpoint import MemorySource, open_checkpoint
from leadout.checkpoint.load_plan import LoadPlan, Placed
from leadout.devices.numpy import NumpyDevice
from leadout.devices.numpy_ops.weights import dequantize
from leadout.errors import TensorError
from leadout.layouts import LAYOUTS
from leadout.plan import Binding, BufferSpec, align
from leadout.weights import check_weights, fill_weights
from speculation_cases import TINY


@pytest.mark.parametrize(
    ("tensor", "value"),
    [
        ("model.embed_tokens.weight", np.nan),
        ("model.layers.2.mlp.down_proj.weight", np.inf),
        ("model.layers.0.self_attn.v_proj.weight", -np.inf),
        ("model.layers.1.post_attention_layernorm.weight", np.nan),
    ],
)
async def test_one_value_that_is_no_number_is_found_and_named(tmp_path, tensor, value) -> None:
    config = tiny_checkpoints.tiny_gemma3_config()
    weights = tiny_checkpoints.random_gemma3_weights(config, 0)
    weights[tensor] = weights[tensor].copy()
    weights[tensor].flat[-1] = value
    tiny_checkpoints.write_safetensors(tmp_path, config, weights)
    device = NumpyDevice()
    name = tensor.removeprefix("model.").split(".weight")[0].split(".")[-1]
    wanted = {"v_proj": "qkv", "down_proj": "down_proj"}.get(name, name)
    with pytest.raises(TensorError, match=f"{wanted}.* infinite or not a number"):
        await load(device, folder_files(tmp_path))
    assert device.allocated_bytes == 0


async def test_a_scale_that_is_no_number_is_found_in_quantised_weights(tmp_path) -> None:
    config = tiny_checkpoints.tiny_gemma3_config(
        hidden_size=256, intermediate_size=256, num_attention_heads=8, head_dim=32
    )
    weights = tiny_checkpoints.random_gemma3_weights(config, 0)
    path = tmp_path / "tiny.gguf"
    for kind in ("Q4_0", "Q4_K", "Q6_K", "Q8_0"):
        tiny_checkpoints.write_gguf(path, config, weights, kind)
        await load(NumpyDevice(), {path.name: path})
    source = MemorySource(path.name, path.read_bytes())
    checkpoint = await open_checkpoint({path.name: source})
    tensor = checkpoint.tensors["model.layers.1.mlp.up_proj.weight"]
    data = bytearray(path.read_bytes())
    last_block = tensor.offset + tensor.bytes - 34
    data[last_block : last_block + 2] = b"\x00\x7e"  # its scale becomes a NaN
    path.write_bytes(data)
    with pytest.raises(TensorError, match="not a number"):
        await load(NumpyDevice(), {path.name: path})


async def test_a_drafters_weights_are_looked_at_too(tmp_path) -> None:
    files = folder_files(TINY / "31b-assistant")
    data = bytearray(files["model.safetensors"].read_bytes())
    header_bytes = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + header_bytes])
    start = 8 + header_bytes + header["post_projection.weight"]["data_offsets"][0]
    data[start : start + 2] = b"\x80\x7f"  # infinity in bfloat16
    files["model.safetensors"] = tmp_path / "model.safetensors"
    files["model.safetensors"].write_bytes(data)
    with pytest.raises(TensorError, match="post_projection"):
        await load(NumpyDevice(), folder_files(TINY / "31b"), files)


@pytest.mark.parametrize("layout", LAYOUTS)
async def test_made_up_weights_are_small_varied_and_of_either_sign(layout) -> None:
    rows, columns = 8, 512
    planes, end = [], 0
    for plane in LAYOUTS[layout].planes:
        planes.append(Binding("m#0", align(end), plane.bytes(rows * columns // 32)))
        end = planes[-1].offset + planes[-1].bytes
    load_plan = LoadPlan({}, (), (), (Placed("m", layout, tuple(planes)),))
    device = NumpyDevice()
    await device.allocate({"m#0": BufferSpec(align(end, 4))})
    await fill_weights(device, load_plan)
    await check_weights(device, load_plan, "made up")
    words = [
        np.frombuffer(await device.read(p.buffer, p.offset, p.bytes), np.uint32) for p in planes
    ]
    if LAYOUTS[layout].bits == 8:
        assert set(words[0].view(np.int8)) <= set(LAYOUTS[layout].quants)
    weights = dequantize(layout, words, rows, columns)
    assert np.isfinite(weights).all()
    assert 1e-4 < np.abs(weights).max() < 1.0
    assert len(np.unique(weights)) > 10
    assert weights.max() > 0
