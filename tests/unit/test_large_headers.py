"""Headers that are valid but larger than any real one: refused by name, at little cost.

What is just below the limits is played in Pyodide by tests/browser/test_hostile_files.py.
"""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from leadout.checkpoint import open_checkpoint
from leadout.checkpoint import safetensors as safetensors_module
from leadout.checkpoint.gguf import MAX_HEADER_BYTES, MAX_ITEMS, MAX_KEYS, MAX_TENSORS
from leadout.checkpoint.json_file import MAX_JSON_BYTES, MAX_TEXT_BYTES
from leadout.checkpoint.synthetic import synthetic_checkpoint
from leadout.errors import CheckpointError, LeadoutError, TokenizerError
from leadout.tokenizer import MAX_VOCABULARY_CHARS, Tokenizer, tokenizer_json_from_gguf
from leadout.tokenizer_choice import load_tokenizer
from raw_headers import (
    BOOL,
    STRING,
    GuardedSource,
    array_key,
    gguf_file,
    key,
    safetensors_file,
    string,
    tensor,
)
from tiny_vocabulary import gguf_metadata

#: While a file is refused; the files themselves, which are in memory, not counted.
MAX_MORE_BYTES = 64 << 20


#: A tensor without values.
NOTHING = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}

GGUFS: dict[str, Callable[[], bytes]] = {
    "10,001 metadata keys": lambda: gguf_file(
        [key(f"{i:06}", BOOL, b"\0") for i in range(MAX_KEYS + 1)]
    ),
    "1,000,000 metadata keys": lambda: gguf_file([bytes(13 * 10**6)], num_keys=10**6),
    "20,001 tensors": lambda: gguf_file(
        [], [tensor(f"{i:06}", []) for i in range(MAX_TENSORS + 1)]
    ),
    "1,000,001 strings": lambda: gguf_file(
        [array_key("a", STRING, MAX_ITEMS + 1, bytes(8 * (MAX_ITEMS + 1)))]
    ),
    "1,000,001 booleans": lambda: gguf_file(
        [array_key("a", BOOL, 10, bytes(10)), array_key("b", BOOL, MAX_ITEMS - 9, bytes(MAX_ITEMS))]
    ),
    "a string of 48 MB": lambda: gguf_file([key("a", STRING, string(bytes(MAX_HEADER_BYTES)))]),
}


async def refusal_of(**files: bytes) -> LeadoutError:
    """Open files; return the error, of which nothing is long or costly."""
    named = {name.replace("__", "."): data for name, data in files.items()}
    sources = {name: GuardedSource(data, name) for name, data in named.items()}
    tracemalloc.start()
    try:
        with pytest.raises(LeadoutError) as caught:
            await open_checkpoint(sources)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MAX_MORE_BYTES
    assert len(caught.value.message) < 600
    return caught.value


@pytest.mark.parametrize("what", GGUFS)
async def test_a_gguf_header_beyond_all_real_ones_is_refused(what: str) -> None:
    error = await refusal_of(model__gguf=GGUFS[what]())
    assert type(error).__name__ == "UnsupportedFormatError"
    assert error.message.startswith("model.gguf: its header has ")
    assert "check that it is the right file" in error.message


@pytest.mark.parametrize(
    "name", ["config.json", "model.safetensors.index.json", "generation_config.json"]
)
async def test_a_json_file_beyond_all_real_ones_is_not_read(name: str) -> None:
    files = {
        "config.json": b'{"model_type": "gemma3_text", "tie_word_embeddings": true}',
        "model.safetensors.index.json": b'{"weight_map": {"a": "a.safetensors"}}',
        "a.safetensors": safetensors_file({"a": NOTHING}),
        name: b"{" + b" " * MAX_JSON_BYTES + b"}",
    }
    error = await refusal_of(**files)
    assert error.message.startswith(f"{name} has 16,777,218 bytes, at most 16,777,216 are read")


async def test_a_chat_template_beyond_all_real_ones_is_not_read() -> None:
    template = b" " * (MAX_TEXT_BYTES + 1)
    error = await refusal_of(
        config__json=b'{"model_type": "gemma3_text", "tie_word_embeddings": true}',
        model__safetensors=safetensors_file({}),
        chat_template__jinja=template,
    )
    assert error.message.startswith("chat_template.jinja has 33,554,433 bytes")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"{}" + b" " * MAX_JSON_BYTES, "declares a header of"),
        (b'{"t": [' + b"{}," * 200_000 + b"0]}", "about 400,003 values"),
        (b"{" + b'"a":0,' * 300_001 + b'"b":0}', "values and keys"),
    ],
    ids=["spaces", "empty objects", "keys"],
)  # fmt: skip
async def test_a_safetensors_header_costs_little(text: bytes, found: str) -> None:
    config = json.dumps({"model_type": "gemma3_text", "tie_word_embeddings": True}).encode()
    error = await refusal_of(config__json=config, model__safetensors=safetensors_file(text))
    assert found in error.message


async def test_all_shards_together_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safetensors_module, "MAX_TENSORS", 3)
    shards = {
        f"{name}__safetensors": safetensors_file({f"{name}{i}": NOTHING for i in range(2)})
        for name in "ab"
    }
    weight_map = {f"{name}{i}": f"{name}.safetensors" for name in "ab" for i in range(2)}
    error = await refusal_of(
        config__json=b'{"model_type": "gemma3_text", "tie_word_embeddings": true}',
        model__safetensors__index__json=json.dumps({"weight_map": weight_map}).encode(),
        **shards,
    )
    assert "its shards hold more than 3 tensors" in error.message


def test_a_vocabulary_beyond_all_real_ones_is_refused() -> None:
    plain = gguf_metadata()
    tokens = [f"{i:0200}" for i in range(MAX_VOCABULARY_CHARS // 200 + 1)]
    count = len(tokens)
    more = {
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [1] * count,
        "tokenizer.ggml.scores": [0.0] * count,
    }
    metadata = {
        name: [*value, *more[name]] if name in more and isinstance(value, list) else value
        for name, value in plain.items()
    }
    with pytest.raises(TokenizerError, match="at most 4,000,000 are taken"):
        tokenizer_json_from_gguf(metadata)


@pytest.fixture
def gemma3_tokenizer(gemma3_tokenizer_json: Path) -> bytes:
    return gemma3_tokenizer_json.read_bytes()


async def test_a_tokenizer_json_beyond_all_real_ones_is_not_parsed(
    gemma3_tokenizer: bytes,
) -> None:
    async def make(text: str) -> Tokenizer:
        parsed.append(len(text))
        return cast("Tokenizer", None)

    parsed: list[int] = []
    checkpoint = synthetic_checkpoint("tiny", "target")
    await load_tokenizer(replace(checkpoint, tokenizer_json=GuardedSource(gemma3_tokenizer)), make)
    assert parsed == [len(gemma3_tokenizer.decode())]
    hostile = GuardedSource(b'{"model": [' + b"{}," * 10_000_000 + b"0]}", "tokenizer.json")
    with pytest.raises(CheckpointError, match="about 20,000,003 values and keys, at most 6,0"):
        await load_tokenizer(replace(checkpoint, tokenizer_json=hostile), make)
