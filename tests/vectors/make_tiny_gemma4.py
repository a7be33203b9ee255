"""Make the tiny random Gemma 4 checkpoints and their golden values, with transformers.

Run in an environment of its own (see README.md beside this file):

    python tests/vectors/make_tiny_gemma4.py [NAME ...]

It writes, for every target in TARGETS, `gemma4-tiny/<name>/config.json` and the weights as
`save_pretrained` does, and `golden.npz`; beside it `gemma4-tiny/<name>-assistant/` with the drafter
and its golden values; and one `manifest.json` over all of them (with names, over those made now and
those that were there). The weights come from NumPy's PCG64 with a fixed seed, so the same versions
give the same files.
"""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from mtp_reference import WINDOW_RULES, assisted_record, draft, run_target
from safetensors.torch import load_file, save_file
from tiny_gemma4_shapes import ASSISTANTS, TARGETS, layer_types
from transformers import (
    Gemma4AssistantConfig,
    Gemma4AssistantForCausalLM,
    Gemma4Config,
    Gemma4ForCausalLM,
    Gemma4ForConditionalGeneration,
    Gemma4TextConfig,
    Gemma4UnifiedAssistantConfig,
    Gemma4UnifiedAssistantForCausalLM,
    Gemma4UnifiedConfig,
    Gemma4UnifiedForConditionalGeneration,
)

HERE = Path(__file__).parent / "gemma4-tiny"
NUM_IDS = 96
PROMPT_TOKENS = 40
NEW_TOKENS = 24
DRAFT_TOKENS = 7
ASSISTED_DRAFT_LENGTHS = (1, 3, 4, 7)


def random_value(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Return values for one tensor that leave no term unused and make the logits decisive."""
    if name.endswith(("input_min", "output_min", "input_max", "output_max")):
        return np.full(shape, -6.0 if name.endswith("min") else 6.0)
    if name.endswith("layer_scalar"):
        return rng.uniform(0.3, 1.2, shape)
    if name.endswith("per_expert_scale"):
        return rng.uniform(0.5, 1.5, shape)
    if name.endswith("router.scale"):
        return rng.normal(1.0, 0.3, shape)
    if name.endswith("router.proj.weight"):
        return rng.normal(0.0, 1.5, shape)  # its input has norm 1
    if name.endswith(("q_norm.weight", "k_norm.weight")):
        # Scores are not scaled by head_dim^-0.5: this keeps their spread near 1.4 for every width.
        # At 2, a random model is chaotic: the rounding of Q8_0 changes half of its choices.
        return rng.normal(1.2, 0.3, shape) * shape[0] ** -0.25
    if name in ("model.norm.weight", "model.language_model.norm.weight"):
        return rng.normal(14.0, 3.5, shape)  # logits near 30, which the soft cap bends
    if name.endswith("embed_tokens.weight"):  # small: else the tied head repeats its input
        return rng.normal(0.0, 0.5 / np.sqrt(shape[1]), shape)
    if "norm" in name:
        return rng.normal(1.0, 0.3, shape)
    if name == "pre_projection.weight":  # hidden states are of size 7: else they outweigh all
        return rng.normal(0.0, 0.3 / np.sqrt(shape[-1]), shape)
    if len(shape) < 2:
        return rng.normal(0.0, 1.0, shape)
    return rng.normal(0.0, 1.0 / np.sqrt(shape[-1]), shape)


def randomise(model: torch.nn.Module, seed: int) -> None:
    """Fill parameters and buffers in the order of their names."""
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for name, tensor in sorted(model.state_dict().items()):
            if name == "lm_head.weight":  # tied
                continue
            if name.endswith("token_ordering"):
                tensor.copy_(torch.from_numpy(rng.permutation(tensor.numel())))
                continue
            values = random_value(name, tuple(tensor.shape), rng)
            tensor.copy_(torch.from_numpy(np.asarray(values, np.float32)))


def build_target(case: dict[str, Any]) -> torch.nn.Module:
    """Return the target's model, not yet filled."""
    text = {
        **case["text"],
        "num_hidden_layers": len(case["text"]["layer_types"]),
        "final_logit_softcapping": 30.0,
        "max_position_embeddings": 1024,
    }
    if case["form"] == "text":
        return Gemma4ForCausalLM(Gemma4TextConfig(**text))
    if case["form"] == "unified":
        return Gemma4UnifiedForConditionalGeneration(
            Gemma4UnifiedConfig(
                text_config=text,
                vision_config={
                    "patch_size": 2,
                    "mm_embed_dim": 32,
                    "mm_posemb_size": 8,
                    "output_proj_dims": text["hidden_size"],
                },
                audio_config={"audio_embed_dim": 32},
            )
        )
    towers = {"vision_config": None, "audio_config": None, **case["towers"]}
    return Gemma4ForConditionalGeneration(Gemma4Config(text_config=text, **towers))


def build_assistant(target_case: dict[str, Any], case: dict[str, Any]) -> torch.nn.Module:
    """Return the drafter of a target, not yet filled."""
    target = target_case["text"]
    unified = target_case["form"] == "unified"
    same = ("vocab_size", "head_dim", "global_head_dim", "num_key_value_heads", "sliding_window")
    same += ("num_global_key_value_heads", "attention_k_eq_v", "use_bidirectional_attention")
    text = {
        **{key: target[key] for key in same if key in target},
        **case["text"],
        "layer_types": layer_types("sssf"),
        "num_hidden_layers": 4,
        "num_kv_shared_layers": 4,
        "final_logit_softcapping": None,
        "max_position_embeddings": 1024,
    }
    if not unified:
        text |= {"hidden_size_per_layer_input": 0, "vocab_size_per_layer_input": 0}
    text["model_type"] = "gemma4_unified_text" if unified else "gemma4_text"
    config_class = Gemma4UnifiedAssistantConfig if unified else Gemma4AssistantConfig
    return ASSISTANT_CLASSES[unified](
        config_class(
            text_config=text,
            backbone_hidden_size=target["hidden_size"],
            **case.get("root", {}),
        )
    )


def flatten_config(path: Path, text: dict[str, Any]) -> None:
    """Rewrite a config in the older form, in which Google's files are."""
    config = json.loads(path.read_text())
    fields = config.get("text_config", config)
    del fields["per_layer_config"]
    fields["global_head_dim"] = text["global_head_dim"]
    fields["num_global_key_value_heads"] = text.get("num_global_key_value_heads")
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def add_unused_shared_kv(path: Path, model: torch.nn.Module, seed: int) -> None:
    """Add keys and values of shared layers to a file; whoever uses them gets other logits."""
    rng = np.random.default_rng(seed)
    config = model.config.get_text_config()
    tensors = load_file(path)
    dtype = tensors["model.language_model.norm.weight"].dtype
    first = config.num_hidden_layers - config.num_kv_shared_layers
    for index in range(first, config.num_hidden_layers):
        layer = config.per_layer_config[index]
        width = layer.num_key_value_heads * layer.head_dim
        for name, shape in {
            "k_proj": (width, config.hidden_size),
            "v_proj": (width, config.hidden_size),
            "k_norm": (layer.head_dim,),
        }.items():
            full_name = f"model.language_model.layers.{index}.self_attn.{name}.weight"
            values = random_value(full_name, shape, rng).astype(np.float32)
            tensors[full_name] = torch.from_numpy(values).to(dtype)
    save_file(tensors, path, metadata={"format": "pt"})


def save(model: torch.nn.Module, folder: Path, case: dict[str, Any]) -> None:
    """Write config.json and weights."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    model.to(case["dtype"]).save_pretrained(
        folder, max_shard_size=case.get("max_shard_size", "5GB")
    )
    if not case.get("generation_config"):
        (folder / "generation_config.json").unlink(missing_ok=True)
    for path in folder.glob("*.safetensors"):
        path.chmod(0o644)
    if case.get("unused_shared_kv"):
        add_unused_shared_kv(folder / "model.safetensors", model, case["seed"] + 2000)
    if case.get("flat"):
        flatten_config(folder / "config.json", case["text"])


def load(model_class: type, folder: Path) -> Any:
    """Load a checkpoint for float32 arithmetic."""
    return model_class.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()


def margins(logits: np.ndarray) -> np.ndarray:
    """Return how far the best logit of each row is from the second."""
    top = np.sort(logits, axis=-1)
    return (top[..., -1] - top[..., -2]).astype(np.float32)


def golden_target(model: Any, seed: int, vocab_size: int) -> dict[str, np.ndarray]:
    """Return the target's golden values.

    Raises:
        SystemExit: when generation with a cache and a pass without one choose differently.
    """
    rng = np.random.default_rng(seed + 1000)
    ids = np.concatenate([[2], rng.integers(3, vocab_size, NUM_IDS - 1)])
    chosen: list[list[np.ndarray]] = []  # per layer: probabilities, weights, ids
    routers = [
        module for name, module in model.named_modules() if name.endswith("router")
    ]  # in the order of layers
    hooks = [
        router.register_forward_hook(
            lambda module, args, out: chosen.append([value.numpy() for value in out])
        )
        for router in routers
    ]
    with torch.no_grad():
        out = model(torch.from_numpy(ids)[None], use_cache=False, output_hidden_states=True)
    for hook in hooks:
        hook.remove()
    golden = {
        "ids": ids.astype(np.int32),
        "logits": out.logits[0].numpy(),
        "hidden_states": out.hidden_states[-1][0].numpy(),
    }
    if chosen:
        golden["expert_ids"] = np.stack([out[2] for out in chosen]).astype(np.int32)
        golden["expert_weights"] = np.stack([out[1] for out in chosen])
        probs = np.sort(np.stack([out[0] for out in chosen]), -1)[..., ::-1]
        k = golden["expert_ids"].shape[-1]
        golden["expert_margins"] = probs[..., k - 1] - probs[..., k]

    prompt = torch.from_numpy(ids[:PROMPT_TOKENS])[None]
    with torch.no_grad():
        generated = model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            do_sample=False,
            max_new_tokens=NEW_TOKENS,
            min_new_tokens=NEW_TOKENS,
            eos_token_id=None,
            use_cache=True,
        )
        behind = model(generated, use_cache=False).logits[0, PROMPT_TOKENS - 1 : -1].numpy()
    generated_ids = generated[0, PROMPT_TOKENS:].numpy()
    if not np.array_equal(behind.argmax(-1), generated_ids):
        raise SystemExit("generation with a cache differs from a pass without one")
    golden["prompt_ids"] = ids[:PROMPT_TOKENS].astype(np.int32)
    golden["generated_ids"] = generated_ids.astype(np.int32)
    golden["margins"] = margins(behind)
    return golden


def describe_files(folder: Path) -> dict[str, Any]:
    """Return size and hash of every file of a folder."""
    return {
        path.name: {
            "bytes": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in sorted(folder.iterdir())
    }


MODEL_CLASSES = {
    "multimodal": Gemma4ForConditionalGeneration,
    "text": Gemma4ForCausalLM,
    "unified": Gemma4UnifiedForConditionalGeneration,
}


def make_target(name: str, case: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """Write one target with its golden values; return its line for the manifest, and itself."""
    folder = HERE / name
    model = build_target(case)
    randomise(model, case["seed"])
    save(model, folder, case)
    model = load(MODEL_CLASSES[case["form"]], folder)
    golden = golden_target(model, case["seed"], case["text"]["vocab_size"])
    np.savez_compressed(folder / "golden.npz", **golden)
    line: dict[str, Any] = {
        "class": MODEL_CLASSES[case["form"]].__name__,
        "dtype": str(case["dtype"]).removeprefix("torch."),
        "seed": case["seed"],
        "smallest_margin": round(float(golden["margins"].min()), 5),
        "largest_logit": round(float(np.abs(golden["logits"]).max()), 3),
        "distinct_generated_ids": len(set(golden["generated_ids"].tolist())),
    }
    if "expert_margins" in golden:
        line["smallest_expert_margin"] = round(float(golden["expert_margins"].min()), 6)
    return {**line, "files": describe_files(folder)}, model


ASSISTANT_CLASSES = {
    False: Gemma4AssistantForCausalLM,
    True: Gemma4UnifiedAssistantForCausalLM,
}


def prompt_lengths(window: int) -> list[int]:
    """Return the context lengths to draft after, around every edge of the window rules."""
    return [1, 7, window - 1, window, window + 1, window + 2, 80]


def golden_assistant(target: Any, assistant: Any, ids: list[int]) -> dict[str, np.ndarray]:
    """Return one round of drafting after several beginnings of `ids`, for every window rule."""
    window = assistant.config.get_text_config().sliding_window
    lengths = prompt_lengths(window)
    golden: dict[str, list[Any]] = {}
    bonus_ids = []
    for length in lengths:
        state = run_target(target, ids[:length])
        bonus = int(state.logits[-1].argmax())
        bonus_ids.append(bonus)
        for rule in WINDOW_RULES:
            drafted = draft(target, assistant, state, length, bonus, DRAFT_TOKENS, rule)
            for key, values in vars(drafted).items():
                if values:
                    golden.setdefault(f"{rule}_{key}", []).append(np.stack(values))
    arrays = {key: np.stack(values) for key, values in golden.items()}
    for key, array in arrays.items():
        arrays[key] = array.astype(np.int32 if array.dtype.kind == "i" else np.float32)
    arrays["lengths"] = np.asarray(lengths, np.int32)
    arrays["bonus_ids"] = np.asarray(bonus_ids, np.int32)
    return arrays


def make_assistant(name: str, target: Any, case: dict[str, Any]) -> dict[str, Any]:
    """Write the drafter of one target with its golden values; return its line."""
    folder = HERE / f"{name}-assistant"
    model = build_assistant(TARGETS[name], case)
    randomise(model, case["seed"] + 500)
    model.generation_config.num_assistant_tokens = 4
    text = {**TARGETS[name]["text"], **case["text"]}
    save(model, folder, {**case, "text": text, "generation_config": True})
    model = load(type(model), folder)
    ids = np.load(HERE / name / "golden.npz")["ids"].tolist()
    golden = golden_assistant(target, model, ids)
    np.savez_compressed(folder / "golden.npz", **golden)
    window = text["sliding_window"]
    records = [
        assisted_record(target, model, ids[:length], NEW_TOKENS, ASSISTED_DRAFT_LENGTHS)
        for length in (5, window - 4, PROMPT_TOKENS, 64)
    ]
    (folder / "assisted.json").write_text(json.dumps(records) + "\n")
    line: dict[str, Any] = {
        "class": type(model).__name__,
        "dtype": str(case["dtype"]).removeprefix("torch."),
        "seed": case["seed"],
        "smallest_draft_margin": round(
            min(float(margins(golden[f"{rule}_logits"]).min()) for rule in WINDOW_RULES), 5
        ),
        "distinct_draft_ids": len(set(golden["inclusive_draft_ids"].ravel().tolist())),
        "accepted": sum(
            sum(counts)
            for record in records
            for counts in record["num_accepted"]["inclusive"].values()
        ),
        "generate_has_other_counts": differing_counts(records),
    }
    if "inclusive_centroids" in golden:
        line["smallest_centroid_margin"] = round(
            min(float(golden[f"{rule}_centroid_margins"].min()) for rule in WINDOW_RULES), 5
        )
    return {**line, "files": describe_files(folder)}


def differing_counts(records: list[dict[str, Any]]) -> list[str]:
    """Return where generate() accepts other counts than the loop with exact keys and values."""
    return [
        f"prompt of {len(record['prompt_ids'])}, {num} draft tokens"
        for record in records
        for num, counts in record["num_accepted"]["transformers"].items()
        if counts != record["num_accepted"]["inclusive"][num]
    ]


def write_manifest(lines: dict[str, dict[str, Any]]) -> None:
    """Put lines into the manifest, beside those that are there."""
    path = HERE / "manifest.json"
    checkpoints = json.loads(path.read_text())["checkpoints"] if path.exists() else {}
    checkpoints |= lines
    manifest = {
        "commands": [
            "python tests/vectors/make_tiny_gemma4.py",
            "python tests/vectors/train_tiny_pair.py",
        ],
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "numpy": np.__version__,
        },
        "checkpoints": dict(sorted(checkpoints.items())),
    }
    path.write_text(json.dumps(manifest, indent=2) + "\n")


def main() -> None:
    """Write every case and the manifest."""
    torch.set_num_threads(1)
    for name in sys.argv[1:] or list(TARGETS):
        line, target = make_target(name, TARGETS[name])
        assistant_line = make_assistant(name, target, ASSISTANTS[name])
        write_manifest({name: line, f"{name}-assistant": assistant_line})


if __name__ == "__main__":
    main()
