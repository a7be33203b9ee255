"""web/tokenizer.js in Node: the same ids and texts as the native tokenizer."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leadout.tokenizer import BYTE_TOKENS, tokenizer_json_from_gguf
from leadout.tokenizer_native import HuggingFaceTokenizer
from node_tokenizer import ask_node_tokenizer, node_values
from tiny_vocabulary import gguf_metadata
from varied_text import varied_texts

WriteJson = Callable[..., Path]


@pytest.fixture
def write_tokenizer_json(tmp_path: Path) -> WriteJson:
    def write(**changes: object) -> Path:
        path = tmp_path / "tokenizer.json"
        path.write_text(json.dumps(tokenizer_json_from_gguf(gguf_metadata(**changes))))
        return path

    return write


@pytest.mark.parametrize("space_prefix", [False, True])
def test_ids_and_texts_equal_the_native_ones(
    write_tokenizer_json: WriteJson, space_prefix: bool
) -> None:
    path = write_tokenizer_json(add_space_prefix=space_prefix)
    native = HuggingFaceTokenizer.from_file(path)
    texts = varied_texts(250)
    if space_prefix:
        # The package adds no space before the empty rest of a text; the library does.
        texts = [text for text in texts if text]
    rng = random.Random(7)
    id_lists = [
        [rng.randrange(native.vocab_size) for _ in range(rng.randint(0, 12))] for _ in range(250)
    ]
    calls: list[list[Any]] = [["encode", text] for text in texts]
    calls += [["encode", text, True] for text in texts]
    calls += [["decode", ids] for ids in id_lists]
    calls += [["decode", ids, False] for ids in id_lists]
    wanted: list[Any] = [native.encode(text) for text in texts]
    wanted += [native.encode(text, add_special_tokens=True) for text in texts]
    wanted += [native.decode(ids) for ids in id_lists]
    wanted += [native.decode(ids, skip_special_tokens=False) for ids in id_lists]
    for call, found, want in zip(calls, node_values(path, calls), wanted, strict=True):
        assert found == want, call


def test_byte_runs_read_as_in_the_native_tokenizer(write_tokenizer_json: WriteJson) -> None:
    path = write_tokenizer_json()
    native = HuggingFaceTokenizer.from_file(path)
    runs = ["ž\ufeffž".encode(), b"\xef\xbb\xbf", b"\xf0\x9f\x98", b"a\xff", b"\xe2\x96\x81"]
    calls = [["decode", [native.id_of(BYTE_TOKENS[byte]) for byte in run]] for run in runs]
    assert node_values(path, calls) == [native.decode(ids) for _, ids in calls]  # type: ignore[arg-type]


def test_the_small_verbs_agree(write_tokenizer_json: WriteJson) -> None:
    path = write_tokenizer_json()
    native = HuggingFaceTokenizer.from_file(path)
    a = native.encode("a")
    found = node_values(
        path,
        [
            ["vocabSize"],
            ["idOf", "<bos>"],
            ["idOf", "no such token"],
            ["decode", []],
            ["decode", [*a, native.vocab_size + 7, *a]],
        ],
    )
    assert found == [native.vocab_size, native.id_of("<bos>"), None, "", "aa"]


def test_a_lone_surrogate_is_a_request_error(write_tokenizer_json: WriteJson) -> None:
    reply = ask_node_tokenizer(write_tokenizer_json(), [["encode", "a\ud800"], ["encode", "😀"]])
    first, second = reply["answers"]
    assert first["error"]["name"] == "RequestError"
    assert "lone surrogate at position 1" in first["error"]["message"]
    assert "value" in second


@pytest.mark.parametrize("text", ["", "{", "{}", '{"model": {}}', "null"])
def test_an_invalid_tokenizer_json_is_a_tokenizer_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(text)
    reply = ask_node_tokenizer(path, [])
    assert reply["error"]["name"] == "TokenizerError"
    assert "tokenizer.json is invalid" in reply["error"]["message"]
