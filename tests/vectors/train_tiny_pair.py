"""Train tiny Gemma 4 targets on a synthetic language, and drafters on the targets.

Run in an environment of its own (see README.md beside this file):

    python tests/vectors/train_tiny_pair.py [NAME ...]

Random drafters agree with random targets about once in fifty tokens. These agree as real ones do:
inside a phrase all seven drafted ids are right, at the places where the language is random few
are. It writes `gemma4-tiny/trained-<name>/` and `trained-<name>-assistant/`, and their lines in
`gemma4-tiny/manifest.json`. One to three minutes per model on two cores. The same versions and
the same CPU give the same files; another CPU may round differently and give other weights.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from make_tiny_gemma4 import (
    HERE,
    MODEL_CLASSES,
    build_assistant,
    build_target,
    describe_files,
    differing_counts,
    load,
    randomise,
    save,
    write_manifest,
)
from mtp_reference import WINDOW_RULES, assisted_record, plain_generate
from tiny_gemma4_shapes import layer_types
from tiny_language import Language, make_language
from torch.nn.functional import cross_entropy
from transformers import Gemma4AssistantForCausalLM

VOCAB_SIZE = 512
SEQUENCE = 128
NEW_TOKENS = 64
NUM_PROMPTS = 20
NUM_CANDIDATES = 120
DRAFT_LENGTHS = (1, 2, 3, 4, 5, 6, 7)

PAIRS: dict[str, dict[str, Any]] = {
    # Per-layer inputs, shared KV, one KV head; the drafter has a centroid head.
    "e2b": {
        "seed": 11,
        "target": {
            "dtype": torch.bfloat16,
            "form": "multimodal",
            "towers": {},
            "flat": True,
            "text": {
                "vocab_size": VOCAB_SIZE,
                "hidden_size": 64,
                "intermediate_size": 64,
                "layer_types": layer_types("sfsfsf"),
                "num_attention_heads": 4,
                "num_key_value_heads": 1,
                "head_dim": 16,
                "global_head_dim": 32,
                "sliding_window": 24,
                "hidden_size_per_layer_input": 32,
                "vocab_size_per_layer_input": VOCAB_SIZE,
                "num_kv_shared_layers": 2,
                "use_double_wide_mlp": True,
            },
        },
        "assistant": {
            "dtype": torch.bfloat16,
            "flat": True,
            "text": {"hidden_size": 32, "intermediate_size": 128, "num_attention_heads": 4},
            "root": {
                "use_ordered_embeddings": True,
                "num_centroids": 32,
                "centroid_intermediate_top_k": 4,
            },
        },
    },
    # Keys that are values on full layers; the drafter has a dense head.
    "31b": {
        "seed": 12,
        "target": {
            "dtype": torch.bfloat16,
            "form": "text",
            "text": {
                "vocab_size": VOCAB_SIZE,
                "hidden_size": 64,
                "intermediate_size": 128,
                "layer_types": layer_types("ssfsf"),
                "num_attention_heads": 4,
                "num_key_value_heads": 4,
                "head_dim": 16,
                "global_head_dim": 32,
                "num_global_key_value_heads": 2,
                "sliding_window": 32,
                "attention_k_eq_v": True,
                "use_bidirectional_attention": "vision",
                "hidden_size_per_layer_input": 0,
                "vocab_size_per_layer_input": VOCAB_SIZE,
            },
        },
        "assistant": {
            "dtype": torch.bfloat16,
            "text": {"hidden_size": 32, "intermediate_size": 128, "num_attention_heads": 4},
        },
    },
}


# ---- training -----------------------------------------------------------------------------


def soften(model: torch.nn.Module, is_drafter: bool) -> None:
    """Turn the random weights of `randomise` into a start that can be trained."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("q_norm.weight", "k_norm.weight")):
                parameter.fill_(parameter.shape[0] ** -0.25)
            elif name in ("model.norm.weight", "model.language_model.norm.weight"):
                parameter.fill_(3.0 if is_drafter else 6.0)
            elif "norm" in name:
                parameter.fill_(1.0)
        for name, buffer in model.named_buffers():
            if name.endswith("layer_scalar"):
                buffer.copy_(0.6 + 0.4 * buffer / 1.2)


def steps(model: torch.nn.Module, num: int, rate: float) -> Any:
    """Yield the number of each step; after the caller's backward pass, apply the gradients."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=rate, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, num, pct_start=0.1)
    for step in range(num):
        optimizer.zero_grad(set_to_none=True)
        yield step
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()


def train_target(model: Any, language: Language, seed: int, num_steps: int = 450) -> None:
    """Train on next-token prediction."""
    rng = np.random.default_rng(seed)
    model.train()
    for step in steps(model, num_steps, 4e-3):
        ids = torch.tensor([language.sample(rng, SEQUENCE + 1) for _ in range(8)])
        logits = model(ids[:, :-1], use_cache=False).logits
        loss = cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
        loss.backward()
        if step % 100 == 0 or step == num_steps - 1:
            print(f"target step {step}: loss {loss.item():.3f}", flush=True)
    model.eval()


@torch.no_grad()
def greedy_texts(target: Any, language: Language, rng: np.random.Generator, num: int) -> Any:
    """Return `num` texts: a beginning in the language, continued by the target's choices."""
    texts = []
    for _ in range(num // 16):
        length = int(rng.integers(1, 60))
        prompts = torch.tensor([language.sample(rng, length) for _ in range(16)])
        texts.append(
            target.generate(
                prompts,
                attention_mask=torch.ones_like(prompts),
                do_sample=False,
                max_new_tokens=SEQUENCE - length,
                min_new_tokens=SEQUENCE - length,
                eos_token_id=None,
            )
        )
    return torch.cat(texts)


@dataclass(frozen=True)
class Rows:
    """What a drafter starts from at many places of many texts, a row per place.

    Attributes:
        position: of the bonus tokens, [rows].
        hidden: the target's states before them, [rows, 1, backbone_hidden_size].
        shared_kv: keys and values of the rows' texts.
        masks: what a row sees of them, for the drafter's layers.
        logits: the target's, of the texts, [texts, length, vocab_size].
    """

    position: torch.Tensor
    hidden: torch.Tensor
    shared_kv: dict[str, tuple[torch.Tensor, torch.Tensor]]
    masks: dict[str, torch.Tensor]
    logits: torch.Tensor

    def step(
        self, assistant: Any, embed: Any, token: torch.Tensor, hidden: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the states after the last norm, and after `post_projection`."""
        embedded = embed(token[:, None]).detach()
        state = assistant.model(
            inputs_embeds=assistant.pre_projection(torch.cat([embedded, hidden], -1)),
            position_ids=self.position[:, None],
            attention_mask=self.masks,
            shared_kv_states=self.shared_kv,
            use_cache=False,
        ).last_hidden_state
        return state, assistant.post_projection(state)


def rows_at(
    target: Any, texts: torch.Tensor, row: torch.Tensor, position: torch.Tensor, is_inclusive: bool
) -> Rows:
    """Return rows for bonus tokens at `position` of `texts[row]`."""
    with torch.no_grad():
        out = target(
            texts, use_cache=False, output_hidden_states=True, return_shared_kv_states=True
        )
    window = target.config.get_text_config().sliding_window
    distance = position[:, None] - torch.arange(texts.shape[1])[None]
    seen = {
        "full_attention": distance > 0,
        "sliding_attention": (distance > 0) & (distance < window + (2 if is_inclusive else 0)),
    }
    lowest = torch.finfo(torch.float32).min
    return Rows(
        position,
        out.hidden_states[-1][row, position - 1][:, None],
        {name: (k[row], v[row]) for name, (k, v) in out.shared_kv_states.items()},
        {name: torch.where(value, 0.0, lowest)[:, None, None] for name, value in seen.items()},
        out.logits,
    )


def random_rows(
    target: Any, texts: torch.Tensor, rng: np.random.Generator, num: int
) -> tuple[Rows, torch.Tensor, torch.Tensor]:
    """Return rows at `num` places of every text.

    Returns:
        The rows; the ids from the bonus token on, [rows, 8]; whether they are up to there the
        target's own choices, [rows, 8]. A draft is not asked for others.
    """
    row = torch.arange(len(texts)).repeat_interleave(num)
    position = torch.from_numpy(rng.integers(1, texts.shape[1] - 7, len(row)))
    # Half of the time as if with one window rule, half with the other.
    rows = rows_at(target, texts, row, position, is_inclusive=bool(rng.integers(2)))
    ids = torch.stack([texts[row, position + i] for i in range(8)], 1)
    chosen = rows.logits.argmax(-1)
    is_own = torch.stack([chosen[row, position + i - 1] == ids[:, i] for i in range(8)], 1)
    return rows, ids, is_own.cumprod(1).bool()


def unrolled(assistant: Any, embed: Any, rows: Rows, ids: torch.Tensor) -> torch.Tensor:
    """Return the drafter's states after the last norm for seven steps, [rows, 7, hidden_size]."""
    states, hidden = [], rows.hidden
    for step in range(7):
        state, hidden = rows.step(assistant, embed, ids[:, step], hidden)
        states.append(state)
    return torch.cat(states, 1)


def train_assistant(
    target: Any, assistant: Any, language: Language, seed: int, num_steps: int = 130
) -> None:
    """Train the drafter to say what the target will choose, seven steps from every place.

    Not for long: after 500 steps it is right so often that few drafts are rejected.
    """
    rng = np.random.default_rng(seed)
    texts = greedy_texts(target, language, rng, 384)
    embed = target.get_input_embeddings()
    assistant.train()
    for step in steps(assistant, num_steps, 5e-3):
        chosen = torch.from_numpy(rng.integers(0, len(texts), 8))
        rows, ids, is_own = random_rows(target, texts[chosen], rng, 16)
        logits = unrolled(assistant, embed, rows, ids) @ assistant.lm_head.weight.T
        wanted, counts = ids[:, 1:], is_own[:, 1:]
        loss = cross_entropy(logits[counts], wanted[counts])
        loss.backward()
        if step % 100 == 0 or step == num_steps - 1:
            right = (logits.argmax(-1) == wanted)[counts].float().mean()
            print(f"drafter step {step}: loss {loss.item():.3f}, right {right:.2f}", flush=True)
    if assistant.masked_embedding is not None:
        train_centroids(target, assistant, texts, rng)
    assistant.eval()


def balanced_clusters(vectors: np.ndarray, num: int, rng: np.random.Generator) -> np.ndarray:
    """Return the ids of the vectors, cluster by cluster of equal size, by balanced k-means."""
    size = len(vectors) // num
    centres = vectors[rng.choice(len(vectors), num, replace=False)]
    for _ in range(20):
        distances = ((vectors[:, None] - centres[None]) ** 2).sum(-1)
        free = np.full(num, size)
        cluster = np.full(len(vectors), -1)
        # Who loses most by not getting the nearest centre chooses first.
        two = np.sort(distances, 1)[:, :2]
        for i in np.argsort(two[:, 0] - two[:, 1]):
            order = np.argsort(distances[i])
            cluster[i] = order[np.argmax(free[order] > 0)]
            free[cluster[i]] -= 1
        centres = np.stack([vectors[cluster == c].mean(0) for c in range(num)])
    return np.argsort(cluster, kind="stable")


def train_centroids(
    target: Any, assistant: Any, texts: torch.Tensor, rng: np.random.Generator
) -> None:
    """Order the tokens by clusters of the drafter's embedding, and learn to find the cluster."""
    head = assistant.masked_embedding
    num = head.num_centroids
    weight = assistant.lm_head.weight.detach()
    ordering = balanced_clusters(weight.numpy(), num, rng)
    head.token_ordering.copy_(torch.from_numpy(ordering))
    cluster = torch.empty(len(ordering), dtype=torch.long)
    cluster[torch.from_numpy(ordering)] = torch.arange(num).repeat_interleave(
        head.vocab_size_per_centroid
    )
    with torch.no_grad():
        for c in range(num):
            head.centroids.weight[c] = weight[cluster == c].mean(0)
    embed = target.get_input_embeddings()
    for parameter in assistant.parameters():
        parameter.requires_grad_(False)
    head.centroids.weight.requires_grad_(True)
    for step in steps(assistant, 150, 1e-2):
        chosen = torch.from_numpy(rng.integers(0, len(texts), 8))
        rows, ids, _ = random_rows(target, texts[chosen], rng, 8)
        with torch.no_grad():
            states = unrolled(assistant, embed, rows, ids)
            wanted = cluster[(states @ weight.T).argmax(-1)]
        scores = head.centroids(states)
        loss = cross_entropy(scores.flatten(0, 1), wanted.flatten())
        loss.backward()
        if step % 50 == 0 or step == 149:
            top = scores.topk(head.centroid_intermediate_top_k).indices
            found = (top == wanted[..., None]).any(-1).float().mean()
            print(f"centroids step {step}: loss {loss.item():.3f}, found {found:.3f}", flush=True)


# ---- golden values ------------------------------------------------------------------------


@torch.no_grad()
def least_margins(
    target: Any, assistant: Any, prompt: list[int], ids: list[int]
) -> tuple[float, float]:
    """Return the least margin of the target's choices, and of the drafts that decide the counts.

    All drafts at once, as in training: good enough to choose by.
    """
    texts = torch.tensor([prompt + ids])
    positions = torch.arange(len(prompt), len(prompt) + len(ids) - 1)
    rows = rows_at(target, texts, torch.zeros_like(positions), positions, is_inclusive=True)
    embed = target.get_input_embeddings()
    token, hidden = texts[0, positions], rows.hidden
    is_open = torch.ones_like(token, dtype=torch.bool)
    least = float("inf")
    for step in range(1, 8):
        state, hidden = rows.step(assistant, embed, token, hidden)
        head = assistant.masked_embedding
        weight = assistant.lm_head.weight
        logits = state @ weight.T if head is None else head(state, weight)
        top = logits[:, 0].topk(2)
        token = top.indices[:, 0]
        if is_open.any():
            least = min(least, float((top.values[:, 0] - top.values[:, 1])[is_open].min()))
        wanted = positions + step
        is_open &= wanted < texts.shape[1]
        is_open &= token == texts[0, wanted.clamp(max=texts.shape[1] - 1)]
    top = rows.logits[0, len(prompt) - 1 : -1].topk(2).values
    return float((top[:, 0] - top[:, 1]).min()), least


def choose_prompts(target: Any, assistant: Any, language: Language, seed: int) -> list[list[int]]:
    """Return prompts of 1 to 60 tokens after which choices and drafts are decided most clearly."""
    rng = np.random.default_rng(seed)
    found: list[tuple[float, list[int]]] = []
    group = NUM_CANDIDATES // NUM_PROMPTS
    for i in range(NUM_CANDIDATES):
        # An even spread of lengths in every group of candidates.
        length = 1 + (i * 60) // NUM_CANDIDATES if i >= group else 1
        prompt = language.sample(rng, length)
        if i % 4 == 3 and length > 1:  # some that the language does not have
            prompt[1:] = rng.integers(3, VOCAB_SIZE, length - 1).tolist()
        if i in range(1, group):  # a single token, BOS or any other
            prompt = rng.integers(3, VOCAB_SIZE, 1).tolist()
        ids = plain_generate(target, prompt, NEW_TOKENS)
        # Drafts are nearer to ties: a margin of theirs counts for ten times as much.
        chosen, drafted = least_margins(target, assistant, prompt, ids)
        found.append((min(chosen, 10 * drafted), prompt))
    return [
        max(found[i : i + group], key=lambda entry: entry[0])[1]
        for i in range(0, NUM_CANDIDATES, group)
    ]


def train_pair(name: str, case: dict[str, Any]) -> None:
    """Train one pair and write its checkpoints."""
    started = time.monotonic()
    torch.manual_seed(case["seed"])
    language = make_language(case["seed"])
    target_case = {**case["target"], "seed": case["seed"]}
    target = build_target(target_case)
    target.set_attn_implementation("sdpa")
    randomise(target, case["seed"])
    soften(target, is_drafter=False)
    train_target(target, language, case["seed"] + 1)
    folder = HERE / f"trained-{name}"
    save(target, folder, target_case)
    # From here on with the weights as they are stored.
    target = load(MODEL_CLASSES[target_case["form"]], folder)
    target.requires_grad_(False)

    assistant_case = {**case["assistant"], "generation_config": True}
    assistant = build_assistant(target_case, assistant_case)
    randomise(assistant, case["seed"] + 500)
    soften(assistant, is_drafter=True)
    assistant.generation_config.num_assistant_tokens = 4
    train_assistant(target, assistant, language, case["seed"] + 501)
    text = {**target_case["text"], **assistant_case["text"]}
    save(assistant, HERE / f"trained-{name}-assistant", {**assistant_case, "text": text})
    print(f"{name}: trained in {time.monotonic() - started:.0f} s", flush=True)


def record_pair(name: str, case: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Write the golden values of a trained pair; return its lines for the manifest."""
    folder, assistant_folder = HERE / f"trained-{name}", HERE / f"trained-{name}-assistant"
    target = load(MODEL_CLASSES[case["target"]["form"]], folder)
    assistant = load(Gemma4AssistantForCausalLM, assistant_folder)
    prompts = choose_prompts(target, assistant, make_language(case["seed"]), case["seed"] + 1000)
    records = [
        assisted_record(target, assistant, prompt, NEW_TOKENS, DRAFT_LENGTHS) for prompt in prompts
    ]
    (assistant_folder / "assisted.json").write_text(
        "[\n" + ",\n".join(json.dumps(record) for record in records) + "\n]\n"
    )
    counts = np.bincount(
        [n for record in records for n in record["num_accepted"]["inclusive"]["7"]], minlength=8
    )
    common = {"seed": case["seed"], "dtype": "bfloat16"}
    return {
        folder.name: {
            "class": type(target).__name__,
            **common,
            "smallest_margin": min(min(record["margins"]) for record in records),
            "distinct_generated_ids": len({i for record in records for i in record["ids"]}),
            "files": describe_files(folder),
        },
        assistant_folder.name: {
            "class": type(assistant).__name__,
            **common,
            "smallest_draft_margin": min(
                record["draft_margins"][rule] for record in records for rule in WINDOW_RULES
            ),
            "rounds_by_accepted_of_7": counts.tolist(),
            "generate_has_other_counts": f"{len(differing_counts(records))} of "
            f"{len(records) * len(DRAFT_LENGTHS)} generations",
            "files": describe_files(assistant_folder),
        },
    }


def main() -> None:
    """Train every pair and write it down."""
    torch.set_num_threads(1)
    for name in sys.argv[1:] or list(PAIRS):
        train_pair(name, PAIRS[name])
        write_manifest(record_pair(name, PAIRS[name]))


if __name__ == "__main__":
    main()
