"""Gemma 4's configurations: every form is resolved into the same layers."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest

from gemma4_configs import DRAFTER_SIZES, EXPERTS, SMALL, TEXTS, drafter, small_drafter, target
from leadout.config import (
    FULL,
    SLIDING,
    TARGETS_CACHE,
    Gemma4AssistantConfig,
    Gemma4LayerConfig,
    Gemma4TextConfig,
    read_config,
    text_config_of,
)

FORMS = ["flat", "per_layer"]


def text(**changes: Any) -> Gemma4TextConfig:
    return Gemma4TextConfig.from_json(SMALL | changes)


def kv_layers(config: Gemma4TextConfig) -> list[int]:
    return [layer.kv_layer for layer in config.layers]


# ---- the published models -----------------------------------------------------------------

#: Heads of keys and values in sliding and in full layers, and whether full ones have a v_proj.
KV_HEADS = {
    "E2B": (1, 1, True),
    "E4B": (2, 2, True),
    "12B": (8, 1, False),
    "26B-A4B": (8, 2, False),
    "31B": (16, 4, False),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", TEXTS)
def test_the_published_targets_have_the_layers_that_they_were_made_with(
    name: str, form: str
) -> None:
    config = read_config(SimpleNamespace(config=target(name, form)))
    assert isinstance(config, Gemma4TextConfig)
    sliding_heads, full_heads, full_has_v_proj = KV_HEADS[name]
    pattern = 5 if name == "E2B" else 6
    num_layers = TEXTS[name]["num_hidden_layers"]
    first_shared = {"E2B": 15, "E4B": 24}.get(name, num_layers)
    producers = {"E2B": {SLIDING: 13, FULL: 14}, "E4B": {SLIDING: 22, FULL: 23}}.get(name, {})
    assert len(config.layers) == config.num_hidden_layers == num_layers
    for i, layer in enumerate(config.layers):
        is_full = (i + 1) % pattern == 0
        layer_type = FULL if is_full else SLIDING
        is_wide = name == "E2B" and i >= 15
        assert layer == Gemma4LayerConfig(
            layer_type=layer_type,
            head_dim=512 if is_full else 256,
            num_key_value_heads=full_heads if is_full else sliding_heads,
            intermediate_size=TEXTS[name]["intermediate_size"] * (2 if is_wide else 1),
            kv_layer=producers[layer_type] if i >= first_shared else i,
            has_v_proj=full_has_v_proj or not is_full,
        ), i
        assert layer.is_sliding is not is_full


@pytest.mark.parametrize("form", FORMS)
def test_the_published_targets_have_the_fields_of_their_files(form: str) -> None:
    configs = {name: Gemma4TextConfig.from_json(target(name, form)) for name in TEXTS}
    for config in configs.values():
        assert (config.rope_theta, config.rope_local_base_freq) == (1e6, 1e4)
        assert config.partial_rotary_factor == 0.25
        assert config.final_logit_softcapping == 30.0
        assert config.rms_norm_eps == 1e-6
        assert config.vocab_size == 262_144
        assert config.tie_word_embeddings
        assert config.eos_token_id == (1, 106)
        assert config.bos_token_id == 2

    def of_each(name: str) -> list[Any]:
        return [getattr(config, name) for config in configs.values()]

    assert of_each("hidden_size") == [1536, 2560, 3840, 2816, 5376]
    assert of_each("num_attention_heads") == [8, 8, 16, 16, 32]
    assert of_each("max_position_embeddings") == [131_072] * 2 + [262_144] * 3
    assert of_each("sliding_window") == [512, 512, 1024, 1024, 1024]
    assert of_each("num_kv_shared_layers") == [20, 18, 0, 0, 0]
    assert of_each("hidden_size_per_layer_input") == [256, 256, 0, 0, 0]
    assert of_each("vocab_size_per_layer_input")[:2] == [262_144, 262_144]
    assert of_each("enable_moe_block") == [False, False, False, True, False]
    assert of_each("num_experts") == [0, 0, 0, 128, 0]
    assert of_each("top_k_experts") == [0, 0, 0, 8, 0]
    assert of_each("moe_intermediate_size") == [0, 0, 0, 704, 0]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", DRAFTER_SIZES)
def test_the_published_drafters_have_the_layers_that_they_were_made_with(
    name: str, form: str
) -> None:
    config = read_config(SimpleNamespace(config=drafter(name, form)))
    assert isinstance(config, Gemma4AssistantConfig)
    hidden, heads, kv_heads, full_kv_heads, intermediate, backbone = DRAFTER_SIZES[name]
    assert config.backbone_hidden_size == backbone
    assert config.use_ordered_embeddings is (name in ("E2B", "E4B"))
    assert (config.num_centroids, config.centroid_intermediate_top_k) == (2048, 32)
    assert (config.text.hidden_size, config.text.num_attention_heads) == (hidden, heads)
    assert config.text.final_logit_softcapping is None
    assert config.text.num_kv_shared_layers == config.text.num_hidden_layers == 4
    assert config.text.hidden_size_per_layer_input == 0
    assert not config.text.enable_moe_block
    has_v_proj = name in ("E2B", "E4B")
    sliding = Gemma4LayerConfig(SLIDING, 256, kv_heads, intermediate, TARGETS_CACHE, True)
    full = Gemma4LayerConfig(
        FULL, 512, full_kv_heads or kv_heads, intermediate, TARGETS_CACHE, has_v_proj
    )
    assert config.text.layers == (sliding, sliding, sliding, full)
    assert config.vocab_size == config.text.vocab_size == 262_144
    assert config.max_position_embeddings == (131_072 if name in ("E2B", "E4B") else 262_144)
    assert (config.eos_token_id, config.bos_token_id) == ((1,), 2)


def test_centroids_do_not_matter_to_a_drafter_with_a_dense_head() -> None:
    dense = Gemma4AssistantConfig.from_json(small_drafter(num_centroids=48))
    assert (dense.use_ordered_embeddings, dense.num_centroids) == (False, 48)
    centroids = {"num_centroids": 64, "centroid_intermediate_top_k": 4}
    root = small_drafter(use_ordered_embeddings=True, **centroids)
    ordered = Gemma4AssistantConfig.from_json(root)
    assert (ordered.num_centroids, ordered.centroid_intermediate_top_k) == (64, 4)


# ---- what is read -------------------------------------------------------------------------


def test_fields_that_a_config_leaves_out_are_those_of_transformers() -> None:
    config = Gemma4TextConfig.from_json({"model_type": "gemma4", "text_config": {}})
    assert config == Gemma4TextConfig.from_json({"model_type": "gemma4_text"})
    assert (config.hidden_size, config.num_hidden_layers) == (2304, 30)
    assert config.layers[0] == Gemma4LayerConfig(SLIDING, 256, 4, 9216, 0, True)
    assert config.layers[5] == Gemma4LayerConfig(FULL, 512, 4, 9216, 5, True)
    full = [i for i, layer in enumerate(config.layers) if not layer.is_sliding]
    assert full == [5, 11, 17, 23, 29]
    assert (config.sliding_window, config.max_position_embeddings) == (512, 131_072)
    assert config.final_logit_softcapping is None
    assert config.partial_rotary_factor == 0.25
    assert (config.hidden_size_per_layer_input, config.vocab_size_per_layer_input) == (256, 262_144)
    unified = Gemma4TextConfig.from_json({"model_type": "gemma4_unified"})
    assert unified == Gemma4TextConfig.from_json({"model_type": "gemma4_unified_text"})
    assert unified == dataclasses.replace(
        config,
        sliding_window=1024,
        max_position_embeddings=262_144,
        hidden_size_per_layer_input=0,
        vocab_size_per_layer_input=0,
    )


@pytest.mark.parametrize(
    ("model_type", "backbone"), [("gemma4_assistant", 1536), ("gemma4_unified_assistant", 3840)]
)
def test_fields_that_a_drafter_leaves_out_are_those_of_transformers(
    model_type: str, backbone: int
) -> None:
    fields = {"num_hidden_layers": 4, "hidden_size_per_layer_input": 0}
    config = Gemma4AssistantConfig.from_json({"model_type": model_type, "text_config": fields})
    assert config.backbone_hidden_size == backbone
    assert not config.use_ordered_embeddings
    assert (config.num_centroids, config.centroid_intermediate_top_k) == (2048, 32)
    assert config.text.num_kv_shared_layers == 4
    assert {layer.kv_layer for layer in config.text.layers} == {TARGETS_CACHE}


@pytest.mark.parametrize("root", [target("12B", "per_layer"), drafter("12B", "flat")])
def test_a_configuration_that_was_flattened_can_be_read_again(root: dict[str, Any]) -> None:
    flat = text_config_of(root)
    assert "text_config" not in flat
    assert text_config_of(flat) == flat
    read = [read_config(SimpleNamespace(config=config)) for config in (root, flat)]
    assert read[0] == read[1]


def test_the_last_layer_is_full_whatever_is_listed() -> None:
    config = text(layer_types=[SLIDING, FULL, SLIDING, SLIDING, SLIDING, SLIDING])
    assert config.layers[5].layer_type == FULL
    assert config.layers[5].head_dim == 64
    assert kv_layers(config) == [0, 1, 2, 3, 3, 1]
    unlisted = text(layer_types=None, num_kv_shared_layers=0)
    assert [layer.layer_type for layer in unlisted.layers] == [SLIDING] * 5 + [FULL]


def test_layers_without_a_cache_read_the_last_one_of_their_type_that_has_one() -> None:
    assert kv_layers(text()) == [0, 1, 2, 3, 2, 3]
    assert kv_layers(text(num_kv_shared_layers=4)) == [0, 1, 0, 1, 0, 1]
    assert kv_layers(text(num_kv_shared_layers=0)) == [0, 1, 2, 3, 4, 5]
    types = [SLIDING, FULL, SLIDING, SLIDING, FULL, FULL]
    assert kv_layers(text(layer_types=types, num_kv_shared_layers=3)) == [0, 1, 2, 2, 1, 1]


def test_only_layers_without_a_cache_are_twice_as_wide() -> None:
    widths = [layer.intermediate_size for layer in text(use_double_wide_mlp=True).layers]
    assert widths == [96, 96, 96, 96, 192, 192]
    none_shared = text(use_double_wide_mlp=True, num_kv_shared_layers=0)
    assert {layer.intermediate_size for layer in none_shared.layers} == {96}


def test_full_layers_have_heads_of_their_own_only_where_keys_are_values() -> None:
    """So it is in transformers; a per_layer_config counts in any case."""
    config = text(num_global_key_value_heads=1)
    assert [layer.num_key_value_heads for layer in config.layers] == [2] * 6
    config = text(num_global_key_value_heads=1, attention_k_eq_v=True)
    assert [layer.num_key_value_heads for layer in config.layers] == [2, 1, 2, 1, 2, 1]
    assert [layer.has_v_proj for layer in config.layers] == [True, False] * 3
    one = {i: {"num_key_value_heads": 1} for i in (1, 3, 5)}
    config = text(per_layer_config=one)
    assert [layer.num_key_value_heads for layer in config.layers] == [2, 1, 2, 1, 2, 1]
    assert {layer.head_dim for layer in config.layers} == {32}


@pytest.mark.parametrize(
    "per_layer",
    [
        {i: {"head_dim": 64} for i in (1, 3, 5)},
        {f"{i}": {"head_dim": 64} for i in (1, 3, 5)},
        {f"{i:02}": {"head_dim": 64} for i in (1, 3, 5)},
        {"1": {"head_dim": 64}, "03": {"head_dim": 64}, 5: {"head_dim": 64}, 4: {}},
    ],
)
def test_per_layer_config_goes_before_the_older_fields(per_layer: Any) -> None:
    older = {"global_head_dim": 128, "num_global_key_value_heads": 1, "attention_k_eq_v": True}
    assert text(per_layer_config=per_layer, **older) == text(attention_k_eq_v=True)


@pytest.mark.parametrize("per_layer", [None, {}])
def test_a_per_layer_config_without_entries_means_that_layers_do_not_differ(per_layer: Any) -> None:
    assert {layer.head_dim for layer in text(per_layer_config=per_layer).layers} == {32}


def test_per_layer_config_may_have_widths() -> None:
    config = text(per_layer_config={0: {"intermediate_size": 32}, 4: {"intermediate_size": 64}})
    assert [layer.intermediate_size for layer in config.layers] == [32, 96, 96, 96, 64, 96]


def test_rope_is_read_from_every_form() -> None:
    sliding = {"rope_theta": 2e4, "rope_type": "default"}
    proportional = {"rope_theta": 5e5, "rope_type": "proportional", "partial_rotary_factor": 0.5}
    whole = {"rope_theta": 5e5, "rope_type": "default", "partial_rotary_factor": 0.5}
    for full, factor in (
        (proportional, 0.5),
        (proportional | {"factor": 1.0}, 0.5),
        ({"rope_theta": 5e5, "rope_type": "proportional"}, 1.0),
        ({"rope_theta": 5e5, "type": "proportional"}, 1.0),
        (whole, 1.0),
        ({"rope_theta": 5e5}, 1.0),
    ):
        config = text(rope_parameters={FULL: full, SLIDING: sliding})
        assert (config.rope_theta, config.rope_local_base_freq) == (5e5, 2e4)
        assert config.partial_rotary_factor == factor
    for rope in (None, {}, {FULL: None, SLIDING: None}):
        config = text(rope_parameters=rope)
        assert (config.rope_theta, config.rope_local_base_freq) == (1e6, 1e4)
        assert config.partial_rotary_factor == 0.25


def test_null_is_as_good_as_none() -> None:
    nulls = (
        "hidden_size_per_layer_input",
        "enable_moe_block",
        "use_double_wide_mlp",
        "attention_k_eq_v",
        "num_kv_shared_layers",
    )
    config = text(**dict.fromkeys(nulls))
    assert config == text(hidden_size_per_layer_input=0, num_kv_shared_layers=0)


def test_fields_of_experts_count_only_where_there_are_experts() -> None:
    config = text(**EXPERTS)
    assert (config.num_experts, config.top_k_experts, config.moe_intermediate_size) == (8, 2, 32)
    assert text(**EXPERTS | {"enable_moe_block": False}) == text()


def test_a_configuration_cannot_be_changed() -> None:
    for config in (text(), text().layers[0], Gemma4AssistantConfig.from_json(small_drafter())):
        with pytest.raises(dataclasses.FrozenInstanceError):
            config.vocab_size = 1  # type: ignore[misc, union-attr]


def test_vision_only_attention_is_no_matter_of_text() -> None:
    assert text(use_bidirectional_attention="vision") == text()
