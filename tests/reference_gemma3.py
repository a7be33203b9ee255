"""Gemma 3's text model as plainly as NumPy allows: the oracle that the engine is held to.

The whole sequence at once, no cache, no chunks of a prompt, no quantised arithmetic: weights are
float32 tensors under their names in a Hugging Face checkpoint. Only attention and the MLP go
through blocks of rows, so that a few thousand tokens fit in memory. Nothing is imported from
Leadout, so that no mistake can be shared.

Source: transformers' `models/gemma3/modeling_gemma3.py`, read for its formulas; checked against
its logits in `tests/unit/test_reference_gemma3.py`.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Weights = Mapping[str, Float32]

ROWS_PER_BLOCK = 256
SQRT_2_OVER_PI = np.float32(np.sqrt(2 / np.pi))


# ---- the model ----------------------------------------------------------------------------


def rms_norm(x: Float32, weight: Float32, eps: float) -> Float32:
    """Return x / rms(x) · (1 + weight) over the last axis."""
    mean_square = np.mean(x * x, axis=-1, keepdims=True, dtype=np.float32)
    normed: Float32 = x / np.sqrt(mean_square + np.float32(eps)) * (np.float32(1) + weight)
    return normed


def gelu_tanh(x: Float32) -> Float32:
    """Return the tanh approximation of GELU."""
    inner = SQRT_2_OVER_PI * (x + np.float32(0.044715) * x**3)
    activated: Float32 = x * np.float32(0.5) * (1 + np.tanh(inner))
    return activated


def rope_tables(config: Mapping[str, Any], layer_type: str, length: int) -> tuple[Float32, Float32]:
    """Return cos and sin of every position, [length, 1, head_dim // 2] each."""
    rope = config["rope_parameters"][layer_type]
    head_dim = config["head_dim"]
    exponent = np.arange(0, head_dim, 2, dtype=np.float32) / np.float32(head_dim)
    inv_freq = np.float32(1) / np.power(np.float32(rope["rope_theta"]), exponent)
    if rope["rope_type"] == "linear":
        inv_freq = inv_freq / np.float32(rope["factor"])
    elif rope["rope_type"] != "default":
        raise ValueError(f"rope_type {rope['rope_type']!r} is not part of Gemma 3")
    angles = np.arange(length, dtype=np.float32)[:, None, None] * inv_freq
    return np.cos(angles), np.sin(angles)


def rotate(x: Float32, cos: Float32, sin: Float32) -> Float32:
    """Rotate the pairs (i, i + head_dim / 2) of x, [length, heads, head_dim]."""
    first, second = np.split(x, 2, axis=-1)
    return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)


def attention(q: Float32, k: Float32, v: Float32, scale: float, window: int | None) -> Float32:
    """Attend causally, each row to itself and the rows before it.

    Args:
        q: [length, num_attention_heads, head_dim].
        k: [length, num_key_value_heads, head_dim]; query head h reads head h // group.
        v: like k.
        scale: factor on the products.
        window: how many tokens a row sees, itself included; None for all.

    Returns:
        [length, num_attention_heads · head_dim].
    """
    length, num_heads, head_dim = q.shape
    group = num_heads // k.shape[1]
    out = np.empty_like(q)
    for begin in range(0, length, ROWS_PER_BLOCK):
        end = min(begin + ROWS_PER_BLOCK, length)
        oldest = 0 if window is None else max(0, begin - window + 1)
        query, key = np.arange(begin, end)[:, None], np.arange(oldest, end)[None, :]
        visible = key <= query
        if window is not None:
            visible &= key > query - window
        for head in range(num_heads):
            products = q[begin:end, head] @ k[oldest:end, head // group].T * np.float32(scale)
            products = np.where(visible, products, np.float32(-np.inf))
            probs = np.exp(products - products.max(axis=-1, keepdims=True))
            probs /= probs.sum(axis=-1, keepdims=True)
            out[begin:end, head] = probs @ v[oldest:end, head // group]
    return out.reshape(length, num_heads * head_dim)


def mlp(x: Float32, weights: Weights, layer: str) -> Float32:
    """Return down(gelu(gate(x)) · up(x))."""
    gate, up, down = (
        weights[f"{layer}.mlp.{name}_proj.weight"].T for name in ("gate", "up", "down")
    )
    blocks = (x[i : i + ROWS_PER_BLOCK] for i in range(0, len(x), ROWS_PER_BLOCK))
    return np.concatenate([(gelu_tanh(rows @ gate) * (rows @ up)) @ down for rows in blocks])


def hidden_rows(config: Mapping[str, Any], weights: Weights, ids: Sequence[int]) -> Float32:
    """Return the normed output of the last layer for every token, [len(ids), hidden_size]."""
    eps, head_dim, length = config["rms_norm_eps"], config["head_dim"], len(ids)
    scale = config["query_pre_attn_scalar"] ** -0.5
    tables = {kind: rope_tables(config, kind, length) for kind in set(config["layer_types"])}

    x = weights["model.embed_tokens.weight"][np.asarray(ids)]
    x = x * np.float32(np.sqrt(config["hidden_size"]))
    for index, kind in enumerate(config["layer_types"]):
        layer = f"model.layers.{index}"

        def norm(rows: Float32, name: str, layer: str = layer) -> Float32:
            return rms_norm(rows, weights[f"{layer}.{name}.weight"], eps)

        h = norm(x, "input_layernorm")
        q, k, v = (
            (h @ weights[f"{layer}.self_attn.{name}_proj.weight"].T).reshape(length, -1, head_dim)
            for name in ("q", "k", "v")
        )
        q = rotate(norm(q, "self_attn.q_norm"), *tables[kind])
        k = rotate(norm(k, "self_attn.k_norm"), *tables[kind])
        window = config["sliding_window"] if kind == "sliding_attention" else None
        h = attention(q, k, v, scale, window) @ weights[f"{layer}.self_attn.o_proj.weight"].T
        x = x + norm(h, "post_attention_layernorm")
        h = mlp(norm(x, "pre_feedforward_layernorm"), weights, layer)
        x = x + norm(h, "post_feedforward_layernorm")
    return rms_norm(x, weights["model.norm.weight"], eps)


def forward(config: Mapping[str, Any], weights: Weights, ids: Sequence[int]) -> Float32:
    """Run the model over a whole sequence.

    Args:
        config: the fields of `config.json` as transformers 5 writes them.
        weights: float32 tensors under their checkpoint names; a norm multiplies by 1 + weight.
        ids: token ids, BOS included where the model wants one.

    Returns:
        Logits of the token after each one, [len(ids), vocab_size] float32.
    """
    return hidden_rows(config, weights, ids) @ weights["model.embed_tokens.weight"].T


def forward_blocks(
    config: Mapping[str, Any], weights: Weights, ids: Sequence[int], rows: int = ROWS_PER_BLOCK
) -> Iterator[Float32]:
    """Yield the logits of `forward` some rows at a time: 2,000 rows of 262,144 are 2 GB."""
    hidden = hidden_rows(config, weights, ids)
    for begin in range(0, len(hidden), rows):
        yield hidden[begin : begin + rows] @ weights["model.embed_tokens.weight"].T


# ---- comparing ----------------------------------------------------------------------------


def log_softmax(logits: npt.ArrayLike) -> Float64:
    """Return log probabilities over the last axis, in float64."""
    x = np.asarray(logits, dtype=np.float64)
    x = x - x.max(axis=-1, keepdims=True)
    log_probs: Float64 = x - np.log(np.exp(x).sum(axis=-1, keepdims=True))
    return log_probs


def kl_divergence(reference_logits: npt.ArrayLike, logits: npt.ArrayLike) -> Float64:
    """Return KL(reference ‖ other) of the next-token distributions, row by row.

    Args:
        reference_logits: [rows, vocab_size], finite.
        logits: like reference_logits.

    Returns:
        sum p log(p / q) in nats, [rows] float64, ≥ 0 but for rounding (about 1e-16).
    """
    log_p, log_q = log_softmax(reference_logits), log_softmax(logits)
    divergence: Float64 = (np.exp(log_p) * (log_p - log_q)).sum(axis=-1)
    return divergence


def top_two(logits: npt.ArrayLike) -> tuple[npt.NDArray[np.intp], Float64]:
    """Return each row's two best ids, [rows, 2], and the distance of their logits, [rows]."""
    x = np.asarray(logits, dtype=np.float64)
    best = x.argmax(axis=-1)
    rest = x.copy()
    np.put_along_axis(rest, best[:, None], -np.inf, axis=-1)
    second = rest.argmax(axis=-1)
    ids = np.stack([best, second], axis=-1)
    values = np.take_along_axis(x, ids, axis=-1)
    return ids, values[:, 0] - values[:, 1]


# ---- weights ------------------------------------------------------------------------------

GGUF_TENSORS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "attn_output": "self_attn.o_proj",
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "post_ffw_norm": "post_feedforward_layernorm",
}


def safetensors_weights(folder: Path) -> tuple[dict[str, Any], dict[str, Float32]]:
    """Read `config.json` and `model.safetensors` (F32, F16, BF16), widened to float32."""
    config = json.loads((folder / "config.json").read_text())
    data = (folder / "model.safetensors").read_bytes()
    header_bytes = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + header_bytes])
    header.pop("__metadata__", None)
    weights: dict[str, Float32] = {}
    for name, entry in header.items():
        begin, end = (8 + header_bytes + offset for offset in entry["data_offsets"])
        raw = data[begin:end]
        if entry["dtype"] == "BF16":
            values = (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
        else:
            kind = {"F32": "<f4", "F16": "<f2"}[entry["dtype"]]
            values = np.frombuffer(raw, kind).astype(np.float32)
        weights[name] = values.reshape(entry["shape"])
    return config, weights


def gguf_weights(path: Path) -> tuple[dict[str, Any], dict[str, Float32]]:
    """Read a Gemma 3 GGUF with the `gguf` package's own dequantisation.

    GGUF stores norms as 1 + weight. Taking the 1 away again, and adding it in `rms_norm`, gives
    back the stored bits whenever they came from such an addition in float32.

    Returns:
        The configuration under Hugging Face names, and float32 weights as `forward` wants them.

    Raises:
        ValueError: a norm would not come back bit for bit.
    """
    import gguf
    from gguf.quants import dequantize

    class Reader(gguf.GGUFReader):  # type: ignore[misc]  # comes without types
        """Passes over arrays: with a view of each piece, a vocabulary takes 17 s."""

        def _get_field_parts(self, orig_offs: int, raw_type: int) -> Any:
            if raw_type != gguf.GGUFValueType.ARRAY:
                return super()._get_field_parts(orig_offs, raw_type)
            kind, count = struct.unpack_from("<IQ", self.data, orig_offs)
            end = orig_offs + struct.calcsize("<IQ")
            if kind == gguf.GGUFValueType.STRING:
                for _ in range(count):
                    end += 8 + struct.unpack_from("<Q", self.data, end)[0]
            else:
                end += count * np.dtype(self.gguf_scalar_to_np[kind]).itemsize
            return end - orig_offs, [], [], [gguf.GGUFValueType.ARRAY]

    reader = Reader(path)

    def field(name: str, default: Any = None) -> Any:
        entry = reader.fields.get(f"gemma3.{name}")
        return default if entry is None else entry.contents()

    weights: dict[str, Float32] = {}
    for tensor in reader.tensors:
        values = np.array(dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
        if "norm" in tensor.name:
            folded, values = values, values - np.float32(1)
            if not np.array_equal(values + np.float32(1), folded):
                raise ValueError(f"{tensor.name}: 1 cannot be taken away exactly")
        weights[_checkpoint_name(tensor.name)] = values

    num_hidden_layers, head_dim = field("block_count"), field("attention.key_length")
    pattern = field("attention.sliding_window_pattern", 6)
    full = {"rope_type": "default", "rope_theta": field("rope.freq_base")}
    if field("rope.scaling.type") == "linear":
        full |= {"rope_type": "linear", "factor": field("rope.scaling.factor")}
    config = {
        "vocab_size": len(weights["model.embed_tokens.weight"]),
        "hidden_size": field("embedding_length"),
        "intermediate_size": field("feed_forward_length"),
        "num_hidden_layers": num_hidden_layers,
        "num_attention_heads": field("attention.head_count"),
        "num_key_value_heads": field("attention.head_count_kv"),
        "head_dim": head_dim,
        "query_pre_attn_scalar": head_dim,
        "rms_norm_eps": field("attention.layer_norm_rms_epsilon"),
        "sliding_window": field("attention.sliding_window"),
        "max_position_embeddings": field("context_length"),
        "layer_types": [
            "sliding_attention" if (index + 1) % pattern else "full_attention"
            for index in range(num_hidden_layers)
        ],
        "rope_parameters": {
            "sliding_attention": {
                "rope_type": "default",
                "rope_theta": field("rope.freq_base_swa", 10_000.0),
            },
            "full_attention": full,
        },
    }
    return config, weights


def _checkpoint_name(name: str) -> str:
    """Translate a GGUF tensor name."""
    if name == "token_embd.weight":
        return "model.embed_tokens.weight"
    if name == "output_norm.weight":
        return "model.norm.weight"
    _, index, kind, _ = name.split(".")
    return f"model.layers.{index}.{GGUF_TENSORS[kind]}.weight"
