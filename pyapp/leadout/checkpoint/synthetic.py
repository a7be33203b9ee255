"""Checkpoints without a file: the shapes of published models, with weights made up on a device.

For figures of speed alone: `loading.load_model` fills what such a checkpoint places
(weights.fill_weights), so nothing is downloaded or read. The text that comes out is noise, and so
is how much of a draft is accepted; what a pass costs is the real model's.

Formats are those of Google's QAT Q4_0 GGUF files:

    matrices, experts, embed_tokens_per_layer    Q4_0
    embed_tokens of a target (the head, too)     Q6_K, or Q8_0 where the columns are no multiple of
                                                 its 256
    embed_tokens of a drafter                    Q8_0
    per_layer_model_projection                   BF16
    router.proj, norms, scalars                  F32

Source: the models' config.json, as transformers' configuration classes read them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from leadout.checkpoint import Checkpoint
from leadout.checkpoint.made_up_vocabulary import made_up_tokenizer_json
from leadout.checkpoint.source import MemorySource
from leadout.checkpoint.tensors import TOKEN_ORDERING, TensorInfo
from leadout.config import (
    FULL,
    SLIDING,
    Gemma4AssistantConfig,
    Gemma4TextConfig,
    read_config,
)
from leadout.errors import RequestError
from leadout.layouts import FORMATS
from leadout.models import gemma4_assistant, gemma4_text

#: `Checkpoint.kind` of these.
SYNTHETIC = "synthetic"

ROLES = ("target", "drafter")

_Q6_K_COLUMNS = FORMATS["Q6_K"].columns

_TEXT: dict[str, object] = {
    "model_type": "gemma4_text",
    "vocab_size": 262_144,
    "head_dim": 256,
    "global_head_dim": 512,
    "hidden_size_per_layer_input": 0,
    "final_logit_softcapping": 30.0,
    "eos_token_id": [1, 106],
}

#: The two small ones: a short window, per-layer inputs, the last layers without keys and values.
_E = _TEXT | {
    "sliding_window": 512,
    "max_position_embeddings": 131_072,
    "hidden_size_per_layer_input": 256,
    "vocab_size_per_layer_input": 262_144,
}

#: The others: full layers whose keys are their values.
_LARGE = _TEXT | {
    "sliding_window": 1024,
    "max_position_embeddings": 262_144,
    "attention_k_eq_v": True,
    "use_bidirectional_attention": "vision",
}


def _layers(count: int, pattern: int) -> dict[str, object]:
    """Return the fields of so many layers, every `pattern`-th one of which is full."""
    types = [SLIDING if (i + 1) % pattern else FULL for i in range(count)]
    return {"num_hidden_layers": count, "layer_types": types}


#: Of the targets: the flat configuration.
_TARGETS: dict[str, dict[str, object]] = {
    "e2b": _E
    | _layers(35, 5)
    | {
        "hidden_size": 1536,
        "intermediate_size": 6144,
        "use_double_wide_mlp": True,
        "num_attention_heads": 8,
        "num_key_value_heads": 1,
        "num_kv_shared_layers": 20,
    },
    "e4b": _E
    | _layers(42, 6)
    | {
        "hidden_size": 2560,
        "intermediate_size": 10_240,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "num_kv_shared_layers": 18,
    },
    "12b": _LARGE
    | _layers(48, 6)
    | {
        "model_type": "gemma4_unified_text",
        "hidden_size": 3840,
        "intermediate_size": 15_360,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "num_global_key_value_heads": 1,
    },
    "26b-a4b": _LARGE
    | _layers(30, 6)
    | {
        "hidden_size": 2816,
        "intermediate_size": 2112,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "num_global_key_value_heads": 2,
        "enable_moe_block": True,
        "num_experts": 128,
        "top_k_experts": 8,
        "moe_intermediate_size": 704,
    },
    "31b": _LARGE
    | _layers(60, 6)
    | {
        "hidden_size": 5376,
        "intermediate_size": 21_504,
        "num_attention_heads": 32,
        "num_key_value_heads": 16,
        "num_global_key_value_heads": 4,
    },
    # No published model: everything that E2B has, small enough to try the way without a GPU.
    "tiny": _E
    | _layers(6, 2)
    | {
        "vocab_size": 2048,
        "vocab_size_per_layer_input": 2048,
        "hidden_size": 256,
        "hidden_size_per_layer_input": 32,
        "intermediate_size": 256,
        "use_double_wide_mlp": True,
        "head_dim": 32,
        "global_head_dim": 64,
        "num_attention_heads": 4,
        "num_key_value_heads": 1,
        "num_kv_shared_layers": 2,
        "sliding_window": 64,
        "max_position_embeddings": 512,
    },
}

#: Of their drafters: hidden_size, intermediate_size, num_attention_heads; all else is the target's.
_DRAFTER_SIZES = {
    "e2b": (256, 2048, 4),
    "e4b": (256, 2048, 4),
    "12b": (1024, 8192, 16),
    "26b-a4b": (1024, 8192, 16),
    "31b": (1024, 8192, 32),
    "tiny": (64, 128, 4),
}

#: The drafters with a centroid head: num_centroids, centroid_intermediate_top_k.
_CENTROIDS = {"e2b": (2048, 32), "e4b": (2048, 32), "tiny": (64, 8)}

#: What there is to ask for.
SHAPES = tuple(_TARGETS)


def synthetic_checkpoint(shape: str, role: str, has_vocabulary: bool = False) -> Checkpoint:
    """Return a checkpoint of a published model's shape.

    Args:
        shape: one of `SHAPES`.
        role: "target", or "drafter" for the one that was made for it.
        has_vocabulary: give a target a made-up tokenizer, see `made_up_vocabulary`.

    Raises:
        RequestError: there is no such shape or role.
    """
    if shape not in SHAPES:
        raise RequestError(f"The shape is {shape!r}; wanted one of {', '.join(SHAPES)}.")
    if role not in ROLES:
        raise RequestError(f"The role is {role!r}; wanted one of {', '.join(ROLES)}.")
    if role == "drafter":
        return checkpoint_of(f"{shape}-assistant", _drafter_config(shape))
    checkpoint = checkpoint_of(shape, _TARGETS[shape])
    if has_vocabulary:
        text = made_up_tokenizer_json(read_config(checkpoint).vocab_size)
        source = MemorySource("tokenizer.json", text.encode())
        checkpoint = dataclasses.replace(checkpoint, tokenizer_json=source)
    return checkpoint


def checkpoint_of(name: str, config: Mapping[str, object]) -> Checkpoint:
    """Return a checkpoint without a file for any Gemma 4 configuration.

    Args:
        name: what to call it.
        config: of a target or a drafter, in flat form; see `config.read_config`.

    Raises:
        RequestError: it is another model's.
        CheckpointError: it is none that Leadout runs.
    """
    empty = Checkpoint(
        name=name,
        kind=SYNTHETIC,
        sources=[],
        tensors={},
        config=dict(config),
        norms_are_folded=True,
        eos_token_ids=(),
        bos_token_id=None,
    )
    read = read_config(empty)
    shapes: dict[str, tuple[int, ...]] = {}
    if isinstance(read, Gemma4AssistantConfig):
        shapes |= gemma4_assistant.expected_shapes(read)
        num_layers, head = read.text.num_hidden_layers, "Q8_0"
    elif isinstance(read, Gemma4TextConfig):
        shapes |= gemma4_text.expected_shapes(read, empty)
        num_layers = read.num_hidden_layers
        head = "Q8_0" if read.hidden_size % _Q6_K_COLUMNS else "Q6_K"
    else:
        raise RequestError(f"{name} is no Gemma 4; weights are made up for Gemma 4 alone.")
    # A model runs without them, but every published one has them.
    shapes |= {f"model.layers.{i}.layer_scalar": (1,) for i in range(num_layers)}
    # Nothing is read, but every tensor has a place of its own, as in a file.
    tensors: dict[str, TensorInfo] = {}
    offset = 0
    for tensor, shape in shapes.items():
        info = TensorInfo(tensor, shape, _format_of(tensor, shape, head), 0, offset, 0)
        tensors[tensor] = dataclasses.replace(info, bytes=_stored_bytes(info))
        offset += tensors[tensor].bytes
    return dataclasses.replace(
        empty, tensors=tensors, eos_token_ids=read.eos_token_id, bos_token_id=read.bos_token_id
    )


def _drafter_config(shape: str) -> dict[str, object]:
    """Return the flat configuration of the drafter that a target of this shape has."""
    target = _TARGETS[shape]
    hidden, intermediate, heads = _DRAFTER_SIZES[shape]
    shared = (
        "vocab_size",
        "head_dim",
        "global_head_dim",
        "num_key_value_heads",
        "num_global_key_value_heads",
        "attention_k_eq_v",
        "sliding_window",
        "max_position_embeddings",
        "eos_token_id",
    )
    config = {name: target[name] for name in shared if name in target} | _layers(4, 4)
    config |= {
        "model_type": "gemma4_assistant",
        "backbone_hidden_size": target["hidden_size"],
        "hidden_size": hidden,
        "intermediate_size": intermediate,
        "num_attention_heads": heads,
        "num_kv_shared_layers": 4,
        "use_ordered_embeddings": shape in _CENTROIDS,
    }
    if shape in _CENTROIDS:
        config["num_centroids"], config["centroid_intermediate_top_k"] = _CENTROIDS[shape]
    return config


def _format_of(name: str, shape: tuple[int, ...], head: str) -> str:
    if name == TOKEN_ORDERING:
        return "I32"
    if len(shape) == 1 or name.endswith("router.proj.weight"):
        return "F32"
    return {
        "model.embed_tokens.weight": head,
        "model.per_layer_model_projection.weight": "BF16",
    }.get(name, "Q4_0")


def _stored_bytes(tensor: TensorInfo) -> int:
    if tensor.format == "I32":
        return 4 * tensor.num_elements
    known = FORMATS[tensor.format]
    return tensor.num_elements // known.columns * known.bytes
