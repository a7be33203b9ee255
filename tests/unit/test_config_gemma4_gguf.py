"""Gemma 4's GGUF metadata mean the same as its config.json; wrong ones are named."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from gemma4_configs import DRAFTER_SIZES, TEXTS, drafter, layer_types, target
from leadout.config import (
    FULL,
    SLIDING,
    Gemma4AssistantConfig,
    Gemma4TextConfig,
    config_from_gguf,
)
from leadout.errors import CheckpointError, UnsupportedModelError

VOCAB_SIZE = 262_144
TOKEN_IDS = {"tokenizer.ggml.bos_token_id": 2, "tokenizer.ggml.eos_token_id": 1}


def keys_of(text: Mapping[str, Any]) -> dict[str, Any]:
    """Return what llama.cpp's converter writes, arrays as the header's reader returns them."""
    is_sliding = [layer_type == SLIDING for layer_type in text["layer_types"]]
    width, num_layers = text["intermediate_size"], text["num_hidden_layers"]
    first_shared = num_layers - text["num_kv_shared_layers"]
    heads, full_heads = text["num_key_value_heads"], text["num_global_key_value_heads"]
    keys = {
        "block_count": num_layers,
        "context_length": text["max_position_embeddings"],
        "embedding_length": text["hidden_size"],
        "feed_forward_length": width,
        "attention.head_count": text["num_attention_heads"],
        "attention.head_count_kv": heads,
        "attention.layer_norm_rms_epsilon": 1e-6,
        "attention.key_length": 512,
        "attention.value_length": 512,
        "attention.key_length_swa": 256,
        "attention.value_length_swa": 256,
        "attention.sliding_window": text["sliding_window"],
        "attention.sliding_window_pattern": is_sliding,
        "attention.shared_kv_layers": text["num_kv_shared_layers"],
        "rope.freq_base": 1e6,
        "rope.freq_base_swa": 1e4,
        "rope.dimension_count": 512,
        "rope.dimension_count_swa": 256,
        "embedding_length_per_layer_input": text.get("hidden_size_per_layer_input", 0),
    }
    if text["use_double_wide_mlp"]:
        widths = [width if i < first_shared else 2 * width for i in range(num_layers)]
        keys["feed_forward_length"] = array("i", widths)
    if full_heads is not None:
        by_layer = [heads if sliding else full_heads for sliding in is_sliding]
        keys["attention.head_count_kv"] = array("i", by_layer)
    if text["final_logit_softcapping"] is not None:
        keys["final_logit_softcapping"] = text["final_logit_softcapping"]
    if text.get("enable_moe_block"):
        keys["expert_count"] = text["num_experts"]
        keys["expert_used_count"] = text["top_k_experts"]
        keys["expert_feed_forward_length"] = text["moe_intermediate_size"]
    return keys


def shapes_of(text: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the shapes that the metadata's reader looks at."""
    shapes: dict[str, tuple[int, ...]] = {
        f"model.layers.{i}.self_attn.v_proj.weight": (512, text["hidden_size"])
        for i, layer_type in enumerate(text["layer_types"])
        if layer_type == SLIDING or not text["attention_k_eq_v"]
    }
    if per_layer := text.get("hidden_size_per_layer_input"):
        columns = per_layer * text["num_hidden_layers"]
        shapes["model.embed_tokens_per_layer.weight"] = (VOCAB_SIZE, columns)
    return shapes


def read(name: str, shapes: dict[str, tuple[int, ...]] | None = None, **changes: Any) -> Any:
    """Read a target's metadata; None takes a key away."""
    keys = keys_of(TEXTS[name]) | changes
    metadata = TOKEN_IDS | {f"gemma4.{k}": v for k, v in keys.items() if v is not None}
    shapes = shapes_of(TEXTS[name]) if shapes is None else shapes
    return Gemma4TextConfig.from_json(config_from_gguf("gemma4_text", metadata, VOCAB_SIZE, shapes))


def read_drafter(
    name: str, shapes: dict[str, tuple[int, ...]] | None = None, **changes: Any
) -> Gemma4AssistantConfig:
    root = drafter(name, "flat")
    keys = keys_of(root["text_config"])
    keys |= {"embedding_length_out": root["backbone_hidden_size"], "nextn_predict_layers": 4}
    metadata = TOKEN_IDS | {
        f"gemma4-assistant.{k}": v for k, v in (keys | changes).items() if v is not None
    }
    if shapes is None:
        hidden = root["text_config"]["hidden_size"]
        shapes = {
            "masked_embedding.centroids.weight": (2048, hidden),
            "masked_embedding.token_ordering": (VOCAB_SIZE,),
        }
        shapes = shapes if root["use_ordered_embeddings"] else {}
    return Gemma4AssistantConfig.from_json(
        config_from_gguf("gemma4_assistant", metadata, VOCAB_SIZE, shapes)
    )


# ---- what is read -------------------------------------------------------------------------


@pytest.mark.parametrize("name", TEXTS)
def test_a_targets_metadata_mean_the_same_as_config_json(name: str) -> None:
    root = target(name, "flat") | {"eos_token_id": 1}
    if name == "12B":  # unused, and GGUF does not say
        root["text_config"] = root["text_config"] | {"vocab_size_per_layer_input": VOCAB_SIZE}
    assert read(name) == Gemma4TextConfig.from_json(root)


@pytest.mark.parametrize("name", DRAFTER_SIZES)
def test_a_drafters_metadata_mean_the_same_as_config_json(name: str) -> None:
    expected = Gemma4AssistantConfig.from_json(drafter(name, "flat"))
    # Without a KV cache nothing depends on `has_v_proj`, and a drafter's GGUF does not say.
    layers = tuple(replace(layer, has_v_proj=True) for layer in expected.text.layers)
    assert read_drafter(name) == replace(expected, text=replace(expected.text, layers=layers))


def test_keys_that_are_absent_have_the_values_llama_cpp_assumes() -> None:
    absent = dict.fromkeys(
        (
            "context_length",
            "attention.layer_norm_rms_epsilon",
            "attention.value_length",
            "attention.value_length_swa",
            "rope.freq_base",
            "rope.freq_base_swa",
            "rope.dimension_count",
            "rope.dimension_count_swa",
        )
    )
    assert read("E2B", **absent) == read("E2B")
    config = read(
        "31B",
        **dict.fromkeys(("attention.head_count_kv", "attention.key_length")),
        **{
            "attention.value_length": None,
            "rope.dimension_count": None,
        },
    )
    assert {layer.num_key_value_heads for layer in config.layers} == {32}
    assert {layer.head_dim for layer in config.layers if not layer.is_sliding} == {168}
    none_shared = read("31B", **{"attention.shared_kv_layers": None})
    assert none_shared == read("31B")
    assert read("31B", embedding_length_per_layer_input=None) == none_shared


def test_numbers_given_layer_by_layer_may_be_any() -> None:
    widths = array("i", [32 * (i + 1) for i in range(60)])
    heads = array("I", [16, 8, 4, 2, 1, 32] * 10)
    config = read("31B", feed_forward_length=widths, **{"attention.head_count_kv": heads})
    assert [layer.intermediate_size for layer in config.layers] == list(widths)
    assert [layer.num_key_value_heads for layer in config.layers] == list(heads)


def test_the_pattern_may_be_of_numbers() -> None:
    pattern = array("i", [int(t == SLIDING) for t in layer_types(35, 5)])
    assert read("E2B", **{"attention.sliding_window_pattern": pattern}) == read("E2B")


def test_keys_are_values_where_no_full_layer_has_values_of_its_own() -> None:
    shapes = shapes_of(TEXTS["31B"])
    config = read("31B", shapes)
    assert {layer.has_v_proj for layer in config.layers if layer.layer_type == FULL} == {False}
    # One that has them means that the others lack them, which is found when tensors are looked for.
    shapes["model.layers.5.self_attn.v_proj.weight"] = (512, 5376)
    assert {layer.has_v_proj for layer in read("31B", shapes).layers} == {True}
    # Layers without a cache say nothing: their projections are left over.
    shapes = {f"model.layers.{i}.self_attn.v_proj.weight": (512, 1536) for i in range(15, 35)}
    assert not read("E2B", shapes).layers[4].has_v_proj


def test_centroids_are_counted_in_their_tensor() -> None:
    dense = read_drafter("E2B", {})
    assert not dense.use_ordered_embeddings
    ordered = read_drafter("E2B", {"masked_embedding.centroids.weight": (16, 256)})
    assert ordered.use_ordered_embeddings
    assert (ordered.num_centroids, ordered.centroid_intermediate_top_k) == (16, 16)
    # Half of the head: what is missing is named when tensors are looked for.
    assert read_drafter("E2B", {"masked_embedding.token_ordering": (64,)}).use_ordered_embeddings


# ---- what is refused ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "block_count",
        "embedding_length",
        "feed_forward_length",
        "attention.head_count",
        "attention.key_length_swa",
        "attention.sliding_window",
    ],
)
def test_a_key_that_has_to_be_there_is_named(name: str) -> None:
    with pytest.raises(CheckpointError, match=rf"gemma4\.{name} is missing"):
        read("E2B", **{name: None})
    with pytest.raises(CheckpointError, match=rf"gemma4-assistant\.{name} is missing"):
        read_drafter("E2B", **{name: None})


def test_a_drafter_has_to_say_for_which_target_it_is() -> None:
    with pytest.raises(CheckpointError, match=r"gemma4-assistant\.embedding_length_out is missing"):
        read_drafter("E2B", embedding_length_out=None)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"block_count": "6"}, "gemma4.block_count is '6'"),
        ({"block_count": 0xFFFFFFFF}, "gemma4.block_count is 4,294,967,295"),
        ({"feed_forward_length": array("i", [96] * 5)}, "an array of 35 numbers, one a layer"),
        ({"feed_forward_length": array("i", [0] * 35)}, "gemma4.feed_forward_length is 0"),
        ({"feed_forward_length": array("f", [96] * 35)}, "gemma4.feed_forward_length is 96.0"),
        ({"feed_forward_length": ["96"] * 35}, "gemma4.feed_forward_length is a list"),
        ({"attention.head_count_kv": array("i", [3] * 35)}, "num_key_value_heads, 3 of layer 0"),
        ({"attention.sliding_window_pattern": None}, "sliding_window_pattern is None; wanted"),
        ({"attention.sliding_window_pattern": 5}, "sliding_window_pattern is 5; wanted"),
        ({"attention.sliding_window_pattern": [True]}, "wanted an array of 35 booleans"),
        ({"attention.sliding_window_pattern": ["x"] * 35}, "wanted an array of 35 booleans"),
        ({"attention.sliding_window_pattern": array("i", [2] * 35)}, "an array of 35 booleans"),
        ({"attention.shared_kv_layers": 36}, "gemma4.attention.shared_kv_layers is 36"),
        ({"attention.shared_kv_layers": 35}, "layer 0, sliding_attention, reads the KV cache"),
        ({"attention.layer_norm_rms_epsilon": "x"}, "rms_norm_eps is 'x'"),
        ({"final_logit_softcapping": 0.0}, "final_logit_softcapping is 0.0"),
        ({"expert_count": -1}, "gemma4.expert_count is -1"),
        ({"expert_count": 4}, "gemma4.expert_used_count is missing"),
        ({"embedding_length_per_layer_input": "256"}, "hidden_size_per_layer_input is '256'"),
    ],
)
def test_wrong_metadata_are_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        read("E2B", **changes)
    assert words in caught.value.message
    assert type(caught.value) is CheckpointError


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"attention.head_count": array("i", [8] * 34 + [4])}, "head_count differs between layers"),
        ({"attention.value_length": 256}, "gemma4.attention.value_length is 256"),
        ({"attention.value_length_swa": 128}, "gemma4.attention.value_length_swa is 128"),
        ({"rope.dimension_count": 128}, "gemma4.rope.dimension_count is 128"),
        ({"rope.dimension_count_swa": 512}, "gemma4.rope.dimension_count_swa is 512"),
        ({"rope.scaling.type": "yarn"}, "gemma4.rope.scaling is set"),
        ({"rope.scaling.factor": 2.0}, "gemma4.rope.scaling is set"),
    ],
)
def test_metadata_of_what_does_not_run_are_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UnsupportedModelError) as caught:
        read("E2B", **changes)
    assert words in caught.value.message
