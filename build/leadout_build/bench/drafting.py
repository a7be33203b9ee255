"""Measures what drafting gains on real weights: tokens/s of one text with and without drafts.

Made-up weights show what cycles cost. Only a real model shows how many drafts are accepted. This
also checks that the ids are those of plain decoding.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from leadout_build.bench.measures import SAMPLINGS, Effort, Spread, prompt_ids, ratios
from leadout_build.bench.runtime import Runtime
from leadout_build.store.built_in import NANO
from leadout_build.store.nano_prompts import EXAMPLE_TABLE_CSV, NANO_SYSTEM

#: The most tokens of a text.
MAX_TOKENS = 256

#: The question for models that chat.
QUESTION = "Explain to a curious child, in about two hundred words, why the sky is blue."


def request_for(
    name: str, info: Mapping[str, Any], vocab_size: int, has_tokenizer: bool
) -> dict[str, Any]:
    """Return the request: for the page's first brief, for an answer, or for any text."""
    if name == NANO:
        brief = f"{EXAMPLE_TABLE_CSV.strip()}\n\nWrite a brief."
        return {
            "messages": [
                {"role": "system", "content": NANO_SYSTEM},
                {"role": "user", "content": brief},
            ]
        }
    if not has_tokenizer:
        return {"prompt_ids": prompt_ids(64, vocab_size), "ignore_eos": True}
    if info["has_chat_template"]:
        return {"messages": [{"role": "user", "content": QUESTION}]}
    return {"prompt": QUESTION}


def measure_drafting(
    runtime: Runtime,
    effort: Effort,
    request: Mapping[str, Any],
    num_drafts: Sequence[int],
    sampling: str,
    *,
    most_tokens: int = MAX_TOKENS,
) -> list[dict[str, Any]]:
    """Generate the same text without drafts and with each number of them, round by round.

    Args:
        runtime: the runtime, with a model and a drafter loaded.
        effort: how many rounds to measure.
        request: the text to write, see `request_for`.
        num_drafts: the numbers of drafts to measure, with 0 among them; "auto" is measured too.
        sampling: a key of SAMPLINGS.
        most_tokens: the most tokens of the text.

    Returns:
        One entry per number of drafts; "ratio" is relative to plain decoding in the same round.
    """
    counts: list[int | str] = [0, *(k for k in num_drafts if k > 0), "auto"]
    runs: dict[int | str, list[dict[str, Any]]] = {k: [] for k in counts}
    for number in range(effort.warm_up_rounds + effort.rounds):
        seed = {"seed": number} if sampling != "greedy" else {}
        for k in counts:
            generated = runtime.generate(
                {
                    **request,
                    **SAMPLINGS[sampling],
                    **seed,
                    "max_tokens": most_tokens,
                    "draft_tokens": k,
                }
            )
            # The ids of warm-up rounds are compared too.
            generated["is_measured"] = number >= effort.warm_up_rounds
            runs[k].append(generated)
    plain = runs[0]
    return [_entry(k, of, plain) for k, of in runs.items()]


def _entry(
    k: int | str, runs: Sequence[Mapping[str, Any]], plain: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    def rates(of: Sequence[Mapping[str, Any]]) -> list[float]:
        return [run["stats"]["decode_tokens_per_s"] for run in of if run["is_measured"]]

    stats = [run["stats"] for run in runs if run["is_measured"]]
    drafted = sum(one["drafted_tokens"] for one in stats)
    accepted = sum(one["accepted_tokens"] for one in stats)
    return {
        "draft_tokens": k,
        "texts": len(runs),
        "tokens": sum(len(run["tokens"]) for run in runs),
        "tokens_per_s": asdict(Spread.of(rates(runs))),
        "ratio": asdict(Spread.of(ratios(rates(runs), rates(plain)))),
        "cycle_ms": round(statistics.median(_cycle_ms(one) for one in stats), 4),
        "tokens_per_cycle": round(statistics.mean(one["tokens_per_cycle"] for one in stats), 3),
        # Of the last text: what the scheduler believed at the end, what cycles took in the same
        # sense, and how many there were.
        "believed_cycle_ms": stats[-1].get("cycle_ms"),
        "run_cycle_ms": stats[-1].get("cycle_run_ms"),
        "cycle_runs": stats[-1].get("cycle_runs"),
        "gpu_idle_share": stats[-1].get("gpu_idle_share"),
        "acceptance": round(accepted / drafted, 4) if drafted else None,
        "has_plain_ids": all(
            run["tokens"] == other["tokens"] for run, other in zip(runs, plain, strict=True)
        ),
    }


def _cycle_ms(stats: Mapping[str, Any]) -> float:
    return float(stats["decode_ms"] / max(stats["cycles"], 1))
