"""Golden values of the tiny Gemma 4 checkpoints, for every group of tests that holds them up.

What is in the files, and how they were made: `vectors/README.md`. Nothing here needs pytest, and
nothing of Leadout.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int32]

FOLDER = Path(__file__).parent / "vectors" / "gemma4-tiny"

#: Random targets; each has a random drafter, `<name>-assistant`.
RANDOM_NAMES = ("e2b", "e4b", "12b", "26b-a4b", "31b")
#: Targets that know a small language, with drafters that agree with them most of the time.
TRAINED_NAMES = ("trained-e2b", "trained-31b")

#: What a drafter's sliding layers see; see `vectors/mtp_reference.py`.
WindowRule = Literal["inclusive", "causal"]

_CHECKPOINT_FILES = ("config.json", "generation_config.json", "model.safetensors.index.json")


def assistant_of(name: str) -> str:
    """Return the name of a target's drafter."""
    return f"{name}-assistant"


def checkpoint_files(name: str) -> dict[str, Path]:
    """Return the files of a checkpoint, target or drafter, without its golden values."""
    return {
        path.name: path
        for path in sorted((FOLDER / name).iterdir())
        if path.name in _CHECKPOINT_FILES or path.suffix == ".safetensors"
    }


def config_json(name: str) -> dict[str, Any]:
    """Return a checkpoint's config.json."""
    config: dict[str, Any] = json.loads((FOLDER / name / "config.json").read_text())
    return config


@dataclass(frozen=True)
class TargetGolden:
    """What a random target computes.

    Attributes:
        ids: 96 random ids after BOS, past every window.
        logits: of every position, soft-capped, [96, vocab_size].
        hidden_states: of every position, after the last norm, [96, hidden_size].
        prompt_ids: the first 40 of `ids`.
        generated_ids: how they go on greedily, 24 ids, end tokens ignored.
        margins: how far the best logit behind each is from the second.
        expert_ids: per layer and position, the best first, [layers, 96, top_k]; None without
            experts.
        expert_weights: renormalised and scaled, as `expert_ids`.
        expert_margins: how far the last chosen expert's probability is from the next, [layers, 96].
    """

    ids: Ids
    logits: Floats
    hidden_states: Floats
    prompt_ids: Ids
    generated_ids: Ids
    margins: Floats
    expert_ids: Ids | None = None
    expert_weights: Floats | None = None
    expert_margins: Floats | None = None


def load_target(name: str) -> TargetGolden:
    """Return the golden values of one of RANDOM_NAMES."""
    with np.load(FOLDER / name / "golden.npz") as golden:
        return TargetGolden(**{key: golden[key] for key in golden.files})


@dataclass(frozen=True)
class DraftGolden:
    """One round of drafting, seven steps, after the beginning of a target's `ids`.

    Attributes:
        prompt_ids: the committed ids, all in the KV cache.
        bonus_id: the target's choice after them; its position, `len(prompt_ids)`, is that of every
            step.
        input_ids: what each step starts from: the bonus token, then the draft, [7].
        draft_ids: what each step proposes, [7].
        logits: [7, vocab_size]. With a centroid head, those of tokens in unselected clusters are
            the least of the others minus 1.
        hidden_states: after `post_projection`, what the next step starts from,
            [7, backbone_hidden_size].
        centroids: selected clusters, the best first, [7, top_k]; None for a dense head.
        centroid_margins: how far the last selected score is from the next, [7].
        draft_margins: how far each proposal is from being another id, [7]: the best logit from the
            second, or `centroid_margins` where the next cluster has a better token.
    """

    prompt_ids: Ids
    bonus_id: int
    input_ids: Ids
    draft_ids: Ids
    logits: Floats
    hidden_states: Floats
    draft_margins: Floats
    centroids: Ids | None = None
    centroid_margins: Floats | None = None


def load_drafts(name: str, rule: WindowRule) -> list[DraftGolden]:
    """Return the rounds of the drafter of one of RANDOM_NAMES, for seven prompt lengths."""
    ids = load_target(name).ids
    prefix = f"{rule}_"
    with np.load(FOLDER / assistant_of(name) / "golden.npz") as golden:
        arrays = {
            key.removeprefix(prefix): golden[key] for key in golden.files if key.startswith(prefix)
        }
        return [
            DraftGolden(
                prompt_ids=ids[:length],
                bonus_id=int(bonus_id),
                **{key: values[i] for key, values in arrays.items()},
            )
            for i, (length, bonus_id) in enumerate(
                zip(golden["lengths"], golden["bonus_ids"], strict=True)
            )
        ]


@dataclass(frozen=True)
class AssistedGolden:
    """A greedy generation, and what rounds of every draft length accept on the way.

    A round with k draft tokens drafts min(k, ids still wanted - 1), as transformers does: the last
    ones draft less, the very last perhaps nothing. The first id is the prefill's; every round gives
    one more than it accepts.

    Attributes:
        prompt_ids: the prompt.
        ids: how it goes on, end tokens ignored; assisted or not, these are the same.
        margins: how far the best logit behind each is from the second.
        draft_margins: per window rule, the least margin of a drafted id up to the first rejected
            one: what decides the counts.
        num_accepted: per window rule, per number of draft tokens, per round.
        transformers_num_accepted: of `generate(assistant_model=...)`, whose drafter also sees
            rejected drafts; per number of draft tokens, per round.
    """

    prompt_ids: list[int]
    ids: list[int]
    margins: list[float]
    draft_margins: dict[str, float]
    num_accepted: dict[str, dict[int, list[int]]]
    transformers_num_accepted: dict[int, list[int]]


def load_assisted(name: str) -> list[AssistedGolden]:
    """Return the generations of a target of RANDOM_NAMES or TRAINED_NAMES with its drafter."""
    records = json.loads((FOLDER / assistant_of(name) / "assisted.json").read_text())
    generations = []
    for record in records:
        counts = {
            rule: {int(num): accepted for num, accepted in by_num.items()}
            for rule, by_num in record.pop("num_accepted").items()
        }
        generations.append(
            AssistedGolden(
                **record,
                transformers_num_accepted=counts.pop("transformers"),
                num_accepted=counts,
            )
        )
    return generations


@dataclass(frozen=True)
class LlamaCppGolden:
    """How llama.cpp goes on after the prompts of `load_assisted`, from a float32 GGUF.

    Attributes:
        prompt_ids: the prompt.
        ids: its greedy continuation.
        margins: how far its best logit behind each is from the second.
        parts_at: the first place where transformers chose another id; None if nowhere.
    """

    prompt_ids: list[int]
    ids: list[int]
    margins: list[float]
    parts_at: int | None


def load_llama_cpp(name: str) -> list[LlamaCppGolden]:
    """Return llama.cpp's continuations for a target of RANDOM_NAMES or TRAINED_NAMES."""
    cases = json.loads((FOLDER / "llama_cpp.json").read_text())["continuations"]
    return [LlamaCppGolden(**record) for record in cases[name]]
