"""Wrong configurations of Gemma 4 are refused, and what is wrong with them is named."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from gemma4_configs import EXPERTS, FULL, SLIDING, SMALL, drafter, small_drafter, target
from leadout.config import Gemma4AssistantConfig, Gemma4TextConfig, read_config
from leadout.errors import CheckpointError, UnsupportedFormatError, UnsupportedModelError


def text(**changes: Any) -> Gemma4TextConfig:
    return Gemma4TextConfig.from_json(SMALL | changes)


COUNTS = [
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "global_head_dim",
    "max_position_embeddings",
    "sliding_window",
    "num_experts",
    "top_k_experts",
    "moe_intermediate_size",
]


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("value", [0, -1, 1.5, 2.0, "64", True, [64], {}, 1 << 31, 10**400])
def test_a_count_that_is_none_is_named(name: str, value: Any) -> None:
    with pytest.raises(CheckpointError, match=rf"^{name} is .*a whole number from 1") as caught:
        text(**EXPERTS | {"num_kv_shared_layers": 0, "layer_types": None, name: value})
    json.dumps(caught.value.detail)


@pytest.mark.parametrize(
    "name",
    ["hidden_size_per_layer_input", "vocab_size_per_layer_input", "num_kv_shared_layers"],
)
@pytest.mark.parametrize("value", [-1, 1.5, "64", False, [64], {}, 1 << 31])
def test_a_count_that_may_be_zero_is_named_where_it_is_none(name: str, value: Any) -> None:
    with pytest.raises(CheckpointError, match=rf"^{name} is .*a whole number from 0"):
        text(**{name: value})


@pytest.mark.parametrize("name", ["rms_norm_eps", "final_logit_softcapping"])
@pytest.mark.parametrize("value", [0, -1.0, "1", True, float("inf"), float("nan"), 10**400])
def test_a_number_that_is_none_is_named(name: str, value: Any) -> None:
    with pytest.raises(CheckpointError, match=rf"^{name} is .*a number above 0"):
        text(**{name: value})


@pytest.mark.parametrize(
    "name", ["attention_k_eq_v", "enable_moe_block", "use_double_wide_mlp", "tie_word_embeddings"]
)
@pytest.mark.parametrize("value", [0, "true", []])
def test_a_flag_that_is_none_is_named(name: str, value: Any) -> None:
    with pytest.raises(CheckpointError, match=rf"^{name} is .*true or false"):
        text(**{name: value})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_key_value_heads": 3}, "num_key_value_heads, 3 of layer 0"),
        (
            {"attention_k_eq_v": True, "num_global_key_value_heads": 8},
            "which is not a multiple of num_key_value_heads, 8 of layer 1",
        ),
        ({"num_global_key_value_heads": 0, "attention_k_eq_v": True}, "num_global_key_value_heads"),
        ({"layer_types": [SLIDING, FULL]}, "layer_types has 2 entries"),
        ({"num_kv_shared_layers": 7}, "num_kv_shared_layers is 7; wanted at most 6 layers"),
        ({"num_kv_shared_layers": 6}, "layer 0, sliding_attention, reads the KV cache of an"),
        ({"num_kv_shared_layers": 5}, "layer 1, full_attention, reads the KV cache of an earlier"),
        (
            {"per_layer_config": {1: {"head_dim": 64}}, "num_kv_shared_layers": 4},
            "head_dim of layer 3 is 32, but that of layer 1",
        ),
        (
            {"per_layer_config": {4: {"num_key_value_heads": 1}}},
            "num_key_value_heads of layer 4 is 1, but that of layer 2, whose KV cache it reads",
        ),
        ({"per_layer_config": []}, "per_layer_config is a list"),
        ({"per_layer_config": {"1": 3}}, "per_layer_config.1 is 3; wanted an object"),
        ({"per_layer_config": {"6": {}}}, "per_layer_config has an entry '6'"),
        ({"per_layer_config": {"-1": {}}}, "per_layer_config has an entry '-1'"),
        ({"per_layer_config": {-1: {}}}, "per_layer_config has an entry -1"),
        ({"per_layer_config": {True: {}}}, "per_layer_config has an entry True"),
        ({"per_layer_config": {"x": {}}}, "per_layer_config has an entry 'x'"),
        ({"per_layer_config": {"²": {}}}, "per_layer_config has an entry '²'"),
        ({"per_layer_config": {"9" * 5000: {}}}, "per_layer_config has an entry '999"),
        ({"per_layer_config": {"1": {}, "01": {}}}, "per_layer_config has an entry '01'"),
        ({"per_layer_config": {"1": {"head_dim": 0}}}, "per_layer_config.1.head_dim is 0"),
        ({"per_layer_config": {"1": {"head_dim": None}}}, "per_layer_config.1.head_dim is None"),
        (EXPERTS | {"top_k_experts": 9}, "top_k_experts is 9, but there are only 8 experts"),
        ({"enable_moe_block": True}, "num_experts is missing"),
        ({"eos_token_id": [1, 512]}, "token id 512"),
        ({"bos_token_id": 1000}, "token id 1,000"),
        ({"rope_parameters": {FULL: {"rope_type": "proportional"}}}, "rope_theta is missing"),
        ({"rope_parameters": {SLIDING: {"rope_theta": 0}}}, "sliding_attention.rope_theta is 0"),
        (
            {
                "rope_parameters": {
                    FULL: {
                        "rope_type": "proportional",
                        "rope_theta": 1e6,
                        "partial_rotary_factor": 1.5,
                    }
                }
            },
            "full_attention.partial_rotary_factor is 1.5; wanted at most 1",
        ),
    ],
)
def test_a_field_that_contradicts_others_is_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        text(**changes)
    assert words in caught.value.message
    assert type(caught.value) is CheckpointError
    assert len(caught.value.message) < 400


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"head_dim": 12}, "head_dim of layer 0 is 12"),
        ({"global_head_dim": 1024}, "head_dim of layer 1 is 1,024, Leadout runs models where it"),
        ({"hidden_size": 48}, "hidden_size is 48"),
        ({"intermediate_size": 100}, "intermediate_size of layer 0 is 100"),
        ({"head_dim": 8, "num_attention_heads": 2}, "num_attention_heads · head_dim of layer 0 is"),
        ({"vocab_size": 500}, "vocab_size is 500"),
        ({"vocab_size": 1_048_608}, "vocab_size is 1,048,608, Leadout runs models where it is at"),
        ({"hidden_size": 7680}, "hidden_size is 7,680, Leadout runs models where it is at most"),
        (EXPERTS | {"num_experts": 513}, "num_experts is 513, Leadout runs models where it is at"),
        (EXPERTS | {"num_experts": 128, "top_k_experts": 65}, "top_k_experts is 65, Leadout runs"),
        ({"hidden_size_per_layer_input": 48}, "hidden_size_per_layer_input is 48"),
        ({"vocab_size_per_layer_input": 480}, "vocab_size_per_layer_input is 480"),
        (EXPERTS | {"moe_intermediate_size": 48}, "moe_intermediate_size is 48"),
        ({"hidden_activation": "silu"}, "hidden_activation is 'silu'"),
        ({"attention_bias": True}, "attention_bias is True"),
        ({"use_bidirectional_attention": "all"}, "use_bidirectional_attention is 'all'"),
        ({"use_bidirectional_attention": True}, "use_bidirectional_attention is True"),
        ({"layer_types": [SLIDING] * 5 + ["chunked_attention"]}, "'chunked_attention'"),
        ({"per_layer_config": {"1": {"skip": ["mlp"]}}}, "per_layer_config.1 has 'skip'"),
        ({"per_layer_config": {"1": {"sliding_window": 4}}}, "per_layer_config.1 has 'sliding_w"),
        ({"rope_parameters": {"rope_theta": 1e6}}, "rope_parameters has 'rope_theta'"),
        ({"rope_parameters": {FULL: {"rope_type": "yarn"}}}, "rope_type is 'yarn'"),
        ({"rope_parameters": {SLIDING: {"type": "linear"}}}, "rope_type is 'linear'"),
        ({"rope_parameters": {SLIDING: {"rope_type": "proportional"}}}, "rope_type is 'proportion"),
        (
            {"rope_parameters": {FULL: {"rope_type": "proportional", "factor": 8.0}}},
            "factor is 8.0",
        ),
    ],
)
def test_a_feature_that_does_not_run_is_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UnsupportedModelError) as caught:
        text(**changes)
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"text": {"num_kv_shared_layers": 2}}, "num_kv_shared_layers is 2, but all 6 layers"),
        ({"use_ordered_embeddings": 1}, "use_ordered_embeddings is 1"),
        ({"num_centroids": 0}, "num_centroids is 0"),
        ({"centroid_intermediate_top_k": "4"}, "centroid_intermediate_top_k is '4'"),
        ({"backbone_hidden_size": 0}, "backbone_hidden_size is 0"),
        ({"text_config": []}, "text_config is a list"),
        (
            {"use_ordered_embeddings": True, "num_centroids": 48},
            "num_centroids is 48, which does not divide vocab_size, 512",
        ),
        (
            {"use_ordered_embeddings": True, "num_centroids": 16},
            "centroid_intermediate_top_k is 32, but there are only 16 centroids",
        ),
    ],
)
def test_a_drafters_field_that_is_wrong_is_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        Gemma4AssistantConfig.from_json(small_drafter(**changes))
    assert words in caught.value.message
    assert type(caught.value) is CheckpointError


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"text": {"hidden_size_per_layer_input": 32}}, "hidden_size_per_layer_input is 32"),
        ({"text": EXPERTS}, "enable_moe_block is True"),
        ({"text": {"vocab_size": 1_048_608}}, "vocab_size is 1,048,608, Leadout runs models where"),
        ({"text": {"use_double_wide_mlp": True}}, "use_double_wide_mlp is True"),
        ({"backbone_hidden_size": 100}, "backbone_hidden_size is 100"),
    ],
)
def test_a_drafter_that_does_not_run_is_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UnsupportedModelError) as caught:
        Gemma4AssistantConfig.from_json(small_drafter(**changes))
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("quantization", "method"),
    [
        ({"quantization_config": {"quant_method": "gemma", "num_bits": 4}}, "'gemma'"),
        ({"quantization_config": {"quant_method": "compressed-tensors"}}, "'compressed-tensors'"),
    ],
)
@pytest.mark.parametrize("root", [target("E2B", "flat"), drafter("E2B", "flat"), SMALL])
def test_quantised_safetensors_are_unsupported_by_method(
    root: dict[str, Any], quantization: dict[str, Any], method: str
) -> None:
    with pytest.raises(UnsupportedFormatError, match=f"quantised by {method}, which .* a GGUF"):
        read_config(SimpleNamespace(config=root | quantization))
