"""Make the tiny random Gemma 3 checkpoints and their golden logits, with transformers.

Run in an environment of its own (see README.md beside this file):

    python tests/vectors/make_tiny_gemma3.py

It writes, for every shape in SHAPES, `gemma3-tiny/<name>/config.json` and `model.safetensors` as
`save_pretrained` does, `golden.npz`, and one `manifest.json` over all of them. The weights come
from NumPy's PCG64 with a fixed seed, so the same versions give the same files.
"""

from __future__ import annotations

import hashlib
import json
import platform
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers import Gemma3ForCausalLM, Gemma3TextConfig

HERE = Path(__file__).parent / "gemma3-tiny"
VOCAB_SIZE = 512
PROMPT_TOKENS = 45
NEW_TOKENS = 40

# Each shape is there for what it alone has; all are small enough for git. A seed is one for which
# no greedy choice is nearly a tie (the smallest margin is in the manifest).
SHAPES: dict[str, dict[str, Any]] = {
    # The published pattern of five sliding layers and a full one, then one more; one KV head.
    "multi-query": {
        "seed": 30,
        "dtype": torch.float32,
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 7,
        "num_attention_heads": 4,
        "num_key_value_heads": 1,
        "head_dim": 32,
        "query_pre_attn_scalar": 32,
        "sliding_window": 8,
    },
    # Two KV heads, another pattern, positions stretched on full layers as in the 4B and above.
    "grouped-query": {
        "seed": 25,
        "dtype": torch.bfloat16,
        "hidden_size": 32,
        "intermediate_size": 96,
        "num_hidden_layers": 6,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 64,
        "query_pre_attn_scalar": 64,
        "sliding_window": 16,
        "sliding_window_pattern": 3,
        "rope_scaling": {"rope_type": "linear", "factor": 8.0},
    },
    # No power of two in hidden_size, an odd window, a scale that is not head_dim^-0.5.
    "odd-scale": {
        "seed": 10,
        "dtype": torch.float16,
        "hidden_size": 160,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 64,
        "query_pre_attn_scalar": 40,
        "sliding_window": 5,
        "sliding_window_pattern": 2,
    },
}


def random_weights(model: Gemma3ForCausalLM, seed: int) -> None:
    """Fill the model with values whose logits are decisive and which leave no term unused."""
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            shape = tuple(parameter.shape)
            if name == "model.norm.weight":
                values = rng.normal(-1.0, 1.0, shape)  # else the tied head repeats its input
            elif "post_attention_layernorm" in name or "post_feedforward_layernorm" in name:
                values = rng.normal(1.0, 0.6, shape)  # else the embedding outweighs the layers
            elif "q_norm" in name or "k_norm" in name:
                values = rng.normal(0.5, 0.4, shape)
            elif "norm" in name:
                values = rng.normal(0.0, 0.4, shape)
            elif name.endswith("embed_tokens.weight"):
                values = rng.normal(0.0, 2.0 / np.sqrt(shape[1]), shape)
            else:
                values = rng.normal(0.0, 1.0 / np.sqrt(shape[1]), shape)
            parameter.copy_(torch.from_numpy(values.astype(np.float32)))


def make(name: str, shape: dict[str, Any]) -> dict[str, Any]:
    """Write one checkpoint with its golden data; return its line for the manifest."""
    fields = dict(shape)
    seed, dtype = fields.pop("seed"), fields.pop("dtype")
    folder = HERE / name
    folder.mkdir(parents=True, exist_ok=True)
    config = Gemma3TextConfig(vocab_size=VOCAB_SIZE, max_position_embeddings=1024, **fields)
    model = Gemma3ForCausalLM(config)
    random_weights(model, seed)
    model.to(dtype).save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)

    (folder / "model.safetensors").chmod(0o644)

    model = Gemma3ForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    rng = np.random.default_rng(seed + 1000)
    prompt = np.concatenate([[2], rng.integers(3, VOCAB_SIZE, PROMPT_TOKENS - 1)])
    ids = torch.from_numpy(prompt)[None]
    with torch.no_grad():
        generated = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=NEW_TOKENS,
            min_new_tokens=NEW_TOKENS,
            eos_token_id=None,
            use_cache=True,
        )
        logits = model(generated, use_cache=False).logits[0].numpy()
    generated_ids = generated[0, PROMPT_TOKENS:].numpy()
    uncached = logits[PROMPT_TOKENS - 1 : -1].argmax(-1)
    if not np.array_equal(uncached, generated_ids):
        raise SystemExit(f"{name}: generation with a cache differs from a pass without one")
    np.savez_compressed(
        folder / "golden.npz",
        prompt_ids=prompt.astype(np.int32),
        generated_ids=generated_ids.astype(np.int32),
        logits=logits.astype(np.float32),
    )
    top = np.sort(logits[PROMPT_TOKENS - 1 : -1], axis=-1)
    margins = top[:, -1] - top[:, -2]
    return {
        "dtype": str(dtype).removeprefix("torch."),
        "seed": seed,
        "smallest_margin": round(float(margins.min()), 5),
        "distinct_generated_ids": len(set(generated_ids.tolist())),
        "files": {
            path.name: {
                "bytes": path.stat().st_size,
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            }
            for path in sorted(folder.iterdir())
        },
    }


def main() -> None:
    """Write every shape and the manifest."""
    torch.set_num_threads(2)
    manifest = {
        "command": "python tests/vectors/make_tiny_gemma3.py",
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "numpy": np.__version__,
        },
        "golden.npz": {
            "prompt_ids": f"[{PROMPT_TOKENS}] int32",
            "generated_ids": f"[{NEW_TOKENS}] int32, greedy, by generate() with a cache",
            "logits": f"[{PROMPT_TOKENS + NEW_TOKENS}, {VOCAB_SIZE}] float32, row i follows token "
            "i of prompt + generated; eager attention, no cache",
        },
        "checkpoints": {name: make(name, shape) for name, shape in SHAPES.items()},
    }
    (HERE / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")


if __name__ == "__main__":
    main()
