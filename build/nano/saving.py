"""A model's folder as transformers saves and loads it, with tokenizer and chat template."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from nano.tokenizer import BOS, PAD, STOP_IDS

CHAT_TEMPLATE = Path(__file__).with_name("chat_template.jinja")

_TOKENIZER_CONFIG = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "bos_token": "<bos>",
    "eos_token": "<eos>",
    "pad_token": "<pad>",
    "unk_token": "<unk>",
    # The template begins with the first token.
    "add_bos_token": False,
}


#: That transformers' `generate` asks of a drafter in each round.
NUM_ASSISTANT_TOKENS = 4


def save_model(model: Any, folder: Path, tokenizer: Tokenizer, *, is_drafter: bool = False) -> None:
    """Write a transformers model to a folder, in the type that its weights have."""
    model.generation_config.update(eos_token_id=STOP_IDS, bos_token_id=BOS, pad_token_id=PAD)
    if is_drafter:
        model.generation_config.num_assistant_tokens = NUM_ASSISTANT_TOKENS
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(_TOKENIZER_CONFIG, indent=2) + "\n")
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE.read_text())
