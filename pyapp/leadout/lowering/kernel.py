"""Which kernel does which run of ops: the registry that lowering looks through.

A function under `@kernel(...)` appends the dispatches for one run of neighbouring ops. The
decorator says which ops these are and when the kernel can take them:

    @kernel(ops.AddNorm, ops.RmsNorm, when=lambda run: run.feeds(0, "h_out", 1, "x"))
    def add_rms_norm(b, add, norm): ...

Longer runs go first; among equals, the one registered first that fits. So a kernel for special
adapters or shapes stands above the general one. A kernel that leaves a tensor between its ops
unwritten must say so by `run.drops(...)`: it fits only where nobody reads that tensor later.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from leadout.lowering.caps import Caps
from leadout.ops import Op, Tensor


@dataclass(frozen=True)
class Run:
    """Neighbouring ops of a Program, as a kernel's `when` sees them.

    Attributes:
        ops: as many as the kernel takes.
        following: all ops of the Program behind these.
        caps: of the adapter.
        left: buffers that another Program reads afterwards.
    """

    ops: Sequence[Any]
    following: Sequence[Op]
    caps: Caps
    left: frozenset[str] = frozenset()

    def feeds(self, giver: int, output: str, taker: int, field: str) -> bool:
        """Return whether an op's output is the input of a later one of the run."""
        return bool(getattr(self.ops[giver], output) == getattr(self.ops[taker], field))

    def drops(self, tensor: Tensor) -> bool:
        """Return whether nobody behind the run reads a tensor that it would not write."""
        return tensor.buffer not in self.left and not self.readers(tensor)

    def readers(self, tensor: Tensor) -> list[Op]:
        """Return the ops behind the run that read a tensor, until it is written again."""
        found = []
        for op in self.following:
            if tensor.buffer in op.read:
                found.append(op)
            if tensor.buffer in op.written:
                break
        return found


@dataclass(frozen=True)
class Kernel:
    """An entry of the registry.

    Attributes:
        name: the function's.
        run: types of the ops, in order.
        when: whether it can take a run of these types.
        emit: appends the dispatches: (PlanBuilder, *ops).
    """

    name: str
    run: tuple[type[Op], ...]
    when: Callable[[Run], bool]
    emit: Callable[..., None]


#: All kernels, by the type of the first op that they do.
KERNELS: dict[type[Op], list[Kernel]] = {}


def kernel(
    *run: type[Op], when: Callable[[Run], bool] = lambda run: True
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register what does a run of ops; see the module's docstring."""

    def register(emit: Callable[..., None]) -> Callable[..., None]:
        known = KERNELS.setdefault(run[0], [])
        known.append(Kernel(emit.__name__, run, when, emit))
        known.sort(key=lambda one: -len(one.run))
        return emit

    return register
