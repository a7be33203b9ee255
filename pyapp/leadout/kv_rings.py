"""Kept rings: copies of what a sliding layer's ring holds after a prompt.

A sliding layer keeps only the last positions, in a ring, and an answer overwrites them. Without a
copy, the next turn of the conversation could not reuse the keys and values, although layers that
see all positions still have theirs. A copy holds one window of positions, however long the answer
gets. A longer ring would need that much for every token of an answer, and help only up to its own
length. One copy also serves many prompts that begin alike.

The whole ring is copied. It is longer than the window by the rows of one pass. So a copy also
serves a prompt that differs from the copied one in its last 250 tokens or so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from leadout.kv_cache import TILE, KvCache
from leadout.plan import Binding, BufferSpec, Copy, align

#: Ends the name of a buffer of copies, behind that of what they are of.
KEPT = ".kept"


@dataclass(frozen=True)
class KvRings:
    """A model's caches, sorted by whether they forget positions, and places for copies of rings.

    Attributes:
        rings: caches that do not have a slot for every position of the context.
        others: all other caches.
        num_places: how many copies can be kept at once; 0 if there are no rings.
    """

    rings: tuple[KvCache, ...] = ()
    others: tuple[KvCache, ...] = ()
    num_places: int = 0

    @classmethod
    def of(cls, caches: Iterable[KvCache], context_length: int, num_places: int) -> KvRings:
        """Sort a model's caches.

        Args:
            caches: of all layers.
            context_length: positions of a lane.
            num_places: copies that are wanted.
        """
        known = tuple(caches)
        rings = tuple(one for one in known if one.window and one.capacity < context_length)
        others = tuple(one for one in known if one not in rings)
        return cls(rings, others, num_places if rings else 0)

    @property
    def place_bytes(self) -> int:
        """Bytes of one copy."""
        return sum(2 * ring.lane_bytes for ring in self.rings)

    def buffers(self) -> dict[str, BufferSpec]:
        """Return the buffers of all places: for each ring, one of keys and one of values."""
        if self.num_places == 0:
            return {}
        return {
            _kept(binding).buffer: BufferSpec(self.num_places * ring.lane_bytes)
            for ring in self.rings
            for binding in (ring.keys, ring.values)
        }

    def keep(self, lane: int, place: int) -> list[Copy]:
        """Return what copies a lane's rings to a place."""
        return [
            Copy(_part(source, lane, size), _part(_kept(source), place, size))
            for source, size in self._ring_parts()
        ]

    def restore(self, place: int, lane: int) -> list[Copy]:
        """Return what copies a place's rings to a lane."""
        return [
            Copy(_part(_kept(target), place, size), _part(target, lane, size))
            for target, size in self._ring_parts()
        ]

    def share_rings(self, source: int, target: int) -> list[Copy]:
        """Return what copies a lane's rings to another lane."""
        return [
            Copy(_part(binding, source, size), _part(binding, target, size))
            for binding, size in self._ring_parts()
        ]

    def share(self, source: int, target: int, length: int) -> list[Copy]:
        """Return what copies the first positions of all caches but the rings to another lane.

        Args:
            source: the lane that has them.
            target: the lane that gets them.
            length: positions. Whole tiles are copied; what lies behind is written before it is
                read.
        """
        copies = []
        for cache in self.others:
            wanted = align(length, TILE) * cache.lane_bytes // cache.capacity
            size = wanted // cache.num_key_value_heads
            for binding in (cache.keys, cache.values):
                for head in range(cache.num_key_value_heads):
                    first = head * (cache.lane_bytes // cache.num_key_value_heads)
                    copies.append(
                        Copy(
                            Binding(binding.buffer, source * cache.lane_bytes + first, size),
                            Binding(binding.buffer, target * cache.lane_bytes + first, size),
                        )
                    )
        return copies

    def _ring_parts(self) -> Iterable[tuple[Binding, int]]:
        for ring in self.rings:
            yield ring.keys, ring.lane_bytes
            yield ring.values, ring.lane_bytes


def _kept(binding: Binding) -> Binding:
    """Return where copies of a cache's keys or values lie; the size is that of the cache."""
    return Binding(binding.buffer + KEPT, 0, binding.bytes)


def _part(binding: Binding, number: int, num_bytes: int) -> Binding:
    """Return the range of a lane or a place."""
    return Binding(binding.buffer, number * num_bytes, num_bytes)
