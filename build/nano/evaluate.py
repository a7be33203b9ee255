"""Measures Nano on tables and questions that it never saw.

    python -m nano.evaluate [--trained FOLDER] [--json FILE]

Texts are written greedily by transformers, from the very weights that ship, and read by check.py.
Acceptance is measured by Leadout's own engine on the NumPy device, and so are the ids: those of
every draft length must equal plain decoding's. Perplexity is that of the reference texts; with
`--trained`, that of the weights before they were quantised stands beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import Gemma4ForCausalLM

from leadout.engine import Engine
from leadout.request import GenerateRequest
from leadout.sampling import Sampling
from leadout_build.cli.market_table import Table
from leadout_build.cli.native import load_engine
from leadout_build.store.built_in import FOLDER, NANO, NANO_DRAFTER
from nano.check import check_answer
from nano.dialogues import Dialogue, make_dialogue
from nano.encoding import chat_text, encode
from nano.export import load_models
from nano.network import Packed, target_forward, target_logits, target_masks
from nano.questions import REFUSALS, Question
from nano.shapes import CONTEXT
from nano.tokenizer import BOS, PAD, STOP_IDS
from nano.vocabulary import tokenizer_of

#: The longest brief has about 200 tokens.
MAX_TOKENS = 320

DRAFT_LENGTHS = range(1, 8)
TEMPERATURES = (0.0, 0.8)


@dataclass(frozen=True)
class Task:
    """One turn for Nano to write.

    Attributes:
        prompt: what comes before it, with the reference's own earlier turns.
        kind: of the turn, such as "brief", "lookup", "follow_up" or "no_asset".
        question: for the checker.
        table: the one in the dialogue, if any.
    """

    prompt: list[int]
    kind: str
    question: Question
    table: Table | None


@dataclass
class Score:
    """Counts of one kind.

    Attributes:
        texts: written.
        right: texts with nothing to find fault with.
        numbers_right: texts with every number right.
        sentences: in all.
        true: sentences.
        faults: a few of the wrong texts.
    """

    texts: int = 0
    right: int = 0
    numbers_right: int = 0
    sentences: int = 0
    true: int = 0
    faults: list[str] = field(default_factory=list)


def make_tasks(tokenizer: Any, num_tables: int, seed: str) -> list[Task]:
    """Return turns of `num_tables` unseen dialogues: the brief, and one of the kind seen least."""
    tasks: list[Task] = []
    seen: Counter[str] = Counter()
    for number in range(num_tables):
        dialogue = make_dialogue(Random(f"{seed} {number}"), 1.0, split="test")
        found = list(_tasks_of(tokenizer, dialogue))
        chosen = [task for task in found if task.kind == "brief"][:1]
        others = [task for task in found if task.kind != "brief"]
        if others:
            chosen.append(min(others, key=lambda task: seen[task.kind]))
            seen[chosen[-1].kind] += 1
        tasks += chosen
    return tasks


def _tasks_of(tokenizer: Any, dialogue: Dialogue) -> Iterator[Task]:
    for i, turn in enumerate(dialogue.turns):
        if turn.role != "model" or turn.question is None or turn.kind is None:
            continue
        before = Dialogue(dialogue.table, dialogue.turns[:i])
        text = f"{chat_text(before)}<|turn>model\n"
        prompt = [BOS, *tokenizer.encode(text, add_special_tokens=False).ids]
        if len(prompt) + MAX_TOKENS <= CONTEXT:
            yield Task(prompt, turn.kind, turn.question, dialogue.table)


@torch.no_grad()
def write_texts(model: Any, tokenizer: Any, tasks: Sequence[Task], batch: int) -> list[str]:
    """Return what the model writes greedily for each task."""
    # Short answers apart from briefs, which all of a batch would wait for.
    order = sorted(
        range(len(tasks)), key=lambda i: (tasks[i].kind == "brief", len(tasks[i].prompt))
    )
    texts = [""] * len(tasks)
    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        length = max(len(tasks[i].prompt) for i in chosen)
        padding = [length - len(tasks[i].prompt) for i in chosen]
        ids = torch.tensor(
            [[PAD] * pad + tasks[i].prompt for i, pad in zip(chosen, padding, strict=True)]
        ).to(model.device)
        out = model.generate(
            ids,
            attention_mask=(torch.arange(length) >= torch.tensor(padding)[:, None]).to(ids),
            do_sample=False,
            max_new_tokens=MAX_TOKENS,
            eos_token_id=STOP_IDS,
            pad_token_id=PAD,
        )
        for i, row in zip(chosen, out[:, length:].tolist(), strict=True):
            end = next((n for n, id_ in enumerate(row) if id_ in STOP_IDS), len(row))
            texts[i] = tokenizer.decode(row[:end])
        print(f"{start + len(chosen)} of {len(order)} texts", flush=True)
    return texts


def score_texts(tasks: Sequence[Task], texts: Sequence[str]) -> dict[str, Score]:
    """Check every text and count by kind."""
    scores: dict[str, Score] = {}
    for task, text in zip(tasks, texts, strict=True):
        verdict = check_answer(task.table, task.question, text)
        score = scores.setdefault(task.kind, Score())
        score.texts += 1
        score.right += verdict.is_right
        score.numbers_right += verdict.numbers_right
        score.sentences += len(verdict.sentences)
        score.true += sum(is_true for _, is_true in verdict.sentences)
        if not verdict.is_right and len(score.faults) < 5:
            score.faults.append(text[:400])
    return scores


def summarize(scores: dict[str, Score]) -> dict[str, Any]:
    """Return the figures that issue and model card ask for."""
    brief = scores.get("brief", Score())
    questions = {kind: s for kind, s in scores.items() if kind != "brief" and kind not in REFUSALS}
    refusals = {kind: s for kind, s in scores.items() if kind in REFUSALS}
    every = list(scores.values())
    return {
        "briefs": brief.texts,
        "briefs_with_every_number_right": _share(brief.numbers_right, brief.texts),
        "briefs_right": _share(brief.right, brief.texts),
        "true_sentences": _share(sum(s.true for s in every), sum(s.sentences for s in every)),
        "questions": sum(s.texts for s in questions.values()),
        "questions_right": _share(
            sum(s.right for s in questions.values()), sum(s.texts for s in questions.values())
        ),
        "questions_right_by_kind": {
            kind: [_share(s.right, s.texts), s.texts] for kind, s in sorted(questions.items())
        },
        "refusals": sum(s.texts for s in refusals.values()),
        "due_refusals": _share(
            sum(s.right for s in refusals.values()), sum(s.texts for s in refusals.values())
        ),
        "due_refusals_by_kind": {
            kind: [_share(s.right, s.texts), s.texts] for kind, s in sorted(refusals.items())
        },
        "faults": {kind: s.faults for kind, s in sorted(scores.items()) if s.faults},
    }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


@torch.no_grad()
def perplexity(model: Any, tokenizer: Any, num_dialogues: int, seed: str) -> float:
    """Return the perplexity of what Nano is to write in unseen dialogues."""
    total, count = 0.0, 0
    for number in range(num_dialogues):
        dialogue = make_dialogue(Random(f"{seed} {number}"), 1.0, split="test")
        tokens, is_own = encode(tokenizer, dialogue)
        ids = torch.tensor([tokens[:CONTEXT]])
        packed = Packed(ids, torch.zeros_like(ids), torch.arange(ids.shape[1])[None])
        hidden, _ = target_forward(model, packed, target_masks(packed))
        own: Tensor = torch.tensor(is_own[1:CONTEXT])
        logits = target_logits(model, hidden[0, :-1][own])
        total += float(cross_entropy(logits, ids[0, 1:][own], reduction="sum"))
        count += int(own.sum())
    return math.exp(total / count)


async def measure_drafts(tasks: Sequence[Task], source: Path) -> dict[str, Any]:
    """Return acceptance and tokens a cycle by temperature and draft length.

    Raises:
        AssertionError: a draft length gave other ids than plain decoding.
    """
    files = {f"{NANO}.gguf": source / f"{NANO}.gguf"}
    drafter = {f"{NANO_DRAFTER}.gguf": source / f"{NANO_DRAFTER}.gguf"}
    engine = await load_engine(files, drafter_files=drafter)
    figures: dict[str, Any] = {}
    for temperature in TEMPERATURES:
        plain = [await _generate(engine, task, temperature, 0, n) for n, task in enumerate(tasks)]
        for draft_tokens in DRAFT_LENGTHS:
            tokens, cycles, accepted = 0, 0, Counter[int]()
            for n, task in enumerate(tasks):
                ids, stats = await _generate(engine, task, temperature, draft_tokens, n)
                assert ids == plain[n][0], f"k = {draft_tokens} gave other ids for prompt {n}"
                tokens += stats["decode_tokens"]
                cycles += stats["cycles"]
                accepted.update(dict(enumerate(stats["accepted_per_position"])))
            figures[f"temperature {temperature}, k = {draft_tokens}"] = {
                "tokens_per_cycle": round(tokens / cycles, 3),
                "accepted_per_position": [
                    round(accepted[i] / cycles, 3) for i in range(draft_tokens)
                ],
            }
            print(
                f"temperature {temperature}, k = {draft_tokens}: {tokens / cycles:.2f}", flush=True
            )
    return figures


async def _generate(
    engine: Engine, task: Task, temperature: float, draft_tokens: int, seed: int
) -> tuple[list[int], dict[str, Any]]:
    request = GenerateRequest(
        prompt_ids=tuple(task.prompt),
        sampling=Sampling(temperature=temperature, seed=seed),
        max_tokens=MAX_TOKENS,
        drafter="mtp" if draft_tokens else "none",
        draft_tokens=draft_tokens or "auto",
    )
    generated = await engine.generate(request)
    return generated.tokens, generated.stats.to_json()


def main() -> None:
    """Measure what ships, and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tables", type=int, default=1000)
    parser.add_argument("--seed", default="evaluation")
    parser.add_argument(
        "--batch", type=int, default=24, help="texts written at once; a GPU takes 256"
    )
    parser.add_argument("--drafted", type=int, default=20, help="briefs to measure acceptance on")
    parser.add_argument("--source", type=Path, default=FOLDER, help="folder of the GGUF files")
    parser.add_argument("--trained", type=Path, help="the target as train.py saved it")
    parser.add_argument("--json", type=Path, help="a file for the figures")
    arguments = parser.parse_args()
    tokenizer = tokenizer_of(arguments.source / f"{NANO}.gguf")
    model, _ = load_models(arguments.source)
    model.eval()
    tasks = make_tasks(tokenizer, arguments.tables, arguments.seed)
    figures = {"perplexity": perplexity(model, tokenizer, 100, arguments.seed)}
    if arguments.trained:
        trained = Gemma4ForCausalLM.from_pretrained(arguments.trained, dtype=torch.float32)
        figures["perplexity_before_quantisation"] = perplexity(
            trained.eval(), tokenizer, 100, arguments.seed
        )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    texts = write_texts(model.to(device), tokenizer, tasks, arguments.batch)
    figures |= summarize(score_texts(tasks, texts))
    print(json.dumps(figures, indent=1, ensure_ascii=False), flush=True)
    if arguments.drafted:
        briefs = [task for task in tasks if task.kind == "brief"][: arguments.drafted]
        figures["drafts"] = asyncio.run(measure_drafts(briefs, arguments.source))
    report = json.dumps(figures, indent=1, ensure_ascii=False)
    print(report)
    if arguments.json:
        arguments.json.write_text(report + "\n")


if __name__ == "__main__":
    main()
