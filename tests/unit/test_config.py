"""Configurations: every form of Gemma 3's means the same, and wrong ones are named."""

from __future__ import annotations

import dataclasses
import json
from array import array
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from leadout.config import (
    Gemma3TextConfig,
    LinearRopeScaling,
    config_from_gguf,
    read_config,
)
from leadout.errors import CheckpointError, UnsupportedFormatError, UnsupportedModelError
from tiny_checkpoints import tiny_gemma3_config

S, F = "sliding_attention", "full_attention"


def older_form(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tiny config as transformers 4.50 wrote it."""
    older = {k: v for k, v in config.items() if k not in ("rope_parameters", "layer_types")}
    return older | {
        "rope_theta": 1_000_000.0,
        "rope_local_base_freq": 10_000.0,
        "rope_scaling": None,
        "sliding_window_pattern": 3,
    }


def metadata(**changes: Any) -> dict[str, Any]:
    """Return the GGUF metadata of the tiny config; None takes a key away."""
    keys = {
        "block_count": 6,
        "context_length": 256,
        "embedding_length": 64,
        "feed_forward_length": 96,
        "attention.head_count": 4,
        "attention.head_count_kv": 2,
        "attention.key_length": 32,
        "attention.value_length": 32,
        "attention.layer_norm_rms_epsilon": 1e-6,
        "attention.sliding_window": 8,
        "attention.sliding_window_pattern": 3,
        "rope.freq_base": 1_000_000.0,
        **changes,
    }
    return {
        "general.architecture": "gemma3",
        "tokenizer.ggml.bos_token_id": 2,
        "tokenizer.ggml.eos_token_id": 1,
        **{f"gemma3.{key}": value for key, value in keys.items() if value is not None},
    }


def from_gguf(**changes: Any) -> Gemma3TextConfig:
    return Gemma3TextConfig.from_json(config_from_gguf("gemma3_text", metadata(**changes), 512))


# ---- what is read -------------------------------------------------------------------------


def test_every_field_is_read_as_config_json_has_it() -> None:
    config = Gemma3TextConfig.from_json(tiny_gemma3_config())
    assert config == Gemma3TextConfig(
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        vocab_size=512,
        max_position_embeddings=256,
        rms_norm_eps=1e-6,
        rope_theta=1_000_000.0,
        rope_local_base_freq=10_000.0,
        rope_scaling=None,
        sliding_window=8,
        layer_types=(S, S, F, S, S, F),
        query_pre_attn_scalar=32,
        tie_word_embeddings=True,
        eos_token_id=(1,),
        bos_token_id=2,
    )


def test_the_older_form_means_the_same_as_the_newer() -> None:
    newer = tiny_gemma3_config()
    assert Gemma3TextConfig.from_json(older_form(newer)) == Gemma3TextConfig.from_json(newer)


def test_gguf_metadata_mean_the_same_as_config_json() -> None:
    assert from_gguf() == Gemma3TextConfig.from_json(tiny_gemma3_config())


def test_fields_that_a_multimodal_config_leaves_out_are_those_of_transformers() -> None:
    """The 4B model's config.json, but for its vision part."""
    config = Gemma3TextConfig.from_json(
        {
            "architectures": ["Gemma3ForConditionalGeneration"],
            "model_type": "gemma3",
            "eos_token_id": [1, 106],
            "text_config": {
                "hidden_size": 2560,
                "intermediate_size": 10240,
                "model_type": "gemma3_text",
                "num_hidden_layers": 34,
                "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
                "sliding_window": 1024,
            },
        }
    )
    assert config.num_attention_heads == 8
    assert config.num_key_value_heads == 4
    assert config.head_dim == 256
    assert config.query_pre_attn_scalar == 256
    assert config.vocab_size == 262_208
    assert config.max_position_embeddings == 131_072
    assert config.rope_theta == 1_000_000.0
    assert config.rope_local_base_freq == 10_000.0
    assert config.rope_scaling == LinearRopeScaling(8.0)
    assert config.tie_word_embeddings
    assert config.eos_token_id == (1, 106)
    assert config.bos_token_id == 2
    assert [i for i, kind in enumerate(config.layer_types) if kind == F] == [5, 11, 17, 23, 29]


@pytest.mark.parametrize("key", ["rope_type", "type"])
def test_linear_rope_scaling_is_read_from_both_forms(key: str) -> None:
    older = older_form(tiny_gemma3_config()) | {"rope_scaling": {key: "linear", "factor": 4}}
    rope = {
        F: {key: "linear", "factor": 4.0, "rope_theta": 1e6},
        S: {"rope_type": "default", "rope_theta": 1e4},
    }
    newer = tiny_gemma3_config(rope_parameters=rope)
    expected = LinearRopeScaling(4.0)
    assert Gemma3TextConfig.from_json(older).rope_scaling == expected
    assert Gemma3TextConfig.from_json(newer).rope_scaling == expected
    assert from_gguf(**{"rope.scaling.type": "linear", "rope.scaling.factor": 4.0}) == (
        Gemma3TextConfig.from_json(newer)
    )


def test_rope_bases_are_read_from_every_form() -> None:
    rope = {F: {"rope_theta": 5e5}, S: {"rope_theta": 2e4}}
    newer = Gemma3TextConfig.from_json(tiny_gemma3_config(rope_parameters=rope))
    older = older_form(tiny_gemma3_config()) | {"rope_theta": 5e5, "rope_local_base_freq": 2e4}
    assert (newer.rope_theta, newer.rope_local_base_freq) == (5e5, 2e4)
    assert Gemma3TextConfig.from_json(older) == newer
    assert from_gguf(**{"rope.freq_base": 5e5, "rope.freq_base_swa": 2e4}) == newer


def test_partly_given_rope_parameters_are_completed() -> None:
    config = Gemma3TextConfig.from_json(tiny_gemma3_config(rope_parameters={F: None}))
    assert (config.rope_theta, config.rope_local_base_freq) == (1e6, 1e4)


def test_no_sliding_window_in_config_json_means_that_everything_is_seen() -> None:
    config = Gemma3TextConfig.from_json(tiny_gemma3_config(sliding_window=None))
    assert config.sliding_window == config.max_position_embeddings
    assert S in config.layer_types


def test_no_sliding_window_in_gguf_means_that_every_layer_is_full() -> None:
    config = from_gguf(**{"attention.sliding_window": None})
    assert config.layer_types == (F,) * 6


def test_gguf_keys_that_are_absent_have_the_values_llama_cpp_assumes() -> None:
    absent = dict.fromkeys(
        (
            "context_length",
            "attention.head_count_kv",
            "attention.key_length",
            "attention.value_length",
            "attention.layer_norm_rms_epsilon",
            "attention.sliding_window_pattern",
            "rope.freq_base",
        )
    )
    config = from_gguf(**absent)
    assert config.max_position_embeddings == 131_072
    assert config.num_key_value_heads == 4
    assert config.head_dim == 16
    assert config.rms_norm_eps == 1e-6
    assert config.layer_types == (S, S, S, S, S, F)
    assert config.rope_theta == 1e6


def test_gguf_arrays_that_say_the_same_for_each_layer_are_taken() -> None:
    assert from_gguf(feed_forward_length=array("i", [96] * 6)) == from_gguf()
    pattern = [True, True, False, True, True, False]
    assert from_gguf(**{"attention.sliding_window_pattern": pattern}) == from_gguf()


def test_the_27b_model_in_gguf_scales_queries_by_its_hidden_size() -> None:
    large = {
        "block_count": 62,
        "embedding_length": 5376,
        "attention.head_count": 32,
        "attention.head_count_kv": 16,
        "attention.key_length": 128,
        "attention.value_length": 128,
    }
    assert from_gguf(**large).query_pre_attn_scalar == 168
    assert from_gguf(**large | {"block_count": 48}).query_pre_attn_scalar == 128


@pytest.mark.parametrize(
    ("value", "expected"), [(7, (7,)), ([1, 106], (1, 106)), (None, ()), ([], ())]
)
def test_eos_token_id_is_always_a_tuple(value: Any, expected: tuple[int, ...]) -> None:
    assert (
        Gemma3TextConfig.from_json(tiny_gemma3_config(eos_token_id=value)).eos_token_id == expected
    )


def test_read_config_reads_a_checkpoint() -> None:
    config = tiny_gemma3_config()
    assert read_config(SimpleNamespace(config=config)) == Gemma3TextConfig.from_json(config)


def test_a_configuration_cannot_be_changed() -> None:
    config = Gemma3TextConfig.from_json(tiny_gemma3_config())
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.hidden_size = 1  # type: ignore[misc]


# ---- what is refused ----------------------------------------------------------------------


@pytest.mark.parametrize("model_type", ["llama", "gemma2", None, 3, ["gemma3_text"], "x" * 10_000])
def test_another_model_type_is_unsupported_by_name(model_type: Any) -> None:
    with pytest.raises(UnsupportedModelError, match="gemma3_text") as caught:
        Gemma3TextConfig.from_json(tiny_gemma3_config(model_type=model_type))
    assert len(caught.value.message) < 300


COUNTS = [
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "vocab_size",
    "max_position_embeddings",
    "sliding_window",
]


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("value", [0, -1, 1.5, 2.0, "64", True, [64], {}, 1 << 31, 10**400])
def test_a_count_that_is_none_is_named(name: str, value: Any) -> None:
    with pytest.raises(CheckpointError, match=rf"^{name} is .*a whole number from 1") as caught:
        Gemma3TextConfig.from_json(tiny_gemma3_config(layer_types=None) | {name: value})
    json.dumps(caught.value.detail)


@pytest.mark.parametrize("name", ["rms_norm_eps", "query_pre_attn_scalar"])
@pytest.mark.parametrize("value", [0, -1.0, "1", None, True, float("inf"), float("nan"), 10**400])
def test_a_number_that_is_none_is_named(name: str, value: Any) -> None:
    with pytest.raises(CheckpointError, match=rf"^{name} is .*a number above 0"):
        Gemma3TextConfig.from_json(tiny_gemma3_config(**{name: value}))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_key_value_heads": 3}, "num_attention_heads is 4, which is not a multiple"),
        ({"num_key_value_heads": 8}, "num_attention_heads is 4, which is not a multiple"),
        ({"layer_types": [S, F]}, "layer_types has 2 entries"),
        ({"layer_types": "full"}, "layer_types has str"),
        ({"num_hidden_layers": 1 << 30}, "num_hidden_layers is 1,073,741,824"),
        ({"tie_word_embeddings": 1}, "tie_word_embeddings is 1"),
        ({"eos_token_id": 512}, "token id 512"),
        ({"eos_token_id": [1, "2"]}, "eos_token_id is '2'"),
        ({"eos_token_id": -1}, "eos_token_id is -1"),
        ({"bos_token_id": 1000}, "token id 1,000"),
        ({"rope_parameters": []}, "rope_parameters is a list"),
        ({"rope_parameters": {F: 3}}, "rope_parameters.full_attention is 3"),
        ({"rope_parameters": {F: {"rope_theta": 0}}}, "full_attention.rope_theta is 0"),
        ({"rope_parameters": {F: {"rope_type": "linear"}}}, "full_attention.factor is missing"),
        ({"rope_scaling": {"rope_type": "linear", "factor": 0}}, "rope_scaling.factor is 0"),
    ],
)
def test_a_field_that_contradicts_others_is_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        Gemma3TextConfig.from_json(tiny_gemma3_config() | changes)
    assert words in caught.value.message
    assert type(caught.value) is CheckpointError


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"head_dim": 12, "num_attention_heads": 8}, "head_dim is 12"),
        ({"hidden_size": 48}, "hidden_size is 48"),
        ({"intermediate_size": 100}, "intermediate_size is 100"),
        ({"head_dim": 8, "num_attention_heads": 2}, "num_attention_heads · head_dim is 16"),
        ({"vocab_size": 500}, "vocab_size is 500"),
        ({"vocab_size": 1_048_608}, "vocab_size is 1,048,608, Leadout runs models where it is at"),
        ({"hidden_size": 7680}, "hidden_size is 7,680, Leadout runs models where it is at most"),
        ({"hidden_activation": "silu"}, "hidden_activation is 'silu'"),
        ({"attention_bias": True}, "attention_bias is True"),
        ({"attn_logit_softcapping": 50.0}, "attn_logit_softcapping is 50.0"),
        ({"final_logit_softcapping": 30.0}, "final_logit_softcapping is 30.0"),
        ({"use_bidirectional_attention": True}, "use_bidirectional_attention"),
        ({"layer_types": [S, S, "chunked_attention", S, S, F]}, "'chunked_attention'"),
        ({"layer_types": [S, S, [], S, S, F]}, "layer_types has a list"),
        ({"rope_parameters": {"rope_theta": 1e6}}, "rope_parameters has 'rope_theta'"),
        ({"rope_parameters": {F: {"rope_type": "yarn"}}}, "rope_type is 'yarn'"),
        ({"rope_scaling": {"rope_type": "dynamic", "factor": 2}}, "rope_type is 'dynamic'"),
        (
            {"rope_parameters": {S: {"rope_type": "linear", "factor": 2}}},
            "sliding_attention layers",
        ),
    ],
)
def test_a_feature_that_does_not_run_is_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UnsupportedModelError) as caught:
        Gemma3TextConfig.from_json(tiny_gemma3_config() | changes)
    assert words in caught.value.message


def test_quantised_safetensors_are_unsupported_by_method() -> None:
    quantized = {"quantization_config": {"quant_method": "bitsandbytes"}}
    with pytest.raises(UnsupportedFormatError, match="'bitsandbytes'"):
        Gemma3TextConfig.from_json(tiny_gemma3_config() | quantized)


def test_a_text_config_that_is_no_object_is_refused() -> None:
    with pytest.raises(CheckpointError, match="text_config is a list"):
        Gemma3TextConfig.from_json({"model_type": "gemma3", "text_config": []})


@pytest.mark.parametrize(
    "name",
    ["block_count", "embedding_length", "feed_forward_length", "attention.head_count"],
)
def test_a_gguf_key_that_has_to_be_there_is_named(name: str) -> None:
    with pytest.raises(CheckpointError, match=rf"gemma3\.{name} is missing"):
        from_gguf(**{name: None})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"attention.value_length": 16}, "value_length differs"),
        ({"feed_forward_length": array("i", [96] * 5 + [64])}, "differs between layers"),
        ({"final_logit_softcapping": 30.0}, "final_logit_softcapping is 30.0"),
        ({"rope.scaling.type": "yarn", "rope.scaling.factor": 2.0}, "'yarn'"),
    ],
)
def test_gguf_metadata_of_what_does_not_run_are_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UnsupportedModelError) as caught:
        from_gguf(**changes)
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"block_count": "6"}, "gemma3.block_count is '6'"),
        ({"block_count": 0xFFFFFFFF}, "gemma3.block_count is 4,294,967,295"),
        ({"feed_forward_length": array("i", [96] * 5)}, "an array of 6 numbers"),
        ({"feed_forward_length": array("i", [0] * 6)}, "gemma3.feed_forward_length is 0"),
        ({"attention.sliding_window_pattern": [True]}, "layer_types has 1 entries"),
        ({"attention.sliding_window_pattern": 0}, "sliding_window_pattern is 0"),
        ({"attention.layer_norm_rms_epsilon": "x"}, "rms_norm_eps is 'x'"),
        ({"rope.scaling.type": "linear"}, "rope_scaling.factor is None"),
    ],
)
def test_wrong_gguf_metadata_are_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        from_gguf(**changes)
    assert words in caught.value.message
