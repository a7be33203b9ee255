"""Queries, keys and values, and attention over the cache."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import ClassVar

from leadout.kv_cache import KvCache
from leadout.layouts import Vector
from leadout.ops.program import Op, Tensor
from leadout.rows import Rows


@dataclass(frozen=True)
class WriteKv(Op):
    """Write keys and values of the rows to the cache, at each row's lane and position.

    k = rope(rms_norm(key) * k_norm); v = value, or rms_norm(value). Rows that are not valid write
    nothing. rope turns the pair (x[i], x[i + head_dim / 2]) by the angle position * inv_freq[i].

    Attributes:
        x: [rows, all heads, head_dim] float32: queries | keys | values, without values where the
            keys, as they are before norm and rope, are the values too.
        k_norm: weight of the keys' norm.
        inv_freq: [head_dim / 2] float32.
        cache: of the layer.
        rows: of the pass.
        first_key: the head of x that is the first key.
        first_value: the head of x that is the first value.
        eps: of the norms.
        norm_values: values get a norm without weight.
    """

    x: Tensor
    k_norm: Vector
    inv_freq: Tensor
    cache: KvCache
    rows: Rows
    first_key: int
    first_value: int
    eps: float
    norm_values: bool = False

    @functools.cached_property
    def written(self) -> frozenset[str]:
        """The cache's buffers."""
        return frozenset((self.cache.keys.buffer, self.cache.values.buffer))


@dataclass(frozen=True)
class NormRope(Op):
    """y[r, i] = rope(rms_norm(x[r, i]) * weight) for the first heads i of x: queries.

    Attributes:
        x: [rows, at least the heads of y, head_dim] float32.
        weight: of the norm.
        inv_freq: [head_dim / 2] float32; see `WriteKv`.
        rows: of the pass.
        y: [rows, heads, head_dim] float32.
        eps: of the norm.
    """

    x: Tensor
    weight: Vector
    inv_freq: Tensor
    rows: Rows
    y: Tensor
    eps: float


@dataclass(frozen=True)
class Attention(Op):
    """y[r] = attention of row r's queries over its lane's cache; zeros for rows not valid.

    Attributes:
        q: [rows, heads, head_dim] float32.
        cache: to read.
        rows: of the pass.
        y: like q.
        scale: of the scores.
        behind: the last visible position is the row's own minus this.
        window: the first visible position is the row's own + 1 - window; 0: position 0.
        reaches: rows see further, by their reach; see `state.py`.
    """

    q: Tensor
    cache: KvCache
    rows: Rows
    y: Tensor
    scale: float
    behind: int = 0
    window: int = 0
    reaches: bool = False

    WRITES: ClassVar[tuple[str, ...]] = ("y",)

    @functools.cached_property
    def read(self) -> frozenset[str]:
        """The queries' and the cache's buffers."""
        return frozenset((self.q.buffer, self.cache.keys.buffer, self.cache.values.buffer))
