"""`leadout inspect`: what a checkpoint holds, and what a decode step has to read of it."""

from __future__ import annotations

import argparse
import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from leadout.checkpoint import Checkpoint, FileSource, TensorInfo, open_checkpoint
from leadout.config import FULL, Gemma3TextConfig, read_config
from leadout.kv_cache import KV_BYTES
from leadout.layouts import LAYOUT_OF_FORMAT, LAYOUTS
from leadout_build.progress import format_bytes
from leadout_build.store import Store

_LAYER = re.compile(r"^model\.layers\.\d+\.")
_EMBEDDING = "model.embed_tokens.weight"
_HEAD = "lm_head.weight"
_FLOAT_BYTES = 4


@dataclass
class TensorKind:
    """Tensors of one place in a layer (or outside) with the same format and shape.

    Attributes:
        name: the tensors' name, with "*" for the layer's number.
        count: how many.
        format: as stored.
        shape: row-major.
        stored_bytes: of all of them, in the file.
        device_bytes: of all of them, in the layout that they are repacked to.
    """

    name: str
    count: int
    format: str
    shape: tuple[int, ...]
    stored_bytes: int
    device_bytes: int


@dataclass(frozen=True)
class Inspection:
    """What `inspect` shows; `--json` prints these fields.

    Attributes:
        model: as asked for.
        kind: "gguf" or "safetensors".
        architecture: `model_type`.
        num_parameters: values in all tensors.
        num_layers: transformer layers.
        context_length: the most positions.
        sliding_window: positions that a sliding layer sees.
        num_full_layers: layers that see all positions.
        has_chat_template: whether it is made for chats.
        stored_bytes: of all tensors, in the file.
        device_bytes: of all tensors, on a device.
        decode_step_read_bytes: weights that one decode step reads: every matrix once, the
            embedding as the head, plus the token's own row of it.
        kv_bytes_per_token: what a position takes in the KV cache, by the cache's dtype.
        kv_bytes_per_token_past_window: the same once sliding layers are full.
        tensors: by kind.
    """

    model: str
    kind: str
    architecture: str
    num_parameters: int
    num_layers: int
    context_length: int
    sliding_window: int
    num_full_layers: int
    has_chat_template: bool
    stored_bytes: int
    device_bytes: int
    decode_step_read_bytes: int
    kv_bytes_per_token: Mapping[str, int]
    kv_bytes_per_token_past_window: Mapping[str, int]
    tensors: tuple[TensorKind, ...]


def run(args: argparse.Namespace) -> int:
    """Print what `args.model` is: for people, or with `args.json` as one object.

    Raises:
        ModelNotFoundError: no such model.
        CheckpointError: it is none that Leadout reads.
    """
    inspection = inspect_model(args.model, Store().resolve(args.model))
    if args.json:
        print(json.dumps(asdict(inspection), ensure_ascii=False))
    else:
        print(describe(inspection))
    return 0


def inspect_model(model: str, files: Mapping[str, Path]) -> Inspection:
    """Read a checkpoint's headers and add up what they say.

    Args:
        model: what to call it.
        files: file name → path.
    """
    sources = {name: FileSource(path) for name, path in files.items()}
    checkpoint = asyncio.run(open_checkpoint(sources))
    config = read_config(checkpoint)
    kinds = _tensor_kinds(checkpoint)
    num_full = config.layer_types.count(FULL)
    layer_values = 2 * config.num_key_value_heads * config.head_dim
    return Inspection(
        model=model,
        kind=checkpoint.kind,
        architecture=str(checkpoint.config["model_type"]),
        num_parameters=checkpoint.num_parameters,
        num_layers=config.num_hidden_layers,
        context_length=config.max_position_embeddings,
        sliding_window=config.sliding_window,
        num_full_layers=num_full,
        has_chat_template=checkpoint.chat_template is not None,
        stored_bytes=checkpoint.tensor_bytes,
        device_bytes=sum(kind.device_bytes for kind in kinds),
        decode_step_read_bytes=_decode_step_read_bytes(checkpoint, config),
        kv_bytes_per_token={
            dtype: size * layer_values * config.num_hidden_layers
            for dtype, size in KV_BYTES.items()
        },
        kv_bytes_per_token_past_window={
            dtype: size * layer_values * num_full for dtype, size in KV_BYTES.items()
        },
        tensors=tuple(kinds),
    )


def describe(inspection: Inspection) -> str:
    """Return the report for people."""
    i = inspection
    facts = {
        "architecture": f"{i.architecture} ({i.kind})",
        "parameters": f"{i.num_parameters:,}",
        "layers": f"{i.num_layers}, of which {i.num_full_layers} see all positions and the "
        f"others {i.sliding_window:,}",
        "context length": f"{i.context_length:,} tokens",
        "chat template": "yes" if i.has_chat_template else "no",
        "weights": f"{format_bytes(i.stored_bytes)} in the file, "
        f"{format_bytes(i.device_bytes)} on the device",
        "a decode step reads": f"{format_bytes(i.decode_step_read_bytes)} of weights",
        "KV cache": ", ".join(
            f"{format_bytes(size)} per token in {dtype} "
            f"({format_bytes(i.kv_bytes_per_token_past_window[dtype])} past the window)"
            for dtype, size in i.kv_bytes_per_token.items()
        ),
    }
    width = max(map(len, facts))
    lines = [i.model, *(f"  {name:<{width}}  {fact}" for name, fact in facts.items()), ""]
    rows = [("tensor", "count", "format", "shape", "in the file", "on the device")]
    rows += [
        (
            # A name comes from the file, and must not steer the terminal.
            kind.name if kind.name.isprintable() else ascii(kind.name),
            str(kind.count),
            kind.format,
            " x ".join(map(str, kind.shape)),
            format_bytes(kind.stored_bytes),
            format_bytes(kind.device_bytes),
        )
        for kind in i.tensors
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, *figures in rows:
        cells = [name.ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(figures, widths[1:], strict=True)]
        lines.append("  ".join(cells))
    return "\n".join(lines)


def _tensor_kinds(checkpoint: Checkpoint) -> list[TensorKind]:
    kinds: dict[tuple[str, str, tuple[int, ...]], TensorKind] = {}
    for tensor in checkpoint.tensors.values():
        name = _LAYER.sub("model.layers.*.", tensor.name)
        key = (name, tensor.format, tensor.shape)
        kind = kinds.setdefault(key, TensorKind(name, 0, tensor.format, tensor.shape, 0, 0))
        kind.count += 1
        kind.stored_bytes += tensor.bytes
        kind.device_bytes += _device_bytes(tensor)
    return sorted(kinds.values(), key=lambda kind: (-kind.device_bytes, kind.name))


def _device_bytes(tensor: TensorInfo) -> int:
    """Return a tensor's size on a device: matrices in their layout, vectors in float32."""
    if len(tensor.shape) != 2:
        return tensor.num_elements * _FLOAT_BYTES
    return LAYOUTS[LAYOUT_OF_FORMAT[tensor.format]].bytes(*tensor.shape)


def _decode_step_read_bytes(checkpoint: Checkpoint, config: Gemma3TextConfig) -> int:
    embedding = checkpoint.tensors.get(_EMBEDDING)
    total = sum(map(_device_bytes, checkpoint.tensors.values()))
    if embedding is None:
        return total
    if not config.tie_word_embeddings and _HEAD in checkpoint.tensors:
        total -= _device_bytes(embedding)
    return total + _device_bytes(embedding) // max(embedding.shape[0], 1)
