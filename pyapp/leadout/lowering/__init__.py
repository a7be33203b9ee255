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
    kinds = tuple(type(op) for op in program.ops)
    at = 0
    while at < len(kinds):
        one = next(one for one in KERNELS[kinds[at]] if _fits(one, program, kinds, at, caps))
        end = at + len(one.run)
        chosen.append((one, program.ops[at:end]))
        at = end
    return chosen


def _fits(one: Kernel, program: Program, kinds: tuple[type[Op], ...], at: int, caps: Caps) -> bool:
    end = at + len(one.run)
    if kinds[at:end] != one.run:
        return False
    return one.when(Run(program.ops[at:end], program.ops[end:], caps, program.left))
