"""Computes from headers how many bytes a step reads, and how many the KV cache takes.

Bytes are those on a device: matrices in the layout that they are repacked to, vectors in float32.
A step reads every tensor of its model once. The exceptions:

    embed_tokens               one row; and once in whole, if it is also the head
    embed_tokens_per_layer     one row
    experts                    only the chosen ones, top_k_experts of num_experts
    a drafter's embed_tokens   with a centroid head: the rows of the chosen centroids

A checkpoint may contain more tensors: layers without a KV cache of their own may have projections
of keys and values. These are neither loaded nor counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import prod

from leadout.checkpoint import Checkpoint, TensorInfo
from leadout.checkpoint.tensors import TOKEN_ORDERING
from leadout.config import (
    FULL,
    Config,
    Gemma3TextConfig,
    Gemma4AssistantConfig,
    Gemma4TextConfig,
)
from leadout.kv_cache import KV_BYTES
from leadout.layouts import LAYOUT_OF_FORMAT, LAYOUTS
from leadout.models import gemma4_assistant, gemma4_text

_EMBEDDING = "model.embed_tokens.weight"
_PER_LAYER_EMBEDDING = "model.embed_tokens_per_layer.weight"
_HEAD = "lm_head.weight"
#: A tensor that is loaded if the checkpoint has it. A model runs without it, too.
_OPTIONAL = ".layer_scalar"
_FLOAT_BYTES = 4
_ID_BYTES = 4


@dataclass(frozen=True)
class StepReads:
    """How many bytes of weights one step reads.

    Attributes:
        total_bytes: the total.
        head_bytes: the head's part of the total.
    """

    total_bytes: int
    head_bytes: int


@dataclass(frozen=True)
class KvKind:
    """Layers that have the same kind of KV cache.

    Attributes:
        layer_type: "sliding_attention" or "full_attention".
        num_layers: the number of these layers.
        num_key_value_heads: the number of key heads, and of value heads.
        head_dim: the number of values of a head.
        bytes_per_token: bytes of one layer's keys and values, by the cache's dtype.
    """

    layer_type: str
    num_layers: int
    num_key_value_heads: int
    head_dim: int
    bytes_per_token: dict[str, int]


def device_bytes(tensor: TensorInfo) -> int:
    """Return a tensor's size on a device."""
    if len(tensor.shape) < 2:
        return tensor.num_elements * _FLOAT_BYTES
    layout = LAYOUTS[LAYOUT_OF_FORMAT[tensor.format]]
    return layout.bytes(prod(tensor.shape[:-1]), tensor.shape[-1])


def used_tensors(checkpoint: Checkpoint, config: Config) -> list[TensorInfo]:
    """Return the tensors that are loaded."""
    tensors = checkpoint.tensors
    if isinstance(config, Gemma3TextConfig):
        return list(tensors.values())
    if isinstance(config, Gemma4TextConfig):
        names = gemma4_text.expected_shapes(config, checkpoint)
    else:
        names = gemma4_assistant.expected_shapes(config)
    optional = [name for name in tensors if name.endswith(_OPTIONAL) and name not in names]
    return [tensors[name] for name in (*names, *optional) if name in tensors]


def step_reads(checkpoint: Checkpoint, config: Config) -> StepReads:
    """Return what one decode step of a target, or one step of a drafter, reads."""
    if isinstance(config, Gemma4AssistantConfig):
        return _draft_step_reads(checkpoint, config)
    used = {tensor.name: device_bytes(tensor) for tensor in used_tensors(checkpoint, config)}
    head = _EMBEDDING if config.tie_word_embeddings or _HEAD not in used else _HEAD
    head_bytes = used.get(head, 0)
    total = head_bytes + _row_bytes(checkpoint, _EMBEDDING)
    total += _row_bytes(checkpoint, _PER_LAYER_EMBEDDING)
    share = Fraction(1)
    if isinstance(config, Gemma4TextConfig) and config.enable_moe_block:
        share = Fraction(config.top_k_experts, config.num_experts)
    for name, num_bytes in used.items():
        if name not in (_EMBEDDING, _PER_LAYER_EMBEDDING, head):
            total += int(num_bytes * share) if ".experts." in name else num_bytes
    return StepReads(total, head_bytes)


def kv_kinds(config: Config) -> list[KvKind]:
    """Return the layers that have a KV cache of their own, by kind; a drafter has none."""
    counts: dict[tuple[str, int, int], int] = {}
    for key in _kv_layers(config):
        counts[key] = counts.get(key, 0) + 1
    return [
        KvKind(
            layer_type,
            num_layers,
            heads,
            head_dim,
            {dtype: size * 2 * heads * head_dim for dtype, size in KV_BYTES.items()},
        )
        for (layer_type, heads, head_dim), num_layers in counts.items()
    ]


def kv_bytes_per_token(kinds: list[KvKind], *, is_past_window: bool = False) -> dict[str, int]:
    """Return the bytes of a position in all KV caches, by dtype; past the window only full ones."""
    counted = [kind for kind in kinds if not is_past_window or kind.layer_type == FULL]
    return {
        dtype: sum(kind.num_layers * kind.bytes_per_token[dtype] for kind in counted)
        for dtype in KV_BYTES
    }


def _kv_layers(config: Config) -> Iterator[tuple[str, int, int]]:
    """Yield (layer type, heads of keys, values of a head) of every layer that has a cache."""
    if isinstance(config, Gemma3TextConfig):
        for layer_type in config.layer_types:
            yield layer_type, config.num_key_value_heads, config.head_dim
    elif isinstance(config, Gemma4TextConfig):
        for i, layer in enumerate(config.layers):
            if layer.kv_layer == i:
                yield layer.layer_type, layer.num_key_value_heads, layer.head_dim


def _draft_step_reads(checkpoint: Checkpoint, config: Gemma4AssistantConfig) -> StepReads:
    used = {tensor.name: device_bytes(tensor) for tensor in used_tensors(checkpoint, config)}
    head = used.pop(_EMBEDDING, 0)
    used.pop(TOKEN_ORDERING, 0)
    centroids = used.pop("masked_embedding.centroids.weight", 0)
    if config.use_ordered_embeddings:
        tokens = config.vocab_size // config.num_centroids * config.centroid_intermediate_top_k
        rows = tokens * (_row_bytes(checkpoint, _EMBEDDING) + _ID_BYTES)
        head = centroids + rows
    return StepReads(head + sum(used.values()), head)


def _row_bytes(checkpoint: Checkpoint, name: str) -> int:
    tensor = checkpoint.tensors.get(name)
    return 0 if tensor is None else device_bytes(tensor) // max(tensor.shape[0], 1)
