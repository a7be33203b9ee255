"""Random walks through grammars, on the tiny vocabulary, in CPython's V8 and in Node."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from leadout.grammar.matcher import Grammars
from leadout.grammar_native import V8Grammars, v8_library
from leadout.tokenizer import tokenizer_json_from_gguf
from leadout.tokenizer_native import HuggingFaceTokenizer
from node_script import WEB, ask_node
from tiny_vocabulary import EOS, with_marks

GLUE = WEB / "grammar.js"
LIBRARY = WEB / "node_modules/@mlc-ai/web-xgrammar/lib/index.js"
WALK = Path(__file__).with_name("grammar_walk.js")

#: Special tokens of Gemma 4 that calls are made of, at the end of the tiny vocabulary.
MARKS = ("<|tool_call>", "<tool_call|>", '<|"|>')

#: Ends a turn as well.
END_OF_TURN = 7


@cache
def tokenizer_json() -> str:
    return json.dumps(tokenizer_json_from_gguf(with_marks(MARKS)))


@cache
def tokenizer() -> HuggingFaceTokenizer:
    return HuggingFaceTokenizer.from_json(tokenizer_json())


def vocab_size() -> int:
    """Return more than the tokenizer has, as embedding tables do."""
    return tokenizer().vocab_size + 5


def mark_ids() -> list[int]:
    ids = [tokenizer().id_of(mark) for mark in MARKS]
    return [id_ for id_ in ids if id_ is not None]


@cache
def v8() -> V8Grammars:
    stop_ids = (EOS, END_OF_TURN)
    found = V8Grammars.make(GLUE, LIBRARY, tokenizer().pieces(), vocab_size(), stop_ids, mark_ids())
    found.evaluate(WALK.read_text("utf-8"))
    return found


def grammars() -> Grammars:
    """Return new grammars, with a V8 of their own; close them."""
    make = v8_library(GLUE, LIBRARY, tokenizer().pieces(), vocab_size(), (EOS, END_OF_TURN))
    return Grammars(make, tokenizer(), vocab_size(), MARKS)


def v8_walks(ebnf: str, seeds: Sequence[int], max_tokens: int = 4000) -> list[dict[str, Any]]:
    """Return the walks of web/grammar.js in CPython's V8: {"ids", "hash", "isFinished"} each."""
    call = f"walks(grammars, {json.dumps(ebnf)}, {json.dumps(list(seeds))}, {max_tokens})"
    found: Any = v8().evaluate(f"{call}.then(JSON.stringify)")
    answer: list[dict[str, Any]] = json.loads(str(found))
    return answer


def texts(ebnf: str, seeds: Sequence[int], max_tokens: int = 4000) -> list[str]:
    """Return the texts of the walks that ended, without what ended them."""
    walks = v8_walks(ebnf, seeds, max_tokens)
    return [
        tokenizer().decode(walk["ids"][:-1], skip_special_tokens=False)
        for walk in walks
        if walk["isFinished"]
    ]


def node_walks(walks: Sequence[tuple[str, Sequence[int], int]]) -> dict[str, Any]:
    """Return {"pieces", "answers"} of web/grammar.js in Node."""
    reply: dict[str, Any] = ask_node(
        "node_grammar.mjs",
        {
            "module": str(GLUE),
            "tokenizer_module": str(WEB / "tokenizer.js"),
            "tokenizers": str(WEB / "node_modules/@huggingface/tokenizers/dist/tokenizers.mjs"),
            "library": str(LIBRARY),
            "walk": str(WALK),
            "tokenizer_json": tokenizer_json(),
            "vocabulary": {
                "vocab_size": vocab_size(),
                "stop_ids": [EOS, END_OF_TURN],
                "mark_ids": mark_ids(),
            },
            "walks": walks,
        },
    )
    return reply
