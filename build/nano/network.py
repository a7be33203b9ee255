"""Gemma 4's arithmetic over transformers' modules, for training on packed rows.

Several dialogues lie in one row, and none sees the others. transformers' own forward pass would
need dense masks for that and is not compiled as a whole; this one is, with FlexAttention, which
skips what is masked. tests/vectors/make_nano.py holds it to transformers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention
from torch.nn.functional import gelu, rms_norm, scaled_dot_product_attention

from nano.shapes import SLIDING_WINDOW

#: A mask is a BlockMask on a GPU, and dense on the CPU, where FlexAttention is no faster.
Mask: TypeAlias = BlockMask | Tensor
SharedKv = dict[str, tuple[Tensor, Tensor]]
Sees = Callable[[Tensor, Tensor], Tensor]

# Not compiled, it fills a dense mask first.
_create_block_mask = torch.compile(create_block_mask, dynamic=False)


@dataclass(frozen=True)
class Packed:
    """Rows of packed dialogues.

    Attributes:
        ids: [rows, length].
        document: which dialogue of its row a token belongs to, [rows, length].
        position: within its dialogue, [rows, length].
    """

    ids: Tensor
    document: Tensor
    position: Tensor


def target_masks(packed: Packed) -> dict[str, Mask]:
    """Return what each token sees for the target: its own dialogue up to itself."""
    return {
        "full_attention": _mask(packed, lambda q, k: k <= q),
        "sliding_attention": _mask(packed, lambda q, k: (k <= q) & (q - k < SLIDING_WINDOW)),
    }


def draft_masks(packed: Packed) -> dict[str, Mask]:
    """Return what a draft from each token sees: what was committed before that bonus token.

    The first token of a dialogue sees itself, so that no row of attention is empty.
    """
    first = packed.position == 0
    return {
        "full_attention": _mask(packed, lambda q, k: k < q, first),
        "sliding_attention": _mask(
            packed, lambda q, k: (k < q) & (q - k <= SLIDING_WINDOW + 1), first
        ),
    }


def _mask(packed: Packed, sees: Sees, alone: Tensor | None = None) -> Mask:
    document = packed.document
    num_rows, length = document.shape

    def allowed(row: Tensor, _head: Tensor, q: Tensor, k: Tensor) -> Tensor:
        seen = sees(q, k)
        if alone is not None:
            seen = seen | (alone[row, q] & (q == k))
        return seen & (document[row, q] == document[row, k])

    if document.is_cuda:
        return _create_block_mask(allowed, num_rows, None, length, length, device="cuda")
    row = torch.arange(num_rows)[:, None, None]
    place = torch.arange(length)
    return allowed(row, row, place[None, :, None], place[None, None, :])[:, None]


def target_forward(
    model: Any, packed: Packed, masks: Mapping[str, Mask]
) -> tuple[Tensor, SharedKv]:
    """Run `Gemma4ForCausalLM` on packed rows. States between layers stay in float32.

    Args:
        model: a `Gemma4ForCausalLM`.
        packed: the rows.
        masks: see `target_masks`.

    Returns:
        The states after the last norm, [rows, length, hidden_size], and the keys and values that
        drafters read, by layer type, each [rows, 1, length, head_dim].
    """
    text, config = model.model, model.config
    ids, size = packed.ids, config.hidden_size_per_layer_input
    hidden = text.embed_tokens(ids).float()
    per_layer = text.per_layer_model_projection(hidden) * text.per_layer_model_projection_scale
    per_layer = _norm(per_layer.unflatten(-1, (-1, size)), text.per_layer_projection_norm)
    per_layer = per_layer + text.embed_tokens_per_layer(ids).unflatten(-1, (-1, size))
    per_layer = per_layer * text.per_layer_input_scale
    rope = {kind: _angles(text, packed.position, kind) for kind in masks}
    shared: SharedKv = {}
    for i, layer in enumerate(text.layers):
        kind = config.layer_types[i]
        hidden = _attend(layer, hidden, rope[kind], masks[kind], shared)
        hidden = _feed_forward(layer, hidden)
        gated = gelu(layer.per_layer_input_gate(hidden), approximate="tanh") * per_layer[:, :, i]
        hidden = hidden + _norm(layer.per_layer_projection(gated), layer.post_per_layer_input_norm)
        hidden = hidden * layer.layer_scalar
    return _norm(hidden, text.norm), shared


def target_logits(model: Any, hidden: Tensor) -> Tensor:
    """Return the capped logits of states, [..., vocab_size]."""
    cap = model.config.final_logit_softcapping
    return cap * torch.tanh(model.lm_head(hidden).float() / cap)


def draft_step(
    assistant: Any,
    embedded: Tensor,
    hidden: Tensor,
    position: Tensor,
    shared: SharedKv,
    masks: Mapping[str, Mask],
) -> tuple[Tensor, Tensor]:
    """Make one draft from every token at once.

    Args:
        assistant: a `Gemma4AssistantForCausalLM`.
        embedded: of the last drafted tokens (at first the bonus tokens), by the target's table,
            [rows, length, backbone_hidden_size].
        hidden: the target's states before the bonus tokens, then those that this returned.
        position: of the bonus tokens, the same for all steps.
        shared: see `target_forward`.
        masks: see `draft_masks`.

    Returns:
        The states for the head, [rows, length, hidden_size], and for the next step.
    """
    text = assistant.model
    state = assistant.pre_projection(torch.cat([embedded, hidden], -1))
    rope = {kind: _angles(text, position, kind) for kind in masks}
    for i, layer in enumerate(text.layers):
        kind = text.config.layer_types[i]
        state = _attend(layer, state, rope[kind], masks[kind], shared)
        state = _feed_forward(layer, state) * layer.layer_scalar.to(state.dtype)
    state = _norm(state, text.norm)
    return state, assistant.post_projection(state)


def _attend(
    layer: Any, hidden: Tensor, rope: tuple[Tensor, Tensor], mask: Mask, shared: SharedKv
) -> Tensor:
    attention = layer.self_attn
    heads = (-1, attention.head_dim)
    inner = _norm(hidden, layer.input_layernorm)
    q = _rotate(_norm(attention.q_proj(inner).unflatten(-1, heads), attention.q_norm), rope)
    if attention.is_kv_shared_layer:
        k, v = shared[attention.layer_type]
    else:
        k = _norm(attention.k_proj(inner).unflatten(-1, heads), attention.k_norm)
        k = _rotate(k, rope).transpose(1, 2)
        v = attention.v_proj(inner).unflatten(-1, heads)
        v = _norm(v, attention.v_norm).transpose(1, 2)
        if attention.store_full_length_kv:
            shared[attention.layer_type] = k, v
    q, k, v = q.transpose(1, 2), k.to(q.dtype), v.to(q.dtype)
    if isinstance(mask, BlockMask):
        out = flex_attention(q, k, v, block_mask=mask, scale=1.0, enable_gqa=True)
    else:
        out = scaled_dot_product_attention(q, k, v, mask, scale=1.0, enable_gqa=True)
    out = attention.o_proj(out.transpose(1, 2).flatten(-2))
    return hidden + _norm(out, layer.post_attention_layernorm)


def _feed_forward(layer: Any, hidden: Tensor) -> Tensor:
    mlp = layer.mlp
    inner = _norm(hidden, layer.pre_feedforward_layernorm)
    inner = mlp.down_proj(gelu(mlp.gate_proj(inner), approximate="tanh") * mlp.up_proj(inner))
    return hidden + _norm(inner, layer.post_feedforward_layernorm)


def _norm(x: Tensor, norm: Any) -> Tensor:
    return rms_norm(x.float(), x.shape[-1:], getattr(norm, "weight", None), norm.eps).to(x.dtype)


def _angles(text: Any, position: Tensor, kind: str) -> tuple[Tensor, Tensor]:
    half = position[..., None].float() * getattr(text.rotary_emb, f"{kind}_inv_freq")
    angles = torch.cat([half, half], -1)
    return angles.cos(), angles.sin()


def _rotate(x: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
    cos, sin = (part[:, :, None].to(x.dtype) for part in rope)
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat([-second, first], -1) * sin
