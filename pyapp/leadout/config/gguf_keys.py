"""GGUF metadata as fields: what the readers of all architectures share."""

from __future__ import annotations

from collections.abc import Mapping

from leadout.config.fields import Fields


def architecture_keys(metadata: Mapping[str, object], prefix: str) -> Fields:
    """Return an architecture's own keys, without their prefix ("gemma3.")."""
    own = {k.removeprefix(prefix): v for k, v in metadata.items() if k.startswith(prefix)}
    return Fields(own, {}, prefix)


def token_ids(metadata: Mapping[str, object]) -> dict[str, object]:
    """Return `bos_token_id` and `eos_token_id`, where the file has them."""
    found = {key: metadata.get(f"tokenizer.ggml.{key}") for key in ("bos_token_id", "eos_token_id")}
    return {key: token_id for key, token_id in found.items() if token_id is not None}


def rope_scaling(keys: Fields) -> dict[str, object] | None:
    """Return config.json's `rope_scaling`, None where positions are not scaled."""
    factor = keys.get("rope.scaling.factor")
    scaling_type = keys.get("rope.scaling.type", "none" if factor is None else "linear")
    if scaling_type == "none":
        return None
    return {"rope_type": scaling_type, "factor": factor}
