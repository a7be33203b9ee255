"""Nano's vocabulary between a tokenizer.json and GGUF; needs no torch."""

from __future__ import annotations

import json
import re
from pathlib import Path

import gguf
from tokenizers import Tokenizer

from nano.gemma4_gguf import BYTE, CONTROL, NORMAL, UNKNOWN, USER_DEFINED, Vocabulary
from nano.tokenizer import MARKS, UNK, build_tokenizer

#: Marks that llama.cpp's converter has shown as text.
_SHOWN = frozenset(MARKS[MARKS.index("<|channel>") :]) - {"<|tool>", "<tool|>"}


def vocabulary_of(path: Path) -> Vocabulary:
    """Return a tokenizer.json's vocabulary as GGUF has it."""
    model = json.loads(path.read_text())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].__getitem__)
    types = [_token_type(id_, token) for id_, token in enumerate(tokens)]
    merges = [" ".join(pair) for pair in model["merges"]]
    return Vocabulary(tokens, [-1000.0] * len(tokens), types, merges)


def _token_type(id_: int, token: str) -> int:
    if id_ < len(MARKS):
        return UNKNOWN if id_ == UNK else USER_DEFINED if token in _SHOWN else CONTROL
    if re.fullmatch("<0x[0-9A-F]{2}>", token):
        return BYTE
    return CONTROL if token.startswith("<unused") else NORMAL


def tokenizer_of(path: Path) -> Tokenizer:
    """Return the tokenizer of a GGUF file that `pack` wrote."""
    reader = gguf.GGUFReader(path)
    fields = (reader.get_field(f"tokenizer.ggml.{key}") for key in ("tokens", "merges"))
    tokens, merges = ([] if field is None else field.contents() for field in fields)
    pairs = [tuple(merge.split(" ")) for merge in merges]
    return build_tokenizer(tokens, [(left, right) for left, right in pairs])
