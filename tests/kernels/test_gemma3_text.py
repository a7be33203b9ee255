"""The engine on WebGPU in Chromium, driven from CPython; the same checks as on the NumPy device."""

from pathlib import Path

import numpy as np
import pytest
from page_device import PageDevice

import reference_gemma3
import tiny_checkpoints
from engine_cases import (
    RELATIVE_TOLERANCE,
    check_golden,
    decoded,
    folder_files,
    generated,
    load,
    relative_error,
    scored,
)
from leadout.devices.numpy import NumpyDevice
from short_rings import short_rings

TINY = Path(__file__).parents[1] / "vectors" / "gemma3-tiny"
SAMPLED = {"temperature": 0.9, "top_k": 50, "top_p": 0.95, "min_p": 0.01, "repetition_penalty": 1.2}


@pytest.mark.parametrize("name", ["multi-query", "grouped-query", "odd-scale"])
async def test_safetensors_give_the_logits_of_transformers(kernel_runtime, name) -> None:
    device = PageDevice(kernel_runtime, is_software=True)
    with np.load(TINY / name / "golden.npz") as golden:
        await check_golden(device, folder_files(TINY / name), golden)


async def test_a_cache_of_halves_stays_close(kernel_runtime) -> None:
    with np.load(TINY / "multi-query" / "golden.npz") as golden:
        files = folder_files(TINY / "multi-query")
        device = PageDevice(kernel_runtime, is_software=True)
        await check_golden(device, files, golden, kv_dtype="f16")


async def test_a_gguf_of_the_same_weights_gives_the_same_logits(kernel_runtime, tmp_path) -> None:
    name = "grouped-query"
    config, weights = reference_gemma3.safetensors_weights(TINY / name)
    path = tmp_path / "tiny.gguf"
    tiny_checkpoints.write_gguf(path, config, weights)
    with np.load(TINY / name / "golden.npz") as golden:
        device = PageDevice(kernel_runtime, is_software=True)
        await check_golden(device, {path.name: path}, golden)


async def test_small_bindings_split_tensors_without_changing_the_result(
    kernel_runtime, monkeypatch
) -> None:
    # Matrices alone are meant.
    for check in ("check_caches", "check_buffers"):
        monkeypatch.setattr(f"leadout.planning.{check}", lambda *_: None)
    device = PageDevice(kernel_runtime, is_software=True, max_binding_bytes=16384)
    with np.load(TINY / "multi-query" / "golden.npz") as golden:
        await check_golden(device, folder_files(TINY / "multi-query"), golden)


async def test_a_mix_of_quantisations_gives_the_logits_of_its_dequantised_values(
    kernel_runtime, tmp_path
) -> None:
    """As in a Q4_K_M file, where q, k and v differ, so that layers are stacked in parts.

    On the kernels for GPUs, which a CPU compiles for seconds; the other tests take those for
    software.
    """
    config = tiny_checkpoints.tiny_gemma3_config(
        hidden_size=256, intermediate_size=256, num_attention_heads=8, head_dim=32,
        max_position_embeddings=512,
    )  # fmt: skip
    kinds = {"q_proj": "Q5_0", "v_proj": "Q8_0", "down_proj": "Q6_K", "embed_tokens": "Q8_0"}
    path = tmp_path / "tiny.gguf"
    tiny_checkpoints.write_gguf(
        path,
        config,
        tiny_checkpoints.random_gemma3_weights(config, 0),
        lambda name: next((kind for part, kind in kinds.items() if part in name), "Q4_K"),
    )
    read = reference_gemma3.gguf_weights(path)
    # 300 tokens: two prefill passes, both through the tiled matmul.
    prompt = [2, *np.random.default_rng(0).integers(5, 512, 299).tolist()]
    engine = await load(PageDevice(kernel_runtime), {path.name: path})
    tokens, logits = await decoded(engine, prompt, 4)
    wanted = reference_gemma3.forward(*read, prompt + tokens[:-1])
    assert relative_error(logits, wanted[len(prompt) - 1 :]) < RELATIVE_TOLERANCE
    assert relative_error(await scored(engine, prompt[:20]), wanted[:20]) < RELATIVE_TOLERANCE
    engine.close()


async def test_a_browser_without_packed_dot_products_gives_the_ids_of_numpy(
    make_runtime, tmp_path
) -> None:
    """On the kernels for GPUs, those for few rows being others than with packed dot products.

    Short rings have one size of prefill pass, whose kernels take most of the time to compile.
    """
    config = tiny_checkpoints.tiny_gemma3_config(num_hidden_layers=1)
    path = tmp_path / "tiny.gguf"
    weights = tiny_checkpoints.random_gemma3_weights(config, 0)
    tiny_checkpoints.write_gguf(path, config, weights, "Q4_0")
    runtime = make_runtime(hidden_features=["packed_4x8_integer_dot_product"])
    ids = []
    with short_rings():
        for device in (PageDevice(runtime), NumpyDevice()):
            engine = await load(device, {path.name: path}, context_length=64)
            ids.append(await generated(engine, [2, 9, 11], max_tokens=8))
            engine.close()
    assert ids[0] == ids[1]


async def test_ids_equal_those_of_the_numpy_device_at_any_run_ahead(kernel_runtime) -> None:
    files = folder_files(TINY / "multi-query")
    on_gpu = await load(PageDevice(kernel_runtime, is_software=True), files)
    on_numpy = await load(NumpyDevice(), files)
    for fields in ({}, {"temperature": 1.0}, SAMPLED):
        for seed in (1, 2):
            request = {**fields, "seed": seed, "max_tokens": 24}
            wanted = await generated(on_numpy, [2, 9, 11], **request)
            for run_ahead in (1, 3):
                ids = await generated(on_gpu, [2, 9, 11], run_ahead=run_ahead, **request)
                assert ids == wanted, (fields, seed, run_ahead)
    on_gpu.close()
