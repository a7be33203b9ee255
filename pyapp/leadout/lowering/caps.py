"""What one adapter can do, and what is asked of it: by this alone lowering chooses."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from leadout.devices.base import DeviceInfo


@dataclass(frozen=True)
class Caps:
    """An adapter's capabilities, and the kernels that were built.

    Attributes:
        kernels: index.json of the build, by variant.
        features: that the device and the browser's WGSL have.
        is_software: it computes on the CPU.
        is_fast: linear layers over few rows may take activations of 8 bits instead of 16.
    """

    kernels: Mapping[str, Any]
    features: frozenset[str]
    is_software: bool = False
    is_fast: bool = False

    @classmethod
    def of(cls, info: DeviceInfo) -> Caps:
        """Return the capabilities of a device."""
        return cls(info.kernels, frozenset(info.features), info.is_software)

    @property
    def norm_threads(self) -> int:
        """Threads that norm a head: one on the CPU, where waiting for others costs the most."""
        return 1 if self.is_software else 64

    @property
    def can_be_fast(self) -> bool:
        """Whether there are kernels that may leave the low bytes of activations out."""
        with_low = [
            name for name, known in self.kernels.items() if "WITH_LOW" in known["overrides"]
        ]
        return not self.is_software and any(map(self.has, with_low))

    def has(self, variant: str) -> bool:
        """Return whether a kernel variant was built, and its features are there."""
        known = self.kernels.get(variant)
        return known is not None and self.features.issuperset(known["features"])

    def threads(self, variant: str) -> int:
        """Return how many threads a workgroup of a kernel variant has."""
        return math.prod(self.kernels[variant]["workgroup_size"])

    def constant(self, variant: str, name: str) -> int:
        """Return a number that a kernel declares as a `const`, such as its outputs a workgroup."""
        return int(self.kernels[variant]["constants"][name])
