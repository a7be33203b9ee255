"""Gemma 4's configuration (`gemma4_text`); that of its drafters is in gemma4_assistant.py.

Layers differ: full ones have larger heads and may have fewer of them for keys and values, the last
`num_kv_shared_layers` read the KV cache of an earlier layer of their type, and may have an MLP of
twice the width. Both forms in which config.json says so, `global_head_dim` beside `head_dim` and
the newer `per_layer_config`, are resolved here into one `Gemma4LayerConfig` per layer.

The unified models' configurations (`gemma4_unified_text`) have the same fields, but for what the
12B does without.

Source: transformers, models/gemma4/configuration_gemma4.py and modeling_gemma4.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from leadout.config.checks import (
    BLOCK,
    MAX_EXPERTS,
    MAX_HEAD_DIM,
    MAX_HIDDEN_SIZE,
    MAX_LAYERS,
    MAX_TOP_K_EXPERTS,
    MAX_VOCAB_SIZE,
    check_at_most,
    check_heads,
    check_multiples,
    check_token_ids,
    full_every,
    listed_layer_types,
    refuse_unless,
    rope_parameters,
)
from leadout.config.fields import Fields
from leadout.config.model_types import FULL, SLIDING, text_config_of
from leadout.errors import CheckpointError, UnsupportedModelError
from leadout.shown import shown

#: `kv_layer` of a drafter's layers: the cache is the target's.
TARGETS_CACHE = -1

#: What `per_layer_config` may override.
_PER_LAYER = ("head_dim", "num_key_value_heads", "intermediate_size")

_DEFAULT_ROPE: dict[str, dict[str, object]] = {
    FULL: {"rope_type": "proportional", "partial_rotary_factor": 0.25, "rope_theta": 1_000_000.0},
    SLIDING: {"rope_type": "default", "rope_theta": 10_000.0},
}


@dataclass(frozen=True)
class Gemma4LayerConfig:
    """What may differ between layers.

    Attributes:
        layer_type: "sliding_attention" or "full_attention".
        head_dim: columns of a head.
        num_key_value_heads: heads of keys and of values.
        intermediate_size: of the dense MLP, doubled already where it is double-wide.
        kv_layer: the layer whose KV cache this one reads: its own index where it writes one, else
            the last one of its type that does; `TARGETS_CACHE` in a drafter.
        has_v_proj: False where the keys' projection is the values' too. A layer without a KV cache
            of its own has neither projection, whatever this says.
    """

    layer_type: str
    head_dim: int
    num_key_value_heads: int
    intermediate_size: int
    kv_layer: int
    has_v_proj: bool

    @property
    def is_sliding(self) -> bool:
        """Whether a query sees `sliding_window` positions only."""
        return self.layer_type == SLIDING


@dataclass(frozen=True)
class Gemma4TextConfig:
    """`gemma4_text`, `gemma4_unified_text`: fields as in config.json, defaults of transformers.

    `rope_theta` and `partial_rotary_factor` are the full layers' (only that part of a head's
    columns turns, the frequencies being those of a whole head), `rope_local_base_freq` is the
    sliding layers', whose heads turn whole. A query of a sliding layer sees `sliding_window`
    positions, its own among them. `hidden_size_per_layer_input` is 0 where there are no per-layer
    inputs; the three fields of the experts are 0 without `enable_moe_block`. `eos_token_id` is
    always a tuple.
    """

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    max_position_embeddings: int
    rms_norm_eps: float
    sliding_window: int
    layers: tuple[Gemma4LayerConfig, ...]
    num_kv_shared_layers: int
    rope_theta: float
    rope_local_base_freq: float
    partial_rotary_factor: float
    final_logit_softcapping: float | None
    hidden_size_per_layer_input: int
    vocab_size_per_layer_input: int
    enable_moe_block: bool
    num_experts: int
    top_k_experts: int
    moe_intermediate_size: int
    tie_word_embeddings: bool
    eos_token_id: tuple[int, ...]
    bos_token_id: int | None

    model_type: ClassVar[str] = "gemma4_text"

    @classmethod
    def from_json(cls, config: Mapping[str, object]) -> Gemma4TextConfig:
        """Check and read the fields of config.json.

        Args:
            config: of a text model, or of a multimodal one with its `text_config` inside.

        Raises:
            CheckpointError: a field has another type, is out of range or contradicts another.
            UnsupportedModelError: a feature that Leadout does not run.
        """
        fields = Fields(text_config_of(config), {})
        return read_text(fields, count(fields, "num_kv_shared_layers"))


# ---- reading ------------------------------------------------------------------------------


def read_text(fields: Fields, num_shared: int, is_drafter: bool = False) -> Gemma4TextConfig:
    """Read the fields of a target, or those that a drafter has in common with one.

    Args:
        fields: of the flat configuration.
        num_shared: layers, the last ones, that write no KV cache.
        is_drafter: they read the target's.

    Raises:
        CheckpointError: a field has another type, is out of range or contradicts another.
        UnsupportedModelError: a feature that Leadout does not run.
    """
    refuse_unless(
        fields,
        "Gemma 4",
        (("hidden_activation", "gelu_pytorch_tanh"), ("attention_bias", False)),
    )
    # "vision" is about images: their tokens see one another. Text stays causal.
    if fields.get("use_bidirectional_attention") not in (None, "vision"):
        raise UnsupportedModelError(
            f"use_bidirectional_attention is {shown(fields.get('use_bidirectional_attention'))}, "
            "Leadout runs Gemma 4 with None or 'vision' alone: models that generate text",
            field="use_bidirectional_attention",
        )
    num_layers = fields.integer("num_hidden_layers", 1, MAX_LAYERS)
    theta, local_base, partial_rotary_factor = _rope(fields)
    has_experts = flag(fields, "enable_moe_block")
    result = Gemma4TextConfig(
        vocab_size=fields.integer("vocab_size", 1),
        hidden_size=fields.integer("hidden_size", 1),
        num_hidden_layers=num_layers,
        num_attention_heads=fields.integer("num_attention_heads", 1),
        max_position_embeddings=fields.integer("max_position_embeddings", 1),
        rms_norm_eps=fields.positive("rms_norm_eps"),
        sliding_window=fields.integer("sliding_window", 1),
        layers=_layers(fields, num_layers, num_shared, is_drafter),
        num_kv_shared_layers=num_shared,
        rope_theta=theta,
        rope_local_base_freq=local_base,
        partial_rotary_factor=partial_rotary_factor,
        final_logit_softcapping=None
        if fields.get("final_logit_softcapping") is None
        else fields.positive("final_logit_softcapping"),
        hidden_size_per_layer_input=count(fields, "hidden_size_per_layer_input"),
        vocab_size_per_layer_input=count(fields, "vocab_size_per_layer_input"),
        enable_moe_block=has_experts,
        num_experts=fields.integer("num_experts", 1) if has_experts else 0,
        top_k_experts=fields.integer("top_k_experts", 1) if has_experts else 0,
        moe_intermediate_size=fields.integer("moe_intermediate_size", 1) if has_experts else 0,
        tie_word_embeddings=fields.boolean("tie_word_embeddings"),
        eos_token_id=fields.token_ids("eos_token_id"),
        bos_token_id=fields.token_id("bos_token_id"),
    )
    _check_consistency(result)
    return result


def count(fields: Fields, name: str) -> int:
    """Return how many there are of what a model may do without; null is none."""
    return 0 if fields.get(name) is None else fields.integer(name, 0)


def flag(fields: Fields, name: str) -> bool:
    """Return whether a model has what it may do without; null is no."""
    return fields.get(name) is not None and fields.boolean(name)


def _rope(fields: Fields) -> tuple[float, float, float]:
    """Return rope_theta, rope_local_base_freq and partial_rotary_factor."""
    parameters = rope_parameters(fields)
    full, sliding = _rope_of(parameters, FULL), _rope_of(parameters, SLIDING)
    for entry, known in ((full, ("default", "proportional")), (sliding, ("default",))):
        if entry.get("rope_type") not in known:
            raise UnsupportedModelError(
                f"{entry.prefix}rope_type is {shown(entry.get('rope_type'))}, Leadout runs "
                f"{' and '.join(map(repr, known))} there",
                field=f"{entry.prefix}rope_type",
            )
    partial_rotary_factor = 1.0  # "default" turns whole heads, whatever the factor says
    if full.get("rope_type") == "proportional":
        partial_rotary_factor = full.positive("partial_rotary_factor")
        if partial_rotary_factor > 1:
            raise full.wrong("partial_rotary_factor", partial_rotary_factor, "at most 1")
        refuse_unless(Fields({"factor": full.get("factor")}, {}), "Gemma 4's rope", [("factor", 1)])
    return full.positive("rope_theta"), sliding.positive("rope_theta"), partial_rotary_factor


def _rope_of(parameters: Fields, layer_type: str) -> Fields:
    entry = parameters.object_or_none(layer_type) or _DEFAULT_ROPE[layer_type]
    rope_type = entry.get("type", "default")
    defaults = {"rope_type": rope_type, "factor": 1, "partial_rotary_factor": 1.0}
    return Fields(entry, defaults, f"{parameters.prefix}{layer_type}.")


def _layers(
    fields: Fields, num_layers: int, num_shared: int, is_drafter: bool
) -> tuple[Gemma4LayerConfig, ...]:
    if num_shared > num_layers:
        raise fields.wrong("num_kv_shared_layers", num_shared, f"at most {num_layers} layers")
    listed = listed_layer_types(fields, num_layers) or full_every(num_layers, 6)
    # transformers makes the last layer a full one, whatever is listed.
    layer_types = (*listed[:-1], FULL)
    everywhere = {name: fields.integer(name, 1) for name in _PER_LAYER}
    overrides = _overrides(fields, layer_types)
    keys_are_values = flag(fields, "attention_k_eq_v")
    is_double_wide = flag(fields, "use_double_wide_mlp")
    first_shared = num_layers - num_shared
    producers: dict[str, int] = {}
    layers = []
    for i, layer_type in enumerate(layer_types):
        size = Fields(everywhere | overrides.get(i, {}), {}, f"per_layer_config.{i}.")
        is_shared = i >= first_shared
        if not is_shared:
            producers[layer_type] = i
        elif not is_drafter and layer_type not in producers:
            raise CheckpointError(
                f"num_kv_shared_layers is {num_shared}: layer {i}, {layer_type}, reads the KV "
                f"cache of an earlier layer of its type, but none of the first {first_shared} "
                "layers is one; download config.json again",
                field="num_kv_shared_layers",
            )
        width = 2 if is_double_wide and is_shared else 1
        layers.append(
            Gemma4LayerConfig(
                layer_type=layer_type,
                head_dim=size.integer("head_dim", 1),
                num_key_value_heads=size.integer("num_key_value_heads", 1),
                intermediate_size=width * size.integer("intermediate_size", 1),
                kv_layer=TARGETS_CACHE if is_drafter else producers[layer_type],
                has_v_proj=not (keys_are_values and layer_type == FULL),
            )
        )
    return tuple(layers)


def _overrides(fields: Fields, layer_types: tuple[str, ...]) -> dict[int, dict[str, object]]:
    """Return, by layer, the fields that differ there."""
    if fields.has("per_layer_config"):
        return _per_layer_config(fields, len(layer_types))
    full: dict[str, object] = {"head_dim": fields.integer("global_head_dim", 1)}
    # transformers looks at this field only where keys are values; E2B and E4B do without it.
    if flag(fields, "attention_k_eq_v") and fields.get("num_global_key_value_heads") is not None:
        full["num_key_value_heads"] = fields.integer("num_global_key_value_heads", 1)
    return {i: full for i, layer_type in enumerate(layer_types) if layer_type == FULL}


def _per_layer_config(fields: Fields, num_layers: int) -> dict[int, dict[str, object]]:
    """Return `per_layer_config` by number: files have "05", or 5 where Python wrote them."""
    overrides: dict[int, dict[str, object]] = {}
    for key, entry in (fields.object_or_none("per_layer_config") or {}).items():
        i = _layer_number(key)
        if not 0 <= i < num_layers or i in overrides:
            raise CheckpointError(
                f"per_layer_config has an entry {shown(key)}; wanted at most one for each of "
                f"the layers 0 to {num_layers - 1}; download config.json again",
                field="per_layer_config",
            )
        if not isinstance(entry, dict):
            raise fields.wrong(f"per_layer_config.{i}", entry, "an object")
        for name in entry:
            if name not in _PER_LAYER:
                raise UnsupportedModelError(
                    f"per_layer_config.{i} has {shown(name)}, Leadout runs models whose layers "
                    f"differ in {', '.join(_PER_LAYER)} alone",
                    field=f"per_layer_config.{i}",
                )
        overrides[i] = entry
    return overrides


def _layer_number(key: object) -> int:
    """Return the number that a key of `per_layer_config` is, -1 if it is none."""
    if isinstance(key, str):
        return int(key) if key.isascii() and key.isdecimal() and len(key) < 8 else -1
    return key if type(key) is int else -1


# ---- consistency --------------------------------------------------------------------------


def _check_consistency(config: Gemma4TextConfig) -> None:
    heads = config.num_attention_heads
    check_multiples(
        (
            ("hidden_size", config.hidden_size, BLOCK),
            ("vocab_size", config.vocab_size, BLOCK),
            ("hidden_size_per_layer_input", config.hidden_size_per_layer_input, BLOCK),
            ("moe_intermediate_size", config.moe_intermediate_size, BLOCK),
        )
    )
    for name, value, most in (
        ("hidden_size", config.hidden_size, MAX_HIDDEN_SIZE),
        ("vocab_size", config.vocab_size, MAX_VOCAB_SIZE),
        ("num_experts", config.num_experts, MAX_EXPERTS),
        ("top_k_experts", config.top_k_experts, MAX_TOP_K_EXPERTS),
    ):
        check_at_most(name, value, most)
    for i, layer in enumerate(config.layers):
        where = f" of layer {i}"
        check_heads(heads, layer.num_key_value_heads, where)
        check_multiples(
            (
                (f"head_dim{where}", layer.head_dim, 8),
                (f"num_attention_heads · head_dim{where}", heads * layer.head_dim, BLOCK),
                (f"intermediate_size{where}", layer.intermediate_size, BLOCK),
            )
        )
        check_at_most(f"head_dim{where}", layer.head_dim, MAX_HEAD_DIM)
        if layer.kv_layer not in (i, TARGETS_CACHE):
            _check_shared(i, layer, config.layers[layer.kv_layer])
    if config.top_k_experts > config.num_experts:
        raise CheckpointError(
            f"top_k_experts is {config.top_k_experts:,}, but there are only "
            f"{config.num_experts:,} experts (num_experts); download config.json again",
            field="top_k_experts",
        )
    if config.hidden_size_per_layer_input and config.vocab_size_per_layer_input < config.vocab_size:
        raise UnsupportedModelError(
            f"vocab_size_per_layer_input is {config.vocab_size_per_layer_input:,}, Leadout runs "
            f"models where every token, {config.vocab_size:,} of them, has per-layer inputs",
            field="vocab_size_per_layer_input",
        )
    check_token_ids(config.eos_token_id, config.bos_token_id, config.vocab_size)


def _check_shared(i: int, layer: Gemma4LayerConfig, producer: Gemma4LayerConfig) -> None:
    for name in ("head_dim", "num_key_value_heads"):
        found, wanted = getattr(layer, name), getattr(producer, name)
        if found != wanted:
            raise CheckpointError(
                f"{name} of layer {i} is {found}, but that of layer {layer.kv_layer}, whose KV "
                f"cache it reads, is {wanted}; download config.json again",
                field=name,
            )
