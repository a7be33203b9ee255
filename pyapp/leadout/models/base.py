"""What the engine asks of a model, whatever its architecture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from leadout.checkpoint.load_plan import LoadPlanBuilder, TensorLike
from leadout.layouts import LAYOUT_OF_FORMAT
from leadout.ops import Linear
from leadout.plan import Binding, BufferSpec, PlanBuilder

#: Name of the param that decode Plans take: tiles of the KV cache that any row can see.
KV_TILES = "kv_tiles"


class Model(Protocol):
    """A model on a device: weights' places, and the passes over them.

    Attributes:
        vocab_size: columns of the logits, a multiple of 32.
        hidden_size: columns of the hidden states.
    """

    vocab_size: int
    hidden_size: int

    def buffers(self) -> dict[str, BufferSpec]:
        """Return the KV cache's and the constants' buffers (not the weights')."""

    def constants(self) -> dict[str, bytes]:
        """Return what to write into buffers once, after allocation."""

    def forward(self, b: PlanBuilder, rows: int, in_tiles: bool) -> Binding:
        """Run all layers over the row table; return the final norm's output.

        Args:
            b: gets the dispatches.
            rows: rows of the pass.
            in_tiles: decode or verify (few rows, attention spread over tiles) or prefill.

        Returns:
            [rows, hidden_size] float32.
        """

    def head(self, b: PlanBuilder, hidden: Binding, rows: int, logits: Binding) -> None:
        """Compute logits, [rows, vocab_size] float32, of rows of `forward`'s result."""


def stacked(load: LoadPlanBuilder, name: str, parts: Sequence[tuple[str, TensorLike]]) -> Linear:
    """Stack linear layers along their outputs, as few matrices as their layouts allow.

    Args:
        load: gets the tensors.
        name: of the whole, such as "layers.0.qkv".
        parts: (name, tensor [outputs, inputs]) in the order of the outputs.
    """
    groups: list[tuple[int, list[TensorLike]]] = []
    num_outputs = 0
    for _, tensor in parts:
        layout = LAYOUT_OF_FORMAT[tensor.format]
        if groups and LAYOUT_OF_FORMAT[groups[-1][1][-1].format] == layout:
            groups[-1][1].append(tensor)
        else:
            groups.append((num_outputs, [tensor]))
        num_outputs += tensor.shape[0]
    matrices = [
        (load.matrix(f"{name}.{first_output}", tensors), first_output)
        for first_output, tensors in groups
    ]
    return Linear(matrices, num_outputs)


def single(load: LoadPlanBuilder, name: str, tensor: TensorLike) -> Linear:
    """Load one linear layer."""
    return stacked(load, name, [(name, tensor)])


Shapes = Mapping[str, tuple[int, ...]]
