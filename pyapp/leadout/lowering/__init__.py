"""From what a model computes to how one adapter computes it: Programs become Plans.

`lower` goes through a Program's ops and takes, for each run of neighbours, the first kernel that
fits (see kernel.py). What there is to choose among is in the modules beside it: linear.py, norm.py,
attention.py, experts.py, choice.py, draft.py, packed.py, checks.py.
"""

from __future__ import annotations

from leadout.lowering import (  # noqa: F401
    attention,
    checks,
    choice,
    draft,
    experts,
    linear,
    norm,
    packed,
)
from leadout.lowering.builder import PlanBuilder
from leadout.lowering.caps import Caps
from leadout.lowering.kernel import KERNELS, Kernel, Run
from leadout.ops import Op, Program
from leadout.plan import Plan

__all__ = ["Caps", "kernels_of", "lower"]


def lower(program: Program, caps: Caps) -> Plan:
    """Choose kernels for all ops of a Program."""
    b = PlanBuilder(program, caps)
    for one, run in kernels_of(program, caps):
        one.emit(b, *run)
    return b.build()


def kernels_of(program: Program, caps: Caps) -> list[tuple[Kernel, tuple[Op, ...]]]:
    """Return the kernels that a Program takes, with the ops that each one does."""
    chosen = []
    rest = program.ops
    while rest:
        one = next(one for one in KERNELS[type(rest[0])] if _fits(one, rest, program.left, caps))
        size = len(one.run)
        chosen.append((one, rest[:size]))
        rest = rest[size:]
    return chosen


def _fits(one: Kernel, ops: tuple[Op, ...], left: frozenset[str], caps: Caps) -> bool:
    size = len(one.run)
    if len(ops) < size or any(type(op) is not kind for op, kind in zip(ops, one.run, strict=False)):
        return False
    return one.when(Run(ops[:size], ops[size:], caps, left))
