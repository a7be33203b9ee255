"""Trains Nano and its drafter; see README.md beside this file.

    python -m nano.train --out FOLDER

1. The tokenizer, from generated dialogues.
2. The target, on the next token of what Nano is to write.
3. The drafter, on what the target then chooses, from the target's own states, keys and values.
4. Both as transformers save them: FOLDER/nano and FOLDER/nano/assistant.

What is there already is kept: a run that was cut off goes on from its last checkpoint. Several
GPUs of a machine share the work when it is started under torchrun. The same seed, GPUs and
versions give the same batches; weights then differ by what GPUs round differently.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, distributed
from torch.nn.functional import cross_entropy
from transformers import Gemma4AssistantForCausalLM, Gemma4ForCausalLM

from nano.batches import Batch, load_batches
from nano.clusters import balanced_clusters
from nano.dialogues import make_dialogue
from nano.emphasis import token_weights
from nano.encoding import chat_text
from nano.muon import StackedMuon
from nano.network import (
    draft_masks,
    draft_step,
    target_forward,
    target_logits,
    target_masks,
)
from nano.saving import save_model
from nano.shapes import NUM_CENTROIDS, VOCAB_SIZE, assistant_config, target_config
from nano.tokenizer import STOP_IDS, train_tokenizer

#: Drafts that the drafter is trained to make from one place.
DRAFT_STEPS = 6

#: Dialogues that the tokenizer is learned from.
_TOKENIZER_DIALOGUES = 6000


@dataclass(frozen=True)
class Settings:
    """How one model is trained.

    Attributes:
        steps: gradient steps.
        num_rows: of CONTEXT tokens, a step and GPU.
        rate: the highest learning rate, of matrices inside of layers (Muon).
        other_rate: of all other weights (AdamW).
        decay: the share of the steps, at the end, over which rates fall to nothing.
    """

    steps: int
    num_rows: int
    rate: float
    other_rate: float
    decay: float = 0.5


@dataclass(frozen=True)
class Machine:
    """Where this process trains, and as which of how many."""

    device: torch.device
    rank: int
    size: int
    num_workers: int

    @classmethod
    def find(cls) -> Machine:
        """Join the other processes, if torchrun started several."""
        rank, size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
        has_gpu = torch.cuda.is_available()
        device = torch.device("cuda", rank) if has_gpu else torch.device("cpu")
        if has_gpu:
            torch.cuda.set_device(device)
        if size > 1:
            distributed.init_process_group("nccl" if has_gpu else "gloo")
        num_workers = max(1, (os.cpu_count() or 1) // size - 1)
        return cls(device, rank, size, num_workers)

    def autocast(self) -> torch.autocast:
        """Run matrix products on weights of float32 in bfloat16, on a GPU."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda")

    def share_gradients(self, parameters: list[Tensor]) -> None:
        """Replace every gradient by its mean over the processes."""
        if self.size == 1:
            return
        flat = torch.cat([p.grad.flatten() for p in parameters if p.grad is not None])
        distributed.all_reduce(flat, distributed.ReduceOp.SUM)
        flat /= self.size
        at = 0
        for p in parameters:
            if p.grad is not None:
                p.grad.copy_(flat[at : at + p.numel()].view_as(p))
                at += p.numel()


class Trainer:
    """Steps of two optimizers, with rates that rise, stay and fall, and checkpoints."""

    def __init__(
        self, model: torch.nn.Module, settings: Settings, machine: Machine, path: Path
    ) -> None:
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        inside = [p for name, p in named if p.ndim == 2 and ".layers." in name]
        tables = [p for name, p in named if p.ndim == 2 and ".layers." not in name]
        vectors = [p for _, p in named if p.ndim != 2]
        self.model = model
        self.settings = settings
        self.machine = machine
        self.path = path
        self.parameters: list[Tensor] = [p for _, p in named]
        self.optimizers = [
            StackedMuon(inside, lr=settings.rate, weight_decay=0.05),
            torch.optim.AdamW(
                [
                    {"params": tables, "weight_decay": 0.01},
                    {"params": vectors, "weight_decay": 0.0},
                ],
                lr=settings.other_rate,
                betas=(0.9, 0.98),
                fused=machine.device.type == "cuda",
            ),
        ]
        self.rates = [settings.rate, settings.other_rate]
        self.step = 0
        if path.is_file():
            state = torch.load(path, map_location=machine.device)
            model.load_state_dict(state["model"])
            for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(saved)
            self.step = state["step"]

    def apply(self) -> None:
        """Take one step along the gradients, and forget them."""
        settings = self.settings
        self.machine.share_gradients(self.parameters)
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        warm = min(1.0, (self.step + 1) / 100)
        fall = min(1.0, (settings.steps - self.step) / (settings.decay * settings.steps))
        for optimizer, rate in zip(self.optimizers, self.rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * warm * fall
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.step += 1

    def save(self) -> None:
        """Write a checkpoint, whole or not at all."""
        if self.machine.rank:
            return
        state = {
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "step": self.step,
        }
        torch.save(state, self.path.with_suffix(".part"))
        self.path.with_suffix(".part").replace(self.path)


class Log:
    """Lines for people and for curves.jsonl, from the first process."""

    def __init__(self, machine: Machine, path: Path, every: int) -> None:
        self.is_silent = machine.rank > 0
        self.path = path
        self.every = every
        self.start = time.monotonic()

    def is_due(self, step: int) -> bool:
        """Return whether a step is to be told of."""
        return not self.is_silent and step % self.every == 0

    def write(self, **values: Any) -> None:
        """Write one line; tensors are brought over only now."""
        if self.is_silent:
            return
        line = {
            key: round(float(v), 5) if isinstance(v, Tensor | float) else v
            for key, v in values.items()
        }
        line["s"] = round(time.monotonic() - self.start, 1)
        print(json.dumps(line), flush=True)
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")


def soften(model: torch.nn.Module) -> None:
    """Set what transformers leaves at a start for training at any size.

    Scores are not divided by the root of a head's size, so the norms of queries and keys carry it.
    """
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("q_norm.weight", "k_norm.weight")):
                parameter.fill_(1.2 * parameter.shape[0] ** -0.25)


def train_target(
    settings: Settings, machine: Machine, tokenizer: Path, out: Path, seed: str, log: Log
) -> Gemma4ForCausalLM:
    """Train the target on what Nano is to write, and return it."""
    torch.manual_seed(Random(seed).getrandbits(32))
    model = Gemma4ForCausalLM(target_config(STOP_IDS)).to(machine.device)
    soften(model)
    trainer = Trainer(model, settings, machine, out / "target.pt")
    run = _compiled(target_forward, machine)
    weights = token_weights(Tokenizer.from_file(str(tokenizer))).to(machine.device)
    batches = load_batches(
        tokenizer,
        f"{seed} target {machine.rank}",
        settings.num_rows,
        settings.steps,
        first=trainer.step,
        num_workers=machine.num_workers,
        device=machine.device,
    )
    for batch in _timed(batches, trainer, log):
        with machine.autocast():
            hidden, _ = run(model, batch.packed, target_masks(batch.packed))
            rows, places = batch.is_own[:, 1:].nonzero(as_tuple=True)
            logits = target_logits(model, hidden[rows, places])
        wanted = batch.packed.ids[rows, places + 1]
        losses = cross_entropy(logits, wanted, reduction="none")
        weight = weights[wanted]
        ((losses * weight).sum() / weight.sum()).backward()
        if log.is_due(trainer.step):
            right = (logits.argmax(-1) == wanted).float()
            log.write(
                model="target",
                step=trainer.step,
                loss=losses.detach().mean(),
                right=right.mean(),
                facts_right=right[weight == 1.0].mean(),
            )
        trainer.apply()
    trainer.save()
    return model


def train_assistant(
    target: Gemma4ForCausalLM,
    settings: Settings,
    machine: Machine,
    tokenizer: Path,
    out: Path,
    seed: str,
    log: Log,
) -> Gemma4AssistantForCausalLM:
    """Train the drafter on the target's choices, DRAFT_STEPS from every place, and return it."""
    torch.manual_seed(Random(f"{seed} assistant").getrandbits(32))
    target.requires_grad_(False)
    assistant = Gemma4AssistantForCausalLM(assistant_config(STOP_IDS)).to(machine.device)
    soften(assistant)
    ordering = balanced_clusters(target.model.embed_tokens.weight.float().cpu(), NUM_CENTROIDS)
    assistant.masked_embedding.token_ordering.copy_(ordering)
    cluster_of = torch.empty_like(ordering)
    cluster_of[ordering] = torch.arange(VOCAB_SIZE) // (VOCAB_SIZE // NUM_CENTROIDS)
    cluster_of = cluster_of.to(machine.device)
    trainer = Trainer(assistant, settings, machine, out / "assistant.pt")
    run_target, run_draft = (_compiled(f, machine) for f in (target_forward, draft_step))
    batches = load_batches(
        tokenizer,
        f"{seed} assistant {machine.rank}",
        settings.num_rows,
        settings.steps,
        first=trainer.step,
        num_workers=machine.num_workers,
        device=machine.device,
    )
    for batch in _timed(batches, trainer, log):
        ids = batch.packed.ids
        with torch.no_grad(), machine.autocast():
            hidden, shared = run_target(target, batch.packed, target_masks(batch.packed))
            embedded = target.model.embed_tokens(ids)
        masks = draft_masks(batch.packed)
        before = hidden.roll(1, 1)
        # Places whose next token Nano writes; a chain goes on while the text is the target's own.
        open_ = batch.is_own.roll(-1, 1)
        open_[:, -DRAFT_STEPS - 1 :] = False
        losses, rights = [], []
        for i in range(DRAFT_STEPS):
            with machine.autocast():
                state, before = run_draft(
                    assistant, embedded.roll(-i, 1), before, batch.packed.position, shared, masks
                )
                rows, places = open_.nonzero(as_tuple=True)
                with torch.no_grad():
                    wished = target_logits(target, hidden[rows, places + i])
                logits = assistant.lm_head(state[rows, places]).float()
                centroids = assistant.masked_embedding.centroids(state[rows, places].detach())
            choice = wished.argmax(-1)
            soft = cross_entropy(logits, wished.softmax(-1), reduction="sum")
            hard = cross_entropy(logits, choice, reduction="sum")
            found = cross_entropy(centroids.float(), cluster_of[choice], reduction="sum")
            # In a small batch, no chain may have come this far.
            losses.append((0.5 * (soft + hard) + 0.2 * found) / max(1, len(rows)))
            rights.append((logits.detach().argmax(-1) == choice).float().mean())
            # The chain goes on where the text's next token is the target's choice.
            is_chosen = ids[rows, places + i + 1] == choice
            goes_on = torch.zeros_like(open_)
            goes_on[rows, places] = is_chosen & batch.is_own[rows, places + i + 2]
            open_ = goes_on
        loss = torch.stack(losses).mean()
        loss.backward()
        if log.is_due(trainer.step):
            right = {f"right_{i + 1}": r for i, r in enumerate(rights)}
            log.write(model="assistant", step=trainer.step, loss=loss.detach(), **right)
        trainer.apply()
    trainer.save()
    return assistant


def _timed(batches: Iterator[Batch], trainer: Trainer, log: Log) -> Iterator[Batch]:
    """Yield batches; save a checkpoint every minute, and say how fast it goes."""
    saved = time.monotonic()
    for batch in batches:
        yield batch
        if time.monotonic() - saved > 60:
            trainer.save()
            saved = time.monotonic()
            log.write(saved=trainer.step)


def _compiled(function: Any, machine: Machine) -> Any:
    return torch.compile(function, dynamic=False) if machine.device.type == "cuda" else function


def make_tokenizer(path: Path, seed: str) -> None:
    """Learn the tokenizer from dialogues and write its tokenizer.json, unless it is there."""
    if path.is_file():
        return
    rng = Random(f"{seed} tokenizer")
    texts = [chat_text(make_dialogue(rng)) for _ in range(_TOKENIZER_DIALOGUES)]
    train_tokenizer(texts).save(str(path))


def main() -> None:
    """Train both models, or what is missing of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for all that is made")
    parser.add_argument("--seed", default="nano")
    parser.add_argument("--target-steps", type=int, default=13000)
    parser.add_argument("--assistant-steps", type=int, default=700)
    parser.add_argument("--rows", type=int, default=32, help="rows a step and GPU")
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--log-every", type=int, default=100, help="steps")
    arguments = parser.parse_args()
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    machine = Machine.find()
    tokenizer = out / "tokenizer.json"
    if machine.rank == 0:
        make_tokenizer(tokenizer, arguments.seed)
    if machine.size > 1:
        distributed.barrier()
    log = Log(machine, out / "curves.jsonl", arguments.log_every)
    rows, rate = arguments.rows, arguments.rate
    target = train_target(
        Settings(arguments.target_steps, rows, rate, rate),
        machine,
        tokenizer,
        out,
        arguments.seed,
        log,
    )
    if machine.rank == 0:
        save_model(
            copy.deepcopy(target).to(torch.bfloat16),
            out / "nano",
            Tokenizer.from_file(str(tokenizer)),
        )
    assistant = train_assistant(
        target,
        Settings(arguments.assistant_steps, rows, rate, rate),
        machine,
        tokenizer,
        out,
        arguments.seed,
        log,
    )
    if machine.rank == 0:
        save_model(
            assistant.to(torch.bfloat16),
            out / "nano" / "assistant",
            Tokenizer.from_file(str(tokenizer)),
            is_drafter=True,
        )


if __name__ == "__main__":
    main()
