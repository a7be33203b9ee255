"""A run of Gemma 4 layers, which the targets and their drafters are made of.

A layer, read from top to bottom of `_layer`:

    x  = input_layernorm(h)
    q  = rope(q_norm(q_proj(x)))
    k, v = rope(k_norm(k_proj(x))), norm(v_proj(x))       own keys and values; v_proj is k_proj
                                                          where the configuration says so
    h += post_attention_layernorm(o_proj(attention(q, k, v)))
    x  = mlp(pre_feedforward_layernorm(h))
    x  = post_feedforward_layernorm_1(x)                  with experts beside the MLP
       + post_feedforward_layernorm_2(experts(pre_feedforward_layernorm_2(h)))
    h += post_feedforward_layernorm(x)
    h += post_per_layer_input_norm(                       with per-layer inputs p
           per_layer_projection(gelu(per_layer_input_gate(h)) * p))
    h *= layer_scalar

Attention scores are not scaled. Norms multiply by their weight as it is. The last layers of some
models have no keys and values of their own and read those of an earlier layer of their type;
a drafter's layers all read those of its target.

Source: transformers, models/gemma4/modeling_gemma4.py.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from leadout import ops
from leadout.checkpoint import Checkpoint, TensorInfo
from leadout.checkpoint.load_plan import LoadPlanBuilder
from leadout.config import Gemma4LayerConfig, Gemma4TextConfig
from leadout.kv_cache import KvCache
from leadout.layouts import Vector
from leadout.models.base import Shapes, next_stream, single, stacked
from leadout.ops import ExpertLayer, LinearLayer, ProgramBuilder, Tensor
from leadout.plan import BufferSpec, align
from leadout.rows import Rows


@dataclass(frozen=True)
class PerLayerInput:
    """How a layer takes its per-layer input in."""

    gate: LinearLayer
    projection: LinearLayer
    post_norm: Vector


@dataclass(frozen=True)
class Mixture:
    """The experts beside a layer's MLP."""

    router_scale: Vector
    router_proj: LinearLayer
    per_expert_scale: Vector
    gate_up_proj: ExpertLayer
    down_proj: ExpertLayer
    pre_feedforward_layernorm_2: Vector
    post_feedforward_layernorm_1: Vector
    post_feedforward_layernorm_2: Vector


@dataclass(frozen=True)
class Layer:
    """The weights of one layer."""

    config: Gemma4LayerConfig
    input_layernorm: Vector
    qkv_proj: LinearLayer
    q_norm: Vector
    k_norm: Vector | None
    o_proj: LinearLayer
    post_attention_layernorm: Vector
    pre_feedforward_layernorm: Vector
    gate_up_proj: LinearLayer
    down_proj: LinearLayer
    post_feedforward_layernorm: Vector
    layer_scalar: Vector | None
    per_layer_input: PerLayerInput | None
    mixture: Mixture | None


@dataclass(frozen=True)
class CacheView:
    """How a layer sees the KV cache.

    Attributes:
        cache: its own, or another layer's.
        window: see `ops.Attention`.
        behind: see `ops.Attention`.
        reaches: see `ops.Attention`.
    """

    cache: KvCache
    window: int
    behind: int = 0
    reaches: bool = False


@dataclass(frozen=True)
class Stream:
    """What goes from layer to layer.

    Attributes:
        rows: of the pass.
        hidden: the residual stream, [rows, hidden_size] float32.
        per_layer: [rows, num_hidden_layers * hidden_size_per_layer_input] float32, or None.
    """

    rows: Rows
    hidden: Tensor
    per_layer: Tensor | None = None


def layer_shapes(config: Gemma4TextConfig, i: int, has_own_cache: bool) -> Shapes:
    """Return the tensors that a checkpoint must have for layer i, by Hugging Face name."""
    layer, hidden = config.layers[i], config.hidden_size
    queries = config.num_attention_heads * layer.head_dim
    keys = layer.num_key_value_heads * layer.head_dim
    mlp, name = layer.intermediate_size, f"model.layers.{i}."
    shapes: dict[str, tuple[int, ...]] = {
        name + "input_layernorm.weight": (hidden,),
        name + "self_attn.q_proj.weight": (queries, hidden),
        name + "self_attn.q_norm.weight": (layer.head_dim,),
        name + "self_attn.o_proj.weight": (hidden, queries),
        name + "post_attention_layernorm.weight": (hidden,),
        name + "pre_feedforward_layernorm.weight": (hidden,),
        name + "mlp.gate_proj.weight": (mlp, hidden),
        name + "mlp.up_proj.weight": (mlp, hidden),
        name + "mlp.down_proj.weight": (hidden, mlp),
        name + "post_feedforward_layernorm.weight": (hidden,),
    }
    if has_own_cache:
        shapes[name + "self_attn.k_proj.weight"] = (keys, hidden)
        shapes[name + "self_attn.k_norm.weight"] = (layer.head_dim,)
        if layer.has_v_proj:
            shapes[name + "self_attn.v_proj.weight"] = (keys, hidden)
    if size := config.hidden_size_per_layer_input:
        shapes[name + "per_layer_input_gate.weight"] = (size, hidden)
        shapes[name + "per_layer_projection.weight"] = (hidden, size)
        shapes[name + "post_per_layer_input_norm.weight"] = (hidden,)
    return shapes


def expert_shapes(config: Gemma4TextConfig, i: int, are_apart: bool) -> Shapes:
    """Return the tensors of layer i's experts; a GGUF may keep gate and up apart."""
    hidden, inner, experts = config.hidden_size, config.moe_intermediate_size, config.num_experts
    name = f"model.layers.{i}."
    shapes: dict[str, tuple[int, ...]] = {
        name + "router.proj.weight": (experts, hidden),
        name + "router.scale": (hidden,),
        name + "router.per_expert_scale": (experts,),
        name + "experts.down_proj": (experts, hidden, inner),
        name + "pre_feedforward_layernorm_2.weight": (hidden,),
        name + "post_feedforward_layernorm_1.weight": (hidden,),
        name + "post_feedforward_layernorm_2.weight": (hidden,),
    }
    if are_apart:
        shapes[name + "experts.gate_proj"] = (experts, inner, hidden)
        shapes[name + "experts.up_proj"] = (experts, inner, hidden)
    else:
        shapes[name + "experts.gate_up_proj"] = (experts, 2 * inner, hidden)
    return shapes


def inverse_frequencies(config: Gemma4TextConfig, is_sliding: bool, head_dim: int) -> list[float]:
    """Return the angle per position of each pair, head_dim / 2 values.

    Full-attention layers turn the first pairs only ("proportional" rope): the exponent counts in
    the whole head, and the rest has angle 0.
    """
    if is_sliding:
        base, num_turned = config.rope_local_base_freq, head_dim // 2
    else:
        base = config.rope_theta
        num_turned = int(config.partial_rotary_factor * head_dim // 2)
    turned = [base ** (-2 * i / head_dim) for i in range(num_turned)]
    return turned + [0.0] * (head_dim // 2 - num_turned)


class Gemma4Layers:
    """Layers placed on a device, and what runs them."""

    def __init__(
        self, config: Gemma4TextConfig, checkpoint: Checkpoint, load: LoadPlanBuilder
    ) -> None:
        """Place the layers' tensors, which were checked before.

        Args:
            config: of the layers.
            checkpoint: where the tensors are.
            load: gets them; its prefix also goes before the rope tables.
        """
        self.config = config
        self._load = load
        self._tensors = checkpoint.tensors
        self.layers = [self._place(i) for i in range(config.num_hidden_layers)]
        self.norm = self._vector("norm.weight")

    def constants(self) -> dict[str, bytes]:
        """Return the rope tables."""
        tables = {}
        for layer in self.config.layers:
            values = inverse_frequencies(self.config, layer.is_sliding, layer.head_dim)
            tables[self._rope(layer).buffer] = struct.pack(f"<{len(values)}f", *values)
        return tables

    def buffers(self) -> dict[str, BufferSpec]:
        """Return the rope tables' buffers."""
        return {name: BufferSpec(align(len(data), 4)) for name, data in self.constants().items()}

    def run(
        self, p: ProgramBuilder, stream: Stream, layers: range, views: Sequence[CacheView]
    ) -> Stream:
        """Append layers; return what the last one leaves.

        Args:
            p: gets the ops.
            stream: what the first layer begins with.
            layers: consecutive ones.
            views: one for every layer of the model.
        """
        for i in layers:
            stream = self._layer(p, i, stream, views[i])
        return stream

    def finish(self, p: ProgramBuilder, stream: Stream) -> Tensor:
        """Append the final norm; return its output, [rows, hidden_size] float32."""
        return self._norm(p, stream, self.norm, self._load.prefix)

    # ---- placing ------------------------------------------------------------------------------

    def _vector(self, name: str) -> Vector:
        return self._load.vector(name.removesuffix(".weight"), self._tensors["model." + name])

    def _place(self, i: int) -> Layer:
        load, layer, tensors = self._load, self.config.layers[i], self._tensors
        name = f"layers.{i}."

        def vector(part: str) -> Vector:
            return self._vector(name + part)

        def linear(part: str) -> LinearLayer:
            return single(load, name + part, tensors[f"model.{name}{part}.weight"])

        def stack(whole: str, *parts: str) -> LinearLayer:
            pairs = [(part, tensors[f"model.{name}{part}.weight"]) for part in parts]
            return stacked(load, name + whole, pairs)

        projections = ["self_attn.q_proj"]
        if layer.kv_layer == i:
            projections += ["self_attn.k_proj", *["self_attn.v_proj"] * layer.has_v_proj]
        scalar = "layer_scalar"  # files made before it was known have none
        per_layer_input = mixture = None
        if self.config.hidden_size_per_layer_input:
            per_layer_input = PerLayerInput(
                linear("per_layer_input_gate"),
                linear("per_layer_projection"),
                vector("post_per_layer_input_norm.weight"),
            )
        if self.config.enable_moe_block:
            mixture = self._mixture(name)
        return Layer(
            config=layer,
            input_layernorm=vector("input_layernorm.weight"),
            qkv_proj=stack("self_attn.qkv", *projections),
            q_norm=vector("self_attn.q_norm.weight"),
            k_norm=vector("self_attn.k_norm.weight") if layer.kv_layer == i else None,
            o_proj=linear("self_attn.o_proj"),
            post_attention_layernorm=vector("post_attention_layernorm.weight"),
            pre_feedforward_layernorm=vector("pre_feedforward_layernorm.weight"),
            gate_up_proj=stack("mlp.gate_up", "mlp.gate_proj", "mlp.up_proj"),
            down_proj=linear("mlp.down_proj"),
            post_feedforward_layernorm=vector("post_feedforward_layernorm.weight"),
            layer_scalar=vector(scalar) if f"model.{name}{scalar}" in tensors else None,
            per_layer_input=per_layer_input,
            mixture=mixture,
        )

    def _mixture(self, name: str) -> Mixture:
        tensors, num_experts = self._tensors, self.config.num_experts
        gate_up = ["experts.gate_up_proj"]
        if f"model.{name}{gate_up[0]}" not in tensors:
            gate_up = ["experts.gate_proj", "experts.up_proj"]

        def experts(parts: list[str]) -> ExpertLayer:
            placed, num_outputs = [], 0
            for part in parts:
                tensor = tensors[f"model.{name}{part}"]
                placed.append(
                    (
                        self._load.matrix(
                            name + part, [_flat(tensor)], rows_together=tensor.shape[1]
                        ),
                        num_outputs,
                    )
                )
                num_outputs += tensor.shape[1]
            return ExpertLayer(placed, num_outputs, num_experts)

        return Mixture(
            router_scale=self._vector(name + "router.scale"),
            router_proj=single(
                self._load, name + "router.proj", tensors[f"model.{name}router.proj.weight"]
            ),
            per_expert_scale=self._vector(name + "router.per_expert_scale"),
            gate_up_proj=experts(gate_up),
            down_proj=experts(["experts.down_proj"]),
            pre_feedforward_layernorm_2=self._vector(name + "pre_feedforward_layernorm_2.weight"),
            post_feedforward_layernorm_1=self._vector(name + "post_feedforward_layernorm_1.weight"),
            post_feedforward_layernorm_2=self._vector(name + "post_feedforward_layernorm_2.weight"),
        )

    def _rope(self, layer: Gemma4LayerConfig) -> Tensor:
        kind = "sliding" if layer.is_sliding else "full"
        return Tensor(f"{self._load.prefix}inv_freq.{kind}", (layer.head_dim // 2,))

    # ---- running ------------------------------------------------------------------------------

    def _layer(self, p: ProgramBuilder, i: int, stream: Stream, view: CacheView) -> Stream:
        layer, rows = self.layers[i], stream.rows
        label = f"{self._load.prefix}layers.{i}."
        attended = self._attention(p, layer, stream, view, label)
        stream = self._add(p, attended, layer.post_attention_layernorm, stream, label)
        x = self._norm(p, stream, layer.pre_feedforward_layernorm, label)
        inner = p.tensor("inner", rows.count, layer.config.intermediate_size)
        delta = p.tensor("delta", rows.count, self.config.hidden_size)
        p.add(ops.GatedLinear(label + "mlp.gate_up", layer.gate_up_proj, x, rows, inner))
        p.add(ops.Linear(label + "mlp.down_proj", layer.down_proj, inner, rows, delta))
        if layer.mixture is not None:
            delta = self._experts(p, layer.mixture, stream, delta, label)
        scalar = layer.layer_scalar
        if layer.per_layer_input is None:
            return self._add(p, delta, layer.post_feedforward_layernorm, stream, label, scalar)
        stream = self._add(p, delta, layer.post_feedforward_layernorm, stream, label)
        delta = self._per_layer_input(p, i, layer.per_layer_input, stream)
        return self._add(p, delta, layer.per_layer_input.post_norm, stream, label, scalar)

    def _norm(self, p: ProgramBuilder, stream: Stream, weight: Vector, label: str) -> Tensor:
        """Norm the stream for what comes next."""
        y = p.tensor("normed", *stream.hidden.shape)
        label += weight.name.rpartition(".")[2]
        p.add(ops.RmsNorm(label, stream.hidden, weight, y, self.config.rms_norm_eps))
        return y

    def _add(
        self,
        p: ProgramBuilder,
        delta: Tensor,
        weight: Vector,
        stream: Stream,
        label: str,
        scalar: Vector | None = None,
    ) -> Stream:
        """Norm what half a layer brought, and add it to the stream."""
        hidden, eps = stream.hidden, self.config.rms_norm_eps
        label += weight.name.rpartition(".")[2]
        h_out = next_stream(p, hidden)
        p.add(ops.AddNorm(label, delta, weight, hidden, h_out, eps, scalar))
        return dataclasses.replace(stream, hidden=h_out)

    def _attention(
        self, p: ProgramBuilder, layer: Layer, stream: Stream, view: CacheView, label: str
    ) -> Tensor:
        """Append a layer's attention; return what it brings."""
        config, rows, heads = self.config, stream.rows, self.config.num_attention_heads
        head_dim, eps = layer.config.head_dim, config.rms_norm_eps
        cache, inv_freq = view.cache, self._rope(layer.config)
        x = self._norm(p, stream, layer.input_layernorm, label)
        label += "self_attn."
        num_outputs = layer.qkv_proj.num_outputs
        qkv = p.tensor("qkv", rows.count, num_outputs)
        p.add(ops.Linear(label + "qkv", layer.qkv_proj, x, rows, qkv))
        qkv = dataclasses.replace(qkv, shape=(rows.count, num_outputs // head_dim, head_dim))
        if layer.k_norm is not None:
            first_value = heads + (cache.num_key_value_heads if layer.config.has_v_proj else 0)
            p.add(
                ops.WriteKv(
                    label + "write_kv",
                    qkv,
                    layer.k_norm,
                    inv_freq,
                    cache,
                    rows,
                    first_key=heads,
                    first_value=first_value,
                    eps=eps,
                    norm_values=True,
                )
            )
        q = p.tensor("queries", rows.count, heads, head_dim)
        attended = p.tensor("attended", rows.count, heads, head_dim)
        delta = p.tensor("delta", rows.count, config.hidden_size)
        p.add(ops.NormRope(label + "q_norm", qkv, layer.q_norm, inv_freq, rows, q, eps))
        p.add(
            ops.Attention(
                label + "attention",
                q,
                cache,
                rows,
                attended,
                1.0,
                view.behind,
                view.window,
                view.reaches,
            )
        )
        flat = dataclasses.replace(attended, shape=(rows.count, heads * head_dim))
        p.add(ops.Linear(label + "o_proj", layer.o_proj, flat, rows, delta))
        return delta

    def _experts(
        self, p: ProgramBuilder, mixture: Mixture, stream: Stream, mlp: Tensor, label: str
    ) -> Tensor:
        """Append the experts; return the sum of theirs and the MLP's normed outputs."""
        config, rows, eps = self.config, stream.rows, self.config.rms_norm_eps
        count, top_k, hidden = rows.count, config.top_k_experts, config.hidden_size
        routed = p.tensor("routed", count, hidden)
        scores = p.tensor("router_scores", count, config.num_experts)
        chosen = p.tensor("chosen_experts", count, top_k, dtype="u32")
        weights = p.tensor("expert_weights", count, top_k)
        inner = p.tensor("expert_inner", count, top_k, config.moe_intermediate_size)
        outputs = p.tensor("expert_outputs", count, top_k, hidden)
        mixed = p.tensor("mixed", count, hidden)
        both = p.tensor("mlp_and_experts", count, hidden)

        # The router reads the residual stream itself, under a norm of its own.
        p.add(
            ops.RmsNorm(
                label + "router.scale",
                stream.hidden,
                mixture.router_scale,
                routed,
                eps,
                hidden**-0.5,
            )
        )
        p.add(ops.Linear(label + "router.proj", mixture.router_proj, routed, rows, scores))
        p.add(ops.Route(label + "route", scores, mixture.per_expert_scale, chosen, weights))
        x = self._norm(p, stream, mixture.pre_feedforward_layernorm_2, label)
        p.add(
            ops.ExpertGatedLinear(
                label + "experts.gate_up", mixture.gate_up_proj, x, chosen, rows, inner
            )
        )
        p.add(
            ops.ExpertLinear(
                label + "experts.down", mixture.down_proj, inner, chosen, rows, outputs
            )
        )
        p.add(ops.MixExperts(label + "experts.mix", outputs, weights, mixed))
        p.add(
            ops.RmsNormSum(
                label + "experts.sum",
                mlp,
                mixture.post_feedforward_layernorm_1,
                mixed,
                mixture.post_feedforward_layernorm_2,
                both,
                eps,
            )
        )
        return both

    def _per_layer_input(
        self, p: ProgramBuilder, i: int, layer: PerLayerInput, stream: Stream
    ) -> Tensor:
        """Append how a layer takes its per-layer input in; return what that brings."""
        size, rows = self.config.hidden_size_per_layer_input, stream.rows
        label = f"layers.{i}.per_layer_input."
        assert stream.per_layer is not None
        gate = p.tensor("per_layer_gate", rows.count, size)
        gated = p.tensor("per_layer_gated", rows.count, size)
        delta = p.tensor("delta", rows.count, self.config.hidden_size)
        p.add(ops.Linear(label + "gate", layer.gate, stream.hidden, rows, gate))
        p.add(ops.GeluTimes(label + "gelu", gate, stream.per_layer, gated, size * i))
        p.add(ops.Linear(label + "projection", layer.projection, gated, rows, delta))
        return delta


def _flat(tensor: TensorInfo) -> TensorInfo:
    """Return [experts, outputs, inputs] as a matrix of all experts' outputs."""
    experts, outputs, inputs = tensor.shape
    return dataclasses.replace(tensor, shape=(experts * outputs, inputs))
