"""Gemma 4 checkpoints opened whole, targets and drafters, in both formats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leadout.checkpoint import Checkpoint, MemorySource, open_checkpoint
from leadout.checkpoint.source import Source
from leadout.checkpoint.token_ordering import read_token_ordering
from leadout.config import Gemma4AssistantConfig, Gemma4TextConfig, read_config
from leadout.errors import CheckpointError, UnsupportedFormatError
from tiny_gemma4 import (
    Weights,
    safetensors_bytes,
    tiny_drafter,
    tiny_target,
    tiny_weights,
    write_gguf,
)

TARGET, DRAFTER = tiny_target(), tiny_drafter()
TARGET_WEIGHTS, DRAFTER_WEIGHTS = tiny_weights(TARGET), tiny_weights(DRAFTER)
MODELS = [(TARGET, TARGET_WEIGHTS), (DRAFTER, DRAFTER_WEIGHTS)]


async def open_files(**files: bytes | dict[str, Any]) -> Checkpoint:
    """Open files in memory; `__` in a name is a dot."""
    named: dict[str, Source] = {}
    for name, content in files.items():
        data = json.dumps(content).encode() if isinstance(content, dict) else content
        file = name.replace("__", ".")
        named[file] = MemorySource(file, data)
    return await open_checkpoint(named)


async def open_safetensors(
    config: dict[str, Any], weights: Weights, **files: dict[str, Any]
) -> Checkpoint:
    return await open_files(
        config__json=config, model__safetensors=safetensors_bytes(weights), **files
    )


def shapes(checkpoint: Checkpoint) -> dict[str, tuple[int, ...]]:
    return {name: tensor.shape for name, tensor in checkpoint.tensors.items()}


# ---- both formats -------------------------------------------------------------------------


@pytest.mark.parametrize(("config", "weights"), MODELS, ids=["target", "drafter"])
async def test_gguf_has_the_names_and_fields_of_safetensors(
    tmp_path: Path, config: dict[str, Any], weights: Weights
) -> None:
    checkpoint = await open_files(m__gguf=write_gguf(tmp_path / "m.gguf", config, weights))
    other = await open_safetensors(config, weights)
    assert (checkpoint.kind, other.kind) == ("gguf", "safetensors")
    assert shapes(checkpoint) == shapes(other) == {n: w.shape for n, w in weights.items()}
    assert checkpoint.norms_are_folded
    assert other.norms_are_folded
    assert checkpoint.suppress_tokens == other.suppress_tokens == ()
    found, expected = read_config(checkpoint), read_config(other)
    if isinstance(expected, Gemma4AssistantConfig):
        assert isinstance(found, Gemma4AssistantConfig)
        assert [layer.head_dim for layer in found.text.layers] == [16, 32, 16, 32]
        assert found.num_centroids == expected.num_centroids == 16
        assert found.backbone_hidden_size == expected.backbone_hidden_size == 64
        ordering = weights["masked_embedding.token_ordering"].astype("<u4").tobytes()
        for either in (checkpoint, other):
            assert await read_token_ordering(either, 128) == ordering
    else:
        assert isinstance(found, Gemma4TextConfig)
        assert found == expected
        assert [layer.kv_layer for layer in found.layers] == [0, 1, 0, 1]


@pytest.mark.parametrize("prefix", ["model.language_model.", "language_model.model."])
@pytest.mark.parametrize("model_type", ["gemma4", "gemma4_unified"])
async def test_a_multimodal_checkpoint_is_read_as_its_text_model(
    prefix: str, model_type: str
) -> None:
    named = {name.replace("model.", prefix, 1): w for name, w in TARGET_WEIGHTS.items()}
    clip = np.float32(8)
    towers: Weights = {
        "model.vision_tower.encoder.layers.0.mlp.gate_proj.input_max": np.asarray(clip),
        "model.audio_tower.subsample_conv_projection.conv_0.weight": np.zeros((2, 1, 3, 3)),
        "model.embed_vision.embedding_projection.weight": np.zeros((64, 32), np.int64),
        "model.embed_audio.embedding_projection.weight": np.zeros((64, 32)),
        "model.vision_embedder.patch_dense.weight": np.zeros((64, 32)),
    }
    root = {"model_type": model_type, "text_config": TARGET, "eos_token_id": [1, 106]}
    checkpoint = await open_safetensors(root, named | towers)
    assert shapes(checkpoint) == {n: w.shape for n, w in TARGET_WEIGHTS.items()}
    assert checkpoint.norms_are_folded
    assert checkpoint.eos_token_ids == (1, 106)
    config = read_config(checkpoint)
    assert isinstance(config, Gemma4TextConfig)
    assert config.eos_token_id == (1, 106)


async def test_a_head_that_is_the_embedding_is_ignored(tmp_path: Path) -> None:
    head: Weights = {"lm_head.weight": np.zeros((128, 64), np.int64)}
    tied = await open_safetensors(TARGET, TARGET_WEIGHTS | head)
    assert "lm_head.weight" not in tied.tensors
    nested = {
        name.replace("model.", "language_model.model.", 1): w for name, w in TARGET_WEIGHTS.items()
    }
    nested["language_model.lm_head.weight"] = np.zeros((128, 64), np.float32)
    root = {"model_type": "gemma4", "text_config": TARGET}
    assert "lm_head.weight" not in (await open_safetensors(root, nested)).tensors


async def test_a_head_of_its_own_is_found_in_both_formats(tmp_path: Path) -> None:
    head: Weights = {"lm_head.weight": np.zeros((128, 64), np.float32)}
    config = TARGET | {"tie_word_embeddings": False}
    gguf = write_gguf(tmp_path / "m.gguf", config, TARGET_WEIGHTS | head)
    for checkpoint in (
        await open_safetensors(config, TARGET_WEIGHTS | head),
        await open_files(m__gguf=gguf),
    ):
        assert checkpoint.tensors["lm_head.weight"].shape == (128, 64)
        assert not read_config(checkpoint).tie_word_embeddings  # type: ignore[union-attr]


async def test_experts_may_have_gate_and_up_apart_in_gguf(tmp_path: Path) -> None:
    weights = dict(TARGET_WEIGHTS)
    for i in range(4):
        both = weights.pop(f"model.layers.{i}.experts.gate_up_proj")
        weights[f"model.layers.{i}.experts.gate_proj"] = both[:, :32]
        weights[f"model.layers.{i}.experts.up_proj"] = both[:, 32:]
    checkpoint = await open_files(m__gguf=write_gguf(tmp_path / "m.gguf", TARGET, weights))
    assert checkpoint.tensors["model.layers.3.experts.up_proj"].shape == (4, 32, 64)
    assert shapes(checkpoint) == {n: w.shape for n, w in weights.items()}


# ---- tokens -------------------------------------------------------------------------------


async def test_a_chat_ends_with_a_turn_a_tool_call_or_the_text(tmp_path: Path) -> None:
    base = await open_files(m__gguf=write_gguf(tmp_path / "b.gguf", TARGET, TARGET_WEIGHTS))
    assert base.eos_token_ids == (1,)
    config = TARGET | {"eos_token_id": 106}  # as newer converters write it
    data = write_gguf(tmp_path / "it.gguf", config, TARGET_WEIGHTS, chat_template="{{ 1 }}")
    chat = await open_files(it__gguf=data)
    assert sorted(chat.eos_token_ids) == [1, 50, 106]
    assert chat.bos_token_id == 2


@pytest.mark.parametrize(
    ("value", "expected"),
    [([100, 3], (100, 3)), ([3, 3], (3,)), ([], ()), (None, ()), ([127, 128, 258_882], (127,))],
)
async def test_tokens_that_are_never_chosen_come_from_generation_config(
    tmp_path: Path, value: Any, expected: tuple[int, ...]
) -> None:
    generation = {"suppress_tokens": value}
    checkpoint = await open_safetensors(TARGET, TARGET_WEIGHTS, generation_config__json=generation)
    assert checkpoint.suppress_tokens == expected
    gguf = write_gguf(tmp_path / "m.gguf", TARGET, TARGET_WEIGHTS)
    checkpoint = await open_files(m__gguf=gguf, generation_config__json=generation)
    assert checkpoint.suppress_tokens == expected


async def test_tokens_that_are_never_chosen_come_from_gguf_first(tmp_path: Path) -> None:
    data = write_gguf(tmp_path / "m.gguf", TARGET, TARGET_WEIGHTS, suppress_tokens=[7, 5, 200])
    generation = {"suppress_tokens": [9]}
    checkpoint = await open_files(m__gguf=data, generation_config__json=generation)
    assert checkpoint.suppress_tokens == (7, 5)


@pytest.mark.parametrize("value", ["5", 5, {}, [1.5], ["5"], [-1], [True], [[5]], [1 << 31]])
async def test_tokens_that_are_none_are_refused(value: Any) -> None:
    generation = {"suppress_tokens": value}
    with pytest.raises(CheckpointError, match="suppress_tokens is"):
        await open_safetensors(TARGET, TARGET_WEIGHTS, generation_config__json=generation)


# ---- what is refused ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.int32, np.int64])
async def test_whole_numbers_are_read_in_one_tensor_alone(kind: type[np.generic]) -> None:
    ordering = DRAFTER_WEIGHTS["masked_embedding.token_ordering"]
    same = DRAFTER_WEIGHTS | {"masked_embedding.token_ordering": ordering.astype(kind)}
    checkpoint = await open_safetensors(DRAFTER, same)
    assert checkpoint.tensors["masked_embedding.token_ordering"].shape == (128,)
    other = DRAFTER_WEIGHTS | {"model.norm.weight": np.zeros(32, kind)}
    with pytest.raises(UnsupportedFormatError, match=r"'model\.norm\.weight' is stored as I"):
        await open_safetensors(DRAFTER, other)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.uint16])
async def test_an_ordering_that_cannot_hold_every_id_is_refused(kind: type[np.generic]) -> None:
    """bfloat16 and float16 copies of a whole model have truncated it."""
    ordering = DRAFTER_WEIGHTS["masked_embedding.token_ordering"]
    cast = DRAFTER_WEIGHTS | {"masked_embedding.token_ordering": ordering.astype(kind)}
    with pytest.raises(UnsupportedFormatError, match="where it is among I32, I64"):
        await open_safetensors(DRAFTER, cast)


async def test_weights_of_another_quantiser_are_named_before_their_tensors_are_looked_at() -> None:
    packed = TARGET_WEIGHTS | {"model.norm.weight": np.zeros(8, np.uint32)}
    method = {"quantization_config": {"quant_method": "gemma"}}
    with pytest.raises(UnsupportedFormatError, match="quantised by 'gemma'"):
        await open_safetensors(TARGET | method, packed)
    with pytest.raises(UnsupportedFormatError, match="quantised by 'gemma'"):
        await open_safetensors(DRAFTER | method, DRAFTER_WEIGHTS)
