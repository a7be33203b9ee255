"""Checks that the configurations of all models share."""

from __future__ import annotations

from collections.abc import Iterable

from leadout.config.fields import Fields
from leadout.config.model_types import FULL, SLIDING
from leadout.errors import CheckpointError, UnsupportedModelError
from leadout.shown import shown

#: Columns in a block of every layout in memory; matrices have whole blocks.
BLOCK = 32
#: More layers than any model has; a list of that length is made from a number in the file.
MAX_LAYERS = 1024
# The most that the kernels take; keep in step with web/kernels (tests/unit/test_kernel_limits.py).
#: Values of a head: attention.
MAX_HEAD_DIM = 512
#: Columns of a row: norms that pack it, in the workgroup memory that every adapter has.
MAX_HIDDEN_SIZE = 7648
#: Tokens: choose_partial and logprobs_partial take a row in parts, of which each has a thread.
MAX_VOCAB_SIZE = 1 << 20
#: Experts, and how many of them a token takes: route and expert_tiles.
MAX_EXPERTS = 512
MAX_TOP_K_EXPERTS = 64


def refuse_unless(fields: Fields, model: str, wanted: Iterable[tuple[str, object]]) -> None:
    """Raise for what would change the numbers if it were ignored.

    Args:
        fields: of the configuration.
        model: what to call it.
        wanted: field and the one value that runs.

    Raises:
        UnsupportedModelError: naming the field, what it is and what runs.
    """
    for key, value in wanted:
        if fields.get(key) != value:
            raise UnsupportedModelError(
                f"{key} is {shown(fields.get(key))}, Leadout runs {model} only with {value!r}",
                field=key,
            )


def check_at_most(name: str, value: int, most: int) -> None:
    """Raise where a size is larger than the kernels take.

    Raises:
        UnsupportedModelError: naming the field, what it is and what runs.
    """
    if value > most:
        raise UnsupportedModelError(
            f"{name} is {value:,}, Leadout runs models where it is at most {most:,}",
            field=name.split(maxsplit=1)[0],
            found=value,
        )


def listed_layer_types(fields: Fields, num_layers: int) -> tuple[str, ...] | None:
    """Return `layer_types`, None where there is no list.

    Raises:
        CheckpointError: not one entry for each layer.
        UnsupportedModelError: a type that Leadout does not run.
    """
    listed = fields.get("layer_types")
    if listed is None:
        return None
    if not isinstance(listed, list) or len(listed) != num_layers:
        found = f"{len(listed):,} entries" if isinstance(listed, list) else type(listed).__name__
        raise CheckpointError(
            f"layer_types has {found}, one for each of the {num_layers} layers is wanted; "
            "download config.json again",
            field="layer_types",
        )
    for entry in listed:
        if entry not in (FULL, SLIDING):
            raise UnsupportedModelError(
                f"layer_types has {shown(entry)}, Leadout runs {FULL} and {SLIDING}",
                field="layer_types",
            )
    return tuple(listed)


def full_every(num_layers: int, pattern: int) -> tuple[str, ...]:
    """Return layer types of which every `pattern`-th one is full."""
    return tuple(FULL if (i + 1) % pattern == 0 else SLIDING for i in range(num_layers))


def rope_parameters(fields: Fields) -> Fields:
    """Return the entries of `rope_parameters`, one a layer type.

    Raises:
        UnsupportedModelError: entries for something else.
        CheckpointError: not an object.
    """
    by_type = fields.object_or_none("rope_parameters") or {}
    for key in by_type:
        if key not in (FULL, SLIDING):
            raise UnsupportedModelError(
                f"rope_parameters has {shown(key)}; wanted one entry each for {FULL} and {SLIDING}",
                field="rope_parameters",
            )
    return Fields(by_type, {}, "rope_parameters.")


def check_heads(num_attention_heads: int, num_key_value_heads: int, where: str = "") -> None:
    """Refuse query heads that do not spread evenly over those of keys and values.

    Raises:
        CheckpointError: with both numbers.
    """
    if num_attention_heads % num_key_value_heads:
        raise CheckpointError(
            f"num_attention_heads is {num_attention_heads}, which is not a multiple of "
            f"num_key_value_heads, {num_key_value_heads}{where}; download config.json again",
            field="num_attention_heads",
        )


def check_multiples(sizes: Iterable[tuple[str, int, int]]) -> None:
    """Refuse sizes that the kernels do not take.

    Args:
        sizes: name, value and what has to divide it.

    Raises:
        UnsupportedModelError: naming the first such size.
    """
    for what, value, divisor in sizes:
        if value % divisor:
            raise UnsupportedModelError(
                f"{what} is {value:,}, Leadout runs models where it is a multiple of {divisor}",
                field=what,
                found=value,
            )


def check_token_ids(
    eos_token_id: tuple[int, ...], bos_token_id: int | None, vocab_size: int
) -> None:
    """Refuse ids past the vocabulary.

    Raises:
        CheckpointError: naming the first such id.
    """
    for token_id in (*eos_token_id, bos_token_id or 0):
        if token_id >= vocab_size:
            raise CheckpointError(
                f"token id {token_id:,} (eos_token_id or bos_token_id) is not below vocab_size, "
                f"{vocab_size:,}; download config.json again",
                field="eos_token_id",
            )
