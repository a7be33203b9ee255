"""The one renaming step: every checkpoint's tensors get the Hugging Face names of the text model.

`model.embed_tokens.weight`, `model.layers.3.self_attn.q_proj.weight`, `model.norm.weight`: what
transformers calls them in a text-only checkpoint. GGUF has names of its own, one table per
architecture; multimodal safetensors have a prefix, and towers that the text model does without.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from leadout.checkpoint.tensors import TOKEN_ORDERING


@dataclass(frozen=True)
class GgufArchitecture:
    """How llama.cpp writes an architecture.

    Attributes:
        model_type: the text model's `model_type` in Hugging Face's config.json.
        tensors: GGUF name to Hugging Face name, for tensors outside layers.
        layer_tensors: the same inside a layer: what follows `blk.N.` to what follows
            `model.layers.N.`.
        norms_are_folded: nothing has to be added to norm weights: the 1 of (1 + weight) is in them
            already, or the model multiplies by the weight alone.
        end_tokens: tokens that end an answer in a chat, which converters leave out of the metadata.
    """

    model_type: str
    tensors: Mapping[str, str]
    layer_tensors: Mapping[str, str]
    norms_are_folded: bool
    end_tokens: tuple[str, ...]


#: Of one layer, in Gemma 3 and Gemma 4.
_LAYER_TENSORS = {
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
}

_GEMMA4_LAYER_TENSORS = {
    **_LAYER_TENSORS,
    "layer_output_scale.weight": "layer_scalar",
    # Per-layer inputs.
    "inp_gate.weight": "per_layer_input_gate.weight",
    "proj.weight": "per_layer_projection.weight",
    "post_norm.weight": "post_per_layer_input_norm.weight",
    # Experts. transformers has gate and up in one tensor; gate_proj and up_proj are our names for
    # files that have them apart. The scale on what an expert adds is the router's there.
    "ffn_gate_inp.weight": "router.proj.weight",
    "ffn_gate_inp.scale": "router.scale",
    "ffn_gate_up_exps.weight": "experts.gate_up_proj",
    "ffn_gate_exps.weight": "experts.gate_proj",
    "ffn_up_exps.weight": "experts.up_proj",
    "ffn_down_exps.weight": "experts.down_proj",
    "ffn_down_exps.scale": "router.per_expert_scale",
    "pre_ffw_norm_2.weight": "pre_feedforward_layernorm_2.weight",
    "post_ffw_norm_1.weight": "post_feedforward_layernorm_1.weight",
    "post_ffw_norm_2.weight": "post_feedforward_layernorm_2.weight",
}

# Those of converters are 1 or 106; 50 is where the host takes over to answer a tool call.
_GEMMA4_END_TOKENS = ("<eos>", "<turn|>", "<|tool_response>")

#: `general.architecture` -> names. Source: llama.cpp, gguf-py/gguf/tensor_mapping.py,
#: src/llama-arch.cpp and src/models/gemma4*.cpp. What Gemma 4's `rope_freqs` says is in its
#: configuration.
GGUF_ARCHITECTURES: dict[str, GgufArchitecture] = {
    "gemma3": GgufArchitecture(
        model_type="gemma3_text",
        tensors={
            "token_embd.weight": "model.embed_tokens.weight",
            "output_norm.weight": "model.norm.weight",
            "output.weight": "lm_head.weight",
        },
        layer_tensors=_LAYER_TENSORS,
        norms_are_folded=True,
        end_tokens=("<end_of_turn>",),
    ),
    "gemma4": GgufArchitecture(
        model_type="gemma4_text",
        tensors={
            "token_embd.weight": "model.embed_tokens.weight",
            "per_layer_token_embd.weight": "model.embed_tokens_per_layer.weight",
            "per_layer_model_proj.weight": "model.per_layer_model_projection.weight",
            "per_layer_proj_norm.weight": "model.per_layer_projection_norm.weight",
            "output_norm.weight": "model.norm.weight",
            "output.weight": "lm_head.weight",
        },
        layer_tensors=_GEMMA4_LAYER_TENSORS,
        norms_are_folded=True,
        end_tokens=_GEMMA4_END_TOKENS,
    ),
    "gemma4-assistant": GgufArchitecture(
        model_type="gemma4_assistant",
        tensors={
            "token_embd.weight": "model.embed_tokens.weight",
            "output_norm.weight": "model.norm.weight",
            "nextn.pre_projection.weight": "pre_projection.weight",
            "nextn.post_projection.weight": "post_projection.weight",
            "masked_embd_centroids.weight": "masked_embedding.centroids.weight",
            "masked_embd_ordering": TOKEN_ORDERING,
        },
        layer_tensors=_GEMMA4_LAYER_TENSORS,
        norms_are_folded=True,
        end_tokens=_GEMMA4_END_TOKENS,
    ),
}

#: model_types of safetensors whose norms multiply by their weight, without adding 1.
PLAIN_NORMS = frozenset({"gemma4_text", "gemma4_unified_text", "gemma4_assistant"})

_LAYER = re.compile(r"blk\.([0-9]+)\.(.+)", re.DOTALL)

#: Where multimodal checkpoints keep the text model, longest first: older transformers and MLX
#: write `language_model.model.layers`, newer transformers `model.language_model.layers`.
_TEXT_PREFIXES = {
    "model.language_model.": "model.",
    "language_model.model.": "model.",
    "language_model.": "",
}

#: What the text model does without: encoders of images and sound, and what leads from them. The
#: unified Gemma 4 has no encoders, but `vision_embedder` (as published) or `embed_vision`.
_TOWERS = re.compile(
    r"(?:model\.)?(?:vision_tower|audio_tower|vision_model|multi_modal_projector|embed_vision"
    r"|embed_audio|vision_embedder)\."
)


#: MLX keeps the experts' projections in a module of their own, as layers with a weight.
_MLX_EXPERTS = re.compile(r"\.experts\.switch_(?:glu|mlp)\.(\w+)\.weight$")


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
    name = _MLX_EXPERTS.sub(r".experts.\1", name)
    for prefix, replacement in _TEXT_PREFIXES.items():
        if name.startswith(prefix):
            return replacement + name.removeprefix(prefix)
    return name
