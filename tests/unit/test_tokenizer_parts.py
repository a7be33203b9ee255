"""A tokenizer.json may have the parts of Gemma's, and nothing that runs without end or panics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hostile_tokenizers import HARMLESS, HOSTILE
from leadout.errors import TokenizerError
from leadout.tokenizer import tokenizer_json_from_gguf
from leadout.tokenizer_native import HuggingFaceTokenizer
from tiny_vocabulary import gguf_metadata

PLAIN = tokenizer_json_from_gguf(gguf_metadata())


def test_gemmas_own_parts_are_taken(gemma3_tokenizer_json: Path) -> None:
    HuggingFaceTokenizer.from_file(gemma3_tokenizer_json)
    for space_prefix in (False, True):
        metadata = gguf_metadata(add_space_prefix=space_prefix, add_eos_token=True)
        HuggingFaceTokenizer.from_gguf(metadata)


@pytest.mark.parametrize("what", HARMLESS)
def test_what_other_converters_write_is_taken(what: str) -> None:
    tokenizer = HuggingFaceTokenizer.from_json(json.dumps(PLAIN | HARMLESS[what]))
    assert tokenizer.decode(tokenizer.encode("the capital")).strip() == "the capital"


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_part_is_refused_by_name(what: str) -> None:
    changes, name = HOSTILE[what]
    with pytest.raises(TokenizerError, match=name) as e:
        HuggingFaceTokenizer.from_json(json.dumps(PLAIN | changes))
    assert len(e.value.message) < 600


def test_a_panic_of_the_library_is_a_tokenizer_error(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("leadout.tokenizer_native.check_parts", lambda parts: None)
    undefined: dict[str, Any] = HOSTILE["a token that is not defined"][0]
    tokenizer = HuggingFaceTokenizer.from_json(json.dumps(PLAIN | undefined))
    with pytest.raises(TokenizerError, match="no entry found for key"):
        tokenizer.encode("the", add_special_tokens=True)
    charsmap = {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}}
    with pytest.raises(TokenizerError, match="Precompiled"):
        HuggingFaceTokenizer.from_json(json.dumps(PLAIN | charsmap))
    assert "panicked" in capfd.readouterr().err  # Rust says so itself
