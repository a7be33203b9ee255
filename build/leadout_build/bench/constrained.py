"""Measures what a schema costs: the same request without and with it, in every round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from leadout.speculative import MOST_QUEUED
from leadout_build.bench.measures import SAMPLINGS, Effort, Spread, prompt_ids
from leadout_build.bench.runtime import Runtime

#: A schema of a usual kind. Its answers are so long that they never end while they are timed.
SCHEMA: dict[str, Any] = {
    "type": "array",
    "minItems": 1000,
    "items": {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "price_usd": {"type": "number"},
            "change": {"enum": ["up", "down", "unchanged"]},
            "reason": {"type": "string"},
        },
        "required": ["name", "price_usd", "change", "reason"],
        "additionalProperties": False,
    },
}

#: How many times more tokens are timed than the effort's `cycle_tokens`.
_LONGER = 4


def measure_constrained(
    runtime: Runtime,
    effort: Effort,
    vocab_size: int,
    num_drafts: Sequence[int],
    *,
    context_tokens: int,
    sampling: str,
    is_shape: bool = False,
) -> list[dict[str, Any]]:
    """Time tokens of free and constrained answers.

    Args:
        runtime: the runtime, with a loaded model that has a tokenizer.
        effort: how much to measure.
        vocab_size: the model's vocabulary size.
        num_drafts: the numbers of drafts per cycle to measure.
        context_tokens: the length of the prompt.
        sampling: a key of SAMPLINGS.
        is_shape: weights are made up, so the prompt need not be prefilled.

    Returns:
        One entry per number of drafts. "free_ms" and "ms" are the times per token without and with
        the schema, "ratio" is their ratio within a round, and "host_ms" is the host's part of "ms".
        "accepted_forced_share" is the share of the grammar's drafts that were accepted. "same_ids"
        says whether the constrained ids are those of the first number of drafts.
    """
    prompt = prompt_ids(context_tokens, vocab_size)
    wanted = {"type": "json_schema", "json_schema": {"name": "bench", "schema": SCHEMA}}
    entries = []
    first_ids: list[list[int]] = []
    for k in num_drafts:
        free, kept, told, ids = [], [], [], []
        for round_number in range(effort.warm_up_rounds + effort.rounds):
            found = []
            for fields in ({"ignore_eos": True}, {"response_format": wanted}):
                if is_shape:
                    runtime.assume(prompt)
                request = {
                    "prompt_ids": prompt,
                    "max_tokens": 2 + MOST_QUEUED + _LONGER * effort.cycle_tokens,
                    "draft_tokens": k,
                    "seed": round_number,
                    **SAMPLINGS[sampling],
                    **fields,
                }
                generated = runtime.generate(request)
                found.append(generated["stats"])
            ids.append(generated["tokens"])
            if round_number >= effort.warm_up_rounds:
                free_ms, ms = (one["decode_ms"] / max(one["decode_tokens"], 1) for one in found)
                free.append(free_ms)
                kept.append(ms)
                told.append({**found[1]["constraint"], "tokens": found[1]["decode_tokens"]})
        first_ids = first_ids or ids
        entries.append(_entry(k, free, kept, told) | {"same_ids": ids == first_ids})
    return entries


def _entry(
    k: int, free: Sequence[float], kept: Sequence[float], told: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    num_forced = sum(one["forced_tokens"] for one in told)
    accepted = sum(one["accepted_forced_tokens"] for one in told)
    host = [one["host_ms"] / max(one["tokens"], 1) for one in told]
    ratios = [ms / free_ms for ms, free_ms in zip(kept, free, strict=True)]
    return {
        "draft_tokens": k,
        "free_ms": asdict(Spread.of(free)),
        "ms": asdict(Spread.of(kept)),
        "ratio": asdict(Spread.of(ratios)),
        "host_ms": asdict(Spread.of(host)),
        "forced_tokens": num_forced,
        "accepted_forced_share": round(accepted / num_forced, 3) if num_forced else None,
    }


def constrained_parts(entry: Mapping[str, Any]) -> list[str]:
    """Return an entry's figures as text."""
    ms, free = Spread(**entry["ms"]), Spread(**entry["free_ms"])
    share = entry["accepted_forced_share"]
    return [
        f"  {entry['draft_tokens']} drafted: {ms.shown()} ms a token of JSON, {free.shown()} free",
        f"× {Spread(**entry['ratio']).median:.3f}",
        f"{Spread(**entry['host_ms']).median:.3g} ms the host",
        "the same ids" if entry["same_ids"] else "OTHER IDS",
        *([] if share is None else [f"{100 * share:.0f} % of forced ones accepted"]),
    ]
