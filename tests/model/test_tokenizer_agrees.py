"""The tokenizer built from a real GGUF against Gemma's own tokenizer.json, id for id."""

from __future__ import annotations

import asyncio
import json
import random
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from leadout.checkpoint.gguf import read_gguf_header
from leadout.checkpoint.source import FileSource
from leadout.tokenizer import tokenizer_json_from_gguf
from leadout.tokenizer_native import HuggingFaceTokenizer
from node_tokenizer import node_values
from varied_text import varied_texts

NUM_TEXTS = 5000
NUM_TEXTS_IN_NODE = 600

BYTE_IDS = frozenset(range(238, 494))

# In Gemma's file but in no text model: its id is one past the rows of the embedding table.
IMAGE_PLACEHOLDER = "<image_soft_token>"


@cache
def built_json(gguf: Path) -> dict[str, Any]:
    header = asyncio.run(read_gguf_header(FileSource(gguf)))
    return tokenizer_json_from_gguf(header.metadata)


@cache
def gemmas_json(path: Path) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return parsed


@cache
def built_tokenizer(gguf: Path) -> HuggingFaceTokenizer:
    return HuggingFaceTokenizer.from_json(json.dumps(built_json(gguf), ensure_ascii=False))


@cache
def gemmas_tokenizer(path: Path) -> HuggingFaceTokenizer:
    return HuggingFaceTokenizer.from_file(path)


def random_ids(num_lists: int, vocab_size: int) -> list[list[int]]:
    """Return lists of ids that no text encodes to; half of the ids are byte tokens or special."""
    rng = random.Random(11)
    return [
        [rng.choice((rng.randrange(vocab_size), rng.randrange(520))) for _ in range(length % 20)]
        for length in range(num_lists)
    ]


def test_everything_but_the_image_placeholder_equals_gemmas_file(
    gemma3_gguf: Path, gemma3_tokenizer_json: Path
) -> None:
    built, gemmas = dict(built_json(gemma3_gguf)), dict(gemmas_json(gemma3_tokenizer_json))
    gemmas["model"] = {
        **gemmas["model"],
        "merges": [f"{left} {right}" for left, right in gemmas["model"]["merges"]],
    }
    gemmas["added_tokens"] = [
        token for token in gemmas["added_tokens"] if token["content"] != IMAGE_PLACEHOLDER
    ]
    assert built.keys() == gemmas.keys()
    built_model, gemmas_model = built.pop("model"), gemmas.pop("model")
    assert built == gemmas
    assert built_model.keys() == gemmas_model.keys()
    for key, value in built_model.items():
        # Compared outside of the assertion: pytest would print millions of lines.
        is_equal = value == gemmas_model[key]
        assert is_equal, f"model.{key} differs"


def test_ids_equal_those_of_gemmas_own_tokenizer(
    gemma3_gguf: Path, gemma3_tokenizer_json: Path
) -> None:
    built, gemmas = built_tokenizer(gemma3_gguf), gemmas_tokenizer(gemma3_tokenizer_json)
    used: set[int] = set()
    for text in varied_texts(NUM_TEXTS):
        ids = gemmas.encode(text)
        assert built.encode(text) == ids, text
        assert built.encode(text, add_special_tokens=True) == [2, *ids], text
        used.update(ids)
    # The strings do reach into the vocabulary: many scripts, many byte tokens.
    assert len(used) > NUM_TEXTS
    assert len(used & BYTE_IDS) > 100


def test_texts_equal_those_of_gemmas_own_tokenizer(
    gemma3_gguf: Path, gemma3_tokenizer_json: Path
) -> None:
    built, gemmas = built_tokenizer(gemma3_gguf), gemmas_tokenizer(gemma3_tokenizer_json)
    encoded = [gemmas.encode(text) for text in varied_texts(NUM_TEXTS)]
    for ids in [*encoded, *random_ids(NUM_TEXTS, built.vocab_size)]:
        assert built.decode(ids) == gemmas.decode(ids), ids
        shown, wanted = (one.decode(ids, skip_special_tokens=False) for one in (built, gemmas))
        assert shown == wanted, ids


@pytest.mark.parametrize("whose", ["built", "gemma's"])
def test_ids_and_texts_in_node_equal_those_in_cpython(
    whose: str, gemma3_gguf: Path, gemma3_tokenizer_json: Path, tmp_path: Path
) -> None:
    native = gemmas_tokenizer(gemma3_tokenizer_json)
    path = gemma3_tokenizer_json
    if whose == "built":
        path = tmp_path / "tokenizer.json"
        path.write_text(json.dumps(built_json(gemma3_gguf), ensure_ascii=False), encoding="utf-8")
    texts = varied_texts(NUM_TEXTS_IN_NODE, seed=7)
    id_lists = random_ids(NUM_TEXTS_IN_NODE, 262_144)
    calls: list[list[Any]] = [["encode", text] for text in texts]
    calls += [["encode", text, True] for text in texts]
    calls += [["decode", ids] for ids in id_lists]
    wanted: list[Any] = [native.encode(text) for text in texts]
    wanted += [native.encode(text, add_special_tokens=True) for text in texts]
    wanted += [native.decode(ids) for ids in id_lists]
    for call, found, want in zip(calls, node_values(path, calls), wanted, strict=True):
        assert found == want, call
