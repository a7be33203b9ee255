"""Gemma 3 text models (`gemma3_text`): 270M and 1B, and the text part of the larger ones.

A layer, read from top to bottom of `_layer`:

    x  = input_layernorm(h)
    q, k, v = q_proj(x), k_proj(x), v_proj(x);  q, k = rope(q_norm(q)), rope(k_norm(k))
    h += post_attention_layernorm(o_proj(attention(q, k, v)))
    x  = pre_feedforward_layernorm(h)
    h += post_feedforward_layernorm(down_proj(gelu(gate_proj(x)) * up_proj(x)))

Sliding layers see `sliding_window` positions, including the row's own, and turn by
`rope_local_base_freq`; full layers see all and turn by `rope_theta`. Norms multiply by
(1 + weight); a GGUF stores that sum already.

Source: transformers, models/gemma3/modeling_gemma3.py.
"""

from __future__ import annotations

import dataclasses
import math
import struct
from dataclasses import dataclass

from leadout import ops
from leadout.checkpoint import Checkpoint, check_tensors
from leadout.checkpoint.load_plan import LoadPlanBuilder
from leadout.checkpoint.page_plan import PagePlan
from leadout.config import Gemma3TextConfig
from leadout.kv_cache import KvCache, capacity_for
from leadout.layouts import Matrix, Vector
from leadout.models.base import Shapes, next_stream, place_embeddings, single, stacked
from leadout.ops import LinearLayer, ProgramBuilder, Tensor
from leadout.plan import BufferSpec, align
from leadout.rows import Rows


@dataclass(frozen=True)
class Layer:
    """The weights of one layer and its KV cache."""

    is_sliding: bool
    input_layernorm: Vector
    qkv_proj: LinearLayer
    q_norm: Vector
    k_norm: Vector
    o_proj: LinearLayer
    post_attention_layernorm: Vector
    pre_feedforward_layernorm: Vector
    gate_up_proj: LinearLayer
    down_proj: LinearLayer
    post_feedforward_layernorm: Vector
    cache: KvCache


def expected_shapes(config: Gemma3TextConfig) -> Shapes:
    """Return the tensors that a checkpoint must have, by Hugging Face name."""
    hidden, mlp = config.hidden_size, config.intermediate_size
    queries = config.num_attention_heads * config.head_dim
    keys = config.num_key_value_heads * config.head_dim
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (config.vocab_size, hidden),
        "model.norm.weight": (hidden,),
    }
    for i in range(config.num_hidden_layers):
        layer = f"model.layers.{i}."
        shapes |= {
            layer + "input_layernorm.weight": (hidden,),
            layer + "self_attn.q_proj.weight": (queries, hidden),
            layer + "self_attn.k_proj.weight": (keys, hidden),
            layer + "self_attn.v_proj.weight": (keys, hidden),
            layer + "self_attn.o_proj.weight": (hidden, queries),
            layer + "self_attn.q_norm.weight": (config.head_dim,),
            layer + "self_attn.k_norm.weight": (config.head_dim,),
            layer + "post_attention_layernorm.weight": (hidden,),
            layer + "pre_feedforward_layernorm.weight": (hidden,),
            layer + "mlp.gate_proj.weight": (mlp, hidden),
            layer + "mlp.up_proj.weight": (mlp, hidden),
            layer + "mlp.down_proj.weight": (hidden, mlp),
            layer + "post_feedforward_layernorm.weight": (hidden,),
        }
    if not config.tie_word_embeddings:
        shapes["lm_head.weight"] = (config.vocab_size, hidden)
    return shapes


def inverse_frequencies(config: Gemma3TextConfig, is_sliding: bool) -> list[float]:
    """Return the angle per position of each rotated pair, head_dim / 2 values."""
    base = config.rope_local_base_freq if is_sliding else config.rope_theta
    factor = 1.0 if is_sliding or config.rope_scaling is None else config.rope_scaling.factor
    dim = config.head_dim
    return [base ** (-2 * i / dim) / factor for i in range(dim // 2)]


class Gemma3Text:
    """A Gemma 3 text model on a device; implements `leadout.models.base.Model`."""

    def __init__(
        self,
        config: Gemma3TextConfig,
        checkpoint: Checkpoint,
        load: LoadPlanBuilder,
        *,
        num_lanes: int,
        context_length: int,
        max_rows: int,
        kv_dtype: str,
    ) -> None:
        """Check the checkpoint's tensors and place them.

        Args:
            config: of the checkpoint.
            checkpoint: where the tensors are.
            load: gets every tensor.
            num_lanes: sequences kept at once.
            context_length: positions a lane can hold.
            max_rows: the most rows of one pass.
            kv_dtype: "f32" or "f16".

        Raises:
            TensorError: a tensor is missing or has another shape.
        """
        check_tensors(checkpoint, expected_shapes(config))
        self.config = config
        self.pages: PagePlan | None = None
        self.pageable_bytes = 0
        self.vocab_size = config.vocab_size
        self.hidden_size = config.hidden_size
        norm_add = 0.0 if checkpoint.norms_are_folded else 1.0
        tensors = checkpoint.tensors

        def vector(name: str) -> Vector:
            return load.vector(name, tensors[f"model.{name}.weight"], add=norm_add)

        def linear(name: str) -> LinearLayer:
            return single(load, name, tensors[f"model.{name}.weight"])

        def stack(name: str, *parts: str) -> LinearLayer:
            return stacked(load, name, [(p, tensors[f"model.{p}.weight"]) for p in parts])

        self.embed_tokens: Matrix = load.matrix(
            "embed_tokens", [tensors["model.embed_tokens.weight"]]
        )
        self.lm_head = (
            LinearLayer([(self.embed_tokens, 0)], config.vocab_size)
            if config.tie_word_embeddings
            else single(load, "lm_head", tensors["lm_head.weight"])
        )
        self.layers = []
        for i, layer_type in enumerate(config.layer_types):
            name = f"layers.{i}."
            is_sliding = layer_type == "sliding_attention"
            window = config.sliding_window if is_sliding else 0
            attn, mlp = name + "self_attn.", name + "mlp."
            self.layers.append(
                Layer(
                    is_sliding=is_sliding,
                    input_layernorm=vector(name + "input_layernorm"),
                    qkv_proj=stack(attn + "qkv", attn + "q_proj", attn + "k_proj", attn + "v_proj"),
                    q_norm=vector(attn + "q_norm"),
                    k_norm=vector(attn + "k_norm"),
                    o_proj=linear(attn + "o_proj"),
                    post_attention_layernorm=vector(name + "post_attention_layernorm"),
                    pre_feedforward_layernorm=vector(name + "pre_feedforward_layernorm"),
                    gate_up_proj=stack(mlp + "gate_up", mlp + "gate_proj", mlp + "up_proj"),
                    down_proj=linear(mlp + "down_proj"),
                    post_feedforward_layernorm=vector(name + "post_feedforward_layernorm"),
                    cache=KvCache(
                        name=name + "kv",
                        num_lanes=num_lanes,
                        num_key_value_heads=config.num_key_value_heads,
                        head_dim=config.head_dim,
                        window=window,
                        capacity=capacity_for(context_length, window, max_rows),
                        dtype=kv_dtype,
                    ),
                )
            )
        self.norm = vector("norm")

    @property
    def caches(self) -> list[KvCache]:
        """The layers' caches."""
        return [layer.cache for layer in self.layers]

    def buffers(self) -> dict[str, BufferSpec]:
        """Return the KV cache's and the rope tables' buffers."""
        specs = {name: BufferSpec(align(len(data), 4)) for name, data in self.constants().items()}
        for cache in self.caches:
            specs |= cache.buffers()
        return specs

    def constants(self) -> dict[str, bytes]:
        """Return the rope tables."""
        tables = {}
        for is_sliding in {layer.is_sliding for layer in self.layers}:
            values = inverse_frequencies(self.config, is_sliding)
            tables[_rope_table(is_sliding)] = struct.pack(f"<{len(values)}f", *values)
        return tables

    def embed(self, p: ProgramBuilder, rows: Rows, y: Tensor) -> None:
        """Write the rows' scaled embeddings; see `Model.embed`."""
        scale = math.sqrt(self.hidden_size)
        p.add(ops.Embed("embed_tokens", self.embed_tokens, rows, y, scale))
        place_embeddings(p, rows, self.hidden_size, y)

    def forward(self, p: ProgramBuilder, rows: Rows, last: Rows | None = None) -> Tensor:
        """Run all layers over the rows; see `Model.forward`. The last layer writes keys, too."""
        hidden = p.tensor("hidden", rows.count, self.hidden_size)
        self.embed(p, rows, hidden)
        for i, layer in enumerate(self.layers):
            hidden = self._layer(p, f"layers.{i}.", layer, hidden, rows)
        if last is not None:
            last_hidden = p.tensor("last_hidden", 1, self.hidden_size)
            p.add(ops.TakeLastRow("last_hidden", hidden, last_hidden))
            hidden = last_hidden
        return self._norm(p, hidden, self.norm, "norm")

    def fill_cache(self, p: ProgramBuilder, rows: Rows) -> None:
        """Run all layers; see `Model.fill_cache`."""
        self.forward(p, rows)

    def head(self, p: ProgramBuilder, hidden: Tensor, rows: Rows, logits: Tensor) -> None:
        """Compute the logits, [rows, vocab_size] float32; see `Model.head`."""
        p.add(ops.Linear("lm_head", self.lm_head, hidden, rows, logits))

    def _norm(self, p: ProgramBuilder, hidden: Tensor, weight: Vector, label: str) -> Tensor:
        """Norm the residual stream for what comes next."""
        y = p.tensor("normed", *hidden.shape)
        p.add(ops.RmsNorm(label, hidden, weight, y, self.config.rms_norm_eps))
        return y

    def _add(
        self, p: ProgramBuilder, delta: Tensor, weight: Vector, hidden: Tensor, label: str
    ) -> Tensor:
        """Norm what half a layer brought, and add it to the residual stream."""
        h_out = next_stream(p, hidden)
        p.add(ops.AddNorm(label, delta, weight, hidden, h_out, self.config.rms_norm_eps))
        return h_out

    def _layer(
        self, p: ProgramBuilder, label: str, layer: Layer, hidden: Tensor, rows: Rows
    ) -> Tensor:
        """Append one layer; return the residual stream behind it."""
        config, eps = self.config, self.config.rms_norm_eps
        heads, kv_heads = config.num_attention_heads, config.num_key_value_heads
        head_dim = config.head_dim
        cache, inv_freq = layer.cache, Tensor(_rope_table(layer.is_sliding), (head_dim // 2,))
        qkv = p.tensor("qkv", rows.count, layer.qkv_proj.num_outputs)
        q = p.tensor("queries", rows.count, heads, head_dim)
        attended = p.tensor("attended", rows.count, heads, head_dim)
        delta = p.tensor("delta", rows.count, config.hidden_size)
        inner = p.tensor("inner", rows.count, config.intermediate_size)

        x = self._norm(p, hidden, layer.input_layernorm, label + "input_layernorm")
        p.add(ops.Linear(label + "qkv_proj", layer.qkv_proj, x, rows, qkv))
        by_head = dataclasses.replace(qkv, shape=(rows.count, heads + 2 * kv_heads, head_dim))
        p.add(
            ops.WriteKv(
                label + "write_kv",
                by_head,
                layer.k_norm,
                inv_freq,
                cache,
                rows,
                first_key=heads,
                first_value=heads + kv_heads,
                eps=eps,
            )
        )
        p.add(ops.NormRope(label + "q_norm", by_head, layer.q_norm, inv_freq, rows, q, eps))
        scale = config.query_pre_attn_scalar**-0.5
        name = label + "attention"
        window = cache.window
        p.add(ops.Attention(name, q, cache, rows, attended, scale, window=window, reaches=True))
        flat = dataclasses.replace(attended, shape=(rows.count, heads * head_dim))
        p.add(ops.Linear(label + "o_proj", layer.o_proj, flat, rows, delta))
        name = label + "post_attention_layernorm"
        hidden = self._add(p, delta, layer.post_attention_layernorm, hidden, name)
        name = label + "pre_feedforward_layernorm"
        x = self._norm(p, hidden, layer.pre_feedforward_layernorm, name)
        p.add(ops.GatedLinear(label + "gate_up_proj", layer.gate_up_proj, x, rows, inner))
        p.add(ops.Linear(label + "down_proj", layer.down_proj, inner, rows, delta))
        name = label + "post_feedforward_layernorm"
        return self._add(p, delta, layer.post_feedforward_layernorm, hidden, name)


def _rope_table(is_sliding: bool) -> str:
    return "inv_freq." + ("sliding" if is_sliding else "full")
