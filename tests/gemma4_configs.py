"""What the published Gemma 4 models' config.json say, in both forms; and a small one.

`TEXTS` has a text model's fields as on the hub: larger heads of full layers by `global_head_dim`,
fewer heads of keys and values by `num_global_key_value_heads`. `PER_LAYER` has what transformers
5.22 writes in their place: `Gemma4TextConfig(**fields).to_dict()["per_layer_config"]`, and the same
of the unified class.
"""

from __future__ import annotations

from typing import Any

SLIDING, FULL = "sliding_attention", "full_attention"

ROPE = {
    FULL: {"partial_rotary_factor": 0.25, "rope_theta": 1000000.0, "rope_type": "proportional"},
    SLIDING: {"rope_theta": 10000.0, "rope_type": "default"},
}


def layer_types(num_layers: int, pattern: int) -> list[str]:
    """Return types of which every `pattern`-th one is full."""
    return [SLIDING if (i + 1) % pattern else FULL for i in range(num_layers)]


_TEXT: dict[str, Any] = {
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 2,
    "eos_token_id": 1,
    "final_logit_softcapping": 30.0,
    "global_head_dim": 512,
    "head_dim": 256,
    "hidden_activation": "gelu_pytorch_tanh",
    "initializer_range": 0.02,
    "pad_token_id": 0,
    "rms_norm_eps": 1e-06,
    "rope_parameters": ROPE,
    "tie_word_embeddings": True,
    "use_cache": True,
    "vocab_size": 262144,
}

_WITHOUT_EXPERTS: dict[str, Any] = {
    "enable_moe_block": False,
    "moe_intermediate_size": None,
    "num_experts": None,
    "top_k_experts": None,
}

TEXTS: dict[str, dict[str, Any]] = {
    "E2B": _TEXT
    | _WITHOUT_EXPERTS
    | {
        "attention_k_eq_v": False,
        "hidden_size": 1536,
        "hidden_size_per_layer_input": 256,
        "intermediate_size": 6144,
        "layer_types": layer_types(35, 5),
        "max_position_embeddings": 131072,
        "model_type": "gemma4_text",
        "num_attention_heads": 8,
        "num_global_key_value_heads": None,
        "num_hidden_layers": 35,
        "num_key_value_heads": 1,
        "num_kv_shared_layers": 20,
        "sliding_window": 512,
        "use_bidirectional_attention": None,
        "use_double_wide_mlp": True,
        "vocab_size_per_layer_input": 262144,
    },
    "E4B": _TEXT
    | _WITHOUT_EXPERTS
    | {
        "attention_k_eq_v": False,
        "hidden_size": 2560,
        "hidden_size_per_layer_input": 256,
        "intermediate_size": 10240,
        "layer_types": layer_types(42, 6),
        "max_position_embeddings": 131072,
        "model_type": "gemma4_text",
        "num_attention_heads": 8,
        "num_global_key_value_heads": None,
        "num_hidden_layers": 42,
        "num_key_value_heads": 2,
        "num_kv_shared_layers": 18,
        "sliding_window": 512,
        "use_bidirectional_attention": None,
        "use_double_wide_mlp": False,
        "vocab_size_per_layer_input": 262144,
    },
    "12B": _TEXT
    | {
        "attention_k_eq_v": True,
        "hidden_size": 3840,
        "intermediate_size": 15360,
        "layer_types": layer_types(48, 6),
        "max_position_embeddings": 262144,
        "model_type": "gemma4_unified_text",
        "num_attention_heads": 16,
        "num_global_key_value_heads": 1,
        "num_hidden_layers": 48,
        "num_key_value_heads": 8,
        "num_kv_shared_layers": 0,
        "sliding_window": 1024,
        "use_bidirectional_attention": "vision",
        "use_double_wide_mlp": False,
    },
    "26B-A4B": _TEXT
    | {
        "attention_k_eq_v": True,
        "enable_moe_block": True,
        "hidden_size": 2816,
        "hidden_size_per_layer_input": 0,
        "intermediate_size": 2112,
        "layer_types": layer_types(30, 6),
        "max_position_embeddings": 262144,
        "model_type": "gemma4_text",
        "moe_intermediate_size": 704,
        "num_attention_heads": 16,
        "num_experts": 128,
        "num_global_key_value_heads": 2,
        "num_hidden_layers": 30,
        "num_key_value_heads": 8,
        "num_kv_shared_layers": 0,
        "sliding_window": 1024,
        "top_k_experts": 8,
        "use_bidirectional_attention": "vision",
        "use_double_wide_mlp": False,
        "vocab_size_per_layer_input": 262144,
    },
    "31B": _TEXT
    | _WITHOUT_EXPERTS
    | {
        "attention_k_eq_v": True,
        "hidden_size": 5376,
        "hidden_size_per_layer_input": 0,
        "intermediate_size": 21504,
        "layer_types": layer_types(60, 6),
        "max_position_embeddings": 262144,
        "model_type": "gemma4_text",
        "num_attention_heads": 32,
        "num_global_key_value_heads": 4,
        "num_hidden_layers": 60,
        "num_key_value_heads": 16,
        "num_kv_shared_layers": 0,
        "sliding_window": 1024,
        "use_bidirectional_attention": "vision",
        "use_double_wide_mlp": False,
        "vocab_size_per_layer_input": 262144,
    },
}

PER_LAYER: dict[str, dict[str, dict[str, int]]] = {
    "E2B": {
        "04": {"head_dim": 512},
        "09": {"head_dim": 512},
        "14": {"head_dim": 512},
        "19": {"head_dim": 512},
        "24": {"head_dim": 512},
        "29": {"head_dim": 512},
        "34": {"head_dim": 512},
    },
    "E4B": {
        "05": {"head_dim": 512},
        "11": {"head_dim": 512},
        "17": {"head_dim": 512},
        "23": {"head_dim": 512},
        "29": {"head_dim": 512},
        "35": {"head_dim": 512},
        "41": {"head_dim": 512},
    },
    "12B": {
        "05": {"head_dim": 512, "num_key_value_heads": 1},
        "11": {"head_dim": 512, "num_key_value_heads": 1},
        "17": {"head_dim": 512, "num_key_value_heads": 1},
        "23": {"head_dim": 512, "num_key_value_heads": 1},
        "29": {"head_dim": 512, "num_key_value_heads": 1},
        "35": {"head_dim": 512, "num_key_value_heads": 1},
        "41": {"head_dim": 512, "num_key_value_heads": 1},
        "47": {"head_dim": 512, "num_key_value_heads": 1},
    },
    "26B-A4B": {
        "05": {"head_dim": 512, "num_key_value_heads": 2},
        "11": {"head_dim": 512, "num_key_value_heads": 2},
        "17": {"head_dim": 512, "num_key_value_heads": 2},
        "23": {"head_dim": 512, "num_key_value_heads": 2},
        "29": {"head_dim": 512, "num_key_value_heads": 2},
    },
    "31B": {
        "05": {"head_dim": 512, "num_key_value_heads": 4},
        "11": {"head_dim": 512, "num_key_value_heads": 4},
        "17": {"head_dim": 512, "num_key_value_heads": 4},
        "23": {"head_dim": 512, "num_key_value_heads": 4},
        "29": {"head_dim": 512, "num_key_value_heads": 4},
        "35": {"head_dim": 512, "num_key_value_heads": 4},
        "41": {"head_dim": 512, "num_key_value_heads": 4},
        "47": {"head_dim": 512, "num_key_value_heads": 4},
        "53": {"head_dim": 512, "num_key_value_heads": 4},
        "59": {"head_dim": 512, "num_key_value_heads": 4},
    },
}

#: Of drafters: hidden_size, num_attention_heads, num_key_value_heads, those of the full layer,
#: intermediate_size, backbone_hidden_size.
DRAFTER_SIZES = {
    "E2B": (256, 4, 1, None, 2048, 1536),
    "E4B": (256, 4, 2, None, 2048, 2560),
    "12B": (1024, 16, 8, 1, 8192, 3840),
    "26B-A4B": (1024, 16, 8, 2, 8192, 2816),
    "31B": (1024, 32, 16, 4, 8192, 5376),
}


def target(name: str, form: str) -> dict[str, Any]:
    """Return a target's config.json, without its towers.

    Args:
        name: of the size.
        form: "flat" or "per_layer".
    """
    text = dict(TEXTS[name])
    is_unified = text["model_type"] == "gemma4_unified_text"
    return {
        "boi_token_id": 255999,
        "eos_token_id": [1, 106],
        "model_type": "gemma4_unified" if is_unified else "gemma4",
        "text_config": in_form(text, PER_LAYER[name], form),
        "tie_word_embeddings": True,
    }


def drafter(name: str, form: str) -> dict[str, Any]:
    """Return a drafter's config.json; see `target`."""
    hidden, heads, kv_heads, full_kv_heads, intermediate, backbone = DRAFTER_SIZES[name]
    of_target = TEXTS[name]
    is_unified = of_target["model_type"] == "gemma4_unified_text"
    text = of_target | {
        "final_logit_softcapping": None,
        "hidden_size": hidden,
        "intermediate_size": intermediate,
        "layer_types": layer_types(4, 4),
        "num_attention_heads": heads,
        "num_global_key_value_heads": full_kv_heads,
        "num_hidden_layers": 4,
        "num_key_value_heads": kv_heads,
        "num_kv_shared_layers": 4,
        "use_double_wide_mlp": False,
    }
    if not is_unified:
        text |= _WITHOUT_EXPERTS
        text |= {"hidden_size_per_layer_input": 0, "vocab_size_per_layer_input": 0}
    full = {"head_dim": 512}
    if full_kv_heads is not None:
        full["num_key_value_heads"] = full_kv_heads
    return {
        "backbone_hidden_size": backbone,
        "centroid_intermediate_top_k": 32,
        "model_type": "gemma4_unified_assistant" if is_unified else "gemma4_assistant",
        "num_centroids": 2048,
        "text_config": in_form(text, {"3": full}, form),
        "tie_word_embeddings": True,
        "use_ordered_embeddings": name in ("E2B", "E4B"),
    }


def in_form(text: dict[str, Any], per_layer: dict[str, Any], form: str) -> dict[str, Any]:
    """Return a text model's fields in the older or the newer form."""
    if form == "flat":
        return text
    older = ("global_head_dim", "num_global_key_value_heads")
    return {k: v for k, v in text.items() if k not in older} | {"per_layer_config": per_layer}


#: A small target that has everything but experts.
SMALL: dict[str, Any] = {
    "model_type": "gemma4_text",
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "global_head_dim": 64,
    "sliding_window": 8,
    "layer_types": [SLIDING, FULL, SLIDING, FULL, SLIDING, FULL],
    "num_kv_shared_layers": 2,
    "hidden_size_per_layer_input": 32,
    "vocab_size_per_layer_input": 512,
}

EXPERTS: dict[str, Any] = {
    "enable_moe_block": True,
    "num_experts": 8,
    "top_k_experts": 2,
    "moe_intermediate_size": 32,
}


def small_drafter(text: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """Return the config.json of a small drafter; `text` changes its text_config."""
    fields = SMALL | {"hidden_size_per_layer_input": 0, "num_kv_shared_layers": 6} | (text or {})
    return {
        "model_type": "gemma4_assistant",
        "backbone_hidden_size": 64,
        "text_config": fields,
        **changes,
    }
