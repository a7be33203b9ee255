"""config.json, whichever model wrote it, as one flat object of the text model's fields.

Which `model_type` values there are, where each keeps the text model's fields, and what transformers
fills in where a file leaves a field out: a saved config.json leaves out what equals the default.

Source: transformers, models/gemma3/configuration_gemma3.py, and the configurations of gemma4,
gemma4_unified, gemma4_assistant and gemma4_unified_assistant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from leadout.errors import CheckpointError, UnsupportedFormatError, UnsupportedModelError
from leadout.shown import shown

SLIDING = "sliding_attention"
FULL = "full_attention"

_GEMMA3: dict[str, object] = {
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
}

_GEMMA4: dict[str, object] = {
    "vocab_size": 262_144,
    "hidden_size": 2304,
    "intermediate_size": 9216,
    "num_hidden_layers": 30,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 256,
    "global_head_dim": 512,
    "num_global_key_value_heads": None,
    "hidden_activation": "gelu_pytorch_tanh",
    "max_position_embeddings": 131_072,
    "rms_norm_eps": 1e-6,
    "eos_token_id": 1,
    "bos_token_id": 2,
    "tie_word_embeddings": True,
    "attention_bias": False,
    "sliding_window": 512,
    "final_logit_softcapping": None,
    "use_bidirectional_attention": None,
    "vocab_size_per_layer_input": 262_144,
    "hidden_size_per_layer_input": 256,
    "attention_k_eq_v": False,
    "num_kv_shared_layers": 0,
    "enable_moe_block": False,
    "use_double_wide_mlp": False,
}

# The unified model knows no per-layer inputs.
_GEMMA4_UNIFIED: dict[str, object] = {
    **_GEMMA4,
    "max_position_embeddings": 262_144,
    "sliding_window": 1024,
    "use_bidirectional_attention": "vision",
    "vocab_size_per_layer_input": 0,
    "hidden_size_per_layer_input": 0,
}

# transformers refuses a drafter with per-layer inputs, so that no file leaves the zero out.
_DRAFTER: dict[str, object] = {
    "vocab_size_per_layer_input": 0,
    "hidden_size_per_layer_input": 0,
    "use_ordered_embeddings": False,
    "num_centroids": 2048,
    "centroid_intermediate_top_k": 32,
}

#: Fields that stand beside `text_config`, for whichever model.
_ROOT_FIELDS = (
    "eos_token_id",
    "bos_token_id",
    "tie_word_embeddings",
    "quantization_config",
    "quantization",
)

_DRAFTER_FIELDS = (
    "backbone_hidden_size",
    "use_ordered_embeddings",
    "num_centroids",
    "centroid_intermediate_top_k",
)


@dataclass(frozen=True)
class ModelType:
    """What a `model_type` of config.json means.

    Attributes:
        text_type: `model_type` of the flat object: a key of `config.CONFIGS`.
        defaults: fields that a file may leave out.
        is_nested: the text model's fields are in `text_config`.
        root_fields: those that stand beside it.
    """

    text_type: str
    defaults: Mapping[str, object]
    is_nested: bool = False
    root_fields: tuple[str, ...] = _ROOT_FIELDS


def _drafter(text: Mapping[str, object], backbone_hidden_size: int) -> ModelType:
    defaults = {**text, **_DRAFTER, "backbone_hidden_size": backbone_hidden_size}
    fields = (*_ROOT_FIELDS, *_DRAFTER_FIELDS)
    return ModelType("gemma4_assistant", defaults, is_nested=True, root_fields=fields)


#: Every `model_type` that Leadout runs.
MODEL_TYPES: dict[str, ModelType] = {
    "gemma3_text": ModelType("gemma3_text", _GEMMA3),
    "gemma3": ModelType("gemma3_text", _GEMMA3, is_nested=True),
    "gemma4_text": ModelType("gemma4_text", _GEMMA4),
    "gemma4": ModelType("gemma4_text", _GEMMA4, is_nested=True),
    "gemma4_unified_text": ModelType("gemma4_unified_text", _GEMMA4_UNIFIED),
    "gemma4_unified": ModelType("gemma4_unified_text", _GEMMA4_UNIFIED, is_nested=True),
    "gemma4_assistant": _drafter(_GEMMA4, 1536),
    "gemma4_unified_assistant": _drafter(_GEMMA4_UNIFIED, 3840),
}


def text_config_of(root: Mapping[str, object]) -> dict[str, object]:
    """Return the text model's fields of a config.json, with what it leaves out filled in.

    A multimodal config keeps them in `text_config`, but its token ids, and whether the embedding
    is also the head, beside it. So does a drafter's, with its own fields among them. What this
    returns may be given to it again.

    Raises:
        UnsupportedModelError: another model_type.
        UnsupportedFormatError: the weights are quantised.
        CheckpointError: `text_config` is not an object.
    """
    name = root.get("model_type")
    if not isinstance(name, str) or name not in MODEL_TYPES:
        raise UnsupportedModelError(
            f"the configuration's model_type is {shown(name)}; Leadout runs "
            f"{', '.join(MODEL_TYPES)}",
            model_type=shown(name),
            supported=list(MODEL_TYPES),
        )
    model_type = MODEL_TYPES[name]
    is_flat_already = name == model_type.text_type and "text_config" not in root
    if is_flat_already or not model_type.is_nested:
        config = {**model_type.defaults, **root}
    else:
        text = root.get("text_config", {})
        if not isinstance(text, dict):
            raise CheckpointError(
                f"text_config is a {type(text).__name__}; wanted an object; download "
                "config.json again"
            )
        beside = {key: root[key] for key in model_type.root_fields if root.get(key) is not None}
        config = {**model_type.defaults, **text, **beside, "model_type": model_type.text_type}
    _refuse_quantized(config)
    return config


def mlx_quantization(config: Mapping[str, object]) -> Mapping[str, object] | None:
    """Return what MLX says of the weights: `quantization`, or its copy under the other name."""
    for key in ("quantization", "quantization_config"):
        found = config.get(key)
        if isinstance(found, dict) and "group_size" in found and "quant_method" not in found:
            return found
    return None


def _refuse_quantized(config: Mapping[str, object]) -> None:
    """Raise for weights that are packed in another way than GGUF's or MLX's."""
    if mlx_quantization(config) is not None:
        return
    for key in ("quantization_config", "quantization"):
        quantization = config.get(key)
        if quantization is None:
            continue
        method = quantization.get("quant_method") if isinstance(quantization, dict) else None
        raise UnsupportedFormatError(
            f"the weights are quantised by {shown(method)}, which Leadout does not read; use the "
            "unquantised checkpoint, a GGUF file, or one of MLX's",
            quant_method=method if isinstance(method, str) else None,
        )
