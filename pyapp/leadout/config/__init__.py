"""Model configurations: the fields of config.json, checked once at the door.

GGUF metadata is first put into the same fields (`config_from_gguf`), so that a model knows one kind
of configuration. Adding an architecture is a module with its dataclass here, its model_types in
`model_types.MODEL_TYPES`, a line in `CONFIGS` and one in `GGUF_CONFIGS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeAlias

from leadout.config.gemma3 import Gemma3TextConfig, LinearRopeScaling, gemma3_from_gguf
from leadout.config.gemma4 import TARGETS_CACHE, Gemma4LayerConfig, Gemma4TextConfig
from leadout.config.gemma4_assistant import Gemma4AssistantConfig
from leadout.config.gemma4_gguf import Shapes, gemma4_assistant_from_gguf, gemma4_from_gguf
from leadout.config.model_types import FULL, SLIDING, text_config_of

__all__ = [
    "FULL",
    "SLIDING",
    "TARGETS_CACHE",
    "Config",
    "Gemma3TextConfig",
    "Gemma4AssistantConfig",
    "Gemma4LayerConfig",
    "Gemma4TextConfig",
    "LinearRopeScaling",
    "config_from_gguf",
    "read_config",
    "text_config_of",
]

Config: TypeAlias = Gemma3TextConfig | Gemma4TextConfig | Gemma4AssistantConfig

#: model_type of a flat configuration -> reader of its fields.
CONFIGS: dict[str, Callable[[Mapping[str, object]], Config]] = {
    "gemma3_text": Gemma3TextConfig.from_json,
    "gemma4_text": Gemma4TextConfig.from_json,
    "gemma4_unified_text": Gemma4TextConfig.from_json,
    "gemma4_assistant": Gemma4AssistantConfig.from_json,
}

#: The same -> reader of its GGUF metadata, given the embedding's rows and the tensors' shapes.
GGUF_CONFIGS: dict[str, Callable[[Mapping[str, object], int, Shapes], dict[str, object]]] = {
    "gemma3_text": lambda metadata, vocab_size, shapes: gemma3_from_gguf(metadata, vocab_size),
    "gemma4_text": gemma4_from_gguf,
    "gemma4_assistant": gemma4_assistant_from_gguf,
}


class HasConfig(Protocol):
    """What `read_config` asks of a checkpoint."""

    @property
    def config(self) -> dict[str, object]:
        """The fields of config.json's text model."""


def read_config(checkpoint: HasConfig) -> Config:
    """Return a checkpoint's configuration, checked.

    Raises:
        UnsupportedModelError: a model or a feature that Leadout does not run.
        UnsupportedFormatError: the weights are quantised in a way that it does not read.
        CheckpointError: a field is wrong.
    """
    config = text_config_of(checkpoint.config)
    return CONFIGS[str(config["model_type"])](config)


def config_from_gguf(
    model_type: str,
    metadata: Mapping[str, object],
    vocab_size: int,
    shapes: Shapes | None = None,
) -> dict[str, object]:
    """Put GGUF metadata into the fields of config.json.

    Args:
        model_type: of the flat configuration, a key of `GGUF_CONFIGS`.
        metadata: of the file.
        vocab_size: rows of the embedding.
        shapes: of the tensors, by Hugging Face name: for what the metadata do not say.

    Raises:
        CheckpointError: a key that has to be there is missing, or has another type.
        UnsupportedModelError: a feature that Leadout does not run.
    """
    return GGUF_CONFIGS[model_type](metadata, vocab_size, shapes or {})
