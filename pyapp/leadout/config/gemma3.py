"""Gemma 3's configuration (`gemma3_text`), from config.json or GGUF metadata.

Source: transformers, models/gemma3/configuration_gemma3.py; llama.cpp, conversion/gemma.py and
src/models/gemma3.cpp.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from leadout.config.checks import (
    BLOCK,
    MAX_HEAD_DIM,
    MAX_HIDDEN_SIZE,
    MAX_LAYERS,
    MAX_VOCAB_SIZE,
    check_at_most,
    check_heads,
    check_multiples,
    check_token_ids,
    full_every,
    listed_layer_types,
    refuse_unless,
    rope_parameters,
)
from leadout.config.fields import Fields
from leadout.config.gguf_keys import architecture_keys, rope_scaling, token_ids
from leadout.config.model_types import FULL, SLIDING, text_config_of
from leadout.errors import UnsupportedModelError
from leadout.shown import shown


@dataclass(frozen=True)
class LinearRopeScaling:
    """Positions of full-attention layers are divided by `factor`, ≥ 1."""

    factor: float


@dataclass(frozen=True)
class Gemma3TextConfig:
    """`gemma3_text`: fields as in config.json, defaults as in transformers.

    `rope_parameters` of newer files is read into the older fields: `rope_theta` and `rope_scaling`
    are the full-attention layers', `rope_local_base_freq` the sliding ones'. A query sees
    `sliding_window` positions, its own among them. `eos_token_id` is always a tuple.
    """

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    vocab_size: int
    max_position_embeddings: int
    rms_norm_eps: float
    rope_theta: float
    rope_local_base_freq: float
    rope_scaling: LinearRopeScaling | None
    sliding_window: int
    layer_types: tuple[str, ...]
    query_pre_attn_scalar: float
    tie_word_embeddings: bool
    eos_token_id: tuple[int, ...]
    bos_token_id: int | None
    hidden_activation: str = "gelu_pytorch_tanh"
    attention_bias: bool = False
    attn_logit_softcapping: None = None
    final_logit_softcapping: None = None

    model_type: ClassVar[str] = "gemma3_text"

    @classmethod
    def from_json(cls, config: Mapping[str, object]) -> Gemma3TextConfig:
        """Check and read the fields of config.json.

        Args:
            config: of a `gemma3_text` model, or of a `gemma3` one with its `text_config` inside.

        Raises:
            CheckpointError: a field has another type, is out of range or contradicts another.
            UnsupportedModelError: a feature that Leadout does not run.
        """
        fields = Fields(text_config_of(config), {})
        _refuse_unsupported(fields)
        num_layers = fields.integer("num_hidden_layers", 1, MAX_LAYERS)
        max_position = fields.integer("max_position_embeddings", 1)
        theta, local_base, scaling = _rope(fields)
        result = cls(
            hidden_size=fields.integer("hidden_size", 1),
            intermediate_size=fields.integer("intermediate_size", 1),
            num_hidden_layers=num_layers,
            num_attention_heads=fields.integer("num_attention_heads", 1),
            num_key_value_heads=fields.integer("num_key_value_heads", 1),
            head_dim=fields.integer("head_dim", 1),
            vocab_size=fields.integer("vocab_size", 1),
            max_position_embeddings=max_position,
            rms_norm_eps=fields.positive("rms_norm_eps"),
            rope_theta=theta,
            rope_local_base_freq=local_base,
            rope_scaling=scaling,
            # null means that no position is too far away to be seen.
            sliding_window=max_position
            if fields.get("sliding_window") is None
            else fields.integer("sliding_window", 1),
            layer_types=_layer_types(fields, num_layers),
            query_pre_attn_scalar=fields.positive("query_pre_attn_scalar"),
            tie_word_embeddings=fields.boolean("tie_word_embeddings"),
            eos_token_id=fields.token_ids("eos_token_id"),
            bos_token_id=fields.token_id("bos_token_id"),
        )
        _check_consistency(result)
        return result


def _refuse_unsupported(fields: Fields) -> None:
    refuse_unless(
        fields,
        "Gemma 3",
        (
            ("hidden_activation", "gelu_pytorch_tanh"),
            ("attention_bias", False),
            ("attn_logit_softcapping", None),
            ("final_logit_softcapping", None),
        ),
    )
    if fields.get("use_bidirectional_attention"):
        raise UnsupportedModelError(
            "use_bidirectional_attention is set: this is an embedding model, Leadout runs models "
            "that generate text",
            field="use_bidirectional_attention",
        )


def _rope(fields: Fields) -> tuple[float, float, LinearRopeScaling | None]:
    """Return rope_theta, rope_local_base_freq and rope_scaling from the older or newer form."""
    parameters = rope_parameters(fields)
    full = Fields(
        parameters.object_or_none(FULL) or {},
        {"rope_theta": fields.get("rope_theta")},
        f"rope_parameters.{FULL}.",
    )
    sliding = Fields(
        parameters.object_or_none(SLIDING) or {},
        {"rope_theta": fields.get("rope_local_base_freq")},
        f"rope_parameters.{SLIDING}.",
    )
    if _scaling(sliding) is not None:
        raise UnsupportedModelError(
            "the rope of sliding_attention layers is scaled, Leadout scales that of "
            "full_attention layers alone",
            field="rope_parameters",
        )
    older = fields.object_or_none("rope_scaling")
    scaling = _scaling(full) if older is None else _scaling(Fields(older, {}, "rope_scaling."))
    return full.positive("rope_theta"), sliding.positive("rope_theta"), scaling


def _scaling(fields: Fields) -> LinearRopeScaling | None:
    rope_type = fields.get("rope_type", fields.get("type", "default"))
    if rope_type == "default":
        return None
    if rope_type == "linear":
        return LinearRopeScaling(fields.positive("factor"))
    raise UnsupportedModelError(
        f"{fields.prefix}rope_type is {shown(rope_type)}, Leadout runs 'default' and 'linear'",
        field=f"{fields.prefix}rope_type",
    )


def _layer_types(fields: Fields, num_layers: int) -> tuple[str, ...]:
    """Return each layer's type: listed, or every `sliding_window_pattern`-th one full."""
    listed = listed_layer_types(fields, num_layers)
    if listed is not None:
        return listed
    return full_every(num_layers, fields.integer("sliding_window_pattern", 1))


def _check_consistency(config: Gemma3TextConfig) -> None:
    check_heads(config.num_attention_heads, config.num_key_value_heads)
    queries = config.num_attention_heads * config.head_dim
    check_multiples(
        (
            ("head_dim", config.head_dim, 8),
            ("hidden_size", config.hidden_size, BLOCK),
            ("intermediate_size", config.intermediate_size, BLOCK),
            ("num_attention_heads · head_dim", queries, BLOCK),
            ("vocab_size", config.vocab_size, BLOCK),
        )
    )
    check_at_most("hidden_size", config.hidden_size, MAX_HIDDEN_SIZE)
    check_at_most("vocab_size", config.vocab_size, MAX_VOCAB_SIZE)
    check_at_most("head_dim", config.head_dim, MAX_HEAD_DIM)
    check_token_ids(config.eos_token_id, config.bos_token_id, config.vocab_size)


def gemma3_from_gguf(metadata: Mapping[str, object], vocab_size: int) -> dict[str, object]:
    """Put GGUF metadata into the fields of config.json; see `config.config_from_gguf`.

    Defaults are what llama.cpp assumes where a key is absent.
    """
    keys = architecture_keys(metadata, "gemma3.")
    num_layers = keys.integer("block_count", 1, MAX_LAYERS)
    hidden_size = keys.integer("embedding_length", 1)
    num_heads = keys.uniform("attention.head_count", num_layers)
    head_dim = keys.integer("attention.key_length", 1, default=hidden_size // num_heads)
    if keys.integer("attention.value_length", 1, default=head_dim) != head_dim:
        raise UnsupportedModelError(
            "gemma3.attention.value_length differs from key_length, Leadout runs Gemma 3 with one",
            field="gemma3.attention.value_length",
        )
    config: dict[str, object] = {
        "model_type": "gemma3_text",
        "vocab_size": vocab_size,
        "hidden_size": hidden_size,
        "intermediate_size": keys.uniform("feed_forward_length", num_layers),
        "num_hidden_layers": num_layers,
        "num_attention_heads": num_heads,
        "num_key_value_heads": keys.uniform("attention.head_count_kv", num_layers, num_heads),
        "head_dim": head_dim,
        "max_position_embeddings": keys.integer("context_length", 1, default=131_072),
        "rms_norm_eps": keys.get("attention.layer_norm_rms_epsilon", 1e-6),
        "rope_theta": keys.get("rope.freq_base", 1_000_000.0),
        "rope_local_base_freq": keys.get("rope.freq_base_swa", 10_000.0),
        "rope_scaling": rope_scaling(keys),
        "sliding_window": keys.get("attention.sliding_window"),
        # GGUF does not say. llama.cpp knows the 27B by its layers, and so does this.
        "query_pre_attn_scalar": hidden_size // num_heads if num_layers == 62 else head_dim,
        "final_logit_softcapping": keys.get("final_logit_softcapping"),
        "attn_logit_softcapping": keys.get("attn_logit_softcapping"),
    }
    if config["sliding_window"] is None:
        config["layer_types"] = [FULL] * num_layers
    else:
        pattern = keys.get("attention.sliding_window_pattern", 6)
        if isinstance(pattern, list):
            config["layer_types"] = [SLIDING if is_sliding else FULL for is_sliding in pattern]
        else:
            config["sliding_window_pattern"] = pattern
    return config | token_ids(metadata)
