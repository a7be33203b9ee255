"""Make the golden values of Nano as it ships, and hold its training code to transformers.

Run in an environment of its own (see README.md beside this file):

    PYTHONPATH=build:pyapp python tests/vectors/make_nano.py

It writes nano/golden.json: what transformers writes greedily, in float32, from the very weights
that ship, for the page's example and for turns of dialogues that training never sees. Before that
it checks that `nano.network`, with which Nano was trained on packed rows, computes
what transformers computes on each dialogue alone, and that `nano.muon` takes the
steps of `torch.optim.Muon`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import torch
import transformers
from torch import Tensor

from leadout_build.store.built_in import FOLDER, NANO, NANO_DRAFTER
from leadout_build.store.nano_prompts import EXAMPLE_TABLE_CSV, NANO_SYSTEM
from nano.dialogues import Dialogue, Turn, make_dialogue
from nano.encoding import chat_text
from nano.export import load_models
from nano.muon import StackedMuon
from nano.network import (
    Packed,
    draft_masks,
    draft_step,
    target_forward,
    target_logits,
    target_masks,
)
from nano.shapes import SLIDING_WINDOW
from nano.tokenizer import BOS, PAD, STOP_IDS
from nano.vocabulary import tokenizer_of

HERE = Path(__file__).parent / "nano"
NUM_UNSEEN = 12
MAX_PROMPT_TOKENS = 800
MAX_NEW_TOKENS = 320

#: Of the largest logit or state. Seen: 1.7e-6 for logits, 1.3e-6 for states.
RELATIVE_TOLERANCE = 1e-4

#: Where drafts begin: inside of the window, just past it, far past it.
BEGINNINGS = (5, SLIDING_WINDOW - 1, SLIDING_WINDOW + 3, 200)
DRAFT_STEPS = 3


def prompts(tokenizer: Any) -> Iterator[tuple[str, list[int]]]:
    """Yield a kind of turn and the ids before it: the example's brief, then unseen dialogues."""
    example = (Turn("system", NANO_SYSTEM), Turn("user", f"{EXAMPLE_TABLE_CSV}\n\nWrite a brief."))
    yield "example", prompt_ids(tokenizer, example)
    seen: set[str] = set()
    number = 0
    while len(seen) < NUM_UNSEEN:
        dialogue = make_dialogue(Random(f"golden {number}"), split="test")
        number += 1
        for i, turn in enumerate(dialogue.turns):
            if turn.kind is None or turn.kind in seen or dialogue.table is None:
                continue
            ids = prompt_ids(tokenizer, dialogue.turns[:i])
            if len(ids) <= MAX_PROMPT_TOKENS:
                seen.add(turn.kind)
                yield turn.kind, ids
                break


def prompt_ids(tokenizer: Any, turns: tuple[Turn, ...]) -> list[int]:
    """Return the ids of turns, up to where Nano's begins."""
    text = f"{chat_text(Dialogue(None, turns))}<|turn>model\n"
    return [BOS, *tokenizer.encode(text, add_special_tokens=False).ids]


@torch.no_grad()
def continuation(model: Any, ids: list[int]) -> tuple[list[int], float]:
    """Return what transformers writes, without the end of the turn, and its closest choice."""
    out = model.generate(
        torch.tensor([ids]),
        do_sample=False,
        max_new_tokens=MAX_NEW_TOKENS,
        eos_token_id=STOP_IDS,
        pad_token_id=PAD,
        return_dict_in_generate=True,
        output_logits=True,
    )
    new: list[int] = out.sequences[0, len(ids) :].tolist()
    assert new[-1] in STOP_IDS, "a turn has no end"
    best = torch.cat(out.logits).topk(2).values
    return new[:-1], float((best[:, 0] - best[:, 1]).min())


def difference(found: Tensor, wanted: Tensor) -> float:
    """Return the largest difference, relative to the largest value."""
    assert found.shape == wanted.shape
    return float((found - wanted).abs().max() / wanted.abs().max())


@torch.no_grad()
def check_packed(target: Any, assistant: Any, rows: list[list[int]]) -> dict[str, float]:
    """Compare network.py, on all rows packed into one, with transformers on each alone."""
    ids = torch.tensor([[id_ for row in rows for id_ in row]])
    document = torch.cat([torch.full((len(row),), i) for i, row in enumerate(rows)])[None]
    position = torch.cat([torch.arange(len(row)) for row in rows])[None]
    packed = Packed(ids, document, position)
    hidden, shared = target_forward(target, packed, target_masks(packed))
    logits = target_logits(target, hidden)
    alone = [
        target(
            torch.tensor([row]),
            use_cache=False,
            output_hidden_states=True,
            return_shared_kv_states=True,
        )
        for row in rows
    ]
    seen = {"logits": difference(logits, torch.cat([one.logits for one in alone], 1))}

    embedded = target.model.embed_tokens(ids)
    states: list[Tensor] = []
    before = hidden.roll(1, 1)
    for step in range(DRAFT_STEPS):
        state, before = draft_step(
            assistant, embedded.roll(-step, 1), before, position, shared, draft_masks(packed)
        )
        states.append(state)
    found, wanted = [], []
    start = 0
    for row, one in zip(rows, alone, strict=True):
        for beginning in BEGINNINGS:
            found += [state[:, start + beginning] for state in states]
            wanted += drafted(target, assistant, row, beginning, one)
        start += len(row)
    seen["draft_states"] = difference(torch.cat(found), torch.cat(wanted))
    return seen


def drafted(target: Any, assistant: Any, row: list[int], beginning: int, run: Any) -> list[Tensor]:
    """Return transformers' states of the drafts of the row's own tokens, from a beginning on.

    They see the committed tokens, sliding layers the last SLIDING_WINDOW + 1 of them, as
    transformers' candidate generator has it.
    """
    shared = {
        name: tuple(part[:, :, :beginning] for part in parts)
        for name, parts in run.shared_kv_states.items()
    }
    sliding = shared["sliding_attention"]
    shared["sliding_attention"] = tuple(part[:, :, -SLIDING_WINDOW - 1 :] for part in sliding)
    hidden = run.hidden_states[-1][:, beginning - 1 : beginning]
    states = []
    for step in range(DRAFT_STEPS):
        token = torch.tensor([row[beginning + step : beginning + step + 1]])
        inputs = torch.cat([target.model.embed_tokens(token), hidden], -1)
        state = assistant.model(
            inputs_embeds=assistant.pre_projection(inputs),
            position_ids=torch.tensor([[beginning]]),
            attention_mask={"full_attention": None, "sliding_attention": None},
            shared_kv_states=shared,
            use_cache=False,
        ).last_hidden_state
        hidden = assistant.post_projection(state)
        states.append(state[:, 0])
    return states


def check_muon() -> None:
    """Hold steps in stacks to steps of one matrix after the other."""
    shapes = [(8, 8), (16, 8), (8, 24), (8, 8), (16, 8)]
    torch.manual_seed(0)
    ours = [torch.nn.Parameter(torch.randn(shape)) for shape in shapes]
    theirs = [torch.nn.Parameter(matrix.detach().clone()) for matrix in ours]
    stacked = StackedMuon(ours, lr=0.01, weight_decay=0.05)
    single = torch.optim.Muon(theirs, lr=0.01, weight_decay=0.05, adjust_lr_fn="match_rms_adamw")
    for _ in range(20):
        for mine, other in zip(ours, theirs, strict=True):
            mine.grad = torch.randn_like(mine) + mine.detach()
            other.grad = mine.grad.clone()
        stacked.step()
        single.step()
    assert all(torch.equal(mine, other) for mine, other in zip(ours, theirs, strict=True))


def main() -> None:
    """Check the training code, and write the golden values."""
    check_muon()
    target, assistant = (model.eval() for model in load_models())
    tokenizer = tokenizer_of(FOLDER / f"{NANO}.gguf")
    given = list(prompts(tokenizer))
    longest = sorted((ids for _, ids in given), key=len)[-3:]
    seen = check_packed(target, assistant, longest)
    print(f"packed rows of {sum(map(len, longest))} tokens differ by {seen}")
    assert max(seen.values()) < RELATIVE_TOLERANCE

    entries = []
    for kind, ids in given:
        new, margin = continuation(target, ids)
        print(f"{kind}: {tokenizer.decode(new)} ({len(new)} tokens, margin {margin:.3f})")
        entries.append(
            {
                "kind": kind,
                "prompt_ids": ids,
                "ids": new,
                "num_tokens": len(new),
                "margin": round(margin, 4),
            }
        )
    golden = {
        "transformers": transformers.__version__,
        "torch": torch.__version__.partition("+")[0],
        "sha256": {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in (FOLDER / f"{name}.gguf" for name in (NANO, NANO_DRAFTER))
        },
        "packed_rows_differ_by": {name: float(f"{value:.1e}") for name, value in seen.items()},
        "prompts": entries,
    }
    HERE.mkdir(exist_ok=True)
    # Every list of ids on one line.
    text = re.sub(
        r"\[[\d,\s]+\]", lambda ids: json.dumps(json.loads(ids[0])), json.dumps(golden, indent=1)
    )
    (HERE / "golden.json").write_text(f"{text}\n")


if __name__ == "__main__":
    main()
