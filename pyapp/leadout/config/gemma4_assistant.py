"""The configuration of Gemma 4's drafters (`gemma4_assistant`).

Source: transformers, models/gemma4_assistant/configuration_gemma4_assistant.py and
models/gemma4_unified_assistant/configuration_gemma4_unified_assistant.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from leadout.config.checks import BLOCK, MAX_LAYERS, check_multiples
from leadout.config.fields import Fields
from leadout.config.gemma4 import Gemma4TextConfig, count, flag, read_text
from leadout.config.model_types import text_config_of
from leadout.errors import CheckpointError, UnsupportedModelError
from leadout.shown import shown


@dataclass(frozen=True)
class Gemma4AssistantConfig:
    """`gemma4_assistant` or `gemma4_unified_assistant`: a drafter for a Gemma 4 target.

    Attributes:
        text: its layers, none of which writes a KV cache: they read the target's, of the last
            layer of their type that writes one.
        backbone_hidden_size: the target's `hidden_size`.
        use_ordered_embeddings: the head looks at the tokens of the nearest centroids alone.
        num_centroids: how many, each with as many tokens; without meaning if there are none.
        centroid_intermediate_top_k: how many of them the head looks at.
    """

    text: Gemma4TextConfig
    backbone_hidden_size: int
    use_ordered_embeddings: bool
    num_centroids: int
    centroid_intermediate_top_k: int

    model_type: ClassVar[str] = "gemma4_assistant"

    @property
    def vocab_size(self) -> int:
        """Rows of the embedding, which is the target's vocabulary."""
        return self.text.vocab_size

    @property
    def max_position_embeddings(self) -> int:
        """Positions that it was made for."""
        return self.text.max_position_embeddings

    @property
    def eos_token_id(self) -> tuple[int, ...]:
        """Tokens that end a text."""
        return self.text.eos_token_id

    @property
    def bos_token_id(self) -> int | None:
        """The token that begins a text."""
        return self.text.bos_token_id

    @classmethod
    def from_json(cls, config: Mapping[str, object]) -> Gemma4AssistantConfig:
        """Check and read the fields of config.json.

        Args:
            config: of a drafter, with its `text_config` inside, or as `text_config_of` returns it.

        Raises:
            CheckpointError: a field has another type, is out of range or contradicts another.
            UnsupportedModelError: a feature that Leadout does not run.
        """
        fields = Fields(text_config_of(config), {})
        for name, has_it in (
            ("hidden_size_per_layer_input", count(fields, "hidden_size_per_layer_input") > 0),
            ("enable_moe_block", flag(fields, "enable_moe_block")),
            ("use_double_wide_mlp", flag(fields, "use_double_wide_mlp")),
        ):
            if has_it:
                raise UnsupportedModelError(
                    f"{name} is {shown(fields.get(name))}, Leadout runs Gemma 4's drafters "
                    "without it",
                    field=name,
                )
        num_layers = fields.integer("num_hidden_layers", 1, MAX_LAYERS)
        num_shared = count(fields, "num_kv_shared_layers")
        if num_shared not in (0, num_layers):
            raise CheckpointError(
                f"num_kv_shared_layers is {num_shared:,}, but all {num_layers} layers of a drafter "
                "share the target's KV cache; download config.json again",
                field="num_kv_shared_layers",
            )
        result = cls(
            text=read_text(fields, num_layers, is_drafter=True),
            backbone_hidden_size=fields.integer("backbone_hidden_size", 1),
            use_ordered_embeddings=fields.boolean("use_ordered_embeddings"),
            num_centroids=fields.integer("num_centroids", 1),
            centroid_intermediate_top_k=fields.integer("centroid_intermediate_top_k", 1),
        )
        _check_consistency(result)
        return result


def _check_consistency(config: Gemma4AssistantConfig) -> None:
    check_multiples((("backbone_hidden_size", config.backbone_hidden_size, BLOCK),))
    if not config.use_ordered_embeddings:
        return
    if config.vocab_size % config.num_centroids:
        raise CheckpointError(
            f"num_centroids is {config.num_centroids:,}, which does not divide vocab_size, "
            f"{config.vocab_size:,}; download config.json again",
            field="num_centroids",
        )
    if config.centroid_intermediate_top_k > config.num_centroids:
        raise CheckpointError(
            f"centroid_intermediate_top_k is {config.centroid_intermediate_top_k:,}, but there are "
            f"only {config.num_centroids:,} centroids (num_centroids); download config.json again",
            field="centroid_intermediate_top_k",
        )
