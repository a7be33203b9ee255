"""Nano's sizes, as transformers' configurations: a small E2B, with everything that makes it one.

Sliding and full layers with heads of different size, a window shorter than most tables, layers
that share keys and values and have a double-wide MLP, per-layer embeddings, a soft cap. Rows are
multiples of 32 throughout, which Q8_0 needs. The numbers alone need no transformers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import Gemma4AssistantConfig, Gemma4TextConfig

VOCAB_SIZE = 2048

#: The longest text that Nano was trained on, and its context.
CONTEXT = 2048

#: A row of a table has about 60 tokens: two of them, and the sentence that speaks of them.
SLIDING_WINDOW = 128

HIDDEN_SIZE = 256
NUM_CENTROIDS = 128

_S, _F = "sliding_attention", "full_attention"
#: Tables are longer than the window, so what belongs together in them is found by full layers:
#: a cell's header, then the cells above it in its column, then what a question asks for.
_LAYER_TYPES = [_S, _F, _S, _F, _S, _F, _S, _F, _S, _F]

_HEADS = {
    "vocab_size": VOCAB_SIZE,
    "head_dim": 64,
    "global_head_dim": 128,
    "num_attention_heads": 4,
    "num_key_value_heads": 1,
    "sliding_window": SLIDING_WINDOW,
    "max_position_embeddings": CONTEXT,
    "bos_token_id": 2,
    "pad_token_id": 0,
}


def target_config(eos_token_ids: list[int]) -> Gemma4TextConfig:
    """Return the target's configuration: 10.6 million parameters."""
    from transformers import Gemma4TextConfig

    return Gemma4TextConfig(
        **_HEADS,
        eos_token_id=eos_token_ids,
        hidden_size=HIDDEN_SIZE,
        intermediate_size=640,
        layer_types=_LAYER_TYPES,
        num_hidden_layers=len(_LAYER_TYPES),
        num_kv_shared_layers=4,
        use_double_wide_mlp=True,
        hidden_size_per_layer_input=32,
        vocab_size_per_layer_input=VOCAB_SIZE,
        final_logit_softcapping=30.0,
        tie_word_embeddings=True,
    )


def assistant_config(eos_token_ids: list[int]) -> Gemma4AssistantConfig:
    """Return the drafter's configuration: 1.5 million parameters."""
    from transformers import Gemma4AssistantConfig

    text = {
        **_HEADS,
        "eos_token_id": eos_token_ids,
        "hidden_size": 128,
        "intermediate_size": 512,
        "layer_types": [_S, _S, _S, _F],
        "num_hidden_layers": 4,
        "num_kv_shared_layers": 4,
        "hidden_size_per_layer_input": 0,
        "vocab_size_per_layer_input": 0,
        "final_logit_softcapping": None,
        "tie_word_embeddings": True,
        "model_type": "gemma4_text",
    }
    return Gemma4AssistantConfig(
        text_config=text,
        backbone_hidden_size=HIDDEN_SIZE,
        use_ordered_embeddings=True,
        num_centroids=NUM_CENTROIDS,
        # GGUF does not say how many count; every published drafter has 32.
        centroid_intermediate_top_k=32,
    )
