"""Model configurations: the fields of config.json, checked once at the door.

GGUF metadata is first put into the same fields (`config_from_gguf`), so that a model knows one
kind of configuration. Adding an architecture is a dataclass here, a line in `TEXT_CONFIGS`, one in
`ROOT_TO_TEXT` and one in `GGUF_CONFIGS`.

Source: transformers, models/gemma3/configuration_gemma3.py; llama.cpp, conversion/gemma.py and
src/models/gemma3.cpp.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

from leadout.config_fields import Fields
from leadout.errors import CheckpointError, UnsupportedFormatError, UnsupportedModelError
from leadout.shown import shown

SLIDING = "sliding_attention"
FULL = "full_attention"

#: Columns in a block of every layout in memory; matrices have whole blocks.
_BLOCK = 32
#: More layers than any model has; a list of that length is made from a number in the file.
_MAX_LAYERS = 1024


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
        fields = Fields(text_config_of(config), _DEFAULTS["gemma3_text"])
        _refuse_unsupported(fields)
        num_layers = fields.integer("num_hidden_layers", 1, _MAX_LAYERS)
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


class HasConfig(Protocol):
    """What `read_config` asks of a checkpoint."""

    @property
    def config(self) -> dict[str, object]:
        """The fields of config.json's text model."""


def read_config(checkpoint: HasConfig) -> Gemma3TextConfig:
    """Return a checkpoint's configuration, checked.

    Raises:
        UnsupportedModelError: a model or a feature that Leadout does not run.
        CheckpointError: a field is wrong.
    """
    config = text_config_of(checkpoint.config)
    return TEXT_CONFIGS[str(config["model_type"])](config)


def text_config_of(root: Mapping[str, object]) -> dict[str, object]:
    """Return the text model's fields of a config.json, with what it leaves out filled in.

    A multimodal config keeps them in `text_config`, but its token ids, and whether the embedding
    is also the head, beside it.

    Raises:
        UnsupportedModelError: another model_type.
        CheckpointError: `text_config` is not an object.
    """
    model_type = root.get("model_type")
    supported = [*TEXT_CONFIGS, *ROOT_TO_TEXT]
    if not isinstance(model_type, str) or model_type not in supported:
        raise UnsupportedModelError(
            f"the configuration's model_type is {shown(model_type)}; Leadout runs "
            f"{', '.join(supported)}",
            model_type=shown(model_type),
            supported=supported,
        )
    if model_type in TEXT_CONFIGS:
        return {**_DEFAULTS[model_type], **root}
    text = root.get("text_config", {})
    if not isinstance(text, dict):
        raise CheckpointError(
            f"text_config is a {type(text).__name__}, an object is wanted; get config.json again"
        )
    shared = {key: root[key] for key in _ROOT_FIELDS if root.get(key) is not None}
    model_type = ROOT_TO_TEXT[model_type]
    return {**_DEFAULTS[model_type], **text, **shared, "model_type": model_type}


def config_from_gguf(
    model_type: str, metadata: Mapping[str, object], vocab_size: int
) -> dict[str, object]:
    """Put GGUF metadata into the fields of config.json.

    Args:
        model_type: the text model's.
        metadata: of the file.
        vocab_size: rows of the embedding.

    Raises:
        CheckpointError: a key that has to be there is missing, or has another type.
        UnsupportedModelError: a feature that Leadout does not run.
    """
    return GGUF_CONFIGS[model_type](metadata, vocab_size)


# ---- gemma3_text --------------------------------------------------------------------------


def _refuse_unsupported(fields: Fields) -> None:
    """Raise for what would change the numbers if it were ignored."""
    for key, wanted in (
        ("hidden_activation", "gelu_pytorch_tanh"),
        ("attention_bias", False),
        ("attn_logit_softcapping", None),
        ("final_logit_softcapping", None),
    ):
        if fields.get(key) != wanted:
            raise UnsupportedModelError(
                f"{key} is {shown(fields.get(key))}, Leadout runs Gemma 3 with {wanted!r} alone",
                field=key,
            )
    if fields.get("use_bidirectional_attention"):
        raise UnsupportedModelError(
            "use_bidirectional_attention is set: this is an embedding model, Leadout runs models "
            "that generate text",
            field="use_bidirectional_attention",
        )
    quantization = fields.get("quantization_config")
    if quantization is not None:
        method = quantization.get("quant_method") if isinstance(quantization, dict) else None
        raise UnsupportedFormatError(
            f"the weights are quantised by {shown(method)}, which Leadout does not read; use the "
            "unquantised checkpoint or a GGUF file",
            quant_method=method if isinstance(method, str) else None,
        )


def _rope(fields: Fields) -> tuple[float, float, LinearRopeScaling | None]:
    """Return rope_theta, rope_local_base_freq and rope_scaling from the older or newer form."""
    by_type = fields.object_or_none("rope_parameters") or {}
    if not set(by_type) <= {FULL, SLIDING}:
        raise UnsupportedModelError(
            f"rope_parameters has {shown(min(set(by_type) - {FULL, SLIDING}))}; wanted is one "
            f"entry each for {FULL} and {SLIDING}",
            field="rope_parameters",
        )
    parameters = Fields(by_type, {}, "rope_parameters.")
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
    listed = fields.get("layer_types")
    if listed is None:
        pattern = fields.integer("sliding_window_pattern", 1)
        return tuple(FULL if (i + 1) % pattern == 0 else SLIDING for i in range(num_layers))
    if not isinstance(listed, list) or len(listed) != num_layers:
        found = f"{len(listed):,} entries" if isinstance(listed, list) else type(listed).__name__
        raise CheckpointError(
            f"layer_types has {found}, one for each of the {num_layers} layers is wanted; "
            "get config.json again",
            field="layer_types",
        )
    for entry in listed:
        if entry not in (FULL, SLIDING):
            raise UnsupportedModelError(
                f"layer_types has {shown(entry)}, Leadout runs {FULL} and {SLIDING}",
                field="layer_types",
            )
    return tuple(listed)


def _check_consistency(config: Gemma3TextConfig) -> None:
    if config.num_attention_heads % config.num_key_value_heads:
        raise CheckpointError(
            f"num_attention_heads is {config.num_attention_heads}, which is not a multiple of "
            f"num_key_value_heads, {config.num_key_value_heads}; get config.json again",
            field="num_attention_heads",
        )
    for what, value, divisor in (
        ("head_dim", config.head_dim, 8),
        ("hidden_size", config.hidden_size, _BLOCK),
        ("intermediate_size", config.intermediate_size, _BLOCK),
        ("num_attention_heads · head_dim", config.num_attention_heads * config.head_dim, _BLOCK),
        ("vocab_size", config.vocab_size, _BLOCK),
    ):
        if value % divisor:
            raise UnsupportedModelError(
                f"{what} is {value:,}, Leadout runs models where it is a multiple of {divisor}",
                field=what,
                found=value,
            )
    for token_id in (*config.eos_token_id, config.bos_token_id or 0):
        if token_id >= config.vocab_size:
            raise CheckpointError(
                f"token id {token_id:,} (eos_token_id or bos_token_id) is not below vocab_size, "
                f"{config.vocab_size:,}; get config.json again",
                field="eos_token_id",
            )


def _gemma3_from_gguf(metadata: Mapping[str, object], vocab_size: int) -> dict[str, object]:
    """See `config_from_gguf`. Defaults are what llama.cpp assumes where a key is absent."""
    prefix = "gemma3."
    own = {k.removeprefix(prefix): v for k, v in metadata.items() if k.startswith(prefix)}
    keys = Fields(own, {}, prefix)
    num_layers = keys.integer("block_count", 1, _MAX_LAYERS)
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
        "rope_scaling": _gguf_rope_scaling(keys),
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
    for key in ("bos_token_id", "eos_token_id"):
        token_id = metadata.get(f"tokenizer.ggml.{key}")
        if token_id is not None:
            config[key] = token_id
    return config


def _gguf_rope_scaling(keys: Fields) -> dict[str, object] | None:
    factor = keys.get("rope.scaling.factor")
    scaling_type = keys.get("rope.scaling.type", "none" if factor is None else "linear")
    if scaling_type == "none":
        return None
    return {"rope_type": scaling_type, "factor": factor}


# ---- tables -------------------------------------------------------------------------------

#: What transformers fills in where config.json leaves a field out.
_DEFAULTS: dict[str, dict[str, object]] = {
    "gemma3_text": {
        "vocab_size": 262_208,
        "hidden_size": 2304,
        "intermediate_size": 9216,
        "num_hidden_layers": 26,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "hidden_activation": "gelu_pytorch_tanh",
        "max_position_embeddings": 131_072,
        "rms_norm_eps": 1e-6,
        "eos_token_id": 1,
        "bos_token_id": 2,
        "tie_word_embeddings": True,
        "rope_theta": 1_000_000.0,
        "rope_local_base_freq": 10_000.0,
        "attention_bias": False,
        "query_pre_attn_scalar": 256,
        "sliding_window": 4096,
        "sliding_window_pattern": 6,
    },
}

#: Fields that a multimodal config.json has outside `text_config`.
_ROOT_FIELDS = ("eos_token_id", "bos_token_id", "tie_word_embeddings", "quantization_config")

#: model_type of a text model -> reader of its fields.
TEXT_CONFIGS: dict[str, Callable[[Mapping[str, object]], Gemma3TextConfig]] = {
    "gemma3_text": Gemma3TextConfig.from_json,
}

#: model_type of a multimodal model -> that of its `text_config`.
ROOT_TO_TEXT: dict[str, str] = {"gemma3": "gemma3_text"}

#: model_type of a text model -> reader of its GGUF metadata.
GGUF_CONFIGS: dict[str, Callable[[Mapping[str, object], int], dict[str, object]]] = {
    "gemma3_text": _gemma3_from_gguf,
}
