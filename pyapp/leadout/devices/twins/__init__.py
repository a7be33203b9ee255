"""NumPy twins of the kernels: one function per .wgsl file, of the same name.

A twin computes from a dispatch's bindings what the kernel computes, in float32, though not in the
same order of additions. The twins are the oracle of the kernels' tests and the arithmetic of the
NumPy device.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Words: TypeAlias = npt.NDArray[np.uint32]
Floats: TypeAlias = npt.NDArray[np.float32]


@dataclass
class Call:
    """One dispatch, as a twin sees it.

    Attributes:
        args: the variant's values behind the kernel's name, as strings.
        constants: the pipeline's `override` constants.
        bindings: the bound ranges as writable uint32 views, in binding order.
        workgroups: x, y, z; no twin needs them for its result.
        weights: unpacked matrices, kept between dispatches by whoever calls; the key names the
            binding of the first plane. Cleared when buffers change.
        weights_key: key of this dispatch's first binding in `weights`, or None to keep nothing.
    """

    args: tuple[str, ...]
    constants: Mapping[str, int | float]
    bindings: list[Words]
    workgroups: tuple[int, int, int] = (1, 1, 1)
    weights: dict[tuple[str, int], Floats] = field(default_factory=dict)
    weights_key: tuple[str, int] | None = None

    def integer(self, name: str, default: int | None = None) -> int:
        """Return an integer constant."""
        value = self.constants.get(name, default)
        assert value is not None, f"constant {name} is missing"
        return int(value)

    def number(self, name: str) -> float:
        """Return a floating-point constant."""
        return float(self.constants[name])

    def floats(self, index: int) -> Floats:
        """Return a binding as a float32 view."""
        return self.bindings[index].view(np.float32)


Twin: TypeAlias = Callable[[Call], None]

TWINS: dict[str, Twin] = {}


def twin(function: Twin) -> Twin:
    """Register a twin under its own name, which is the kernel's."""
    TWINS[function.__name__] = function
    return function


def load_twins() -> dict[str, Twin]:
    """Import every module of twins and return the registry."""
    from leadout.devices.twins import (  # noqa: F401
        attention,
        checks,
        choice,
        draft,
        experts,
        linear,
        norm,
        repack,
        sampling,
    )

    return TWINS
