"""Balanced clusters of vectors, for the centroid head: the tokens of one cluster lie together."""

from __future__ import annotations

import torch
from torch import Tensor


def balanced_clusters(vectors: Tensor, num: int, rounds: int = 15, seed: int = 0) -> Tensor:
    """Order vectors by clusters of equal size, by k-means with places that run out.

    Args:
        vectors: [count, size] float32 on the CPU; `num` divides count.
        num: of clusters.
        rounds: of k-means.
        seed: of the first centres.

    Returns:
        The vectors' indices, cluster by cluster, [count] int64.
    """
    size = len(vectors) // num
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.nn.functional.normalize(vectors, dim=-1)
    centres = vectors[torch.randperm(len(vectors), generator=generator)[:num]]
    cluster = torch.zeros(len(vectors), dtype=torch.long)
    for _ in range(rounds):
        distances = torch.cdist(vectors, centres)
        order = distances.argsort(1).tolist()
        two = distances.topk(2, largest=False).values
        free = [size] * num
        # Who loses most by not getting the nearest centre chooses first.
        for i in (two[:, 0] - two[:, 1]).argsort().tolist():
            mine = next(c for c in order[i] if free[c])
            free[mine] -= 1
            cluster[i] = mine
        centres = torch.stack([vectors[cluster == c].mean(0) for c in range(num)])
    return cluster.argsort(stable=True)
