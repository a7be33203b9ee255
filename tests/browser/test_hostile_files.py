"""Hostile models in Pyodide: a named error in seconds, and the same worker goes on.

CPython says nothing about this: Pyodide's stack is the browser's, and nothing in a worker can be
ended but the worker.
"""

from __future__ import annotations

import json
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsers import Browsers
from hostile_page import LOAD_PATIENCE_MS, HostilePage, Parts, peak_bytes

from hostile_templates import BOMBS, LONE_BOMBS, choosing
from hostile_tokenizers import HOSTILE
from leadout.tokenizer import tokenizer_json_from_gguf
from leadout_build.serving.headless import BLANK, serving
from leadout_build.store.model_store import Store
from raw_headers import safetensors_file, string
from thoroughness import IS_THOROUGH
from tiny_checkpoints import (
    Vocabulary,
    random_gemma3_weights,
    safetensors_bytes,
    tiny_gemma3_config,
    tiny_vocabulary,
    write_gguf,
)
from tiny_vocabulary import gguf_metadata

#: Beyond what the page with a small model has.
MAX_MORE_BYTES = 512 << 20

CONFIG = tiny_gemma3_config(num_hidden_layers=1, hidden_size=32, intermediate_size=32)
CONFIG_JSON = json.dumps(CONFIG).encode()
WEIGHTS = safetensors_bytes(random_gemma3_weights(CONFIG))
TOKENIZER = tokenizer_json_from_gguf(gguf_metadata())


def model(**changed: Parts) -> dict[str, Parts]:
    """Return the files of a small model; `__` stands for the point in a name."""
    files: dict[str, Parts] = {
        "config.json": CONFIG_JSON,
        "model.safetensors": WEIGHTS,
        "tokenizer.json": json.dumps(TOKENIZER).encode(),
    }
    return files | {name.replace("__", "."): parts for name, parts in changed.items()}


def gguf_with_piece(piece: str) -> bytes:
    """Return a GGUF whose vocabulary ends with a piece."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.gguf"
        usual = tiny_vocabulary(CONFIG["vocab_size"])
        vocabulary = Vocabulary([*usual.tokens[:-1], piece], usual.scores, usual.types)
        weights = random_gemma3_weights(CONFIG)
        return write_gguf(path, CONFIG, weights, "Q8_0", vocabulary).read_bytes()


@pytest.fixture(scope="module")
def page(
    site: Path, browsers: Browsers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[HostilePage]:
    """One worker for all tests."""
    store = Store(tmp_path_factory.mktemp("store"))
    with serving(site, store=store) as url, browsers.own_page(url + BLANK) as page:
        hostile = HostilePage(page)
        # Its kernels are compiled, which takes a software renderer long, and kept for later loads.
        loaded = hostile.load(model(), LOAD_PATIENCE_MS)
        assert loaded.error is None, loaded.message
        yield hostile


def numbered(count: int) -> bytes:
    """Return an object of so many keys with empty objects."""
    return b"{" + b",".join(b'"%06d":{}' % index for index in range(count)) + b"}"


HEADER_BYTES = 99_000_000
FILES: dict[str, tuple[dict[str, Parts], str]] = {
    "config.json of 10,000 brackets": (model(config__json=b"[" * 10_000), "CheckpointError"),
    "config.json, deep in a string's shadow": (
        model(config__json=b'{"a\\\\\\"": "[", "b": ' + b'{"c":' * 9_000),
        "CheckpointError",
    ),
    "generation_config.json": (
        model(generation_config__json=b'{"a":' * 100_000),
        "CheckpointError",
    ),
    "tokenizer_config.json": (
        model(tokenizer_config__json=b'{"a":' + b"[" * 60_000 + b"]" * 60_000 + b"}"),
        "CheckpointError",
    ),
    "a safetensors header": (
        model(model__safetensors=safetensors_file(b'{"t":' + b"[" * 50_000)),
        "CheckpointError",
    ),
    "a safetensors header of 99 MB": (
        model(
            model__safetensors=[
                (struct.pack("<Q", HEADER_BYTES) + b'{"t":[{}', 1),
                (b",{}" * 1000, HEADER_BYTES // 3000 + 1),
            ]
        ),
        "UnsupportedFormatError",
    ),
    "a safetensors header of 16 MB": (
        model(
            model__safetensors=[
                (struct.pack("<Q", 16_000_000) + b'{"t":[{}', 1),
                (b",{}" * 1000, 16_000_000 // 3000 + 1),
            ]
        ),
        "CheckpointError",
    ),
    # As many values and bytes as are taken.
    "a safetensors header of 299,000 keys": (
        model(model__safetensors=safetensors_file(numbered(149_500))),
        "CheckpointError",
    ),
    "a safetensors header with an emoji": (
        model(
            model__safetensors=[
                (struct.pack("<Q", 16_000_012) + '{"t":"😀'.encode(), 1),
                (b"a" * 1000, 16_000),
                (b'"}', 1),
            ]
        ),
        "CheckpointError",
    ),
    "a GGUF with a piece of 400,000 characters": (
        {"model.gguf": gguf_with_piece("x" * 400_000)},
        "TokenizerError",
    ),
}


if IS_THOROUGH:  # it takes as long as the largest real vocabulary: seconds, on a quiet machine
    FILES["a GGUF of 999,000 strings"] = (
        {
            "model.gguf": [
                (b"GGUF" + struct.pack("<IQQ", 3, 0, 1), 1),
                (string("a") + struct.pack("<IIQ", 9, 8, 999_000), 1),
                (string("😀" + "a" * 17) * 1000, 999),
            ]
        },
        "UnsupportedModelError",
    )

for _what in ("a normalizer's expression", "a pre-tokenizer's expression", "a long added token"):
    _changed = json.dumps(TOKENIZER | HOSTILE[_what][0]).encode()
    FILES[_what] = (model(tokenizer__json=_changed), "TokenizerError")


def test_hostile_files_have_a_named_error_and_the_worker_goes_on(page: HostilePage) -> None:
    ends = {}
    before = peak_bytes()
    for what, (files, _) in FILES.items():
        answer = page.load(files)
        ends[what] = (answer.error, answer.failure)
        if answer.error == "Hang" or answer.failure:
            page.reopen()
    assert ends == {what: (wanted, None) for what, (_, wanted) in FILES.items()}
    assert peak_bytes() - before < MAX_MORE_BYTES
    loaded = page.load(model(), LOAD_PATIENCE_MS)
    assert loaded.error is None, loaded.message
    assert len(page.tokenize("the capital of France").value) > 1


def test_hostile_templates_are_ended_and_the_next_request_works(page: HostilePage) -> None:
    template = choosing(BOMBS).encode()
    loaded = page.load(model(chat_template__jinja=template), LOAD_PATIENCE_MS)
    assert loaded.error is None, loaded.message
    before = peak_bytes()
    ends = {}
    for what in BOMBS:
        answer = page.chat(what)
        ends[what] = (answer.error, answer.failure)
        if answer.error == "Hang":
            break
    assert ends == dict.fromkeys(BOMBS, ("ChatTemplateError", None))
    assert page.chat("well", LOAD_PATIENCE_MS).error is None
    assert page.chat_deep(100).error == "RequestError"
    for what in ("sum", "nested lists"):
        source = LONE_BOMBS[what]
        loaded = page.load(model(chat_template__jinja=source.encode()), LOAD_PATIENCE_MS)
        assert loaded.error is None, loaded.message
        answer = page.chat("a")
        assert answer.error == "ChatTemplateError", (what, answer)
        assert page.tokenize("the").error is None
    assert peak_bytes() - before < MAX_MORE_BYTES


def test_when_python_dies_every_request_says_so(page: HostilePage) -> None:
    page.kill_python()
    answer = page.load(model())  # which looks at the clock
    assert answer.error == "WorkerError", answer
    assert "Python ended: the clock is broken" in answer.message
    assert page.tokenize("the").error == "WorkerError"
