"""Grids and scratch buffers: what every op needs."""

from __future__ import annotations

import struct

from leadout.plan import MAX_WORKGROUPS_PER_DIMENSION, Binding, PlanBuilder

FLOAT_BYTES = 4

#: Layout of the struct in web/kernels/shared/shape.wgsl; keep in step.
SHAPE = struct.Struct("<IIIIfIII")

Grid = tuple[int | str, int | str, int | str]


def ceil(count: int, per: int) -> int:
    """Return count / per, rounded up."""
    return -(-count // per)


def linear_grid(groups: int) -> Grid:
    """Spread a linear number of workgroups over x and y."""
    height = ceil(groups, MAX_WORKGROUPS_PER_DIMENSION)
    return (ceil(groups, height), height, 1)


def activations(b: PlanBuilder, name: str, rows: int, columns: int) -> Binding:
    """Reserve a scratch buffer for [rows, columns] float32."""
    return b.scratch(name, FLOAT_BYTES * rows * columns)


def shape(
    b: PlanBuilder, columns: int, outputs: int, stride: int, offset: int, softcap: float
) -> Binding:
    """Return the binding of a linear layer's shape."""
    return b.uniforms.binding(SHAPE.pack(columns, outputs, stride, offset, softcap, 0, 0, 0))


def part_of(binding: Binding, first_row: int, num_rows: int, columns: int) -> Binding:
    """Return some rows of [rows, columns] float32; the first one's bytes must be bindable."""
    row_bytes = FLOAT_BYTES * columns
    return Binding(binding.buffer, binding.offset + first_row * row_bytes, num_rows * row_bytes)
