"""What the engine asks of a model, whatever its architecture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from leadout import ops
from leadout.checkpoint.load_plan import LoadPlanBuilder, TensorLike
from leadout.checkpoint.page_plan import PagePlan
from leadout.kv_cache import KvCache
from leadout.layouts import LAYOUT_OF_FORMAT
from leadout.ops import LinearLayer, ProgramBuilder, Tensor
from leadout.plan import BufferSpec
from leadout.rows import Rows

#: Ends the name of the second of the two tensors between which the residual stream changes.
_NEXT = ".next"


class Model(Protocol):
    """A model on a device: weights' places, and the passes over them.

    Attributes:
        vocab_size: columns of the logits, a multiple of 32.
        hidden_size: columns of the hidden states.
        pages: of its table whose rows are on the device only while they are used, or None.
        pageable_bytes: what paging saves, or would; 0 where there is no such table.
    """

    vocab_size: int
    hidden_size: int
    pages: PagePlan | None
    pageable_bytes: int

    @property
    def caches(self) -> Sequence[KvCache]:
        """The KV caches, one of every layer that writes one."""

    def buffers(self) -> dict[str, BufferSpec]:
        """Return the KV cache's and the constants' buffers (not the weights')."""

    def constants(self) -> dict[str, bytes]:
        """Return what to write into buffers once, after allocation."""

    def embed(self, p: ProgramBuilder, rows: Rows, y: Tensor) -> None:
        """Write the rows' embeddings, scaled as the layers want them, to y's first columns.

        Embeddings that the host gives are taken as they are.
        """

    def forward(self, p: ProgramBuilder, rows: Rows, last: Rows | None = None) -> Tensor:
        """Run all layers over the rows; return the final norm's output.

        Args:
            p: gets the ops.
            rows: of the pass.
            last: a table of one row, the last of a prefill pass. Given, only that row's result is
                computed: from where no layer writes keys and values any more, the others stop.

        Returns:
            [rows, hidden_size] float32, or [1, hidden_size] with `last`.
        """

    def fill_cache(self, p: ProgramBuilder, rows: Rows) -> None:
        """Run the rows only as far as layers write keys and values."""

    def head(self, p: ProgramBuilder, hidden: Tensor, rows: Rows, logits: Tensor) -> None:
        """Compute logits, [rows, vocab_size] float32, of rows of `forward`'s result."""


def place_embeddings(p: ProgramBuilder, rows: Rows, hidden_size: int, y: Tensor) -> None:
    """Put embeddings that the host gives in the place of tokens' in y, if rows may have any."""
    if rows.embeddings is not None:
        given = Tensor(rows.embeddings.buffer, (rows.count, hidden_size))
        p.add(ops.PlaceEmbeddings("place_embeddings", given, rows, y))


def next_stream(p: ProgramBuilder, hidden: Tensor) -> Tensor:
    """Reserve the tensor that takes the residual stream next: of two, the one it is not in."""
    name = hidden.buffer
    is_second = name.endswith(_NEXT)
    return p.tensor(name.removesuffix(_NEXT) if is_second else name + _NEXT, *hidden.shape)


def stacked(
    load: LoadPlanBuilder, name: str, parts: Sequence[tuple[str, TensorLike]]
) -> LinearLayer:
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
    return LinearLayer(matrices, num_outputs)


def single(load: LoadPlanBuilder, name: str, tensor: TensorLike) -> LinearLayer:
    """Load one linear layer."""
    return stacked(load, name, [(name, tensor)])


Shapes = Mapping[str, tuple[int, ...]]
