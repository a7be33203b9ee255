"""Tiny Gemma 4 checkpoints, such as those in vectors/gemma4-tiny, as GGUF files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from k_quants import quantize_k
from nano import gemma4_gguf
from nano.gemma4_gguf import (
    BYTE,
    CONTROL,
    NORMAL,
    UNKNOWN,
    USER_DEFINED,
    Array,
    Vocabulary,
    quantize_rows,
    read_config,
)
from tiny_checkpoints import TRAINING_TEXT

_MARKS = [
    ("<pad>", CONTROL),
    ("<eos>", CONTROL),
    ("<bos>", CONTROL),
    ("<unk>", UNKNOWN),
    ("<mask>", CONTROL),
    ("<|turn>", CONTROL),
    ("<turn|>", CONTROL),
    ("<|think|>", CONTROL),
    # The converter has these shown as text.
    ("<|channel>", USER_DEFINED),
    ("<channel|>", USER_DEFINED),
    ("<|tool_call>", USER_DEFINED),
    ("<tool_call|>", USER_DEFINED),
    ("<|tool_response>", USER_DEFINED),
    ("<tool_response|>", USER_DEFINED),
    ('<|"|>', USER_DEFINED),
    ("\n", NORMAL),
]

#: From this size on, a vocabulary has the 256 byte tokens, without which text cannot be read.
SMALLEST_WITH_BYTES = 512


def gemma4_vocabulary(size: int) -> Vocabulary:
    """Return a vocabulary built like Gemma 4's: marks, bytes, characters, merged pieces, unused."""
    entries = list(_MARKS)
    if size >= SMALLEST_WITH_BYTES:
        entries += [(f"<0x{byte:02X}>", BYTE) for byte in range(256)]
    words = [["▁", *word] for word in TRAINING_TEXT.split(" ")]
    entries += [(piece, NORMAL) for piece in sorted({piece for word in words for piece in word})]
    merges: list[str] = []
    known = {token for token, _ in entries}
    while len(entries) < size - 8:
        pairs = Counter(pair for word in words for pair in pairwise(word))
        if not pairs:
            break
        left, right = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(f"{left} {right}")
        if left + right not in known:
            known.add(left + right)
            entries.append((left + right, NORMAL))
        words = [_merged(word, left, right) for word in words]
    entries += [(f"<unused{i}>", CONTROL) for i in range(size - len(entries))]
    if len(entries) > size:
        raise ValueError(f"a vocabulary of {size} has no room for {len(entries)} tokens")
    tokens, types = zip(*entries, strict=True)
    return Vocabulary(list(tokens), [-1000.0] * size, list(types), merges)


def _merged(word: list[str], left: str, right: str) -> list[str]:
    result: list[str] = []
    for piece in word:
        if result and result[-1] == left and piece == right:
            result[-1] = left + right
        else:
            result.append(piece)
    return result


def write_gemma4_gguf(
    path: Path, folder: Path, quantization: Callable[[str], str] | str = "F32", **options: Any
) -> Path:
    """Write a tiny checkpoint as a GGUF file, with a vocabulary of its size.

    Args:
        path: of the file.
        folder: of the checkpoint.
        quantization: as for `nano.gemma4_gguf.write_gemma4_gguf`; besides Q4_K, Q5_K and
            Q6_K, which need rows of a multiple of 256.
        options: of the same.
    """
    vocabulary = gemma4_vocabulary(read_config(folder).fields["vocab_size"])
    options = {"name": "Tiny Gemma 4", "quantizer": _quantized, **options}
    return gemma4_gguf.write_gemma4_gguf(path, folder, vocabulary, quantization, **options)


def _quantized(values: Array, kind: str) -> Array:
    if kind not in ("Q4_K", "Q5_K", "Q6_K"):
        return quantize_rows(values, kind)
    stored: Array = quantize_k(values.reshape(-1, values.shape[-1]), kind)
    return stored.reshape(*values.shape[:-1], -1)
