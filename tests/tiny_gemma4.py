"""Tiny Gemma 4 checkpoints, targets and drafters, as transformers and llama.cpp's converter do.

For what their headers say: weights are random and mean nothing. Names in GGUF are looked up in the
`gguf` package, or spelled out where it lacks them, so that they do not come from the table that is
tested.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

FULL = "full_attention"

Weights = dict[str, npt.NDArray[Any]]

#: Of a GGUF's vocabulary: more than those that a model of this size needs.
END_TOKENS = {1: "<eos>", 50: "<|tool_response>", 106: "<turn|>"}

OUTSIDE_LAYERS = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
    "model.embed_tokens_per_layer.weight": "per_layer_token_embd.weight",
    "model.per_layer_model_projection.weight": "per_layer_model_proj.weight",
    "model.per_layer_projection_norm.weight": "per_layer_proj_norm.weight",
    "pre_projection.weight": "nextn.pre_projection.weight",
    "post_projection.weight": "nextn.post_projection.weight",
    "masked_embedding.centroids.weight": "masked_embd_centroids.weight",
    "masked_embedding.token_ordering": "masked_embd_ordering",
}
#: What the converter names by itself, or the package's list leaves out.
INSIDE_LAYERS = {
    "router.scale": "ffn_gate_inp.scale",
    "router.per_expert_scale": "ffn_down_exps.scale",
    "experts.gate_proj": "ffn_gate_exps.weight",
    "experts.up_proj": "ffn_up_exps.weight",
}


def tiny_target(**overrides: Any) -> dict[str, Any]:
    """Return the config.json of a target with everything that any Gemma 4 has."""
    return {
        "architectures": ["Gemma4ForCausalLM"],
        "model_type": "gemma4_text",
        "vocab_size": 128,
        "hidden_size": 64,
        "intermediate_size": 32,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "global_head_dim": 32,
        "num_global_key_value_heads": 1,
        "attention_k_eq_v": True,
        "max_position_embeddings": 256,
        "rms_norm_eps": 2.0**-20,  # a float32
        "sliding_window": 8,
        "layer_types": ["sliding_attention", FULL] * 2,
        "final_logit_softcapping": 30.0,
        "num_kv_shared_layers": 2,
        "use_double_wide_mlp": True,
        "hidden_size_per_layer_input": 32,
        "vocab_size_per_layer_input": 128,
        "enable_moe_block": True,
        "num_experts": 4,
        "top_k_experts": 2,
        "moe_intermediate_size": 32,
        "tie_word_embeddings": True,
        "eos_token_id": 1,
        "bos_token_id": 2,
        **overrides,
    }


def tiny_drafter(**overrides: Any) -> dict[str, Any]:
    """Return the config.json of a drafter for `tiny_target`, with centroids."""
    text = tiny_target(
        hidden_size=32,
        final_logit_softcapping=None,
        num_kv_shared_layers=4,
        use_double_wide_mlp=False,
        hidden_size_per_layer_input=0,
        vocab_size_per_layer_input=0,
        enable_moe_block=False,
    )
    return {
        "architectures": ["Gemma4AssistantForCausalLM"],
        "model_type": "gemma4_assistant",
        "backbone_hidden_size": 64,
        "use_ordered_embeddings": True,
        "num_centroids": 16,
        "centroid_intermediate_top_k": 16,
        "text_config": text,
        "tie_word_embeddings": True,
        **overrides,
    }


def tiny_weights(config: Mapping[str, Any], seed: int = 0) -> Weights:
    """Return a checkpoint's weights under Hugging Face names."""
    rng = np.random.default_rng(seed)
    is_drafter = "text_config" in config
    shapes = _shapes(config["text_config"] if is_drafter else config, is_drafter)
    if is_drafter:
        hidden, backbone = config["text_config"]["hidden_size"], config["backbone_hidden_size"]
        shapes["pre_projection.weight"] = (hidden, 2 * backbone)
        shapes["post_projection.weight"] = (backbone, hidden)
        if config["use_ordered_embeddings"]:
            shapes["masked_embedding.centroids.weight"] = (config["num_centroids"], hidden)
    weights: Weights = {
        name: rng.normal(0, 1, shape).astype(np.float32) for name, shape in shapes.items()
    }
    if is_drafter and config["use_ordered_embeddings"]:
        ordering = rng.permutation(config["text_config"]["vocab_size"]).astype(np.int64)
        weights["masked_embedding.token_ordering"] = ordering
    return weights


def _shapes(text: Mapping[str, Any], is_drafter: bool) -> dict[str, tuple[int, ...]]:
    hidden, num_layers = text["hidden_size"], text["num_hidden_layers"]
    per_layer = text["hidden_size_per_layer_input"]
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (text["vocab_size"], hidden),
        "model.norm.weight": (hidden,),
    }
    if per_layer:
        columns = num_layers * per_layer
        shapes |= {
            "model.embed_tokens_per_layer.weight": (text["vocab_size_per_layer_input"], columns),
            "model.per_layer_model_projection.weight": (columns, hidden),
            "model.per_layer_projection_norm.weight": (per_layer,),
        }
    for i, layer_type in enumerate(text["layer_types"]):
        is_full = layer_type == FULL
        is_shared = i >= num_layers - text["num_kv_shared_layers"]
        head_dim = text["global_head_dim" if is_full else "head_dim"]
        queries = text["num_attention_heads"] * head_dim
        has_own_heads = is_full and text["attention_k_eq_v"]
        kv_heads = text["num_global_key_value_heads" if has_own_heads else "num_key_value_heads"]
        inner = text["intermediate_size"] * (2 if text["use_double_wide_mlp"] and is_shared else 1)
        layer: dict[str, tuple[int, ...]] = {
            "input_layernorm.weight": (hidden,),
            "self_attn.q_proj.weight": (queries, hidden),
            "self_attn.o_proj.weight": (hidden, queries),
            "self_attn.q_norm.weight": (head_dim,),
            "post_attention_layernorm.weight": (hidden,),
            "pre_feedforward_layernorm.weight": (hidden,),
            "mlp.gate_proj.weight": (inner, hidden),
            "mlp.up_proj.weight": (inner, hidden),
            "mlp.down_proj.weight": (hidden, inner),
            "post_feedforward_layernorm.weight": (hidden,),
            "layer_scalar": (1,),
        }
        if not is_drafter:  # published files have those of layers without a cache too
            layer["self_attn.k_proj.weight"] = (kv_heads * head_dim, hidden)
            layer["self_attn.k_norm.weight"] = (head_dim,)
            if not has_own_heads:
                layer["self_attn.v_proj.weight"] = (kv_heads * head_dim, hidden)
        if per_layer:
            layer |= {
                "per_layer_input_gate.weight": (per_layer, hidden),
                "per_layer_projection.weight": (hidden, per_layer),
                "post_per_layer_input_norm.weight": (hidden,),
            }
        if text["enable_moe_block"]:
            experts, expert_inner = text["num_experts"], text["moe_intermediate_size"]
            layer |= {
                "router.proj.weight": (experts, hidden),
                "router.scale": (hidden,),
                "router.per_expert_scale": (experts,),
                "experts.gate_up_proj": (experts, 2 * expert_inner, hidden),
                "experts.down_proj": (experts, hidden, expert_inner),
                "pre_feedforward_layernorm_2.weight": (hidden,),
                "post_feedforward_layernorm_1.weight": (hidden,),
                "post_feedforward_layernorm_2.weight": (hidden,),
            }
        shapes |= {f"model.layers.{i}.{name}": shape for name, shape in layer.items()}
    return shapes


def safetensors_bytes(weights: Weights) -> bytes:
    """Return a safetensors file."""
    data: bytes = save(weights)
    return data


def write_gguf(
    path: Path,
    config: Mapping[str, Any],
    weights: Mapping[str, npt.NDArray[Any]],
    *,
    chat_template: str | None = None,
    suppress_tokens: Sequence[int] | None = None,
) -> bytes:
    """Write a GGUF file and return its content.

    Args:
        path: of the file.
        config: from `tiny_target` or `tiny_drafter`.
        weights: under Hugging Face names.
        chat_template: for `tokenizer.chat_template`.
        suppress_tokens: for `tokenizer.ggml.suppress_tokens`.
    """
    text = config.get("text_config", config)
    writer = gguf.GGUFWriter(path, "gemma4-assistant" if "text_config" in config else "gemma4")
    try:
        _add_metadata(writer, text)
        if "text_config" in config:
            writer.add_embedding_length_out(config["backbone_hidden_size"])
            writer.add_nextn_predict_layers(text["num_hidden_layers"])
        writer.add_tokenizer_model("gemma4")
        tokens = [END_TOKENS.get(i, f"t{i}") for i in range(text["vocab_size"])]
        writer.add_token_list(tokens)
        writer.add_bos_token_id(text["bos_token_id"])
        writer.add_eos_token_id(text["eos_token_id"])
        if chat_template is not None:
            writer.add_chat_template(chat_template)
        if suppress_tokens is not None:
            writer.add_array("tokenizer.ggml.suppress_tokens", list(suppress_tokens))
        for name, values in weights.items():
            is_ordering = name == "masked_embedding.token_ordering"
            writer.add_tensor(gguf_name(name), values.astype(np.int32) if is_ordering else values)
        factors = np.full(text["global_head_dim"] // 2, 1e30, np.float32)
        factors[: text["global_head_dim"] // 8] = 1
        writer.add_tensor("rope_freqs.weight", factors)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()
    return path.read_bytes()


def gguf_name(name: str) -> str:
    """Return the name that llama.cpp gives a tensor."""
    if name in OUTSIDE_LAYERS:
        return OUTSIDE_LAYERS[name]
    index, rest = name.removeprefix("model.layers.").split(".", 1)
    if rest in INSIDE_LAYERS:
        return f"blk.{index}.{INSIDE_LAYERS[rest]}"
    known = gguf.get_tensor_name_map(gguf.MODEL_ARCH.GEMMA4, int(index) + 1)
    full_name = name if name.endswith(".weight") else f"{name}.weight"
    found: str | None = known.get_name(full_name, try_suffixes=(".weight",))
    assert found is not None, name
    return found


def _add_metadata(writer: gguf.GGUFWriter, text: Mapping[str, Any]) -> None:
    is_sliding = [layer_type != FULL for layer_type in text["layer_types"]]
    num_layers = text["num_hidden_layers"]
    first_shared = num_layers - text["num_kv_shared_layers"]
    width = text["intermediate_size"]
    writer.add_context_length(text["max_position_embeddings"])
    writer.add_embedding_length(text["hidden_size"])
    writer.add_block_count(num_layers)
    if text["use_double_wide_mlp"]:
        widths = [width if i < first_shared else 2 * width for i in range(num_layers)]
        writer.add_feed_forward_length(widths)
    else:
        writer.add_feed_forward_length(width)
    writer.add_head_count(text["num_attention_heads"])
    full_heads = text["num_global_key_value_heads"]
    heads = text["num_key_value_heads"]
    by_layer = [heads if sliding else full_heads for sliding in is_sliding]
    writer.add_head_count_kv(heads if full_heads is None else by_layer)
    writer.add_layer_norm_rms_eps(text["rms_norm_eps"])
    writer.add_key_length(text["global_head_dim"])
    writer.add_value_length(text["global_head_dim"])
    writer.add_key_length_swa(text["head_dim"])
    writer.add_value_length_swa(text["head_dim"])
    writer.add_rope_freq_base(1e6)
    writer.add_rope_freq_base_swa(1e4)
    writer.add_rope_dimension_count(text["global_head_dim"])
    writer.add_rope_dimension_count_swa(text["head_dim"])
    writer.add_sliding_window(text["sliding_window"])
    writer.add_sliding_window_pattern(is_sliding)
    writer.add_shared_kv_layers(text["num_kv_shared_layers"])
    writer.add_embedding_length_per_layer_input(text["hidden_size_per_layer_input"])
    if text["final_logit_softcapping"] is not None:
        writer.add_final_logit_softcapping(text["final_logit_softcapping"])
    if text["enable_moe_block"]:
        writer.add_expert_count(text["num_experts"])
        writer.add_expert_used_count(text["top_k_experts"])
        writer.add_expert_feed_forward_length(text["moe_intermediate_size"])
