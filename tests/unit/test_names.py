"""Names of Gemma 4's tensors: GGUF's, transformers' and MLX's become the text model's."""

from __future__ import annotations

import gguf
import pytest

from leadout.checkpoint.names import (
    GGUF_ARCHITECTURES,
    text_name_of_gguf,
    text_name_of_safetensors,
)
from tiny_gemma4 import gguf_name, tiny_drafter, tiny_target, tiny_weights

TARGET = GGUF_ARCHITECTURES["gemma4"]
DRAFTER = GGUF_ARCHITECTURES["gemma4-assistant"]


@pytest.mark.parametrize("name", tiny_weights(tiny_target(tie_word_embeddings=False)))
def test_every_tensor_of_a_target_is_found_under_llama_cpps_name(name: str) -> None:
    assert text_name_of_gguf(TARGET, gguf_name(name)) == name


@pytest.mark.parametrize("name", tiny_weights(tiny_drafter()))
def test_every_tensor_of_a_drafter_is_found_under_llama_cpps_name(name: str) -> None:
    assert text_name_of_gguf(DRAFTER, gguf_name(name)) == name


def test_every_tensor_that_the_gguf_package_lists_is_known() -> None:
    """All but `rope_freqs`: what it says is in the configuration."""
    names = [gguf.TENSOR_NAMES[t] for t in gguf.MODEL_TENSORS[gguf.MODEL_ARCH.GEMMA4]]
    unknown = [
        name for name in names if text_name_of_gguf(TARGET, name.format(bid=3) + ".weight") is None
    ]
    assert unknown == ["rope_freqs"]


def test_experts_may_have_gate_and_up_apart() -> None:
    for part in ("gate", "up"):
        name = text_name_of_gguf(TARGET, f"blk.29.ffn_{part}_exps.weight")
        assert name == f"model.layers.29.experts.{part}_proj"


def test_no_two_tensors_get_one_name() -> None:
    for architecture in (TARGET, DRAFTER):
        for table in (architecture.tensors, architecture.layer_tensors):
            assert len(set(table.values())) == len(table)


@pytest.mark.parametrize(
    "name",
    [
        "rope_freqs.weight",
        "blk.0.ffn_gate_inp.bias",
        "v.blk.0.attn_q.weight",
        "a.blk.0.attn_q.weight",
        "mm.input_projection.weight",
        "layer_output_scale.weight",
    ],
)
def test_other_tensors_are_left_out(name: str) -> None:
    assert text_name_of_gguf(TARGET, name) is None
    assert text_name_of_gguf(DRAFTER, name) is None


def test_a_drafter_has_no_head_of_its_own() -> None:
    assert text_name_of_gguf(DRAFTER, "output.weight") is None


@pytest.mark.parametrize("prefix", ["model.language_model.", "language_model.model.", "model."])
@pytest.mark.parametrize(
    "name",
    [
        "embed_tokens_per_layer.weight",
        "per_layer_model_projection.weight",
        "layers.3.layer_scalar",
        "layers.0.experts.gate_up_proj",
        "layers.0.router.per_expert_scale",
    ],
)
def test_safetensors_names_become_those_of_the_text_model(prefix: str, name: str) -> None:
    assert text_name_of_safetensors(prefix + name) == f"model.{name}"


@pytest.mark.parametrize(
    "name",
    [
        "pre_projection.weight",
        "post_projection.weight",
        "masked_embedding.centroids.weight",
        "masked_embedding.token_ordering",
    ],
)
def test_a_drafters_own_names_stay(name: str) -> None:
    assert text_name_of_safetensors(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "vision_tower.patch_embedder.input_proj.weight",
        "audio_tower.layers.0.feed_forward1.ffw_layer_1.input_max",
        "embed_vision.embedding_projection.weight",
        "embed_audio.embedding_projection.weight",
        # The unified model's, as published and as newer transformers save it.
        "vision_embedder.patch_dense.weight",
        "embed_vision.multimodal_embedder.embedding_projection.weight",
    ],
)
@pytest.mark.parametrize("prefix", ["", "model."])
def test_towers_are_left_out(prefix: str, name: str) -> None:
    assert text_name_of_safetensors(prefix + name) is None
