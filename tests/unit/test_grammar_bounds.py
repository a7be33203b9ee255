"""Strings of bounded length: counted outside of the library, exactly, in JSON and in calls."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from grammar_reference import Reference
from grammar_walks import (
    END_OF_TURN,
    GLUE,
    LIBRARY,
    MARKS,
    mark_ids,
    node_walks,
    texts,
    tokenizer,
    tokenizer_json,
    v8_walks,
)
from leadout.grammar.call_arguments import ArgumentsReader
from leadout.grammar.constraint import Constraint
from leadout.grammar.expressions import FIRST_MARK, MAX_BOUNDS, ROOT, Concat, Mark, Rules, Text
from leadout.grammar.matcher import Grammars, Matcher
from leadout.grammar.notation import CallNotation, JsonNotation, Notation
from leadout.grammar.schema import schema_rules
from leadout.grammar_native import v8_library
from leadout.tokenizer import SPACE
from leadout.tokenizer_native import HuggingFaceTokenizer
from thoroughness import IS_THOROUGH
from tiny_vocabulary import EOS

#: Tokens of a walk that is compared mask by mask, and walks that are taken through a schema.
STEPS, WALKS = (25, 8) if IS_THOROUGH else (10, 3)


def string(**limits: object) -> dict[str, Any]:
    return {"type": "string", **limits}


def record(**properties: object) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


SCHEMAS: list[dict[str, Any]] = [
    *[string(maxLength=most) for most in (0, 1, 2, 5, 40, 300)],
    *[string(minLength=least) for least in (1, 3, 50)],
    *[string(minLength=least, maxLength=most) for least, most in ((1, 1), (3, 4), (30, 31))],
    record(a=string(maxLength=3), b=string(minLength=2, maxLength=9), c=string(maxLength=3)),
    {"type": "array", "items": string(maxLength=2), "maxItems": 5},
    {"type": "object", "additionalProperties": string(minLength=1, maxLength=4)},
    {"anyOf": [string(maxLength=20), {"type": "null"}, record(a=string(maxLength=12))]},
    {"anyOf": [string(maxLength=3), string(minLength=7, maxLength=11), {"enum": ["longer", 3]}]},
    {"anyOf": [string(maxLength=30), {"enum": ["on", "off"]}, string(pattern="^[ab]{2,4}$")]},
    record(free=string(), short=string(maxLength=4), either={"anyOf": [string(), string()]}),
]

IDS = [json.dumps(schema)[:70] for schema in SCHEMAS]


#: Tokens that do more than one thing in a string: escape, end it and go on, or begin one.
MIXED = [
    'abcdefghijklmnopqrstuvwxyz"',  # the longest of all
    *(
        'a"',
        'ab"',
        'abc", "',
        '", "',
        '"], "',
        '": "',
        '"a',
        '""',
        '"}',
        '"]',
        '{"',
        '["',
        'b", "a',
    ),
    *(
        '\\"',
        '\\"x"',
        "\\n\\",
        "a\\",
        '"x',
        'é"',
        '日本", "',
        "<a",
        "a<",
        "a<b<",
        "<b<c",
        "😀<",
        "aa<|",
    ),
]


@cache
def mixed_tokenizer() -> HuggingFaceTokenizer:
    """Return one that knows these as well; no text is encoded as them."""
    document = json.loads(tokenizer_json())
    vocabulary = document["model"]["vocab"]
    first = max(tokenizer().vocab_size, len(tokenizer().pieces()))
    vocabulary |= {piece: first + number for number, piece in enumerate(MIXED)}
    return HuggingFaceTokenizer.from_json(json.dumps(document))


def token_bytes() -> list[bytes]:
    """Return the bytes of each token's text or mark, b"" where no grammar allows it."""
    found = []
    for piece in mixed_tokenizer().pieces():
        is_byte = len(piece) == 6 and piece.startswith("<0x")
        byte = int(piece[3:5], 16) if is_byte else 0
        text = bytes([byte]) if is_byte else piece.replace(SPACE, " ").encode()
        found.append(b"" if byte >= 0xF4 else text)
    for place, id_ in enumerate(mark_ids()):
        found[id_] = chr(FIRST_MARK + place).encode()
    return found


def allowed_ids(reference: Reference, all_bytes: list[bytes]) -> set[int]:
    ways = {b"": reference.ways}  # behind the beginnings of tokens, which many share

    def after(text: bytes) -> Any:
        if text not in ways:
            ways[text] = reference.after(after(text[:-1]), text[-1:])
        return ways[text]

    wanted = {id_ for id_, text in enumerate(all_bytes) if text and after(text)}
    return wanted | ({EOS, END_OF_TURN} if reference.may_end else set())


def ids_of(mask: bytes) -> set[int]:
    return {id_ for id_ in range(8 * len(mask)) if mask[id_ // 8] >> (id_ % 8) & 1}


def rules_of(schema: dict[str, Any], notation: Notation) -> Rules:
    rules = schema_rules(schema, notation)
    # What calls stand in: text that must be there, and a mark.
    return {**rules, ROOT: Concat((Text("the"), Mark(MARKS[0]), rules[ROOT]))}


@pytest.fixture(scope="module")
def library() -> Iterator[Grammars]:
    mixed = mixed_tokenizer()
    size = len(mixed.pieces()) + 3
    make = v8_library(GLUE, LIBRARY, mixed.pieces(), size, (EOS, END_OF_TURN))
    found = Grammars(make, mixed, size, MARKS)
    yield found
    found.close()


async def start(library: Grammars, rules: Rules) -> Matcher:
    return await library.matcher(Constraint.from_rules("grammar", rules, MARKS))


def take(matcher: Matcher, text: str | bytes) -> None:
    """Take text, byte by byte where it is bytes."""
    pieces = tokenizer().pieces()
    ids = (
        tokenizer().encode(text)
        if isinstance(text, str)
        else [pieces.index(f"<0x{byte:02X}>") for byte in text]
    )
    for id_ in ids:
        assert matcher.accept(id_), pieces[id_]


def chosen(rng: random.Random, allowed: list[int]) -> int:
    """Return one of some ids, as often as not one that makes counting hard."""
    pieces = mixed_tokenizer().pieces()
    hard = [
        id_
        for id_ in allowed
        if pieces[id_].startswith("<0x") or any(char in '"\\<😀' for char in pieces[id_])
    ]
    return rng.choice(hard if hard and rng.random() < 0.5 else allowed)


@pytest.mark.parametrize("notation", [JsonNotation(), CallNotation()], ids=["json", "calls"])
@pytest.mark.parametrize("schema", SCHEMAS, ids=IDS)
async def test_masks_are_what_the_rules_allow_token_by_token(
    library: Grammars, schema: dict[str, Any], notation: Notation
) -> None:
    rules = rules_of(schema, notation)
    all_bytes = token_bytes()
    rng = random.Random(json.dumps(schema))
    matcher = await start(library, rules)
    reference = Reference(rules, MARKS, has_borders=True)
    for _ in range(STEPS):
        wanted = allowed_ids(reference, all_bytes)
        assert ids_of(await matcher.mask()) == wanted
        going_on = sorted(wanted - {EOS, END_OF_TURN})
        if not going_on:
            break
        id_ = chosen(rng, going_on)
        refused = rng.choice(sorted(set(range(len(all_bytes))) - wanted))
        assert not matcher.accept(refused)
        assert matcher.accept(id_)
        assert reference.advance(all_bytes[id_])
    matcher.close()


@pytest.mark.parametrize("notation", [JsonNotation(), CallNotation()], ids=["json", "calls"])
@pytest.mark.parametrize("schema", SCHEMAS, ids=IDS)
async def test_every_place_is_the_same_however_one_came_there(
    library: Grammars, schema: dict[str, Any], notation: Notation
) -> None:
    rng = random.Random(json.dumps(schema))
    matcher = await start(library, rules_of(schema, notation))
    ids: list[int] = []
    masks = [await matcher.mask()]
    for _ in range(60):
        if rng.random() < 0.2:
            back = rng.randint(0, len(ids))
            matcher.rollback(back)
            del ids[len(ids) - back :]
            del masks[len(masks) - back :]
            assert await matcher.mask() == masks[-1]
        allowed = sorted(ids_of(masks[-1]) - {EOS, END_OF_TURN})
        if allowed:
            ids.append(chosen(rng, allowed))
            assert matcher.accept(ids[-1])
            masks.append(await matcher.mask())
    twin = await matcher.fork()
    assert await twin.mask() == masks[-1]
    twin.close()
    for place in (0, rng.randint(0, len(ids)), len(ids)):
        matcher.rollback(len(matcher.tokens) - place)
        assert await matcher.masks_for(ids[place:]) == masks[place:]
        assert matcher.tokens == ids[:place]
        for id_ in ids[place:]:
            assert matcher.accept(id_)
    matcher.close()


def test_node_and_cpython_make_the_same_masks() -> None:
    ebnf = [Constraint.from_schema(schema).ebnf for schema in SCHEMAS]
    reply = node_walks([(one, [1, 2, 3], 60) for one in ebnf])
    for one, answer in zip(ebnf, reply["answers"], strict=True):
        assert answer == v8_walks(one, [1, 2, 3], 60)


# ---- what comes out is valid -----------------------------------------------------------------


@pytest.mark.parametrize("schema", SCHEMAS, ids=IDS)
def test_every_walk_that_ends_is_valid(schema: dict[str, Any]) -> None:
    found = texts(Constraint.from_schema(schema).ebnf, range(WALKS), 1500)
    assert found
    for text in found:
        Draft202012Validator(schema).validate(json.loads(text))


LIMITS = st.tuples(st.integers(0, 40), st.one_of(st.none(), st.integers(0, 300))).map(
    lambda pair: string(
        minLength=pair[0], **({} if pair[1] is None else {"maxLength": pair[0] + pair[1]})
    )
)
DRAWN = st.recursive(
    LIMITS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"anyOf": parts}),
        inner.map(lambda items: {"type": "array", "items": items, "maxItems": 3}),
        st.tuples(inner, inner).map(lambda pair: record(a=pair[0], b=pair[1])),
    ),
    max_leaves=4,
)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(DRAWN, st.integers(0, 1 << 20))
def test_walks_through_drawn_bounds_are_valid(schema: dict[str, Any], seed: int) -> None:
    for text in texts(Constraint.from_schema(schema).ebnf, [seed, seed + 1], 1500):
        Draft202012Validator(schema).validate(json.loads(text))


def test_walks_through_calls_are_valid() -> None:
    schema = record(a=string(maxLength=30), b={"type": "array", "items": string(minLength=4)})
    rules = schema_rules(schema, CallNotation())
    found = texts(Constraint.from_rules("grammar", rules, MARKS).ebnf, range(20), 1500)
    assert any("<" in text.replace('<|"|>', "") for text in found)
    for text in found:
        reader = ArgumentsReader()
        Draft202012Validator(schema).validate(json.loads(reader.push(text) + reader.close()))
        assert not reader.is_mended


# ---- one place after the other ---------------------------------------------------------------


async def test_characters_in_bytes_and_escapes_count_as_one(library: Grammars) -> None:
    matcher = await start(library, schema_rules(string(maxLength=3)))
    take(matcher, '"')
    take(matcher, "😀".encode()[:2])
    take(matcher, "😀".encode()[2:])
    take(matcher, b"\\")
    take(matcher, b'"')
    take(matcher, "é".encode()[:1])
    (only,) = ids_of(await matcher.mask()) & {  # half of the last character: the rest must come
        tokenizer().pieces().index(piece) for piece in ("a", "<0xA9>", '"')
    }
    assert tokenizer().pieces()[only] == "<0xA9>"
    take(matcher, "é".encode()[1:])
    assert {token_bytes()[id_] for id_ in ids_of(await matcher.mask())} == {b'"'}
    take(matcher, '"')
    assert json.loads(tokenizer().decode(matcher.tokens)) == '😀"é'
    matcher.close()


async def test_a_string_is_not_closed_before_it_is_long_enough(library: Grammars) -> None:
    matcher = await start(library, schema_rules(string(minLength=3)))
    quote = tokenizer().pieces().index('"')
    take(matcher, '"')
    for _ in range(3):
        assert quote not in ids_of(await matcher.mask())
        assert not matcher.accept(quote)
        take(matcher, b"\\")
        assert quote in ids_of(await matcher.mask())  # escaped
        take(matcher, b'"')
    assert matcher.accept(quote)
    matcher.close()


async def test_what_is_forced_leads_into_a_bounded_string_and_no_further(library: Grammars) -> None:
    matcher = await start(library, schema_rules(record(name=string(maxLength=2))))
    forced = matcher.forced()
    assert tokenizer().decode(forced) == '{"name": "'
    assert len(await matcher.masks_for(forced)) == len(forced) + 1
    for id_ in forced:
        assert matcher.accept(id_)
    assert matcher.forced() == []
    take(matcher, "ab")
    assert {token_bytes()[id_] for id_ in ids_of(await matcher.mask())} == {b'"', b'"}'}
    matcher.close()


# ---- the grammar -----------------------------------------------------------------------------


def test_a_grammar_is_as_large_for_long_strings_as_for_short_ones() -> None:
    short, long = (
        Constraint.from_schema(record(a=string(maxLength=most), b=string(minLength=2))).ebnf
        for most in (5, 2_000_000)
    )
    assert short.partition("\n")[0] == "# bounds 0-5 2-"
    assert long.partition("\n")[0] == "# bounds 0-2000000 2-"
    assert short.partition("\n")[2] == long.partition("\n")[2]


def test_as_many_bounds_as_there_are_marks_keep_apart() -> None:
    schema = {
        "type": "array",
        "prefixItems": [string(maxLength=1 + number) for number in range(MAX_BOUNDS)],
        "items": False,
        "minItems": 200,
    }
    ended = texts(Constraint.from_schema(schema).ebnf, [1, 2, 3], 60_000)
    assert ended
    for text in ended:
        Draft202012Validator(schema).validate(json.loads(text))


@pytest.mark.parametrize(
    ("options", "value"),
    [
        ([string(maxLength=2), {"enum": ["longer"]}], "longer"),
        ([string(maxLength=2), string(minLength=4)], "long"),
        ([string(maxLength=100), string()], "x" * 120),
        ([string(maxLength=10), string(maxLength=100), {"type": "null"}], "x" * 60),
        ([string(minLength=1, maxLength=10), string(maxLength=100)], ""),
    ],
)
def test_alternatives_of_short_strings_and_wider_ones_can_be_written(
    options: list[Any], value: str
) -> None:
    place = Reference(schema_rules({"anyOf": options}), has_borders=True)
    assert place.advance(b'"')
    assert place.advance(f'{value}"'.encode())
    assert place.may_end
