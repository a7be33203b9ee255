"""The kernels of the tree, as lowering sees them, without building the site."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from leadout.devices.numpy import NumpyDevice
from leadout.lowering import Caps, lower
from leadout.ops import Program
from leadout.plan import Plan
from leadout_build.site.kernels import kernel_index

FOLDER = Path(__file__).parents[1] / "web/kernels"


@functools.cache
def kernels() -> dict[str, Any]:
    """Return index.json's variants; rendering them takes a second."""
    return kernel_index(FOLDER)


@functools.cache
def all_features() -> frozenset[str]:
    """Return what the kernels' variants ask for."""
    return frozenset(name for entry in kernels().values() for name in entry["features"])


def caps(features: Sequence[str] | None = None, **options: bool) -> Caps:
    """Return the capabilities of an adapter that has all kernels and some features, or all."""
    found = all_features() if features is None else frozenset(features)
    return Caps(kernels(), found, **options)


class LoweringDevice(NumpyDevice):
    """A device that loads can be planned for, down to the Plans of an adapter."""

    def __init__(self, adapter: Caps) -> None:
        super().__init__()
        self.adapter = adapter

    def lower(self, program: Program, precision: str = "accurate") -> Plan:  # type: ignore[override]
        return lower(program, self.adapter)


class ListeningDevice(NumpyDevice):
    """A NumPy device that keeps every Program that it was asked to lower."""

    def __init__(self) -> None:
        super().__init__()
        self.programs: list[Program] = []

    def lower(self, program: Program, precision: str = "accurate") -> Program:
        self.programs.append(program)
        return super().lower(program, precision)
