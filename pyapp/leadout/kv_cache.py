"""The KV cache: one pair of buffers for every layer that writes one.

Positions lie in tiles of 64. Keep in step with web/kernels/shared/kv.wgsl, which says how a tile is
laid out. A full-attention layer has a slot for every position of the context; a sliding layer
has a ring that is longer than its window by the most rows of one pass, so that no row of a pass
overwrites a key which an earlier row of the same pass still needs.

A cache is rewound by setting a length: what lies beyond it is written again before it is read.
"""

from __future__ import annotations

from dataclasses import dataclass

from leadout.plan import Binding, BufferSpec, align

#: Positions in a tile.
TILE = 64

KV_BYTES = {"f32": 4, "f16": 2}


@dataclass(frozen=True)
class KvCache:
    """The cache of one layer.

    Attributes:
        name: prefix of its two buffers.
        num_lanes: sequences.
        num_key_value_heads: heads in the cache.
        head_dim: values in a head, a multiple of 8.
        window: visible positions including the row's own; 0 = all.
        capacity: positions that have a slot, a multiple of 64.
        dtype: "f32" or "f16".
    """

    name: str
    num_lanes: int
    num_key_value_heads: int
    head_dim: int
    window: int
    capacity: int
    dtype: str

    @property
    def bytes(self) -> int:
        """Size of keys or of values, in bytes."""
        return self.num_lanes * self.lane_bytes

    @property
    def lane_bytes(self) -> int:
        """Size of one lane's keys or values, which lie together, in bytes."""
        return self.num_key_value_heads * self.capacity * self.head_dim * KV_BYTES[self.dtype]

    @property
    def keys(self) -> Binding:
        """The keys' buffer."""
        return Binding(self.name + ".keys", 0, self.bytes)

    @property
    def values(self) -> Binding:
        """The values' buffer."""
        return Binding(self.name + ".values", 0, self.bytes)

    def buffers(self) -> dict[str, BufferSpec]:
        """Return the buffers to allocate."""
        return {
            self.keys.buffer: BufferSpec(self.bytes),
            self.values.buffer: BufferSpec(self.bytes),
        }


def capacity_for(context_length: int, window: int, max_rows: int) -> int:
    """Return the slots a layer needs: the context's, or the window's and one pass's rows."""
    full = align(context_length, TILE)
    return min(full, align(window + max_rows, TILE)) if window else full
