"""What a request wants its answer to keep to, checked at the door."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from leadout.errors import RequestError
from leadout.grammar.ebnf import ebnf_rules
from leadout.grammar.expressions import ROOT, Expression, checked
from leadout.grammar.printed import to_ebnf
from leadout.grammar.regexes import regex_expression
from leadout.grammar.schema import object_rules, schema_rules
from leadout.shown import shown

#: The fields of a request that say what its answer keeps to; one of them at most.
CONSTRAINT_FIELDS: Final = ("response_format", "grammar", "regex")

MAX_SCHEMA_CHARS: Final = 1 << 18


@dataclass(frozen=True)
class Constraint:
    """A checked grammar, ready for the library.

    Attributes:
        kind: "json_object", "json_schema", "grammar", "regex" or "tools", for statistics.
        ebnf: the grammar.
        marks: the tokens that it names as such; empty where all is text.
    """

    kind: str
    ebnf: str
    marks: tuple[str, ...] = ()

    @classmethod
    def from_rules(
        cls, kind: str, rules: Mapping[str, Expression], marks: tuple[str, ...] = ()
    ) -> Constraint:
        """Return the constraint of checked rules."""
        return cls(kind, to_ebnf(rules, marks), marks)

    @classmethod
    def from_request(cls, fields: Mapping[str, object]) -> Constraint | None:
        """Return what a request's fields ask for; None where the answer is free.

        Args:
            fields: those of `CONSTRAINT_FIELDS` that are given; others are not looked at.
                response_format: {"type": "text" | "json_object"}, or {"type": "json_schema",
                "json_schema": {"schema": …, "name": …}}, as OpenAI has it. grammar: EBNF (see
                ebnf.py). regex: a regular expression of the whole answer.

        Raises:
            RequestError: more than one is given, or one is not what it should be; says which.
        """
        given = {key: fields[key] for key in CONSTRAINT_FIELDS if fields.get(key) is not None}
        if len(given) > 1:
            raise RequestError(f"{' and '.join(given)} are given together; give one of them.")
        if "grammar" in given:
            return cls.from_rules("grammar", ebnf_rules(_text("grammar", given["grammar"])))
        if "regex" in given:
            rule = regex_expression(_text("regex", given["regex"]))
            return cls.from_rules("regex", checked({ROOT: rule}, "regex"))
        if "response_format" in given:
            return cls._from_format(given["response_format"])
        return None

    @classmethod
    def _from_format(cls, wanted: object) -> Constraint | None:
        if not isinstance(wanted, Mapping):
            raise RequestError(f"response_format is a {type(wanted).__name__}; wanted an object.")
        kind = wanted.get("type")
        fields = {"text": {"type"}, "json_object": {"type"}, "json_schema": {"type", "json_schema"}}
        if not isinstance(kind, str) or kind not in fields:
            raise RequestError(
                f"response_format.type is {shown(kind)}; wanted one of {', '.join(fields)}."
            )
        _check_fields("response_format", wanted, fields[kind])
        if kind == "text":
            return None
        if kind == "json_object":
            return cls.from_rules(kind, object_rules())
        about = wanted.get("json_schema")
        if not isinstance(about, Mapping) or "schema" not in about:
            raise RequestError("response_format.json_schema has no schema; add it.")
        _check_fields(
            "response_format.json_schema", about, {"schema", "name", "description", "strict"}
        )
        return cls.from_schema(about["schema"])

    @classmethod
    def from_schema(cls, schema: object) -> Constraint:
        """Return the constraint of a JSON Schema.

        Raises:
            RequestError: see `schema.schema_rules`.
        """
        return cls.from_rules("json_schema", schema_rules(schema))


def schema_of_text(text: str) -> object:
    """Return the JSON Schema in a file's text.

    Raises:
        RequestError: it is too long, or no JSON.
    """
    if len(text) > MAX_SCHEMA_CHARS:
        raise RequestError(
            f"the schema has {len(text):,} characters, at most {MAX_SCHEMA_CHARS:,} are allowed",
            found=len(text),
            limit=MAX_SCHEMA_CHARS,
        )
    try:
        schema: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"the schema is not JSON: {error}") from error
    return schema


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise RequestError(f"{name} is a {type(value).__name__}; wanted text.")
    return value


def _check_fields(name: str, given: Mapping[str, object], known: set[str]) -> None:
    unknown = sorted(str(key)[:40] for key in set(given) - known)
    if unknown:
        raise RequestError(f"{name} has unknown fields {unknown}; known are {sorted(known)}.")
