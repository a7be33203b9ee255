"""Muon for many small matrices: those of one shape take a step together.

`torch.optim.Muon` takes one matrix after the other. Nano has 82 in 11 shapes, each too small to
fill a GPU: its part of a training step spanned 50 ms, in which the GPU worked for 6.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import sqrt

import torch
from torch import Tensor
from torch.optim import Optimizer

#: Newton and Schulz's iteration in five steps (https://kellerjordan.github.io/posts/muon).
_A, _B, _C = 3.4445, -4.7750, 2.0315
_STEPS = 5
_EPSILON = 1e-7


class StackedMuon(Optimizer):
    """`torch.optim.Muon` with Nesterov's momentum and `adjust_lr_fn="match_rms_adamw"`.

    Args:
        params: matrices, all with gradients.
        lr: learning rate, as AdamW's would be.
        weight_decay: share of lr by which weights fall each step.
        momentum: of the gradients' mean.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, _closure: None = None) -> None:
        """Move all matrices along their gradients."""
        for group in self.param_groups:
            stacks: dict[torch.Size, list[Tensor]] = {}
            for matrix in group["params"]:
                stacks.setdefault(matrix.shape, []).append(matrix)
            for shape, matrices in stacks.items():
                gradient = torch.stack([matrix.grad for matrix in matrices])
                # Kept with the first of the stack, where checkpoints find it.
                state = self.state[matrices[0]]
                if "mean" not in state:
                    state["mean"] = torch.zeros_like(gradient)
                mean, momentum = state["mean"], group["momentum"]
                mean.lerp_(gradient, 1.0 - momentum)
                update = orthogonal(gradient.lerp(mean, momentum)).to(gradient.dtype)
                torch._foreach_mul_(matrices, 1.0 - group["lr"] * group["weight_decay"])
                rate = 0.2 * sqrt(max(shape)) * group["lr"]
                torch._foreach_add_(matrices, list(update.unbind()), alpha=-rate)


def orthogonal(stack: Tensor) -> Tensor:
    """Return matrices with all singular values near 1 in place of a stack's, [n, rows, columns]."""
    x = stack.bfloat16()
    is_tall = x.shape[1] > x.shape[2]
    x = x.mT if is_tall else x
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=_EPSILON)
    for _ in range(_STEPS):
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=_B, alpha=_C), x, beta=_A)
    return x.mT if is_tall else x
