"""Answers that keep to a JSON Schema: valid, whatever is chosen among the allowed tokens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from jsonschema import Draft202012Validator

from drawn_schemas import SCHEMAS_DRAWN
from grammar_reference import Reference
from grammar_walks import texts
from leadout.errors import RequestError
from leadout.grammar.constraint import Constraint
from leadout.grammar.expressions import Rules
from leadout.grammar.schema import schema_rules

SUITE = Path(__file__).parents[1] / "vectors/json-schema-test-suite.json"

#: For each keyword a schema or several, after those of the JSON Schema Test Suite.
SCHEMAS: list[Any] = [
    True,
    {"type": "integer"},
    {"type": "number"},
    {"type": ["string", "null"]},
    {"type": "boolean", "title": "no more than a name", "default": False},
    {"enum": ["foo\nbar", 6, None, [1.5], {"a": "é"}, True]},
    {"const": {"a": [False, {"b": 12}]}},
    {"enum": [1, "1", 2.0, 11], "type": "integer", "maximum": 10},
    {"type": "integer", "minimum": -17, "maximum": 204},
    {"type": "integer", "exclusiveMinimum": -1, "exclusiveMaximum": 1},
    {"type": "number", "minimum": 1.1, "exclusiveMaximum": 3.0},
    {"type": "number", "exclusiveMinimum": -0.25, "maximum": 0.5},
    {"type": "number", "maximum": -300},
    {"type": "number", "exclusiveMinimum": 99.0},
    {"type": "string", "minLength": 2, "maxLength": 3},
    {"type": "string", "minLength": 4},
    {"type": "string", "maxLength": 0},
    {"type": "string", "pattern": "^a*[^b]\\d{2}$"},
    {"type": "string", "pattern": "a+"},
    {"type": "string", "pattern": '^["\\\\n]+x|y$'},
    {"minLength": 2, "maximum": 7},
    {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 3},
    {"type": "array", "prefixItems": [{"type": "boolean"}, {"type": "null"}], "items": False},
    {"prefixItems": [{"const": 1}], "items": {"type": "boolean"}, "minItems": 3, "maxItems": 4},
    {"type": "array", "maxItems": 0},
    {"type": "object"},
    {"properties": {"foo": {"type": "integer"}, "bar": {"type": "string"}}},
    {"properties": {"foo": {}}, "required": ["foo", "bar"], "maxProperties": 2},
    {"type": "object", "additionalProperties": {"type": "boolean"}, "minProperties": 1},
    {"type": "object", "properties": {'fo"o': {"const": 1}, "x\ty": {}}, "required": ['fo"o']},
    {
        "type": "object",
        "properties": {"foo": {"const": 1}, "far": {"const": 2}},
        "additionalProperties": {"type": "boolean"},
    },
    {"type": "object", "properties": {"a": False, "b": True}, "additionalProperties": False},
    {"anyOf": [{"type": "integer"}, {"type": "string", "maxLength": 2}]},
    {"anyOf": [{"required": ["a"]}, {"required": ["b"]}], "properties": {"a": {"const": 0}}},
    {"oneOf": [{"type": "integer"}, {"type": "string"}, {"enum": [None]}]},
    {
        "oneOf": [
            {
                "properties": {"kind": {"const": kind}, kind: {"type": "integer"}},
                "type": "object",
                "required": ["kind", kind],
            }
            for kind in ("circle", "square")
        ]
    },
    {"allOf": [{"type": "number", "minimum": 3}, {"type": "integer"}, {"maximum": 5}]},
    {
        "allOf": [{"$ref": "#/$defs/base"}, {"properties": {"b": {"type": "null"}}}],
        "required": ["b"],
        "$defs": {"base": {"type": "object", "properties": {"a": {"enum": [1, 2]}}}},
    },
    {"$ref": "#/definitions/a~1b", "definitions": {"a/b": {"type": "boolean"}}},
    {
        "type": "object",
        "properties": {"value": {"type": "boolean"}, "next": {"$ref": "#"}},
        "required": ["value"],
    },
    *[{"type": "string", "format": name} for name in ("date", "date-time", "uuid", "ipv4")],
    *[{"type": "string", "format": name} for name in ("time", "email", "hostname", "ipv6")],
    *[{"type": "string", "format": name} for name in ("uri", "duration")],
]


def check_walks(schema: Any, seeds: range, max_tokens: int = 1500) -> int:
    """Walk; return how many walks ended, all in JSON that is valid."""
    validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    found = texts(Constraint.from_schema(schema).ebnf, seeds, max_tokens)
    for text in found:
        validator.validate(json.loads(text))
    return len(found)


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: json.dumps(schema)[:60])
def test_every_walk_that_ends_is_valid(schema: Any) -> None:
    Draft202012Validator.check_schema(schema)
    assert check_walks(schema, range(8)) > 0


#: Values of all kinds, near the limits of the schemas above.
INSTANCES: list[Any] = [
    *(None, True, False, 0, -0.25, 0.5, 1, 1.1, 2, 2.5, 2.999, 3, 3.0001, 4, 5, 6, 7, 8, 11, 99),
    *(99.5, 100, -1, -17, -18, 204, 205, -300, -300.5, -299, 12345678901234, 1e20, 1.5e-7),
    *("", "a", "é", "ab", "abc", "abcd", "abcde", "foo\nbar", "aac12", "aab12", "12", "y", "xy"),
    *('"x', "\\\nx", "z\ty", "1", "2024-02-28", "2024-02-30", "2024-01-01T00:00:00Z", "1.2.3.4"),
    *("1.2.3.400", "12:00:00Z", "25:00:00Z", "a@b.example", "a@", "https://a.example/b", "P1D"),
    *([], [0], [1], [True], [True, None], [True, None, 0], [None, True], [1, 2, 3], [1, 2, 3, 4]),
    *([1, True, True], [1, True, 1], ["a"], [[]], {}, {"a": 0}, {"a": 1}, {"a": 3}, {"b": None}),
    *({"foo": 1}, {"foo": 1, "bar": "x"}, {"foo": "x"}, {"bar": 3}, {"a": 1, "b": None}),
    *({"foo": 1, "bar": 2}, {"foo": 1, "far": 2, "x": True}, {"foo": 1, "far": 2, "x": 3}),
    *({"a": [False, {"b": 12}]}, {"kind": "circle", "circle": 3}, {"kind": "circle"}),
    *({"kind": "square", "circle": 3}, {"value": True}, {"value": True, "next": {"value": False}}),
    *({"value": True, "next": {}}, {"next": {"value": True}}, {'fo"o': 1}, {'fo"o': 1, "x\ty": 2}),
]


def keeps_to(rules: Rules, text: str) -> bool:
    place = Reference(rules)
    return place.advance(text.encode()) and place.may_end


def test_no_invalid_instance_of_the_suite_can_be_written() -> None:
    """Of the JSON Schema Test Suite, the groups whose keywords are all supported."""
    num_invalid = num_valid = 0
    written: list[tuple[str, Any]] = []
    for group in json.loads(SUITE.read_text("utf-8")):
        try:
            rules = schema_rules(group["schema"])
        except RequestError:
            continue
        for instance, is_valid in group["instances"]:
            can_be_written = keeps_to(rules, json.dumps(instance, ensure_ascii=False))
            if is_valid:
                num_valid += can_be_written
            else:
                num_invalid += 1
                if can_be_written:
                    written.append((group["description"], instance))
    assert written == []
    assert num_invalid > 150
    assert num_valid > 100


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: json.dumps(schema)[:60])
def test_no_invalid_instance_can_be_written_and_many_valid_ones_can(schema: Any) -> None:
    validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    rules = schema_rules(schema)
    texts_of = [json.dumps(value, ensure_ascii=False) for value in INSTANCES]
    texts_of += [text.replace(", ", ",") for text in texts_of] + [
        "-0",
        "01",
        "1.",
        "nul",
        "{]",
        "'",
    ]
    written = {text for text in texts_of if keeps_to(rules, text)}
    for text in written:
        validator.validate(json.loads(text))
    valid = {text for text in map(json.dumps, INSTANCES) if validator.is_valid(json.loads(text))}
    assert not valid or written, "some valid instance can be written"


REFUSED: list[tuple[Any, str]] = [
    (False, "allows no answer"),
    ({"type": "integer", "minimum": 5, "maximum": 3}, "allows no answer"),
    ({"allOf": [{"type": "string"}, {"type": "null"}]}, "allows no answer"),
    ({"enum": [1], "type": "string"}, "allows no answer"),
    ({"type": "array", "items": False, "minItems": 1}, "allows no answer"),
    ({"properties": {"a": False}, "required": ["a"], "type": "object"}, "allows no answer"),
    ({"required": ["a"], "properties": {"a": {"$ref": "#"}}, "type": "object"}, "no answer"),
    ({"$ref": "#"}, "refers to itself"),
    ({"anyOf": [{"$ref": "#"}, {"type": "null"}]}, "refers to itself"),
    ({"$ref": "#/$defs/none"}, "leads nowhere"),
    ({"$ref": "#/anyOf/" + "9" * 5000, "anyOf": [True]}, "leads nowhere"),
    ({"$ref": "https://example.org/schema"}, "only references within"),
    ({"oneOf": [{"type": "integer"}, {"minimum": 3}]}, "oneOf forbids"),
    ({"type": "strin"}, "type is"),
    ({"type": "string", "pattern": "("}, "not a regular expression"),
    ({"type": "string", "pattern": "(?=a)b"}, "a lookaround"),
    ({"type": "string", "pattern": r"(a)\1"}, "a reference to a group"),
    ({"type": "string", "pattern": "^.{500}$"}, "counts 2,000 characters"),
    (
        {
            "type": "object",
            "properties": {f"k{n}": {"type": "string", "maxLength": n} for n in range(258)},
        },
        "has 257 different lengths",
    ),
    ({"type": "string", "format": "iri"}, "format 'iri' is not supported"),
    ({"type": "string", "format": "date", "pattern": "a"}, "format and pattern together"),
    ({"type": "string", "pattern": "a+", "maxLength": 3}, "beside minLength or maxLength"),
    ({"type": "string", "minLength": -1}, "wanted a whole number from 0"),
    ({"minLength": 10**5000}, "#/minLength is a whole number of more than 308 digits"),
    ({"items": {"const": [-(10**400)]}}, "#/items/const/0 is a whole number of more than 308"),
    ({"type": "number", "minimum": 1e305}, "minimum is 1e+305; wanted a number below 1e300"),
    ({"type": "integer", "multipleOf": 3}, "'multipleOf' is not supported"),
    ({"type": "array", "uniqueItems": True}, "'uniqueItems' is not supported"),
    ({"properties": {"a": {}}, "type": "object", "minProperties": 1}, "minProperties that depends"),
    ({"enum": list(range(3000))}, "enum has 3,000 items; at most 2,000"),
    ({"type": "array", "items": {"type": "null"}, "maxItems": 10**6}, "is too large"),
    ([], "wanted a schema"),
    ({"items": {"items": {"properties": {"a": {"contains": {}}}}}}, "'contains'"),
    *[({key: {}}, f"the keyword '{key}' is not supported") for key in ("not", "if", "contains")],
    *[({key: {}}, f"the keyword '{key}'") for key in ("patternProperties", "propertyNames")],
    *[
        ({key: {}}, f"the keyword '{key}'")
        for key in ("dependentSchemas", "$dynamicRef", "mimimum")
    ],
    *[({key: {}}, f"the keyword '{key}'") for key in ("unevaluatedItems", "nullable", "$anchor")],
]


@pytest.mark.parametrize(("schema", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_what_cannot_be_kept_to_is_refused_by_name(schema: Any, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        schema_rules(schema)
    assert message in str(caught.value)


def test_a_deep_or_huge_schema_is_refused_at_once() -> None:
    deep: dict[str, Any] = {}
    for _ in range(5000):
        deep = {"items": deep}
    with pytest.raises(RequestError, match="nested deeper than 64"):
        schema_rules(deep)
    wide = {"type": "object", "properties": {f"key{n}": {"const": n} for n in range(20_000)}}
    with pytest.raises(RequestError, match="more than 10,000 values"):
        schema_rules(wide)
    doubling: dict[str, Any] = {"type": "null"}
    for _ in range(12):
        doubling = {"anyOf": [doubling, doubling], "allOf": [doubling]}
    with pytest.raises(RequestError):
        schema_rules(doubling)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(SCHEMAS_DRAWN)
def test_walks_through_drawn_schemas_are_valid(schema: Any) -> None:
    try:
        check_walks(schema, range(2), max_tokens=400)
    except RequestError as error:
        # Drawn schemas contradict themselves at times, and say so.
        assert "\n" not in error.message  # noqa: PT017
