from pathlib import Path

import numpy as np
import pytest

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

TINY = Path(__file__).parents[1] / "vectors" / "gemma3-tiny"
NAMES = ["multi-query", "grouped-query", "odd-scale"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("options", [{}, {"kv_dtype": "f16"}], ids=["f32", "f16"])
async def test_safetensors_give_the_logits_of_transformers(name, options) -> None:
    with np.load(TINY / name / "golden.npz") as golden:
        await check_golden(NumpyDevice(), folder_files(TINY / name), golden, **options)


# "odd-scale" has a query_pre_attn_scalar of its own, which GGUF has no key for.
@pytest.mark.parametrize("name", ["multi-query", "grouped-query"])
async def test_a_gguf_of_the_same_weights_gives_the_same_logits(name, tmp_path) -> None:
    config, weights = reference_gemma3.safetensors_weights(TINY / name)
    path = tmp_path / "tiny.gguf"
    tiny_checkpoints.write_gguf(path, config, weights)
    with np.load(TINY / name / "golden.npz") as golden:
        await check_golden(NumpyDevice(), {path.name: path}, golden)


async def test_small_bindings_split_tensors_without_changing_the_result(monkeypatch) -> None:
    # Matrices alone are meant.
    monkeypatch.setattr("leadout.planning.check_caches", lambda *_: None)
    with np.load(TINY / "multi-query" / "golden.npz") as golden:
        device = NumpyDevice(max_binding_bytes=8192)
        await check_golden(device, folder_files(TINY / "multi-query"), golden)


@pytest.mark.parametrize("quantization", ["Q4_0", "Q8_0", "Q4_K", "Q6_K"])
async def test_quantised_weights_give_the_logits_of_their_dequantised_values(
    quantization, tmp_path
) -> None:
    config = tiny_checkpoints.tiny_gemma3_config(
        hidden_size=256, intermediate_size=256, num_attention_heads=8, head_dim=32
    )
    path = tmp_path / "tiny.gguf"
    weights = tiny_checkpoints.random_gemma3_weights(config, 0)
    tiny_checkpoints.write_gguf(path, config, weights, quantization)
    read = reference_gemma3.gguf_weights(path)
    ids = [2, *np.random.default_rng(0).integers(5, 512, 30).tolist()]
    engine = await load(NumpyDevice(), {path.name: path})
    wanted = reference_gemma3.forward(*read, ids)
    assert relative_error(await scored(engine, ids), wanted) < RELATIVE_TOLERANCE


@pytest.mark.parametrize("length", [1, 31, 32, 33, 65, 256, 257, 600])
async def test_prompts_of_any_length_pass_the_window_and_the_chunks(length, tmp_path) -> None:
    """A pass has 32, 64 or 256 rows, the window 8 positions, a tile of the cache 64."""
    config = tiny_checkpoints.tiny_gemma3_config(max_position_embeddings=1024)
    weights = tiny_checkpoints.random_gemma3_weights(config, 1)
    tiny_checkpoints.write_safetensors(tmp_path, config, weights)
    engine = await load(NumpyDevice(), folder_files(tmp_path))
    prompt = [2, *np.random.default_rng(length).integers(5, 512, length - 1).tolist()]
    tokens, logits = await decoded(engine, prompt, 5)
    wanted = reference_gemma3.forward(config, weights, prompt + tokens[:-1])
    assert relative_error(logits, wanted[len(prompt) - 1 :]) < RELATIVE_TOLERANCE


SAMPLED = {"temperature": 0.9, "top_k": 50, "top_p": 0.95, "min_p": 0.01, "repetition_penalty": 1.2}


@pytest.mark.parametrize("fields", [{}, SAMPLED], ids=["greedy", "sampled"])
async def test_run_ahead_changes_no_id(fields) -> None:
    engine = await load(NumpyDevice(), folder_files(TINY / "multi-query"))
    request = {**fields, "max_tokens": 30, "seed": 7}
    runs = [await generated(engine, [2, 9, 11], run_ahead=n, **request) for n in (1, 2, 3, 8)]
    assert runs == [runs[0]] * 4
    assert len(set(runs[0])) > 5, "too dull to tell"


async def test_a_seed_gives_its_own_ids_again_and_another_seed_others() -> None:
    engine = await load(NumpyDevice(), folder_files(TINY / "multi-query"))
    request = {"temperature": 1.0, "max_tokens": 20}
    first = await generated(engine, [2, 9, 11], seed=1, **request)
    other = await generated(engine, [2, 9, 11], seed=2, **request)
    assert await generated(engine, [2, 9, 11], seed=1, **request) == first != other


async def test_what_was_generated_before_leaves_no_trace() -> None:
    engine = await load(NumpyDevice(), folder_files(TINY / "multi-query"))
    request = {"max_tokens": 12, "repetition_penalty": 1.5}
    fresh = await generated(engine, [2, 9, 11], **request)
    await generated(engine, [2, *range(20, 90)], max_tokens=40)
    assert await generated(engine, [2, 9, 11], **request) == fresh
