"""Dialogues as ids, several packed into each row, made by worker processes while a GPU trains."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from nano.dialogues import make_dialogue
from nano.encoding import encode
from nano.network import Packed
from nano.shapes import CONTEXT
from nano.tokenizer import PAD


@dataclass(frozen=True)
class Batch:
    """Packed rows, and which tokens Nano is to write, [rows, length]."""

    packed: Packed
    is_own: Tensor

    def to(self, device: torch.device) -> Batch:
        """Move it, without waiting for the copy."""
        packed = self.packed
        parts = (packed.ids, packed.document, packed.position, self.is_own)
        ids, document, position, is_own = (p.to(device, non_blocking=True) for p in parts)
        return Batch(Packed(ids.long(), document, position), is_own)

    def pin_memory(self) -> Batch:
        """Put it where it can be copied to a GPU while that works; DataLoader calls this."""
        packed = self.packed
        return Batch(
            Packed(*(p.pin_memory() for p in (packed.ids, packed.document, packed.position))),
            self.is_own.pin_memory(),
        )


class _Dialogues(IterableDataset[Batch]):
    """The batches of one worker: each `num_workers`-th of a process's."""

    def __init__(
        self, tokenizer: Path, seed: str, num_rows: int, first: int, last: int, split: str
    ) -> None:
        self.tokenizer = tokenizer
        self.seed = seed
        self.num_rows = num_rows
        self.first = first
        self.last = last
        self.split = split

    def __iter__(self) -> Iterator[Batch]:
        tokenizer = Tokenizer.from_file(str(self.tokenizer))
        worker = get_worker_info()
        start, step = (worker.id, worker.num_workers) if worker else (0, 1)
        for number in range(self.first + start, self.last, step):
            rng = random.Random(f"{self.seed} {number}")
            # Small tables first: where to look is learned from them sooner.
            level = 1.0 if self.split == "test" else min(1.0, 0.2 + 4 * number / self.last)
            yield self._batch(tokenizer, rng, level)

    def _batch(self, tokenizer: Tokenizer, rng: random.Random, level: float) -> Batch:
        shape = (self.num_rows, CONTEXT)
        ids = torch.full(shape, PAD, dtype=torch.int16)
        document = torch.full(shape, -1, dtype=torch.int32)
        position = torch.zeros(shape, dtype=torch.int32)
        is_own = torch.zeros(shape, dtype=torch.bool)
        used = [0] * self.num_rows
        misses = number = 0
        while misses < 3:
            tokens, own = encode(tokenizer, make_dialogue(rng, level, split=self.split))
            size = len(tokens)
            # The fullest row that has room: few places stay empty.
            row = max(
                (r for r in range(self.num_rows) if used[r] + size <= CONTEXT),
                key=used.__getitem__,
                default=None,
            )
            if row is None:
                misses += size <= CONTEXT
                continue
            at = slice(used[row], used[row] + size)
            ids[row, at] = torch.tensor(tokens, dtype=torch.int16)
            document[row, at] = number
            position[row, at] = torch.arange(size, dtype=torch.int32)
            is_own[row, at] = torch.tensor(own)
            used[row] += size
            number += 1
        return Batch(Packed(ids, document, position), is_own)


def load_batches(
    tokenizer: Path,
    seed: str,
    num_rows: int,
    last: int,
    *,
    first: int = 0,
    num_workers: int = 0,
    split: str = "train",
    device: torch.device,
) -> Iterator[Batch]:
    """Yield batches number `first` up to `last`, the same for every number of workers.

    Args:
        tokenizer: a tokenizer.json.
        seed: of these batches; a process of several takes its rank into it.
        num_rows: rows a batch, of CONTEXT tokens each.
        last: one past the number of the last batch; the tables grow up to a fifth of the way.
        first: where training was resumed.
        num_workers: processes that make them; 0 makes them here.
        split: "train" or "test".
        device: where they go.
    """
    loader: DataLoader[Batch] = DataLoader(
        _Dialogues(tokenizer, seed, num_rows, first, last, split),
        batch_size=None,
        num_workers=num_workers,
        prefetch_factor=4 if num_workers else None,
        pin_memory=device.type == "cuda",
    )
    for batch in loader:
        yield batch.to(device)
