"""Make the golden values of prompts with embeddings in the place of tokens', with transformers.

Run in an environment of its own (see README.md beside this file):

    python tests/vectors/make_embedded.py

It reads tiny checkpoints of gemma3-tiny/ and gemma4-tiny/ and writes `embedded/<name>.npz`. Each
prompt has two spans of embeddings, two images: their rows see one another as far as the family's
masks say. `causal` has the same prompt without that. Masks come from transformers' own functions.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText
from transformers.models.gemma3 import modeling_gemma3
from transformers.models.gemma4 import modeling_gemma4

HERE = Path(__file__).parent
CHECKPOINTS = {
    "gemma3-grouped-query": "gemma3-tiny/grouped-query",
    "gemma3-odd-scale": "gemma3-tiny/odd-scale",
    "gemma4-e2b": "gemma4-tiny/e2b",
    "gemma4-12b": "gemma4-tiny/12b",
    "gemma4-26b-a4b": "gemma4-tiny/26b-a4b",
}
NUM_IDS = 150
PAD_ID = 0
#: Spans, [start, end): the second one is longer than every window, and across a pass of 64 rows.
SPANS = ((5, 17), (40, 95))
NEW_TOKENS = 12


def text_parts(folder: Path) -> tuple[torch.nn.Module, torch.nn.Module, Any]:
    """Return (text model, output layer, masks' function) of a checkpoint, in float32."""
    options = {"dtype": torch.float32, "attn_implementation": "eager"}
    if "gemma3" in folder.parent.name:
        model = AutoModelForCausalLM.from_pretrained(folder, **options).eval()
        return model.model, model, modeling_gemma3.create_masks_for_vision_model
    model = AutoModelForImageTextToText.from_pretrained(folder, **options).eval()
    return model.model.language_model, model, modeling_gemma4.create_masks_for_vision_model


def logits_of(
    parts: tuple[Any, Any, Callable[..., Any]],
    ids: torch.Tensor,
    given: torch.Tensor,
    is_causal: bool,
) -> torch.Tensor:
    """Return the logits of all positions, without a cache."""
    text, model, create_masks = parts
    embeds = text.embed_tokens(ids)
    blocks = torch.full_like(ids, -1)
    for number, (start, end) in enumerate(SPANS):
        embeds[:, start:end] = given[: end - start] if number == 0 else given[-(end - start) :]
        blocks[:, start:end] = number
    if is_causal:
        blocks[:] = -1
    masks = create_masks(
        config=text.config,
        inputs_embeds=embeds,
        attention_mask=None,
        past_key_values=None,
        position_ids=torch.arange(ids.shape[1])[None],
        block_sequence_ids=blocks,
    )
    more = {}
    if getattr(text.config, "hidden_size_per_layer_input", 0):
        more["per_layer_inputs"] = text.get_per_layer_inputs(ids, None)
    hidden = text(inputs_embeds=embeds, attention_mask=masks, use_cache=False, **more)[0]
    logits = model.lm_head(hidden)
    cap = getattr(text.config, "final_logit_softcapping", None)
    return logits if cap is None else cap * torch.tanh(logits / cap)


@torch.no_grad()
def make(name: str, folder: Path) -> None:
    """Write one file."""
    parts = text_parts(folder)
    config = parts[0].config
    rng = np.random.default_rng(len(name))
    prompt = np.concatenate([[2], rng.integers(3, config.vocab_size, NUM_IDS - 1)])
    for start, end in SPANS:
        prompt[start:end] = PAD_ID
    count = sum(end - start for start, end in SPANS)
    # As large as a token's embedding.
    scale = parts[0].embed_tokens(torch.arange(3, 40)).std().item()
    given = rng.normal(0.0, scale, (count, config.hidden_size)).astype(np.float32)
    found = {"prompt_ids": prompt, "given": given, "spans": np.asarray(SPANS)}
    for kind in ("images", "causal"):
        ids = torch.from_numpy(prompt)[None]
        margins = []
        for _ in range(NEW_TOKENS):
            logits = logits_of(parts, ids, torch.from_numpy(given), kind == "causal")[0]
            best = logits[-1].topk(2)
            margins.append((best.values[0] - best.values[1]).item())
            ids = torch.cat([ids, best.indices[:1][None]], dim=1)
        found[f"{kind}_ids"] = ids[0, NUM_IDS:].numpy()
        found[f"{kind}_logits"] = logits[NUM_IDS - 1 :].numpy()
        print(name, kind, found[f"{kind}_ids"].tolist(), f"smallest margin {min(margins):.3g}")
    np.savez_compressed(HERE / "embedded" / f"{name}.npz", **found)


if __name__ == "__main__":
    (HERE / "embedded").mkdir(exist_ok=True)
    for name, folder in CHECKPOINTS.items():
        make(name, HERE / folder)
