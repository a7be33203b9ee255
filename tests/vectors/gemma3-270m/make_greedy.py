"""Write `greedy.json`: how transformers, in float32, continues the prompts on a GGUF's weights.

    python make_greedy.py MODEL.gguf PROMPT_IDS.json LLAMA_CPP.json LLAMA_CPP_FLOAT32.json

PROMPT_IDS.json is what `make_ids.py` wrote; the last two are what `make_llama_cpp.mjs` made of it
with MODEL.gguf and with the copy by `make_float32_gguf.py`. Needs torch and transformers, in an
environment of its own (README.md). transformers gets the weights as the `gguf` package dequantises
them; its choices are the golden ones. A margin is the distance of the best logit from the second:
where another implementation parts from these ids, it says whether that is a tie or a fault.

The file is written only if the NumPy reference and llama.cpp in float32 choose the same ids.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers import Gemma3ForCausalLM, Gemma3TextConfig

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

import reference_gemma3  # noqa: E402  (it lies two folders up)

NEW_TOKENS = 32


def build_model(config: dict[str, Any], weights: dict[str, Any]) -> Gemma3ForCausalLM:
    """Return transformers' model in float32 on the reference's weights."""
    model = Gemma3ForCausalLM(Gemma3TextConfig(**config))
    state = {name: torch.from_numpy(values) for name, values in weights.items()}
    state["lm_head.weight"] = state["model.embed_tokens.weight"]
    model.load_state_dict(state, strict=True)
    model.set_attn_implementation("eager")
    return model.eval()


def continue_prompt(
    model: Gemma3ForCausalLM, weights: dict[str, Any], config: dict[str, Any], prompt: list[int]
) -> dict[str, Any]:
    """Return transformers' greedy ids and, per step, its margin and the reference's agreement."""
    ids = torch.tensor([prompt])
    with torch.no_grad():
        sequence = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=NEW_TOKENS,
            min_new_tokens=NEW_TOKENS,
            eos_token_id=None,
            use_cache=True,
        )[0]
        logits = model(sequence[None, :-1], use_cache=False, logits_to_keep=NEW_TOKENS).logits[0]
    generated = sequence[len(prompt) :].tolist()
    best, margins = reference_gemma3.top_two(logits.numpy())
    hidden = reference_gemma3.hidden_rows(config, weights, sequence[:-1].tolist())[-NEW_TOKENS:]
    own_logits = hidden @ weights["model.embed_tokens.weight"].T
    if best[:, 0].tolist() != generated or own_logits.argmax(-1).tolist() != generated:
        sys.exit("generate, a pass without a cache, and the reference do not agree")
    difference = np.abs(own_logits - logits.numpy()).max()
    return {
        "transformers_ids": generated,
        "second_ids": best[:, 1].tolist(),
        "margins": [round(float(margin), 5) for margin in margins],
        "reference_largest_logit_difference": float(f"{difference:.2e}"),
    }


def main(
    gguf_path: Path, prompt_ids_path: Path, llama_cpp_path: Path, llama_cpp_float32_path: Path
) -> None:
    """Write greedy.json."""
    torch.set_num_threads(2)
    config, weights = reference_gemma3.gguf_weights(gguf_path)
    model = build_model(config, weights)
    llama_cpp = json.loads(llama_cpp_path.read_text())
    llama_cpp_float32 = json.loads(llama_cpp_float32_path.read_text())["continuations"]
    entries = []
    for prompt in json.loads(prompt_ids_path.read_text()):
        entry = {**prompt, **continue_prompt(model, weights, config, prompt["prompt_ids"])}
        theirs, ours = llama_cpp["continuations"][prompt["name"]], entry["transformers_ids"]
        if llama_cpp_float32[prompt["name"]] != ours:
            sys.exit(f"{prompt['name']}: llama.cpp in float32 does not agree")
        parts = next((i for i in range(NEW_TOKENS) if theirs[i] != ours[i]), None)
        entry["llama_cpp_ids"] = theirs
        entry["llama_cpp_parts_at"] = parts
        print(f"{prompt['name']}: llama.cpp parts at {parts}", end="")
        print("" if parts is None else f", margin {entry['margins'][parts]}", flush=True)
        entries.append(entry)
    result = {
        "model": {
            "name": gguf_path.name,
            "sha256": hashlib.sha256(gguf_path.read_bytes()).hexdigest(),
        },
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "numpy": np.__version__,
            "gguf": importlib.metadata.version("gguf"),
            **llama_cpp["versions"],
        },
    }
    lines = ",\n".join(f"  {json.dumps(entry)}" for entry in entries)
    head = json.dumps(result, indent=1)[:-2]
    (HERE / "greedy.json").write_text(f'{head},\n "prompts": [\n{lines}\n ]\n}}\n')


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:5]))
