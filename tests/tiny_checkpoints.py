"""Tiny random Gemma 3 checkpoints, written as transformers and as llama.cpp's converter write them.

Whatever is tested on them holds for the real ones: the same tensor names, fields and conventions,
only smaller. Formats with blocks of 256 columns (Q4_K, Q5_K, Q6_K) need `hidden_size`,
`intermediate_size` and `num_attention_heads` · `head_dim` to be multiples of 256.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import gguf
import numpy as np
import numpy.typing as npt
from gguf.quants import quantize

from k_quants import quantize_k

Weights = dict[str, npt.NDArray[np.float32]]

#: Token types of llama.cpp.
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE = 1, 2, 3, 4, 6

GGUF_NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "post_feedforward_layernorm": "post_ffw_norm",
}


# ---- configuration and weights ------------------------------------------------------------


def tiny_gemma3_config(sliding_window_pattern: int = 3, **overrides: Any) -> dict[str, Any]:
    """Return the config.json of a tiny Gemma 3, as transformers 5 writes it.

    Args:
        sliding_window_pattern: every so many layers, one attends to everything.
        **overrides: fields to set; `layer_types` follows from `num_hidden_layers`, and
            `query_pre_attn_scalar` from `head_dim`, unless given.
    """
    config: dict[str, Any] = {
        "architectures": ["Gemma3ForCausalLM"],
        "model_type": "gemma3_text",
        "vocab_size": 512,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 6,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "hidden_activation": "gelu_pytorch_tanh",
        "max_position_embeddings": 256,
        "rms_norm_eps": 1e-6,
        "rope_parameters": {
            "full_attention": {"rope_type": "default", "rope_theta": 1_000_000.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
        },
        "sliding_window": 8,
        "attention_bias": False,
        "attn_logit_softcapping": None,
        "final_logit_softcapping": None,
        "tie_word_embeddings": True,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "bos_token_id": 2,
        **overrides,
    }
    config.setdefault("query_pre_attn_scalar", config["head_dim"])
    config.setdefault(
        "layer_types",
        [
            "sliding_attention" if (i + 1) % sliding_window_pattern else "full_attention"
            for i in range(config["num_hidden_layers"])
        ],
    )
    return config


def random_gemma3_weights(config: Mapping[str, Any], seed: int = 0) -> Weights:
    """Return weights under Hugging Face names, float32.

    A norm multiplies by 1 + weight, so norms are around 0 with a spread, with three exceptions:
    those after attention and MLP are larger, so that layers outweigh the token they started from
    (the head is tied: greedy text would repeat it for ever); the last one, so that logits spread
    over several units; those of queries, so that attention picks.
    """
    rng = np.random.default_rng(seed)
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    queries = config["num_attention_heads"] * config["head_dim"]
    keys = config["num_key_value_heads"] * config["head_dim"]

    def normal(mean: float, spread: float, *shape: int) -> npt.NDArray[np.float32]:
        return rng.normal(mean, spread, shape).astype(np.float32)

    def linear(num_rows: int, num_cols: int) -> npt.NDArray[np.float32]:
        return normal(0, num_cols**-0.5, num_rows, num_cols)

    weights = {"model.embed_tokens.weight": linear(config["vocab_size"], hidden)}
    if not config["tie_word_embeddings"]:
        weights["lm_head.weight"] = linear(config["vocab_size"], hidden)
    for i in range(config["num_hidden_layers"]):
        layer = {
            "input_layernorm": normal(0, 0.3, hidden),
            "self_attn.q_proj": linear(queries, hidden),
            "self_attn.k_proj": linear(keys, hidden),
            "self_attn.v_proj": linear(keys, hidden),
            "self_attn.o_proj": linear(hidden, queries),
            "self_attn.q_norm": normal(1, 0.3, config["head_dim"]),
            "self_attn.k_norm": normal(0, 0.3, config["head_dim"]),
            "post_attention_layernorm": normal(1, 0.3, hidden),
            "pre_feedforward_layernorm": normal(0, 0.3, hidden),
            "mlp.gate_proj": linear(inner, hidden),
            "mlp.up_proj": linear(inner, hidden),
            "mlp.down_proj": linear(hidden, inner),
            "post_feedforward_layernorm": normal(1, 0.3, hidden),
        }
        weights |= {f"model.layers.{i}.{name}.weight": value for name, value in layer.items()}
    weights["model.norm.weight"] = normal(2, 0.3, hidden)
    return weights


# ---- safetensors --------------------------------------------------------------------------


def write_safetensors(
    folder: Path,
    config: Mapping[str, Any],
    weights: Mapping[str, npt.NDArray[np.float32]],
    dtype: str = "F32",
    shards: int = 1,
    prefix: str = "",
) -> Path:
    """Write config.json and model.safetensors, or shards with an index.

    Args:
        folder: made if it is not there.
        config: of the text model.
        weights: under Hugging Face names.
        dtype: "F32", "F16" or "BF16".
        shards: how many files.
        prefix: stands in for the names' leading "model." and makes the checkpoint multimodal:
            "language_model.model." (older transformers) or "model.language_model." (newer).

    Returns:
        The folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written_config = dict(config)
    if prefix:
        written_config = {"model_type": "gemma3", "text_config": dict(config)}
        weights = {
            prefix + name.removeprefix("model.") if name.startswith("model.") else name: value
            for name, value in weights.items()
        }
    (folder / "config.json").write_text(json.dumps(written_config, indent=2))
    names = sorted(weights)
    if shards == 1:
        (folder / "model.safetensors").write_bytes(safetensors_bytes(weights, dtype))
        return folder
    weight_map: dict[str, str] = {}
    for i in range(shards):
        shard = f"model-{i + 1:05}-of-{shards:05}.safetensors"
        part = names[i::shards]
        weight_map |= dict.fromkeys(part, shard)
        data = safetensors_bytes({name: weights[name] for name in part}, dtype)
        (folder / shard).write_bytes(data)
    index = {"metadata": {}, "weight_map": dict(sorted(weight_map.items()))}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2))
    return folder


def safetensors_bytes(weights: Mapping[str, npt.NDArray[np.float32]], dtype: str = "F32") -> bytes:
    """Return a safetensors file."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    parts = []
    offset = 0
    for name, values in weights.items():
        data = _stored(values, dtype)
        header[name] = {
            "dtype": dtype,
            "shape": list(values.shape),
            "data_offsets": [offset, offset + len(data)],
        }
        parts.append(data)
        offset += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(parts)


def _stored(values: npt.NDArray[np.float32], dtype: str) -> bytes:
    if dtype == "F32":
        return values.astype("<f4").tobytes()
    if dtype == "F16":
        return values.astype("<f2").tobytes()
    if dtype == "BF16":
        bits = values.astype("<f4").view(np.uint32)
        nearest_even = bits + np.uint32(0x7FFF) + ((bits >> 16) & 1)
        return (nearest_even >> 16).astype("<u2").tobytes()
    raise ValueError(f"dtype {dtype!r}")


# ---- GGUF ---------------------------------------------------------------------------------


class Vocabulary(NamedTuple):
    """A SentencePiece vocabulary as GGUF has it: pieces, their scores and types."""

    tokens: list[str]
    scores: list[float]
    types: list[int]


#: What the pieces of `tiny_vocabulary` are learned from.
TRAINING_TEXT = (
    "the lead out rider breaks the wind for the sprinter and then peels off to the side. "
    "a small drafter writes the next words and the big model checks them all in one pass. "
    "the text is what the big model alone would have written, word for word. nothing leaves "
    "this machine: the browser reads the weights and the tokens stay in its memory. "
    "The capital of France is Paris. The capital of Italy is Rome. The first of the seasons is "
    "spring; summer, autumn and winter follow. Numbers: 0 1 2 3 4 5 6 7 8 9, 10, 11 and 12! "
    'Größe, café, naïve, 日本語, привет? (yes) [no] {maybe} "quoted" it\'s a+b=c, x*y/z < 1 > 0'
)


def tiny_vocabulary(size: int = 512) -> Vocabulary:
    """Return a small vocabulary built like Gemma's.

    pad, eos, bos, unk; 256 bytes; two turn tokens and two runs of newlines; merged pieces, the most
    frequent first, each made of two earlier or single-character ones; the characters; unused
    tokens up to `size`. A piece's score is minus its rank.
    """
    words = [tuple("▁" + word) for word in TRAINING_TEXT.split(" ")]
    characters = sorted({character for word in words for character in word})
    special = [
        ("<pad>", -1000.0, CONTROL),
        ("<eos>", -1000.0, CONTROL),
        ("<bos>", -1000.0, CONTROL),
        ("<unk>", -1000.0, UNKNOWN),
        *((f"<0x{byte:02X}>", 0.0, BYTE) for byte in range(256)),
        ("<start_of_turn>", -1000.0, CONTROL),
        ("<end_of_turn>", -1000.0, CONTROL),
        ("\n", -1000.0, USER_DEFINED),
        ("\n\n", -1000.0, USER_DEFINED),
    ]
    pieces = _merges(words, size - len(special) - len(characters)) + characters
    entries = special + [(piece, -float(rank), NORMAL) for rank, piece in enumerate(pieces)]
    if len(entries) > size:
        raise ValueError(f"a vocabulary of {size} has no room for {len(entries)} tokens")
    entries += [(f"<unused{i}>", -1000.0, CONTROL) for i in range(size - len(entries))]
    tokens, scores, types = zip(*entries, strict=True)
    return Vocabulary(list(tokens), list(scores), list(types))


def _merges(words: list[tuple[str, ...]], most: int) -> list[str]:
    """Return pieces learned by byte-pair encoding, in the order of learning."""
    merged: list[str] = []
    while len(merged) < most:
        pairs = Counter(pair for word in words for pair in pairwise(word))
        if not pairs:
            break
        left, right = min(pairs, key=lambda pair: (-pairs[pair], pair))
        if left + right not in merged:
            merged.append(left + right)
        words = [_merge(word, left, right) for word in words]
    return merged


def _merge(word: tuple[str, ...], left: str, right: str) -> tuple[str, ...]:
    result: list[str] = []
    for piece in word:
        if result and result[-1] == left and piece == right:
            result[-1] = left + right
        else:
            result.append(piece)
    return tuple(result)


def write_gguf(
    path: Path,
    config: Mapping[str, Any],
    weights: Mapping[str, npt.NDArray[np.float32]],
    quantization: Callable[[str], str] | str = "F32",
    tokens: Vocabulary | None = None,
    chat_template: str | None = None,
) -> Path:
    """Write a GGUF file as llama.cpp's converter does for Gemma 3.

    Args:
        path: of the file.
        config: from `tiny_gemma3_config`.
        weights: under Hugging Face names; norms get their 1 added here.
        quantization: the format of every matrix, or a function from a matrix's Hugging Face name
            to its format. Vectors are F32.
        tokens: the vocabulary; default `tiny_vocabulary`.
        chat_template: for `tokenizer.chat_template`.

    Returns:
        The path.
    """
    writer = gguf.GGUFWriter(path, "gemma3")
    try:
        _add_metadata(writer, config)
        _add_vocabulary(writer, config, tokens or tiny_vocabulary(config["vocab_size"]))
        if chat_template is not None:
            writer.add_chat_template(chat_template)
        for name, values in weights.items():
            if values.ndim == 1:
                writer.add_tensor(gguf_name(name), values + np.float32(1))
                continue
            kind = quantization if isinstance(quantization, str) else quantization(name)
            writer.add_tensor(
                gguf_name(name),
                _quantized(values, kind),
                raw_dtype=gguf.GGMLQuantizationType[kind],
            )
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()
    return path


def gguf_name(name: str) -> str:
    """Return the name that llama.cpp gives a tensor."""
    outside = {
        "model.embed_tokens.weight": "token_embd.weight",
        "model.norm.weight": "output_norm.weight",
        "lm_head.weight": "output.weight",
    }
    if name in outside:
        return outside[name]
    index, rest = name.removeprefix("model.layers.").split(".", 1)
    return f"blk.{index}.{GGUF_NAMES[rest.removesuffix('.weight')]}.weight"


def _quantized(values: npt.NDArray[np.float32], kind: str) -> npt.NDArray[Any]:
    if kind in ("Q4_K", "Q5_K", "Q6_K"):
        return quantize_k(values, kind)
    if kind == "F32":
        return values
    if kind == "F16":
        return values.astype(np.float16)
    quantized: npt.NDArray[Any] = quantize(values, gguf.GGMLQuantizationType[kind])
    return quantized


def _add_metadata(writer: gguf.GGUFWriter, config: Mapping[str, Any]) -> None:
    rope = config["rope_parameters"]
    writer.add_type("model")
    writer.add_name("Tiny Gemma 3")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_rope_freq_base(rope["full_attention"]["rope_theta"])
    if rope["full_attention"]["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["full_attention"]["factor"])
    if rope["sliding_attention"]["rope_theta"] != 10_000.0:
        writer.add_float32("gemma3.rope.freq_base_swa", rope["sliding_attention"]["rope_theta"])
    writer.add_sliding_window(config["sliding_window"])
    writer.add_uint32("gemma3.attention.sliding_window_pattern", _pattern(config["layer_types"]))


def _pattern(layer_types: list[str]) -> int:
    """Return every how many layers one is full; llama.cpp knows regular patterns alone."""
    if "full_attention" not in layer_types:
        return len(layer_types) + 1
    pattern = layer_types.index("full_attention") + 1
    if any(
        (kind == "full_attention") != ((i + 1) % pattern == 0) for i, kind in enumerate(layer_types)
    ):
        raise ValueError(f"irregular layer_types {layer_types}")
    return pattern


def _add_vocabulary(
    writer: gguf.GGUFWriter, config: Mapping[str, Any], vocabulary: Vocabulary
) -> None:
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_scores(vocabulary.scores)
    writer.add_token_types(vocabulary.types)
    writer.add_bos_token_id(config["bos_token_id"])
    eos = config["eos_token_id"]
    writer.add_eos_token_id(eos if isinstance(eos, int) else eos[0])
    writer.add_unk_token_id(3)
    writer.add_pad_token_id(config["pad_token_id"])
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)
