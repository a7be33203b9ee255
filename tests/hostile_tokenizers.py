"""Parts of a tokenizer.json that hang, panic or fill the memory, and some that are harmless."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SPACES = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
_FOR_EVER = {"Regex": "(a+)+$"}


def _sequence(depth: int) -> dict[str, Any]:
    part: dict[str, Any] = _SPACES
    for _ in range(depth):
        part = {"type": "Sequence", "normalizers": [part]}
    return part


def _template(single: list[Any], special: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "TemplateProcessing",
        "single": single,
        "pair": [],
        "special_tokens": special,
    }


#: What is changed in a tokenizer.json, and what of it the error names.
HOSTILE: Mapping[str, tuple[dict[str, Any], str]] = {
    "a normalizer's expression": (
        {"normalizer": {"type": "Replace", "pattern": _FOR_EVER, "content": ""}},
        "normalizer looks for",
    ),
    "an expression in a sequence": (
        {
            "normalizer": {
                "type": "Sequence",
                "normalizers": [
                    _SPACES,
                    {"type": "Replace", "pattern": _FOR_EVER, "content": ""},
                ],
            }
        },
        "normalizer looks for",
    ),
    "a pre-tokenizer's expression": (
        {
            "pre_tokenizer": {
                "type": "Split",
                "pattern": _FOR_EVER,
                "behavior": "Isolated",
                "invert": False,
            }
        },
        "pre_tokenizer looks for",
    ),
    "a decoder's expression": (
        {"decoder": {"type": "Replace", "pattern": _FOR_EVER, "content": ""}},
        "decoder looks for",
    ),
    "an unknown normalizer": (
        {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}},
        "Precompiled",
    ),
    "an unknown pre-tokenizer": ({"pre_tokenizer": {"type": "Punctuation"}}, "'Punctuation'"),
    "an empty pattern": (
        {"normalizer": {"type": "Replace", "pattern": {"String": ""}, "content": "b"}},
        "normalizer looks for",
    ),
    "much put in": (
        {"normalizer": {"type": "Replace", "pattern": {"String": "a"}, "content": "b" * 10**7}},
        "content is not text of at most 256",
    ),
    "much put in front": (
        {"normalizer": {"type": "Prepend", "prepend": "b" * 10**7}},
        "prepend is not text of at most 256",
    ),
    "many parts": (
        {"normalizer": {"type": "Sequence", "normalizers": [_SPACES] * 10_000}},
        "more than 64 parts",
    ),
    "parts in parts": ({"normalizer": _sequence(70)}, "nested|recursion"),
    "a token that is not defined": (
        {
            "post_processor": _template(
                [
                    {"SpecialToken": {"id": "<nope>", "type_id": 0}},
                    {"Sequence": {"id": "A", "type_id": 0}},
                ],
                {},
            )
        },
        "'<nope>'",
    ),
    "a template without end": (
        {"post_processor": _template([{"Sequence": {"id": "A", "type_id": 0}}] * 10_000, {})},
        "more than 64 items",
    ),
    "another model": (
        {"model": {"type": "Unigram", "vocab": [["<unk>", 0.0]], "unk_id": 0}},
        "'Unigram'",
    ),
    "a long added token": (
        {
            "added_tokens": [
                {
                    "id": 0,
                    "content": "a" * 400_000 + "b",
                    "single_word": False,
                    "lstrip": False,
                    "rstrip": False,
                    "normalized": False,
                    "special": True,
                }
            ]
        },
        "an added token has 400001",
    ),
}

#: What converters write that is not in Gemma's own file.
HARMLESS: Mapping[str, dict[str, Any]] = {
    "nothing": {"pre_tokenizer": None, "post_processor": None},
    "a sequence": {"normalizer": {"type": "Sequence", "normalizers": [_SPACES]}},
    "a post-processor's sequence": {
        "post_processor": {
            "type": "Sequence",
            "processors": [_template([{"Sequence": {"id": "A", "type_id": 0}}], {})],
        }
    },
    "metaspace": {
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Metaspace",
            "replacement": "▁",
            "prepend_scheme": "never",
            "split": False,
        },
    },
}
