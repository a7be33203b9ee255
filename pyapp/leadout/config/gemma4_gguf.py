"""Gemma 4's GGUF metadata, of targets and drafters, in the fields of config.json.

What GGUF does not say is seen from the tensors: that keys are values where a full layer has no
`v_proj`, and the centroids of a drafter's head. That a quarter of a full layer's head turns is in
`rope_freqs`, a tensor whose values the header does not hold; every converter writes that one.

Source: llama.cpp, conversion/gemma.py, src/models/gemma4.cpp and src/models/gemma4-assistant.cpp.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence

from leadout.config.checks import MAX_LAYERS
from leadout.config.fields import Fields
from leadout.config.gguf_keys import architecture_keys, rope_scaling, token_ids
from leadout.config.model_types import FULL, SLIDING
from leadout.errors import UnsupportedModelError

#: Centroids that a drafter's head looks at: what every published config.json has.
_TOP_K_CENTROIDS = 32

Shapes = Mapping[str, Sequence[int]]


def gemma4_from_gguf(
    metadata: Mapping[str, object], vocab_size: int, shapes: Shapes
) -> dict[str, object]:
    """Read a target's metadata; see `config.config_from_gguf`."""
    keys = architecture_keys(metadata, "gemma4.")
    num_layers = keys.integer("block_count", 1, MAX_LAYERS)
    config = _text(keys, num_layers, vocab_size)
    num_shared = keys.integer("attention.shared_kv_layers", 0, num_layers, default=0)
    per_layer = shapes.get("model.embed_tokens_per_layer.weight")
    config |= {
        "model_type": "gemma4_text",
        "num_kv_shared_layers": num_shared,
        "attention_k_eq_v": _keys_are_values(config, num_layers - num_shared, shapes),
        "hidden_size_per_layer_input": keys.get("embedding_length_per_layer_input", 0),
        "vocab_size_per_layer_input": per_layer[0] if per_layer else vocab_size,
    }
    num_experts = keys.integer("expert_count", 0, default=0)
    if num_experts:
        config |= {
            "enable_moe_block": True,
            "num_experts": num_experts,
            "top_k_experts": keys.integer("expert_used_count", 1),
            "moe_intermediate_size": keys.integer("expert_feed_forward_length", 1),
        }
    return config | token_ids(metadata)


def gemma4_assistant_from_gguf(
    metadata: Mapping[str, object], vocab_size: int, shapes: Shapes
) -> dict[str, object]:
    """Read a drafter's metadata; see `config.config_from_gguf`."""
    keys = architecture_keys(metadata, "gemma4-assistant.")
    num_layers = keys.integer("block_count", 1, MAX_LAYERS)
    config = _text(keys, num_layers, vocab_size)
    centroids = shapes.get("masked_embedding.centroids.weight")
    config |= {
        "model_type": "gemma4_assistant",
        "num_kv_shared_layers": num_layers,
        "hidden_size_per_layer_input": keys.get("embedding_length_per_layer_input", 0),
        "backbone_hidden_size": keys.integer("embedding_length_out", 1),
        # One without the other is missed when the tensors are looked for.
        "use_ordered_embeddings": centroids is not None
        or "masked_embedding.token_ordering" in shapes,
    }
    if centroids is not None:
        num_centroids = centroids[0] if centroids else 0
        config["num_centroids"] = num_centroids
        config["centroid_intermediate_top_k"] = min(_TOP_K_CENTROIDS, max(num_centroids, 1))
    return config | token_ids(metadata)


def _text(keys: Fields, num_layers: int, vocab_size: int) -> dict[str, object]:
    num_heads = keys.uniform("attention.head_count", num_layers)
    hidden_size = keys.integer("embedding_length", 1)
    full_dim = keys.integer("attention.key_length", 1, default=hidden_size // num_heads)
    sliding_dim = keys.integer("attention.key_length_swa", 1)
    for name, head_dim in (
        ("attention.value_length", full_dim),
        ("attention.value_length_swa", sliding_dim),
        ("rope.dimension_count", full_dim),
        ("rope.dimension_count_swa", sliding_dim),
    ):
        found = keys.integer(name, 1, default=head_dim)
        if found != head_dim:
            raise UnsupportedModelError(
                f"{keys.prefix}{name} is {found:,}, Leadout runs Gemma 4 where it is the head's "
                f"whole size, {head_dim:,}",
                field=keys.prefix + name,
            )
    if rope_scaling(keys) is not None:
        raise UnsupportedModelError(
            f"{keys.prefix}rope.scaling is set, Leadout runs Gemma 4 without it",
            field=f"{keys.prefix}rope.scaling.type",
        )
    layer_types = _layer_types(keys, num_layers)
    widths = keys.per_layer("feed_forward_length", num_layers)
    kv_heads = keys.per_layer("attention.head_count_kv", num_layers, num_heads)
    return {
        "vocab_size": vocab_size,
        "hidden_size": hidden_size,
        "num_hidden_layers": num_layers,
        "num_attention_heads": num_heads,
        "head_dim": sliding_dim,
        "num_key_value_heads": kv_heads[0],
        "intermediate_size": widths[0],
        "layer_types": layer_types,
        "per_layer_config": {
            i: {
                "head_dim": full_dim if layer_types[i] == FULL else sliding_dim,
                "num_key_value_heads": kv_heads[i],
                "intermediate_size": widths[i],
            }
            for i in range(num_layers)
        },
        "max_position_embeddings": keys.integer("context_length", 1, default=131_072),
        "rms_norm_eps": keys.get("attention.layer_norm_rms_epsilon", 1e-6),
        "sliding_window": keys.integer("attention.sliding_window", 1),
        "rope_parameters": {
            FULL: {
                "rope_type": "proportional",
                "partial_rotary_factor": 0.25,
                "rope_theta": keys.get("rope.freq_base", 1_000_000.0),
            },
            SLIDING: {"rope_type": "default", "rope_theta": keys.get("rope.freq_base_swa", 1e4)},
        },
        "final_logit_softcapping": keys.get("final_logit_softcapping"),
    }


def _layer_types(keys: Fields, num_layers: int) -> list[str]:
    """Return layer types from flags, one a layer: booleans, or whole numbers in some files."""
    flags = keys.get("attention.sliding_window_pattern")
    if (
        not isinstance(flags, list | array)
        or len(flags) != num_layers
        or any(flag not in (0, 1) for flag in flags)
    ):
        raise keys.wrong(
            "attention.sliding_window_pattern", flags, f"an array of {num_layers} booleans"
        )
    return [SLIDING if flag else FULL for flag in flags]


def _keys_are_values(config: Mapping[str, object], first_shared: int, shapes: Shapes) -> bool:
    """Return whether no full layer with a KV cache of its own has a `v_proj`."""
    layer_types = config["layer_types"]
    assert isinstance(layer_types, list)
    return not any(
        f"model.layers.{i}.self_attn.v_proj.weight" in shapes
        for i, layer_type in enumerate(layer_types[:first_shared])
        if layer_type == FULL
    )
