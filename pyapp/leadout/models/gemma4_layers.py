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
from leadout.models.base import Shapes, single, stacked
from leadout.ops import Experts, Linear
from leadout.plan import Binding, BufferSpec, PlanBuilder, align
from leadout.rows import Rows


@dataclass(frozen=True)
class PerLayerInput:
    """How a layer takes its per-layer input in."""

    gate: Linear
    projection: Linear
    post_norm: Vector


@dataclass(frozen=True)
class Mixture:
    """The experts beside a layer's MLP."""

    router_scale: Vector
    router_proj: Linear
    per_expert_scale: Vector
    gate_up_proj: Experts
    down_proj: Experts
    pre_feedforward_layernorm_2: Vector
    post_feedforward_layernorm_1: Vector
    post_feedforward_layernorm_2: Vector


@dataclass(frozen=True)
class Layer:
    """The weights of one layer."""

    config: Gemma4LayerConfig
    input_layernorm: Vector
    qkv_proj: Linear
    q_norm: Vector
    k_norm: Vector | None
    o_proj: Linear
    post_attention_layernorm: Vector
    pre_feedforward_layernorm: Vector
    gate_up_proj: Linear
    down_proj: Linear
    post_feedforward_layernorm: Vector
    layer_scalar: Vector | None
    per_layer_input: PerLayerInput | None
    mixture: Mixture | None


@dataclass(frozen=True)
class Reading:
    """How a layer sees the KV cache.

    Attributes:
        cache: its own, or another layer's.
        behind: see `ops.attention`.
        window: see `ops.attention`.
    """

    cache: KvCache
    behind: int = 0
    window: int | None = None


@dataclass(frozen=True)
class Stream:
    """What goes from layer to layer.

    Attributes:
        rows: of the pass.
        hidden: the residual stream, [rows, hidden_size] float32.
        normed: the next layer's input, or the final norm's output, likewise.
        per_layer: [rows, num_hidden_layers, hidden_size_per_layer_input] float32, or None.
    """

    rows: Rows
    hidden: Binding
    normed: Binding
    per_layer: Binding | None = None


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

    def begin(self, b: PlanBuilder, stream: Stream) -> None:
        """Norm the hidden state for the first layer."""
        first, eps = self.layers[0].input_layernorm, self.config.rms_norm_eps
        ops.rms_norm(b, stream.hidden, first, stream.normed, stream.rows.count, eps, first.name)

    def run(
        self, b: PlanBuilder, stream: Stream, layers: range, readings: Sequence[Reading]
    ) -> None:
        """Append layers; behind the last of all, `stream.normed` holds the final norm's output.

        Args:
            b: gets the dispatches.
            stream: `normed` holds the first layer's input.
            layers: consecutive ones.
            readings: one for every layer of the model.
        """
        for i in layers:
            is_last = i + 1 == len(self.layers)
            following = self.norm if is_last else self.layers[i + 1].input_layernorm
            self._layer(b, i, following, stream, readings[i])

    # ---- placing ------------------------------------------------------------------------------

    def _vector(self, name: str) -> Vector:
        return self._load.vector(name.removesuffix(".weight"), self._tensors["model." + name])

    def _place(self, i: int) -> Layer:
        load, layer, tensors = self._load, self.config.layers[i], self._tensors
        name = f"layers.{i}."

        def vector(part: str) -> Vector:
            return self._vector(name + part)

        def linear(part: str) -> Linear:
            return single(load, name + part, tensors[f"model.{name}{part}.weight"])

        def stack(whole: str, *parts: str) -> Linear:
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

        def experts(parts: list[str]) -> Experts:
            placed, num_outputs = [], 0
            for part in parts:
                tensor = tensors[f"model.{name}{part}"]
                outputs = tensor.shape[1]
                matrix = self._load.matrix(name + part, [_flat(tensor)], rows_together=outputs)
                placed.append((matrix, num_outputs))
                num_outputs += outputs
            return Experts(placed, num_outputs, num_experts)

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

    def _rope(self, layer: Gemma4LayerConfig) -> Binding:
        kind = "sliding" if layer.is_sliding else "full"
        return Binding(f"{self._load.prefix}inv_freq.{kind}", 0, 2 * layer.head_dim)

    # ---- running ------------------------------------------------------------------------------

    def _layer(
        self, b: PlanBuilder, i: int, following: Vector, stream: Stream, reading: Reading
    ) -> None:
        layer, eps, rows = self.layers[i], self.config.rms_norm_eps, stream.rows
        label = f"{self._load.prefix}layers.{i}."
        delta = ops.activations(b, "delta", rows.count, self.config.hidden_size)
        inner = ops.activations(b, "inner", rows.count, layer.config.intermediate_size)
        self._attention(b, layer, stream, reading, delta, label + "self_attn.")
        ops.add_rms_norm(
            b, delta, layer.post_attention_layernorm, layer.pre_feedforward_layernorm,
            stream.hidden, stream.normed, rows.count, eps, label + "post_attention_layernorm",
        )  # fmt: skip
        ops.gated_linear(b, layer.gate_up_proj, stream.normed, inner, rows, label + "mlp.gate_up")
        ops.linear(b, layer.down_proj, inner, delta, rows, label + "mlp.down_proj")
        if layer.mixture is not None:
            delta = self._experts(b, layer.mixture, stream, delta, label)
        label += "post_feedforward_layernorm"
        if layer.per_layer_input is None:
            ops.add_rms_norm(
                b, delta, layer.post_feedforward_layernorm, following, stream.hidden,
                stream.normed, rows.count, eps, label, layer.layer_scalar,
            )  # fmt: skip
            return
        ops.add_rms_norm(
            b, delta, layer.post_feedforward_layernorm, None, stream.hidden, stream.normed,
            rows.count, eps, label,
        )  # fmt: skip
        self._per_layer_input(b, i, layer.per_layer_input, following, stream, delta)

    def _attention(
        self,
        b: PlanBuilder,
        layer: Layer,
        stream: Stream,
        reading: Reading,
        delta: Binding,
        label: str,
    ) -> None:
        config, rows, heads = self.config, stream.rows, self.config.num_attention_heads
        head_dim = layer.config.head_dim
        qkv = ops.activations(b, "qkv", rows.count, layer.qkv_proj.num_outputs)
        queries = ops.activations(b, "queries", rows.count, heads * head_dim)
        attended = ops.activations(b, "attended", rows.count, heads * head_dim)
        ops.linear(b, layer.qkv_proj, stream.normed, qkv, rows, label + "qkv")
        if layer.k_norm is None:
            ops.q_norm_rope(
                b, qkv, layer.q_norm, self._rope(layer.config), queries, heads, rows,
                config.rms_norm_eps, label + "q_norm_rope",
            )  # fmt: skip
        else:
            ops.qk_norm_rope(
                b, qkv, layer.q_norm, layer.k_norm, self._rope(layer.config), queries,
                reading.cache, heads, rows, config.rms_norm_eps, label + "qk_norm_rope",
                has_values=layer.config.has_v_proj, norm_values=True,
            )  # fmt: skip
        ops.attention(
            b, queries, reading.cache, attended, heads, 1.0, rows, label + "attention",
            behind=reading.behind, window=reading.window,
        )  # fmt: skip
        ops.linear(b, layer.o_proj, attended, delta, rows, label + "o_proj")

    def _experts(
        self, b: PlanBuilder, mixture: Mixture, stream: Stream, mlp: Binding, label: str
    ) -> Binding:
        """Append the experts; return the sum of theirs and the MLP's normed outputs."""
        config, eps = self.config, self.config.rms_norm_eps
        rows, top_k, hidden = stream.rows, config.top_k_experts, config.hidden_size
        inner, count = config.moe_intermediate_size, stream.rows.count
        normed = ops.activations(b, "routed", count, hidden)
        scores = ops.activations(b, "router_scores", count, config.num_experts)
        weights = ops.activations(b, "expert_weights", count, top_k)
        expert_inner = ops.activations(b, "expert_inner", count * top_k, inner)
        outputs = ops.activations(b, "expert_outputs", count * top_k, hidden)
        both = ops.activations(b, "mlp_and_experts", count, hidden)

        # Router and experts read the residual stream itself, under norms of their own.
        ops.router_scores(
            b, stream.hidden, mixture.router_proj, mixture.router_scale,
            mixture.pre_feedforward_layernorm_2, scores, normed, rows, eps, label + "router",
        )  # fmt: skip
        routed = ops.route(
            b, scores, mixture.per_expert_scale, weights, rows, top_k, label + "route"
        )
        ops.gated_experts(
            b, mixture.gate_up_proj, normed, routed, expert_inner, label + "experts.gate_up"
        )
        ops.expert_linear(
            b, mixture.down_proj, expert_inner, routed, outputs, label + "experts.down",
            shared_input=False,
        )  # fmt: skip
        ops.mix_norm_sum(
            b, mlp, mixture.post_feedforward_layernorm_1, outputs, weights,
            mixture.post_feedforward_layernorm_2, both, routed, eps, label + "experts.sum",
        )  # fmt: skip
        return both

    def _per_layer_input(
        self,
        b: PlanBuilder,
        i: int,
        layer: PerLayerInput,
        following: Vector,
        stream: Stream,
        delta: Binding,
    ) -> None:
        size, rows = self.config.hidden_size_per_layer_input, stream.rows
        label = f"layers.{i}.per_layer_input."
        assert stream.per_layer is not None
        gate = ops.activations(b, "per_layer_gate", rows.count, size)
        gated = ops.activations(b, "per_layer_gated", rows.count, size)
        ops.linear(b, layer.gate, stream.hidden, gate, rows, label + "gate")
        ops.gelu_times(
            b, gate, stream.per_layer, gated, rows.count, size,
            size * self.config.num_hidden_layers, size * i, label + "gelu",
        )  # fmt: skip
        ops.linear(b, layer.projection, gated, delta, rows, label + "projection")
        ops.add_rms_norm(
            b, delta, layer.post_norm, following, stream.hidden, stream.normed, rows.count,
            self.config.rms_norm_eps, label + "post_norm", self.layers[i].layer_scalar,
        )  # fmt: skip


def _flat(tensor: TensorInfo) -> TensorInfo:
    """Return [experts, outputs, inputs] as a matrix of all experts' outputs."""
    experts, outputs, inputs = tensor.shape
    return dataclasses.replace(tensor, shape=(experts * outputs, inputs))
