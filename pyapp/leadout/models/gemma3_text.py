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

import math
import struct
from dataclasses import dataclass

from leadout import ops
from leadout.checkpoint import Checkpoint, check_tensors
from leadout.checkpoint.load_plan import LoadPlanBuilder
from leadout.config import Gemma3TextConfig
from leadout.kv_cache import KvCache, capacity_for
from leadout.layouts import Matrix, Vector
from leadout.models.base import Shapes, single, stacked
from leadout.ops import Linear
from leadout.plan import Binding, BufferSpec, PlanBuilder, align
from leadout.rows import Rows


@dataclass(frozen=True)
class Layer:
    """The weights of one layer and its KV cache."""

    is_sliding: bool
    input_layernorm: Vector
    qkv_proj: Linear
    q_norm: Vector
    k_norm: Vector
    o_proj: Linear
    post_attention_layernorm: Vector
    pre_feedforward_layernorm: Vector
    gate_up_proj: Linear
    down_proj: Linear
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
        self.vocab_size = config.vocab_size
        self.hidden_size = config.hidden_size
        norm_add = 0.0 if checkpoint.norms_are_folded else 1.0
        tensors = checkpoint.tensors

        def vector(name: str) -> Vector:
            return load.vector(name, tensors[f"model.{name}.weight"], add=norm_add)

        def linear(name: str) -> Linear:
            return single(load, name, tensors[f"model.{name}.weight"])

        def stack(name: str, *parts: str) -> Linear:
            return stacked(load, name, [(p, tensors[f"model.{p}.weight"]) for p in parts])

        self.embed_tokens: Matrix = load.matrix(
            "embed_tokens", [tensors["model.embed_tokens.weight"]]
        )
        self.lm_head = (
            Linear([(self.embed_tokens, 0)], config.vocab_size)
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

    def embed(self, b: PlanBuilder, rows: Rows, y: Binding, stride: int | None = None) -> None:
        """Write the rows' scaled embeddings; see `Model.embed`."""
        scale = math.sqrt(self.hidden_size)
        ops.embed(b, self.embed_tokens, y, rows, scale, "embed_tokens", stride)

    def forward(self, b: PlanBuilder, rows: Rows, last: Rows | None = None) -> Binding:
        """Run all layers over the rows; see `Model.forward`. The last layer writes keys, too."""
        config = self.config
        hidden = ops.activations(b, "hidden", rows.count, config.hidden_size)
        normed = ops.activations(b, "normed", rows.count, config.hidden_size)
        self.embed(b, rows, hidden)
        first = self.layers[0].input_layernorm
        ops.rms_norm(b, hidden, first, normed, rows.count, config.rms_norm_eps, first.name)
        followers = [layer.input_layernorm for layer in self.layers[1:]] + [self.norm]
        for i, (layer, following) in enumerate(zip(self.layers, followers, strict=True)):
            self._layer(b, i, layer, following, hidden, normed, rows)
        if last is None:
            return normed
        last_normed = ops.activations(b, "last_normed", 1, config.hidden_size)
        ops.take_last_row(b, normed, config.hidden_size, last_normed, "last_normed")
        return last_normed

    def fill_cache(self, b: PlanBuilder, rows: Rows) -> None:
        """Run all layers; see `Model.fill_cache`."""
        self.forward(b, rows)

    def _layer(
        self,
        b: PlanBuilder,
        i: int,
        layer: Layer,
        following: Vector,
        hidden: Binding,
        normed: Binding,
        rows: Rows,
    ) -> None:
        """Append one layer: `normed` holds its input, and then the next one's."""
        config, eps = self.config, self.config.rms_norm_eps
        heads, head_dim = config.num_attention_heads, config.head_dim
        label = f"layers.{i}."
        qkv = ops.activations(b, "qkv", rows.count, layer.qkv_proj.num_outputs)
        queries = ops.activations(b, "queries", rows.count, heads * head_dim)
        attended = ops.activations(b, "attended", rows.count, heads * head_dim)
        delta = ops.activations(b, "delta", rows.count, config.hidden_size)
        inner = ops.activations(b, "inner", rows.count, config.intermediate_size)
        inv_freq = Binding(_rope_table(layer.is_sliding), 0, 2 * head_dim)

        ops.linear(b, layer.qkv_proj, normed, qkv, rows, label + "qkv_proj")
        ops.qk_norm_rope(
            b, qkv, layer.q_norm, layer.k_norm, inv_freq, queries, layer.cache, heads, rows, eps,
            label + "qk_norm_rope",
        )  # fmt: skip
        attention_scale = config.query_pre_attn_scalar**-0.5
        ops.attention(
            b, queries, layer.cache, attended, heads, attention_scale, rows,
            label + "attention",
        )  # fmt: skip
        ops.linear(b, layer.o_proj, attended, delta, rows, label + "o_proj")
        ops.add_rms_norm(
            b, delta, layer.post_attention_layernorm, layer.pre_feedforward_layernorm,
            hidden, normed, rows.count, eps, label + "post_attention_layernorm",
        )  # fmt: skip
        ops.gated_linear(b, layer.gate_up_proj, normed, inner, rows, label + "gate_up_proj")
        ops.linear(b, layer.down_proj, inner, delta, rows, label + "down_proj")
        ops.add_rms_norm(
            b, delta, layer.post_feedforward_layernorm, following,
            hidden, normed, rows.count, eps, label + "post_feedforward_layernorm",
        )  # fmt: skip

    def head(self, b: PlanBuilder, hidden: Binding, rows: Rows, logits: Binding) -> None:
        """Compute the logits, [rows, vocab_size] float32; see `Model.head`."""
        ops.linear(b, self.lm_head, hidden, logits, rows, "lm_head")


def _rope_table(is_sliding: bool) -> str:
    return "inv_freq." + ("sliding" if is_sliding else "full")
