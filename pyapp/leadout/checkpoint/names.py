"""The one renaming step: every checkpoint's tensors get the Hugging Face names of the text model.

`model.embed_tokens.weight`, `model.layers.3.self_attn.q_proj.weight`, `model.norm.weight`: what
transformers calls them in a text-only checkpoint. GGUF has names of its own, one table per
architecture; multimodal safetensors have a prefix, and towers that the text model does without.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class GgufArchitecture:
    """How llama.cpp writes an architecture.

    Attributes:
        model_type: the text model's `model_type` in Hugging Face's config.json.
        tensors: GGUF name to Hugging Face name, for tensors outside layers.
        layer_tensors: the same inside a layer: what follows `blk.N.` to what follows
            `model.layers.N.`.
        norms_are_folded: norm weights have the 1 of (1 + weight) added already.
        end_of_turn: the token that ends a turn in a chat, besides the end of the text.
    """

    model_type: str
    tensors: Mapping[str, str]
    layer_tensors: Mapping[str, str]
    norms_are_folded: bool
    end_of_turn: str


#: `general.architecture` -> names. Source: llama.cpp, gguf-py/gguf/tensor_mapping.py.
GGUF_ARCHITECTURES: dict[str, GgufArchitecture] = {
    "gemma3": GgufArchitecture(
        model_type="gemma3_text",
        tensors={
            "token_embd.weight": "model.embed_tokens.weight",
            "output_norm.weight": "model.norm.weight",
            "output.weight": "lm_head.weight",
        },
        layer_tensors={
            "attn_norm.weight": "input_layernorm.weight",
            "attn_q.weight": "self_attn.q_proj.weight",
            "attn_k.weight": "self_attn.k_proj.weight",
            "attn_v.weight": "self_attn.v_proj.weight",
            "attn_output.weight": "self_attn.o_proj.weight",
            "attn_q_norm.weight": "self_attn.q_norm.weight",
            "attn_k_norm.weight": "self_attn.k_norm.weight",
            "post_attention_norm.weight": "post_attention_layernorm.weight",
            "ffn_norm.weight": "pre_feedforward_layernorm.weight",
            "ffn_gate.weight": "mlp.gate_proj.weight",
            "ffn_up.weight": "mlp.up_proj.weight",
            "ffn_down.weight": "mlp.down_proj.weight",
            "post_ffw_norm.weight": "post_feedforward_layernorm.weight",
        },
        norms_are_folded=True,
        end_of_turn="<end_of_turn>",
    ),
}

_LAYER = re.compile(r"blk\.([0-9]+)\.(.+)", re.DOTALL)

#: Where multimodal checkpoints keep the text model, longest first: older transformers and MLX
#: write `language_model.model.layers`, newer transformers `model.language_model.layers`.
_TEXT_PREFIXES = {
    "model.language_model.": "model.",
    "language_model.model.": "model.",
    "language_model.": "",
}

#: What the text model does without: encoders of images and sound, and what leads from them.
_TOWERS = re.compile(
    r"(?:model\.)?(?:vision_tower|audio_tower|vision_model|multi_modal_projector|embed_vision"
    r"|embed_audio)\."
)


def text_name_of_gguf(architecture: GgufArchitecture, name: str) -> str | None:
    """Return a GGUF tensor's Hugging Face name, or None where the text model does without it."""
    layer = _LAYER.fullmatch(name)
    if layer is None:
        return architecture.tensors.get(name)
    text_name = architecture.layer_tensors.get(layer[2])
    return None if text_name is None else f"model.layers.{layer[1]}.{text_name}"


def text_name_of_safetensors(name: str) -> str | None:
    """Return a tensor's name in a text-only checkpoint, or None for a tower's."""
    if _TOWERS.match(name):
        return None
    for prefix, replacement in _TEXT_PREFIXES.items():
        if name.startswith(prefix):
            return replacement + name.removeprefix(prefix)
    return name
