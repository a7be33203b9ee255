"""Which tokens belong to which centroid of a drafter's head.

The tensor `masked_embedding.token_ordering` lists all token ids: the first `vocab_size` /
`num_centroids` are the tokens of centroid 0, and so on. It is small (two megabytes), and as the
indices of a gather it must hold no other number, so it is read and checked here, not on the device.

Source: transformers, models/gemma4_assistant/modeling_gemma4_assistant.py.
"""

from __future__ import annotations

import math
import sys
from array import array
from itertools import count

from leadout.checkpoint import Checkpoint
from leadout.checkpoint.tensors import INTEGER_FORMATS, TOKEN_ORDERING, check_formats
from leadout.errors import CheckpointError, TensorError


async def read_token_ordering(checkpoint: Checkpoint, vocab_size: int) -> bytes:
    """Read and check the tokens of all centroids.

    Args:
        checkpoint: of a drafter.
        vocab_size: how many tokens there are.

    Returns:
        All token ids, each once, in the tensor's order: [vocab_size] uint32, little-endian.

    Raises:
        TensorError: the tensor is missing or has another shape.
        UnsupportedFormatError: it is not of whole numbers.
        CheckpointError: it has a number that is no token id, or one twice.
        SourceError: reading failed.
    """
    tensor = checkpoint.tensors.get(TOKEN_ORDERING)
    if tensor is None:
        raise TensorError(
            f"{checkpoint.name} has no tensor {TOKEN_ORDERING!r}, which its configuration calls "
            "for; use a complete checkpoint",
            missing=[TOKEN_ORDERING],
        )
    if tensor.shape != (vocab_size,):
        raise TensorError(
            f"{checkpoint.name}: tensor {TOKEN_ORDERING!r} has shape {list(tensor.shape)}, but the "
            f"configuration calls for {[vocab_size]}; use the configuration that came with these "
            "weights",
            tensor=TOKEN_ORDERING,
            found=list(tensor.shape),
            wanted=[vocab_size],
        )
    check_formats({TOKEN_ORDERING: tensor})
    if not checkpoint.sources:  # see synthetic.py
        return _made_up(vocab_size)
    source = checkpoint.sources[tensor.source]
    ids: array[int] = array(INTEGER_FORMATS[tensor.format])
    ids.frombytes(await source.read(tensor.offset, tensor.bytes))
    if sys.byteorder == "big":
        ids.byteswap()
    _check_permutation(checkpoint.name, ids, vocab_size)
    return _packed(ids)


def _made_up(vocab_size: int) -> bytes:
    """Return an order in which a centroid's tokens lie far apart, as in a trained drafter."""
    # Steps by the golden ratio spread evenly, however many are taken.
    around = int(0.618034 * vocab_size)
    stride = next(n for n in count(max(around, 1)) if math.gcd(n, vocab_size) == 1)
    return _packed(array("q", (i * stride % vocab_size for i in range(vocab_size))))


def _packed(ids: array[int]) -> bytes:
    result = array("I", ids)
    if sys.byteorder == "big":
        result.byteswap()
    return result.tobytes()


def _check_permutation(file: str, ids: array[int], vocab_size: int) -> None:
    """Refuse ids that are not each of range(vocab_size) once; the loop is to name what is not."""
    in_range = min(ids, default=0) >= 0 and max(ids, default=0) < vocab_size
    if in_range and len(set(ids)) == len(ids) == vocab_size:
        return
    seen: dict[int, int] = {}
    for i, token_id in enumerate(ids):
        if not 0 <= token_id < vocab_size:
            problem = f"has {token_id:,} at index {i:,}, which is no token id"
            break
        if token_id in seen:
            problem = f"has token {token_id:,} twice, at index {seen[token_id]:,} and {i:,}"
            break
        seen[token_id] = i
    raise CheckpointError(
        f"{file}: tensor {TOKEN_ORDERING!r} {problem}; wanted each of the {vocab_size:,} token "
        "ids once; the file is damaged, download it again",
        tensor=TOKEN_ORDERING,
        index=i,
        found=token_id,
    )
