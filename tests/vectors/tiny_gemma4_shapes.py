"""The tiny Gemma 4 checkpoints' configurations; make_tiny_gemma4.py makes them. Needs torch."""

from __future__ import annotations

from typing import Any

import torch

SLIDING, FULL = "sliding_attention", "full_attention"


def layer_types(pattern: str) -> list[str]:
    """Return `layer_types` for a pattern of "s" (sliding) and "f" (full)."""
    return [{"s": SLIDING, "f": FULL}[letter] for letter in pattern]


# Towers that a text engine has to skip: matrices, 4-D convolutions, and clip values without axes.
VISION = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "patch_size": 4,
    "position_embedding_size": 8,
    "use_clipped_linears": True,
}
AUDIO = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "subsampling_conv_channels": [8, 4],
    "output_proj_dims": 32,
    "conv_kernel_size": 3,
}

# Each target is there for what it alone has; all are small enough for git. `form` says how the
# checkpoint is stored: "multimodal" (with towers), "text" or "unified"; `flat` that config.json is
# in the older form, with `global_head_dim` and `num_global_key_value_heads`, as published files
# are. A seed is one for which no greedy choice (and no choice of experts) is nearly a tie.
TARGETS: dict[str, dict[str, Any]] = {
    # Per-layer inputs, one KV head, shared KV on three layers whose producers are neither the first
    # of their type nor neighbours of the same type, a double-wide MLP; keys and values of shared
    # layers are in the file all the same, as in Google's.
    "e2b": {
        "seed": 25,
        "dtype": torch.bfloat16,
        "form": "multimodal",
        "towers": {"vision_config": VISION, "audio_config": AUDIO},
        "flat": True,
        "unused_shared_kv": True,
        "text": {
            "vocab_size": 256,
            "hidden_size": 64,
            "intermediate_size": 32,
            "layer_types": layer_types("ssfsfssf"),
            "num_attention_heads": 4,
            "num_key_value_heads": 1,
            "head_dim": 16,
            "global_head_dim": 32,
            "sliding_window": 16,
            "hidden_size_per_layer_input": 32,
            "vocab_size_per_layer_input": 256,
            "num_kv_shared_layers": 3,
            "use_double_wide_mlp": True,
        },
    },
    # Two KV heads, no double-wide MLP, a vocabulary that is no power of two.
    "e4b": {
        "seed": 18,
        "dtype": torch.bfloat16,
        "form": "multimodal",
        "towers": {"vision_config": VISION},
        "text": {
            "vocab_size": 320,
            "hidden_size": 64,
            "intermediate_size": 64,
            "layer_types": layer_types("sssfsf"),
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 32,
            "global_head_dim": 64,
            "sliding_window": 24,
            "hidden_size_per_layer_input": 32,
            "vocab_size_per_layer_input": 320,
            "num_kv_shared_layers": 2,
        },
    },
    # The unified classes, hidden_size no power of two, keys that are values on full layers.
    "12b": {
        "seed": 42,
        "dtype": torch.bfloat16,
        "form": "unified",
        "text": {
            "vocab_size": 256,
            "hidden_size": 96,
            "intermediate_size": 64,
            "layer_types": layer_types("ssssf"),
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 32,
            "global_head_dim": 64,
            "num_global_key_value_heads": 1,
            "sliding_window": 32,
            "attention_k_eq_v": True,
            "use_bidirectional_attention": "vision",
        },
    },
    # A mixture of experts beside the dense MLP.
    "26b-a4b": {
        "seed": 47,
        "dtype": torch.bfloat16,
        "form": "multimodal",
        "towers": {},
        "text": {
            "vocab_size": 256,
            "hidden_size": 64,
            "intermediate_size": 32,
            "layer_types": layer_types("ssfsf"),
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 16,
            "global_head_dim": 32,
            "num_global_key_value_heads": 1,
            "sliding_window": 20,
            "attention_k_eq_v": True,
            "use_bidirectional_attention": "vision",
            "hidden_size_per_layer_input": 0,
            "vocab_size_per_layer_input": 256,
            "enable_moe_block": True,
            "num_experts": 8,
            "top_k_experts": 4,
            "moe_intermediate_size": 32,
        },
    },
    # Text alone, float32, in shards; several KV heads on full layers too.
    "31b": {
        "seed": 13,
        "dtype": torch.float32,
        "form": "text",
        "flat": True,
        "max_shard_size": "250KB",
        "text": {
            "vocab_size": 384,
            "hidden_size": 64,
            "intermediate_size": 64,
            "layer_types": layer_types("ssfsf"),
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "head_dim": 16,
            "global_head_dim": 32,
            "num_global_key_value_heads": 2,
            "sliding_window": 40,
            "attention_k_eq_v": True,
            "use_bidirectional_attention": "vision",
            "hidden_size_per_layer_input": 0,
            "vocab_size_per_layer_input": 384,
        },
    },
}

# The drafters. Heads and head sizes are those of the target's keys and values; `hidden_size` has to
# differ from the target's for llama.cpp.
ASSISTANTS: dict[str, dict[str, Any]] = {
    "e2b": {
        "seed": 22,
        "dtype": torch.bfloat16,
        "flat": True,
        "text": {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2},
        "root": {
            "use_ordered_embeddings": True,
            "num_centroids": 32,
            "centroid_intermediate_top_k": 4,
        },
    },
    "e4b": {
        "seed": 10,
        "dtype": torch.bfloat16,
        "text": {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4},
        "root": {
            "use_ordered_embeddings": True,
            "num_centroids": 32,
            "centroid_intermediate_top_k": 4,
        },
    },
    "12b": {
        "seed": 4,
        "dtype": torch.bfloat16,
        "text": {"hidden_size": 32, "intermediate_size": 96, "num_attention_heads": 4},
    },
    "26b-a4b": {
        "seed": 33,
        "dtype": torch.bfloat16,
        "text": {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4},
    },
    "31b": {
        "seed": 16,
        "dtype": torch.bfloat16,
        "flat": True,
        "text": {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 8},
    },
}
