"""Which class runs which `model_type`."""

from __future__ import annotations

from leadout.checkpoint import Checkpoint
from leadout.checkpoint.load_plan import LoadPlanBuilder
from leadout.config import Gemma3TextConfig, read_config
from leadout.models.base import Model
from leadout.models.gemma3_text import Gemma3Text

Config = Gemma3TextConfig


def place_model(
    checkpoint: Checkpoint,
    config: Config,
    load: LoadPlanBuilder,
    *,
    num_lanes: int,
    context_length: int,
    max_rows: int,
    kv_dtype: str,
) -> Model:
    """Place a checkpoint's tensors and return its model; see the model's class for arguments.

    Raises:
        TensorError: a tensor is missing or has another shape than the configuration says.
    """
    return Gemma3Text(
        config,
        checkpoint,
        load,
        num_lanes=num_lanes,
        context_length=context_length,
        max_rows=max_rows,
        kv_dtype=kv_dtype,
    )


__all__ = ["Config", "place_model", "read_config"]
