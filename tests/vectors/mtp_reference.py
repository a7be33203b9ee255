"""The MTP loop of Gemma 4 as simply as it can be had: a full pass of the target in every round.

Used by make_tiny_gemma4.py and train_tiny_pair.py; needs torch and transformers. It drafts as
transformers' SinglePositionMultiTokenCandidateGenerator does (generation/candidate_generator.py),
but from keys and values of the committed tokens alone. That generator cuts what the last verify
pass left to `current_length` entries, and so its drafter also sees rejected drafts: the one at the
bonus token's position, and past the window all of them.

What a drafter's sliding layers see is a rule of its own (WINDOW_RULES):

- "inclusive", transformers: the last `sliding_window + 1` committed positions. Its mask is
  bidirectional with the distance included, and counts from the end of the keys;
- "causal", what the target's own mask would give a query at the bonus token's position: the last
  `sliding_window - 1`.

Up to a context of `sliding_window - 1` tokens they are the same.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from transformers.generation.candidate_generator import (
    SinglePositionMultiTokenCandidateGenerator,
)

WINDOW_RULES = ("inclusive", "causal")
SharedKv = dict[str, tuple[torch.Tensor, torch.Tensor]]


@dataclass
class TargetState:
    """What a pass of the target over `ids` leaves behind."""

    logits: torch.Tensor  # [length, vocab_size]
    hidden_states: torch.Tensor  # [length, hidden_size], after the last norm
    shared_kv: SharedKv  # per layer type: keys, values [1, heads, length, head_dim]


@dataclass
class Draft:
    """One round of drafting, a list entry per step."""

    input_ids: list[int] = field(default_factory=list)
    draft_ids: list[int] = field(default_factory=list)
    logits: list[np.ndarray] = field(default_factory=list)  # [vocab_size]
    hidden_states: list[np.ndarray] = field(default_factory=list)  # [backbone_hidden_size]
    centroids: list[np.ndarray] = field(default_factory=list)  # [top_k], the best first
    centroid_margins: list[float] = field(default_factory=list)  # last chosen to first not chosen
    draft_margins: list[float] = field(default_factory=list)  # how far from another id


@torch.no_grad()
def run_target(target: Any, ids: list[int]) -> TargetState:
    """Run the target over all ids at once, without a cache."""
    out = target(
        torch.tensor([ids]),
        use_cache=False,
        output_hidden_states=True,
        return_shared_kv_states=True,
    )
    return TargetState(out.logits[0], out.hidden_states[-1][0], dict(out.shared_kv_states))


def crop(shared_kv: SharedKv, length: int, window: int, rule: str) -> SharedKv:
    """Return the first `length` keys and values, as far as the window rule lets them be seen."""
    cropped = {name: (k[:, :, :length], v[:, :, :length]) for name, (k, v) in shared_kv.items()}
    if rule == "causal":
        k, v = cropped["sliding_attention"]
        first = max(0, length - (window - 1))
        cropped["sliding_attention"] = (k[:, :, first:], v[:, :, first:])
    return cropped


@torch.no_grad()
def draft(
    target: Any,
    assistant: Any,
    state: TargetState,
    length: int,
    bonus_id: int,
    num_tokens: int,
    rule: str,
) -> Draft:
    """Draft after `length` committed tokens and the bonus token that follows them.

    Args:
        target: the target, for its scaled embedding.
        assistant: the drafter.
        state: a pass of the target over at least `length` tokens.
        length: number of committed tokens in the KV cache, ≥ 1; the bonus token's position.
        bonus_id: the target's choice after them, not in the cache.
        num_tokens: how many ids to draft.
        rule: one of WINDOW_RULES.
    """
    window = assistant.config.get_text_config().sliding_window
    shared_kv = crop(state.shared_kv, length, window, rule)
    embed = target.get_input_embeddings()
    hidden = state.hidden_states[None, length - 1 : length]
    position_ids = torch.tensor([[length]])  # the same for every step of a round
    result = Draft()
    token = bonus_id
    body_out: list[torch.Tensor] = []
    hook = assistant.model.register_forward_hook(
        lambda module, args, out: body_out.append(out.last_hidden_state)
    )
    for _ in range(num_tokens):
        embedded = embed(torch.tensor([[token]]))
        out = assistant(
            inputs_embeds=torch.cat([embedded, hidden], dim=-1),
            position_ids=position_ids,
            attention_mask=None,
            shared_kv_states=shared_kv,
            use_cache=False,
        )
        hidden = out.last_hidden_state
        result.input_ids.append(token)
        token = int(out.logits[0, -1].argmax())
        result.draft_ids.append(token)
        result.logits.append(out.logits[0, -1].numpy())
        result.hidden_states.append(hidden[0, -1].numpy())
        second, first = np.sort(result.logits[-1])[-2:]
        result.draft_margins.append(float(first - second))
        if assistant.masked_embedding is not None:
            _record_centroids(assistant, body_out[-1][0, -1], result)
    hook.remove()
    return result


def _record_centroids(assistant: Any, state: torch.Tensor, result: Draft) -> None:
    """Record which clusters the head looked into, and whether another one would have won.

    Args:
        assistant: the drafter.
        state: after its last norm, [hidden_size].
        result: where to.
    """
    head = assistant.masked_embedding
    top_k = head.centroid_intermediate_top_k
    scores, order = torch.sort(head.centroids(state), descending=True)
    result.centroids.append(order[:top_k].numpy())
    result.centroid_margins.append(float(scores[top_k - 1] - scores[top_k]))
    clusters = head.token_ordering.view(head.num_centroids, -1)
    exchanged = clusters[torch.cat([order[: top_k - 1], order[top_k : top_k + 1]])].flatten()
    best = exchanged[(assistant.lm_head.weight[exchanged] @ state).argmax()]
    if int(best) != result.draft_ids[-1]:
        result.draft_margins[-1] = min(result.draft_margins[-1], result.centroid_margins[-1])


@dataclass
class Generation:
    """A whole assisted generation."""

    ids: list[int]
    num_accepted: list[int]  # per verify pass
    draft_ids: list[list[int]]


def generate(
    target: Any,
    assistant: Any,
    prompt: list[int],
    num_new_tokens: int,
    num_draft_tokens: int,
    rule: str,
) -> Generation:
    """Generate greedily in rounds of draft and verify, always from exact state.

    A draft is no longer than what may still be generated less the bonus token, as in
    transformers: the last rounds draft less, and the very last may verify no draft at all.
    """
    state = run_target(target, prompt)
    ids = [*prompt, int(state.logits[-1].argmax())]
    total = len(prompt) + num_new_tokens
    result = Generation([], [], [])
    while len(ids) < total:
        length = len(ids) - 1
        num = min(num_draft_tokens, total - len(ids) - 1)
        drafted = (
            draft(target, assistant, state, length, ids[-1], num, rule).draft_ids if num else []
        )
        state = run_target(target, ids + drafted)
        chosen = state.logits[length:].argmax(-1).tolist()
        accepted = 0
        while accepted < num and drafted[accepted] == chosen[accepted]:
            accepted += 1
        ids += chosen[: accepted + 1]
        result.num_accepted.append(accepted)
        result.draft_ids.append(drafted)
    result.ids = ids[len(prompt) :]
    return result


@contextmanager
def recorded_lengths() -> Iterator[list[int]]:
    """Record the number of committed ids at each call of transformers' candidate generator."""
    lengths: list[int] = []
    original = SinglePositionMultiTokenCandidateGenerator.get_candidates

    def recording(self: Any, input_ids: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        lengths.append(input_ids.shape[1])
        return original(self, input_ids, *args, **kwargs)

    SinglePositionMultiTokenCandidateGenerator.get_candidates = recording
    try:
        yield lengths
    finally:
        SinglePositionMultiTokenCandidateGenerator.get_candidates = original


def plain_generate(target: Any, prompt: list[int], num_new_tokens: int) -> list[int]:
    """Return what transformers' generate() gives greedily, end tokens ignored."""
    ids = torch.tensor([prompt])
    out = target.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=num_new_tokens,
        min_new_tokens=num_new_tokens,
        eos_token_id=None,
        use_cache=True,
    )
    return out[0, len(prompt) :].tolist()


def transformers_generate(
    target: Any, assistant: Any, prompt: list[int], num_new_tokens: int, num_draft_tokens: int
) -> tuple[list[int], list[int]]:
    """Return ids and accepted counts per verify pass of generate(assistant_model=...)."""
    assistant.generation_config = copy.deepcopy(assistant.generation_config)
    assistant.generation_config.num_assistant_tokens = num_draft_tokens
    ids = torch.tensor([prompt])
    with recorded_lengths() as lengths, torch.no_grad():
        out = target.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            assistant_model=assistant,
            do_sample=False,
            max_new_tokens=num_new_tokens,
            min_new_tokens=num_new_tokens,
            eos_token_id=None,
        )
    # The first call is before the prefill, which itself gives one token.
    ends = [*lengths[1:], out.shape[1]]
    accepted = [after - before - 1 for before, after in pairwise(ends)]
    return out[0, len(prompt) :].tolist(), accepted


def accepted_counts(num_matching: list[int], num_draft_tokens: int) -> list[int]:
    """Return accepted counts per verify pass.

    Args:
        num_matching: how many leading ids of a draft are the target's own, for a draft after each
            generated id but the last.
        num_draft_tokens: the draft's length in every round but the last ones; see `generate`.
    """
    counts = []
    num_generated, total = 1, len(num_matching) + 1
    while num_generated < total:
        num = min(num_draft_tokens, total - num_generated - 1)
        counts.append(min(num, num_matching[num_generated - 1]))
        num_generated += counts[-1] + 1
    return counts


def assisted_record(
    target: Any,
    assistant: Any,
    prompt: list[int],
    num_new_tokens: int,
    draft_lengths: tuple[int, ...],
    num_checked: int = 4,
) -> dict[str, Any]:
    """Return one prompt's assisted generations, checked against plain ones.

    With exact keys and values, a draft depends on the committed ids alone, so the longest draft
    after each of them says what every draft length accepts; `generate` itself, with `num_checked`
    draft tokens, has to agree.

    Raises:
        SystemExit: when any of them has other ids than plain generation, or other counts.
    """
    plain = plain_generate(target, prompt, num_new_tokens)
    ids = prompt + plain
    state = run_target(target, ids)
    behind = state.logits[len(prompt) - 1 : -1]
    if behind.argmax(-1).tolist() != plain:
        raise SystemExit("generation with a cache differs from a pass without one")
    top = torch.sort(behind, dim=-1).values
    record: dict[str, Any] = {
        "prompt_ids": prompt,
        "ids": plain,
        "margins": [round(float(value), 5) for value in top[:, -1] - top[:, -2]],
        "draft_margins": {},
        "num_accepted": {rule: {} for rule in (*WINDOW_RULES, "transformers")},
    }
    for rule in WINDOW_RULES:
        matching, margins = [], []
        for length in range(len(prompt), len(ids) - 1):
            drafted = draft(target, assistant, state, length, ids[length], max(draft_lengths), rule)
            wanted = ids[length + 1 :]
            same = [a == b for a, b in zip(drafted.draft_ids, wanted, strict=False)]
            matching.append((*same, False).index(False))
            margins += drafted.draft_margins[: matching[-1] + 1]
        record["draft_margins"][rule] = round(min(margins), 5)
        for num in draft_lengths:
            record["num_accepted"][rule][str(num)] = accepted_counts(matching, num)
        result = generate(target, assistant, prompt, num_new_tokens, num_checked, rule)
        if result.ids != plain:
            raise SystemExit("assisted generation differs from plain generation")
        if result.num_accepted != accepted_counts(matching, num_checked):
            raise SystemExit("drafts differ between a pass over all ids and one over a few")
    for num in draft_lengths:
        assisted, accepted = transformers_generate(target, assistant, prompt, num_new_tokens, num)
        if assisted != plain:
            raise SystemExit("generate(assistant_model=...) differs from generate()")
        record["num_accepted"]["transformers"][str(num)] = accepted
    return record
