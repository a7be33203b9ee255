"""Kernels that look at bits."""

from __future__ import annotations

import struct

from leadout import ops
from leadout.lowering.builder import PlanBuilder, linear_grid
from leadout.lowering.kernel import kernel


@kernel(ops.Digest)
def digest(b: PlanBuilder, op: ops.Digest) -> None:
    """Many workgroups a row; hashes are added atomically, whose order does not matter."""
    rows, columns = op.x.shape
    grid = (b.groups("digest", columns, "WORKGROUP_WORDS"), rows, 1)
    b.dispatch("digest", [op.x, op.y], grid, op.label, {"N": columns})


@kernel(ops.CheckFinite)
def check_finite(b: PlanBuilder, op: ops.CheckFinite) -> None:
    """Many workgroups a tensor."""
    variant = f"check_finite.{op.kind}"
    groups = b.groups(variant, op.values.bytes // 4, "WORKGROUP_WORDS")
    b.dispatch(variant, [op.values, op.flag], linear_grid(groups), op.label)


@kernel(ops.Fill)
def fill(b: PlanBuilder, op: ops.Fill) -> None:
    """Many workgroups a tensor."""
    groups = b.groups("fill", op.words.bytes // 4, "WORKGROUP_WORDS")
    made = b.uniform(struct.pack("<3I", op.seed, op.keep, op.bits))
    b.dispatch("fill", [op.words, made], linear_grid(groups), op.label)
