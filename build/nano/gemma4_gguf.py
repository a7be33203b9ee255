"""Gemma 4 checkpoints as GGUF files, written as llama.cpp's converter writes them.

A checkpoint is a folder with config.json and safetensors, as transformers saves it: a target
(`gemma4`, `gemma4_unified`, `gemma4_text`) becomes an architecture `gemma4`, a drafter
(`gemma4_assistant`, `gemma4_unified_assistant`) a `gemma4-assistant`, with a hyphen.

Source: llama.cpp, conversion/gemma.py, src/models/gemma4.cpp and gemma4-assistant.cpp; the two
tensors of a drafter's centroid head as in its pull request 24282.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
from gguf.quants import quantize

Array = npt.NDArray[Any]

SLIDING, FULL = "sliding_attention", "full_attention"

#: llama.cpp's types of tokens.
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE = 1, 2, 3, 4, 6

OUTSIDE_NAMES = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.embed_tokens_per_layer.weight": "per_layer_token_embd.weight",
    "model.per_layer_model_projection.weight": "per_layer_model_proj.weight",
    "model.per_layer_projection_norm.weight": "per_layer_proj_norm.weight",
    "model.norm.weight": "output_norm.weight",
    "pre_projection.weight": "nextn.pre_projection.weight",
    "post_projection.weight": "nextn.post_projection.weight",
    "masked_embedding.centroids.weight": "masked_embd_centroids.weight",
    "masked_embedding.token_ordering": "masked_embd_ordering",
}

LAYER_NAMES = {
    "input_layernorm.weight": "attn_norm.weight",
    "self_attn.q_proj.weight": "attn_q.weight",
    "self_attn.k_proj.weight": "attn_k.weight",
    "self_attn.v_proj.weight": "attn_v.weight",
    "self_attn.o_proj.weight": "attn_output.weight",
    "self_attn.q_norm.weight": "attn_q_norm.weight",
    "self_attn.k_norm.weight": "attn_k_norm.weight",
    "post_attention_layernorm.weight": "post_attention_norm.weight",
    "pre_feedforward_layernorm.weight": "ffn_norm.weight",
    "mlp.gate_proj.weight": "ffn_gate.weight",
    "mlp.up_proj.weight": "ffn_up.weight",
    "mlp.down_proj.weight": "ffn_down.weight",
    "post_feedforward_layernorm.weight": "post_ffw_norm.weight",
    "layer_scalar": "layer_output_scale.weight",
    "per_layer_input_gate.weight": "inp_gate.weight",
    "per_layer_projection.weight": "proj.weight",
    "post_per_layer_input_norm.weight": "post_norm.weight",
    "router.proj.weight": "ffn_gate_inp.weight",
    "router.scale": "ffn_gate_inp.scale",
    "router.per_expert_scale": "ffn_down_exps.scale",
    "experts.gate_up_proj": "ffn_gate_up_exps.weight",
    "experts.down_proj": "ffn_down_exps.weight",
    "pre_feedforward_layernorm_2.weight": "pre_ffw_norm_2.weight",
    "post_feedforward_layernorm_1.weight": "post_ffw_norm_1.weight",
    "post_feedforward_layernorm_2.weight": "post_ffw_norm_2.weight",
}


# ---- reading a checkpoint -----------------------------------------------------------------


def read_safetensors(path: Path) -> dict[str, Array]:
    """Return a file's tensors: floats as float32, integers as they are."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    tensors: dict[str, Array] = {}
    for name, entry in json.loads(data[8:start]).items():
        if name == "__metadata__":
            continue
        first, end = entry["data_offsets"]
        stored = data[start + first : start + end]
        if entry["dtype"] == "BF16":
            values = (np.frombuffer(stored, "<u2").astype(np.uint32) << 16).view(np.float32)
        else:
            values = np.frombuffer(
                stored, {"F32": "<f4", "F16": "<f2", "I64": "<i8"}[entry["dtype"]]
            )
            if values.dtype.kind == "f":
                values = values.astype(np.float32)
        tensors[name] = values.reshape(entry["shape"])
    return tensors


def read_text_weights(folder: Path) -> dict[str, Array]:
    """Return a checkpoint's text tensors as a text-only checkpoint names them ("model.…")."""
    weights: dict[str, Array] = {}
    for path in sorted(folder.glob("*.safetensors")):
        weights |= read_safetensors(path)
    prefix = "model.language_model."
    if any(name.startswith(prefix) for name in weights):
        return {
            "model." + name.removeprefix(prefix): value
            for name, value in weights.items()
            if name.startswith(prefix)
        }
    return weights


@dataclass(frozen=True)
class TextConfig:
    """What GGUF keys need of a config.json, in whichever form it is.

    Attributes:
        fields: those of `text_config`, with the root's over them where the root has more.
        head_dims: per layer.
        kv_heads: per layer.
        widths: `intermediate_size` per layer.
    """

    fields: dict[str, Any]
    head_dims: list[int]
    kv_heads: list[int]
    widths: list[int]

    @property
    def is_drafter(self) -> bool:
        """Return whether this is a drafter's."""
        return "backbone_hidden_size" in self.fields


def read_config(folder: Path) -> TextConfig:
    """Read config.json, with `per_layer_config` or in the older form."""
    root = json.loads((folder / "config.json").read_text())
    fields = root | root.get("text_config", {})
    num_layers = fields["num_hidden_layers"]
    head_dims, kv_heads, widths = [], [], []
    per_layer = {int(key): value for key, value in fields.get("per_layer_config", {}).items()}
    first_shared = num_layers - fields.get("num_kv_shared_layers", 0)
    for i, layer_type in enumerate(fields["layer_types"]):
        layer = dict(per_layer.get(i, {}))
        if not per_layer and layer_type == FULL:
            layer["head_dim"] = fields["global_head_dim"]
            if fields.get("attention_k_eq_v") and fields.get("num_global_key_value_heads"):
                layer["num_key_value_heads"] = fields["num_global_key_value_heads"]
        head_dims.append(layer.get("head_dim", fields["head_dim"]))
        kv_heads.append(layer.get("num_key_value_heads", fields["num_key_value_heads"]))
        is_wide = fields.get("use_double_wide_mlp", False) and i >= first_shared > 0
        widths.append(fields["intermediate_size"] * (2 if is_wide else 1))
    return TextConfig(fields, head_dims, kv_heads, widths)


@dataclass(frozen=True)
class Vocabulary:
    """A byte-pair vocabulary as GGUF has it for tokenizer model "gemma4"."""

    tokens: list[str]
    scores: list[float]
    types: list[int]
    merges: list[str]


# ---- writing ------------------------------------------------------------------------------


def write_gemma4_gguf(
    path: Path,
    folder: Path,
    vocabulary: Vocabulary,
    quantization: Callable[[str], str] | str = "F32",
    *,
    name: str,
    quantizer: Callable[[Array, str], Array] | None = None,
    are_experts_merged: bool = True,
    has_masked_embedding: bool = True,
    chat_template: str | None = None,
    suppress_tokens: list[int] | None = None,
) -> Path:
    """Write a checkpoint as a GGUF file.

    Args:
        path: of the file.
        folder: of the checkpoint.
        vocabulary: the tokenizer's.
        quantization: the format of every matrix ("F32", "F16", "BF16", "Q8_0", "Q4_0", …), or a
            function from a matrix's GGUF name to its format. Vectors and the router are F32, as in
            llama.cpp.
        name: of the model, for people.
        quantizer: makes a matrix's rows of a format; default: `quantize_rows`.
        are_experts_merged: gate and up of the experts in one tensor (`ffn_gate_up_exps`), or apart.
        has_masked_embedding: with the two tensors of a drafter's centroid head, if it has one.
        chat_template: for `tokenizer.chat_template`.
        suppress_tokens: ids that the model must never choose.

    Returns:
        The path.
    """
    config = read_config(folder)
    writer = gguf.GGUFWriter(path, "gemma4-assistant" if config.is_drafter else "gemma4")
    try:
        _add_metadata(writer, config, name)
        _add_vocabulary(writer, vocabulary)
        if chat_template is not None:
            writer.add_chat_template(chat_template)
        if suppress_tokens is not None:
            writer.add_array("tokenizer.ggml.suppress_tokens", suppress_tokens)
        writer.add_tensor("rope_freqs.weight", _rope_freqs(config))
        for tensor, values in gguf_tensors(folder, are_experts_merged).items():
            if tensor.startswith("masked_embd") and not has_masked_embedding:
                continue
            kind = quantization if isinstance(quantization, str) else quantization(tensor)
            if values.dtype.kind == "i":
                writer.add_tensor(tensor, values.astype(np.int32))
            elif values.ndim == 1 or tensor.endswith("ffn_gate_inp.weight"):
                writer.add_tensor(tensor, values)
            else:
                stored = (quantizer or quantize_rows)(values, kind)
                writer.add_tensor(tensor, stored, raw_dtype=gguf.GGMLQuantizationType[kind])
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()
    return path


def gguf_tensors(folder: Path, are_experts_merged: bool = True) -> dict[str, Array]:
    """Return a checkpoint's text tensors under their GGUF names."""
    tensors: dict[str, Array] = {}
    for name, values in read_text_weights(folder).items():
        converted = gguf_name(name)
        if converted.endswith("ffn_gate_up_exps.weight") and not are_experts_merged:
            gate, up = np.split(values, 2, axis=1)
            tensors[converted.replace("gate_up", "gate")] = np.ascontiguousarray(gate)
            tensors[converted.replace("gate_up", "up")] = np.ascontiguousarray(up)
        else:
            tensors[converted] = values
    return tensors


def gguf_name(name: str) -> str:
    """Return the name that llama.cpp gives a tensor."""
    if name in OUTSIDE_NAMES:
        return OUTSIDE_NAMES[name]
    index, rest = name.removeprefix("model.layers.").split(".", 1)
    return f"blk.{index}.{LAYER_NAMES[rest]}"


def quantize_rows(values: Array, kind: str) -> Array:
    """Return a matrix in one of the formats that the `gguf` package can write."""
    if kind == "F32":
        return values
    if kind == "F16":
        return values.astype(np.float16)
    stored: Array = quantize(values, gguf.GGMLQuantizationType[kind])
    return stored


def _rope_freqs(config: TextConfig) -> Array:
    """Return what angles of a full layer's pairs are divided by; 1e30 leaves a pair as it is."""
    rope = config.fields["rope_parameters"][FULL]
    head_dim = config.head_dims[config.fields["layer_types"].index(FULL)]
    num_turning = int(head_dim * rope["partial_rotary_factor"] / 2)
    freqs = np.full(head_dim // 2, 1e30, np.float32)
    freqs[:num_turning] = 1
    return freqs


def _same_or_all(values: list[int]) -> int | list[int]:
    return values[0] if len(set(values)) == 1 else values


def _add_metadata(writer: gguf.GGUFWriter, config: TextConfig, name: str) -> None:
    fields: Mapping[str, Any] = config.fields
    layer_types = fields["layer_types"]
    rope = fields["rope_parameters"]
    full_dim = config.head_dims[layer_types.index(FULL)]
    writer.add_type("model")
    writer.add_name(name)
    writer.add_context_length(fields["max_position_embeddings"])
    writer.add_embedding_length(fields["hidden_size"])
    writer.add_block_count(len(layer_types))
    writer.add_feed_forward_length(_same_or_all(config.widths))
    writer.add_head_count(fields["num_attention_heads"])
    writer.add_head_count_kv(_same_or_all(config.kv_heads))
    writer.add_layer_norm_rms_eps(fields["rms_norm_eps"])
    writer.add_key_length(full_dim)
    writer.add_value_length(full_dim)
    writer.add_key_length_swa(fields["head_dim"])
    writer.add_value_length_swa(fields["head_dim"])
    writer.add_rope_freq_base(rope[FULL]["rope_theta"])
    writer.add_rope_freq_base_swa(rope[SLIDING]["rope_theta"])
    writer.add_rope_dimension_count(full_dim)
    writer.add_rope_dimension_count_swa(fields["head_dim"])
    writer.add_sliding_window(fields["sliding_window"])
    writer.add_sliding_window_pattern([layer_type == SLIDING for layer_type in layer_types])
    writer.add_shared_kv_layers(fields.get("num_kv_shared_layers", 0))
    writer.add_embedding_length_per_layer_input(fields.get("hidden_size_per_layer_input", 0))
    if fields.get("final_logit_softcapping") is not None:
        writer.add_final_logit_softcapping(fields["final_logit_softcapping"])
    if fields.get("enable_moe_block"):
        writer.add_expert_count(fields["num_experts"])
        writer.add_expert_used_count(fields["top_k_experts"])
        writer.add_expert_feed_forward_length(fields["moe_intermediate_size"])
    if config.is_drafter:
        writer.add_embedding_length_out(fields["backbone_hidden_size"])
        writer.add_nextn_predict_layers(len(layer_types))


def _add_vocabulary(writer: gguf.GGUFWriter, vocabulary: Vocabulary) -> None:
    writer.add_tokenizer_model("gemma4")
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_scores(vocabulary.scores)
    writer.add_token_types(vocabulary.types)
    writer.add_token_merges(vocabulary.merges)
    for role, id_ in (("pad", 0), ("eos", 1), ("bos", 2), ("unk", 3), ("mask", 4)):
        getattr(writer, f"add_{role}_token_id")(id_)
    writer.add_add_space_prefix(False)
    writer.add_add_bos_token(True)
