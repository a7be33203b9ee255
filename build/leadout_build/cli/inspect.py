"""`leadout inspect`: what a checkpoint contains, and how much of it a step reads."""

from __future__ import annotations

import argparse
import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from leadout.checkpoint import Checkpoint, TensorInfo
from leadout.config import (
    FULL,
    Gemma3TextConfig,
    Gemma4AssistantConfig,
    Gemma4TextConfig,
    read_config,
)
from leadout.errors import TensorError
from leadout.forecast import Forecast, forecast
from leadout.models.registry import check_assistant
from leadout.planning import LoadOptions
from leadout_build.bench.any_gpu import AnyGpu
from leadout_build.bench.step_reads import (
    KvKind,
    device_bytes,
    kv_bytes_per_token,
    kv_kinds,
    step_reads,
    used_tensors,
)
from leadout_build.cli.headers import Opened, open_pair
from leadout_build.store.model_store import Store
from leadout_build.store.sizes import format_bytes

_DEFAULTS = LoadOptions()

_LAYER = re.compile(r"^model\.layers\.\d+\.")


@dataclass
class TensorKind:
    """Tensors with the same name (but for the layer's number), format and shape.

    Attributes:
        name: the tensors' name, with "*" for the layer's number.
        count: the number of tensors.
        format: the format in the file.
        shape: the shape, row-major.
        stored_bytes: bytes of all of them in the file.
        device_bytes: bytes of the loaded ones, in the layout that they are repacked to.
    """

    name: str
    count: int
    format: str
    shape: tuple[int, ...]
    stored_bytes: int
    device_bytes: int


@dataclass(frozen=True)
class DrafterFacts:
    """What the inspection of a target says about its drafter.

    Attributes:
        name: the name to print.
        num_parameters: the number of values in all tensors.
        device_bytes: bytes of its tensors on a device.
        draft_step_read_bytes: bytes of weights that one step reads; a step proposes one token.
        head_read_bytes: the head's share of these.
    """

    name: str
    num_parameters: int
    device_bytes: int
    draft_step_read_bytes: int
    head_read_bytes: int


@dataclass(frozen=True)
class Inspection:
    """What `inspect` shows; `--json` prints these fields, except those that are None.

    Attributes:
        model: the model's name on the command line.
        kind: "gguf" or "safetensors".
        architecture: `model_type`.
        num_parameters: the number of values in all tensors.
        num_layers: the number of transformer layers.
        context_length: the most positions.
        sliding_window: the number of positions that a sliding layer sees.
        num_full_layers: the number of layers that see all positions.
        has_chat_template: whether the checkpoint has a chat template.
        stored_bytes: bytes of all tensors in the file.
        device_bytes: bytes of the loaded tensors on a device.
        decode_step_read_bytes: bytes of weights that one decode step reads (of a drafter: one of
            its steps); see step_reads.py.
        kv_bytes_per_token: bytes of a position in the KV cache, by the cache's dtype.
        kv_bytes_per_token_past_window: the same when sliding layers are full.
        tensors: the tensors, by kind.
        head_read_bytes: the head's share of a step's reads. This and all following fields are only
            for Gemma 4.
        num_shared_layers: the number of last layers that read the KV caches of earlier ones (a
            drafter's layers read those of its target).
        kv_layers: the layers with a KV cache of their own, by kind.
        num_experts: the number of experts of a layer, or 0.
        top_k_experts: the number of experts that a token uses.
        drafter: the drafter beside a target, if there is one.
        forecast: how much GPU memory loading a target takes, its drafter included.
        missing: what a target's files lack, if it has no forecast because of that.
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
    head_read_bytes: int | None = None
    num_shared_layers: int | None = None
    kv_layers: tuple[KvKind, ...] | None = None
    num_experts: int | None = None
    top_k_experts: int | None = None
    drafter: DrafterFacts | None = None
    forecast: Forecast | None = None
    missing: str | None = None


def run(args: argparse.Namespace) -> int:
    """Print the inspection of `args.model`: as text, or with `args.json` as one JSON object.

    Raises:
        LeadoutError: one of its children, as `open_pair` and `inspect_model` raise.
    """
    options = LoadOptions(
        args.context, args.kv_dtype, parallel=args.parallel, placement=args.placement
    )
    inspection = inspect_model(*open_pair(Store(), args.model), options)
    if args.json:
        facts = {name: value for name, value in asdict(inspection).items() if value is not None}
        if inspection.forecast is not None:
            facts["forecast"] = {**inspection.forecast.to_json(), "parallel": args.parallel}
        print(json.dumps(facts, ensure_ascii=False))
    else:
        print(describe(inspection, args.parallel))
    return 0


def inspect_model(
    target: Opened, drafter: Opened | None = None, options: LoadOptions = _DEFAULTS
) -> Inspection:
    """Inspect a checkpoint by its headers.

    Args:
        target: the model.
        drafter: the drafter beside it.
        options: the options of the load to forecast.

    Raises:
        LeadoutError: one of its children, as `forecast.forecast` raises.
    """
    checkpoint = target.checkpoint
    config = read_config(checkpoint)
    text = config.text if isinstance(config, Gemma4AssistantConfig) else config
    kinds = _tensor_kinds(checkpoint, used_tensors(checkpoint, config))
    kv = kv_kinds(config)
    reads = step_reads(checkpoint, config)
    inspection = Inspection(
        model=target.name,
        kind=checkpoint.kind,
        architecture=str(checkpoint.config["model_type"]),
        num_parameters=checkpoint.num_parameters,
        num_layers=text.num_hidden_layers,
        context_length=config.max_position_embeddings,
        sliding_window=text.sliding_window,
        num_full_layers=_layer_types(text).count(FULL),
        has_chat_template=checkpoint.chat_template is not None,
        stored_bytes=checkpoint.tensor_bytes,
        device_bytes=sum(kind.device_bytes for kind in kinds),
        decode_step_read_bytes=reads.total_bytes,
        kv_bytes_per_token=kv_bytes_per_token(kv),
        kv_bytes_per_token_past_window=kv_bytes_per_token(kv, is_past_window=True),
        tensors=tuple(kinds),
    )
    if text is config:
        try:
            inspection = replace(inspection, forecast=_forecast(checkpoint, drafter, options))
        except TensorError as error:
            inspection = replace(inspection, missing=error.message)
    if not isinstance(text, Gemma4TextConfig):
        return inspection
    return replace(
        inspection,
        head_read_bytes=reads.head_bytes,
        num_shared_layers=text.num_kv_shared_layers,
        kv_layers=tuple(kv),
        num_experts=text.num_experts,
        top_k_experts=text.top_k_experts,
        drafter=None if drafter is None else _drafter_facts(drafter),
    )


def describe(inspection: Inspection, parallel: int = 1) -> str:
    """Return the report as text; the forecast in it is for so many requests at once."""
    i = inspection
    facts = {
        "architecture": f"{i.architecture} ({i.kind})",
        "parameters": f"{i.num_parameters:,}",
        "layers": f"{i.num_layers}, of which {i.num_full_layers} see all positions and the "
        f"others the last {i.sliding_window:,}",
        "context length": f"{i.context_length:,} tokens",
        "chat template": "yes" if i.has_chat_template else "no",
        "weights": f"{format_bytes(i.stored_bytes)} in the file, "
        f"{format_bytes(i.device_bytes)} on the device",
        "a decode step reads": f"{format_bytes(i.decode_step_read_bytes)} of weights",
        "KV cache": ", ".join(
            f"{format_bytes(size)} per token in {dtype} "
            f"({format_bytes(i.kv_bytes_per_token_past_window[dtype])} beyond the window)"
            for dtype, size in i.kv_bytes_per_token.items()
        ),
    }
    if i.kv_layers is not None:
        _describe_gemma4(i, i.kv_layers, facts)
    if i.forecast is not None:
        _describe_forecast(i.forecast, parallel, facts)
    if i.missing is not None:
        facts["it cannot be loaded"] = i.missing
    width = max(map(len, facts))
    lines = [i.model, *(f"  {name:<{width}}  {fact}" for name, fact in facts.items()), ""]
    rows = [("tensor", "count", "format", "shape", "in the file", "on the device")]
    rows += [
        (
            # A name comes from the file, and must not send control characters to the terminal.
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


def _describe_gemma4(i: Inspection, kv_layers: Sequence[KvKind], facts: dict[str, str]) -> None:
    """Add to `facts` what only Gemma 4 and its drafters have."""
    assert i.head_read_bytes is not None
    head = f"{format_bytes(i.head_read_bytes)} of these for the head"
    is_drafter = not kv_layers
    if is_drafter:
        facts["layers"] += "; all read the KV cache of the target"
        facts["a draft step reads"] = f"{facts.pop('a decode step reads')}, {head}"
        facts["KV cache"] = "none of its own"
        return
    if i.num_shared_layers:
        facts["layers"] += f"; the last {i.num_shared_layers} read the KV caches of earlier ones"
    facts["a decode step reads"] += f", {head}"
    if i.num_experts:
        facts["a decode step reads"] += f"; of {i.num_experts} experts only those of one token"
        facts["experts"] = (
            f"{i.num_experts} in every layer, {i.top_k_experts} of them for each token"
        )
    facts["KV by layer"] = "; ".join(
        f"{kv.num_layers} {'full' if kv.layer_type == FULL else 'sliding'}: "
        f"{kv.num_key_value_heads} x {kv.head_dim} keys and values, "
        + ", ".join(
            f"{format_bytes(size)} per token in {dtype}"
            for dtype, size in kv.bytes_per_token.items()
        )
        for kv in kv_layers
    )
    if i.drafter is None:
        facts["drafter"] = "none beside it"
        return
    name = i.drafter.name if i.drafter.name.isprintable() else ascii(i.drafter.name)
    facts["drafter"] = (
        f"{name}: {i.drafter.num_parameters:,} parameters, "
        f"{format_bytes(i.drafter.device_bytes)} on the device; a draft step reads "
        f"{format_bytes(i.drafter.draft_step_read_bytes)} of weights, "
        f"{format_bytes(i.drafter.head_read_bytes)} of these for the head"
    )


def _describe_forecast(found: Forecast, parallel: int, facts: dict[str, str]) -> None:
    """Add to `facts` how much memory loading takes."""
    memory = found.memory
    parts = [f"{format_bytes(memory.weights_bytes)} of weights"]
    if memory.drafter_bytes:
        parts.append(f"{format_bytes(memory.drafter_bytes)} of the drafter's weights")
    parts.append(f"{format_bytes(memory.kv_cache_bytes)} of KV cache in {found.kv_dtype}")
    parts.append(f"{format_bytes(memory.other_bytes)} of activations and tables")
    context = f"a context of {found.context_length:,}"
    if parallel > 1:
        context += f" for each of {parallel} requests at once"
    facts["GPU memory"] = f"{format_bytes(memory.total_bytes)} with {context}: {', '.join(parts)}"
    others = [one for one in found.contexts if one.context_length != found.context_length]
    if others:
        facts["by context"] = ", ".join(
            f"{one.context_length:,}: {format_bytes(one.total_bytes)}" for one in others
        )
    if found.placement == "paged":
        facts["paged"] = "the per-layer embeddings stay in the file, except the rows in use"
    if found.paging_saves_bytes:
        facts["paging saves"] = format_bytes(found.paging_saves_bytes)
    if found.problem is not None:
        facts["it does not fit"] = found.problem


def _forecast(checkpoint: Checkpoint, drafter: Opened | None, options: LoadOptions) -> Forecast:
    opened = None if drafter is None else drafter.checkpoint
    return asyncio.run(forecast(AnyGpu(), checkpoint, opened, options))


def _drafter_facts(drafter: Opened) -> DrafterFacts:
    checkpoint = drafter.checkpoint
    config = check_assistant(read_config(checkpoint), drafter.name)
    reads = step_reads(checkpoint, config)
    return DrafterFacts(
        name=drafter.name,
        num_parameters=checkpoint.num_parameters,
        device_bytes=sum(map(device_bytes, used_tensors(checkpoint, config))),
        draft_step_read_bytes=reads.total_bytes,
        head_read_bytes=reads.head_bytes,
    )


def _layer_types(config: Gemma3TextConfig | Gemma4TextConfig) -> list[str]:
    if isinstance(config, Gemma3TextConfig):
        return list(config.layer_types)
    return [layer.layer_type for layer in config.layers]


def _tensor_kinds(checkpoint: Checkpoint, used: Sequence[TensorInfo]) -> list[TensorKind]:
    kinds: dict[tuple[str, str, tuple[int, ...]], TensorKind] = {}
    used_names = {tensor.name for tensor in used}
    for tensor in checkpoint.tensors.values():
        name = _LAYER.sub("model.layers.*.", tensor.name)
        key = (name, tensor.format, tensor.shape)
        kind = kinds.setdefault(key, TensorKind(name, 0, tensor.format, tensor.shape, 0, 0))
        kind.count += 1
        kind.stored_bytes += tensor.bytes
        kind.device_bytes += device_bytes(tensor) if tensor.name in used_names else 0
    return sorted(kinds.values(), key=lambda kind: (-kind.device_bytes, kind.name))
