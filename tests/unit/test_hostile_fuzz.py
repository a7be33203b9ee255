"""Hostile JSON, templates, vocabularies and tokenizers: a named error or success, within bounds.

Headers are in test_header_fuzz.py. Sixty examples in every run, the same ones;
LEADOUT_TEST_THOROUGH=1 takes ten thousand of each. What was worst so far is played in Pyodide by
tests/browser/test_hostile_files.py.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostile_tokenizers import HARMLESS, HOSTILE
from leadout.chat import Rendering
from leadout.chat_native import ChildTemplates
from leadout.checkpoint.json_file import MAX_DEPTH, parse_json_object
from leadout.errors import LeadoutError
from leadout.tokenizer import tokenizer_json_from_gguf
from leadout.tokenizer_native import HuggingFaceTokenizer
from node_template import node_renderings
from thoroughness import FUZZ, MAX_HOSTILE_S, bounded_memory
from tiny_vocabulary import gguf_metadata


@pytest.fixture(scope="module", autouse=True)
def bounded() -> Iterator[None]:
    """No input of this file takes much memory, here or in the child process."""
    with bounded_memory():
        yield


def check_error(error: LeadoutError) -> None:
    """A message can be shown on one line and cross to JavaScript."""
    assert 10 < len(error.message) < 1000
    assert "\n" not in error.message
    json.dumps(error.to_json())


# ---- JSON ---------------------------------------------------------------------------------

PIECES = st.sampled_from(
    [*'[]{}",:\\', '"a"', '"a":', '\\"', "\\\\", "1", "0,", "null", " ", "[[", "]]", '{"a":', "}}"]
)


def depth_of(value: object) -> int:
    items = (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    )
    return 0 if items is None else 1 + max((depth_of(item) for item in items), default=0)


@FUZZ
@given(
    st.lists(st.tuples(PIECES, st.sampled_from([1, 1, 1, 2, 70, 3000])), max_size=20),
    st.booleans(),
)
def test_any_text_is_refused_or_a_shallow_object(
    parts: list[tuple[str, int]], is_wrapped: bool
) -> None:
    text = "".join(piece * times for piece, times in parts)
    text = '{"a": ' + text + "}" if is_wrapped else text
    started = time.monotonic()
    try:
        value = parse_json_object(text.encode(), "x.json")
    except LeadoutError as error:
        check_error(error)
        return
    finally:
        assert time.monotonic() - started < MAX_HOSTILE_S
    assert value == json.loads(text)
    assert depth_of(value) <= MAX_DEPTH


# ---- templates ----------------------------------------------------------------------------

NUMBERS = st.sampled_from(["0", "1", "-1", "2.5", "7", "99999", "1000000000", "3000000000"])
ATOMS = NUMBERS | st.sampled_from(
    [
        *("x", "messages", "messages[0]", "messages[0].content", "'ab'", "'%d'", "''", "none"),
        *("[]", "{}", "{'a': [1]}", "ns.t", "loop", "loop.index", "namespace()", "range", "true"),
    ]
)
FILTERS = st.sampled_from(
    [
        *("length", "list", "tojson", "join", "trim", "upper", "string", "first", "last", "sort"),
        *("unique", "items", "dictsort", "reverse", "abs", "safe", "default('x')", "join(x)"),
        *("replace('a', x)", "indent(9999)", "indent(1000000000, true)", "center(9999999)"),
        *("slice(99999999)", "map('upper')", "tojson(indent=99999999)", "round(9999999)"),
        *("batch(9)", "int", "float"),
    ]
)
OPERATORS = st.sampled_from(
    [
        *("+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", ">", "<=", ">="),
        *("in", "not in", "and", "or", "is", "if"),
    ]
)


def combined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return (
        st.tuples(inner, OPERATORS, inner).map(lambda part: "(" + " ".join(part) + ")")
        | st.tuples(inner, FILTERS).map(lambda part: f"{part[0]}|{part[1]}")
        | st.tuples(inner, inner).map(lambda part: f"[{part[0]}, {part[1]}]")
        | st.tuples(inner, inner).map(lambda part: f"{part[0]}[{part[1]}:]")
        | inner.map(lambda part: f"x.replace('a', {part})")
        | inner.map(lambda part: f"range({part})")
    )


EXPRESSIONS = st.recursive(ATOMS, combined, max_leaves=8)


def statements(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return (
        st.tuples(EXPRESSIONS, inner).map(
            lambda part: "{% for x in " + part[0] + " %}" + part[1] + "{% endfor %}"
        )
        | st.tuples(EXPRESSIONS, inner).map(
            lambda part: "{% if " + part[0] + " %}" + part[1] + "{% else %}y{% endif %}"
        )
        | inner.map(lambda part: "{% for _ in range(60) %}" + part + "{% endfor %}")
        | inner.map(lambda part: "{% macro f(n) %}" + part + "{% endmacro %}{{ f(1) }}")
        | st.tuples(inner, inner).map("".join)
    )


STATEMENTS = st.recursive(
    EXPRESSIONS.map(lambda part: "{{ " + part + " }}")
    | EXPRESSIONS.map(lambda part: "{% set ns.t = " + part + " %}")
    | st.sampled_from(
        ["{% set ns.t = [ns.t, ns.t] %}", "{% set ns.t = ns.t ~ ns.t %}", "{{ f(1) }}"]
    )
    | st.sampled_from(["text", "{% break %}", "{% continue %}", "{% set x = x ~ x %}", "{%", "{{"]),
    statements,
    max_leaves=6,
)
NOW = datetime(2026, 4, 2)  # noqa: DTZ001  # local, as a page's
START = "{% set ns = namespace(t='a') %}{% set x = 'a b' %}"
NAMES: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi there"}]}


@pytest.fixture(scope="module")
def templates() -> Iterator[ChildTemplates]:
    templates = ChildTemplates()
    yield templates
    templates.close()


def test_any_template_is_rendered_or_refused(templates: ChildTemplates) -> None:
    rendered: list[str] = []

    @FUZZ
    @given(STATEMENTS)
    def render(body: str) -> None:
        started = time.monotonic()
        try:
            asyncio.run(templates.render(Rendering(START + body, NAMES, max_ms=300)))
            rendered.append(START + body)
        except LeadoutError as error:
            check_error(error)
        assert time.monotonic() - started < MAX_HOSTILE_S

    render()
    # What Jinja2 refuses may go on for ever in the browser's interpreter; nobody ends that here.
    sources = rendered[:2000]
    assert sources
    answers = node_renderings([Rendering(source, NAMES) for source in sources], NOW)
    for source, answer in zip(sources, answers, strict=True):
        assert isinstance(answer.get("text", answer.get("error")), str), (source, answer)


# ---- vocabularies and tokenizers ----------------------------------------------------------

TOKENS = st.text(alphabet="ab▁ é\n", max_size=6) | st.sampled_from(
    ["", "<bos>", "<0x41>", "a" * 256, "a" * 257, "a" * 20_000, "\0", "▁" * 40]
)
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "scores": st.sampled_from([None, [], [0.0], "x"]),
        "bos_token_id": st.sampled_from([None, -1, 3, 10**9, True]),
        "unknown_token_id": st.sampled_from([None, 0, 10**9]),
        "add_space_prefix": st.sampled_from([True, False, 1]),
        "add_eos_token": st.booleans(),
        "merges": st.lists(st.sampled_from(["a b", "t h", "h e", "", " ", "a", 5]), max_size=4),
        "model": st.sampled_from(["llama", "gemma4", "gpt2", 7]),
    },
)


@FUZZ
@given(
    st.lists(
        st.tuples(TOKENS, st.integers(0, 7), st.floats()), max_size=6, unique_by=lambda t: t[0]
    ),
    CHANGES,
)
def test_any_vocabulary_is_refused_or_makes_a_tokenizer(
    tokens: list[tuple[str, int, float]], changes: dict[str, Any]
) -> None:
    metadata: dict[str, Any] = gguf_metadata(**changes)
    for key, values in zip(
        ("tokens", "token_type", "scores"), zip(*tokens, strict=True), strict=False
    ):
        known = metadata.get(f"tokenizer.ggml.{key}")
        if isinstance(known, list):
            metadata[f"tokenizer.ggml.{key}"] = [*known, *values]
    encode_within_time(lambda: HuggingFaceTokenizer.from_gguf(metadata))


PLAIN = tokenizer_json_from_gguf(gguf_metadata())
FIELDS = [*(changes for changes, _ in HOSTILE.values()), *HARMLESS.values()]
PARTS = st.sampled_from([field[key] for field in FIELDS for key in field])
VALUES = st.sampled_from([None, True, 0, -1, 10**9, "", "a" * 300, [], {}, [[]], {"String": "a"}])


@FUZZ
@given(
    st.dictionaries(st.sampled_from([*PLAIN]), PARTS | VALUES, max_size=3),
    st.dictionaries(st.sampled_from(["type", "pattern", "content", "vocab", "merges"]), VALUES),
    st.sampled_from([*PLAIN]),
)
def test_any_tokenizer_json_is_refused_or_encodes(
    changes: dict[str, Any], inner: dict[str, Any], where: str
) -> None:
    file = PLAIN | changes
    part = file[where]
    if isinstance(part, dict):
        file[where] = part | inner
    encode_within_time(lambda: HuggingFaceTokenizer.from_json(json.dumps(file)))


def encode_within_time(make: Any) -> None:
    started = time.monotonic()
    try:
        tokenizer = make()
        tokenizer.decode(tokenizer.encode("aaaa" * 20 + " b!", add_special_tokens=True))
    except LeadoutError as error:
        check_error(error)
    assert time.monotonic() - started < MAX_HOSTILE_S
