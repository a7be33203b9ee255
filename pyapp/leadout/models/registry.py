"""Which class runs which configuration."""

from __future__ import annotations

from leadout.checkpoint import Checkpoint
from leadout.checkpoint.load_plan import LoadPlanBuilder
from leadout.checkpoint.page_plan import NOT_PAGED, Paging
from leadout.config import Gemma3TextConfig, Gemma4AssistantConfig, Gemma4TextConfig
from leadout.errors import DrafterError
from leadout.models.base import Model
from leadout.models.gemma3_text import Gemma3Text
from leadout.models.gemma4_assistant import Gemma4Assistant, check_pair
from leadout.models.gemma4_text import Gemma4Text

TargetConfig = Gemma3TextConfig | Gemma4TextConfig


def place_model(
    checkpoint: Checkpoint,
    config: TargetConfig,
    load: LoadPlanBuilder,
    *,
    num_lanes: int,
    context_length: int,
    max_rows: int,
    kv_dtype: str,
    paging: Paging = NOT_PAGED,
) -> Model:
    """Place a checkpoint's tensors and return its model; see the model's class for arguments.

    Raises:
        TensorError: a tensor is missing or has another shape than the configuration says.
    """
    sizes = {"num_lanes": num_lanes, "context_length": context_length, "max_rows": max_rows}
    if isinstance(config, Gemma4TextConfig):
        return Gemma4Text(config, checkpoint, load, kv_dtype=kv_dtype, paging=paging, **sizes)
    return Gemma3Text(config, checkpoint, load, kv_dtype=kv_dtype, **sizes)


def place_assistant(
    checkpoint: Checkpoint,
    config: Gemma4AssistantConfig,
    load: LoadPlanBuilder,
    target: Model,
    token_ordering: bytes | None,
) -> Gemma4Assistant:
    """Place a drafter's tensors; see its class for arguments.

    Raises:
        DrafterError: it was made for another model.
        TensorError: a tensor is missing or has another shape than the configuration says.
    """
    check_pair(config, target)
    assert isinstance(target, Gemma4Text)
    return Gemma4Assistant(config, checkpoint, load, target, token_ordering)


def check_target(config: object, name: str) -> TargetConfig:
    """Return the configuration of a model that runs by itself.

    Raises:
        DrafterError: it is a drafter's.
    """
    if isinstance(config, Gemma3TextConfig | Gemma4TextConfig):
        return config
    raise DrafterError(
        f"{name} is a drafter, which proposes tokens for the model it was made for; load that "
        "model, with this as its drafter."
    )


def check_assistant(config: object, name: str) -> Gemma4AssistantConfig:
    """Return the configuration of a drafter.

    Raises:
        DrafterError: it is that of a model.
    """
    if isinstance(config, Gemma4AssistantConfig):
        return config
    raise DrafterError(
        f"{name} was given as the drafter, but it is a model of its own; use the one whose name "
        "ends with -assistant, or no drafter."
    )
