"""Values of JSON against plain schemas: which of an `enum`'s fit the keywords beside it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from leadout.grammar.formats import FORMATS

_ALL_TYPES = frozenset(("null", "boolean", "integer", "number", "string", "array", "object"))

#: Whether a value fits a schema inside of another: schema, value, path.
Accepts = Callable[[object, object, str], bool]


def types_of(plain: Mapping[str, Any]) -> set[str]:
    """Return the types that a schema allows, all where it says none."""
    given = plain.get("type")
    if given is None and "enum" in plain:
        return {type_of(value) for value in plain["enum"]}
    if given is None:
        return set(_ALL_TYPES)
    return {given} if isinstance(given, str) else set(given)


def type_of(value: object) -> str:
    """Return the type of a value of JSON; a number without decimals is an integer."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "integer" if value.is_integer() else "number"
        case str():
            return "string"
        case Mapping():
            return "object"
    return "array"


def same(one: object, other: object) -> bool:
    """Return whether two values are equal as JSON has it: 1 is 1.0, and not true."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def is_valid(plain: Mapping[str, Any], value: Any, accepts: Accepts, path: str) -> bool:
    """Return whether a value fits a plain schema (see schema_parts.py)."""
    kind = type_of(value)
    types = types_of(plain)
    if kind not in types and not (kind == "integer" and "number" in types):
        return False
    if "enum" in plain and not any(same(value, item) for item in plain["enum"]):
        return False
    match kind:
        case "integer" | "number":
            return (
                value >= plain.get("minimum", value)
                and value <= plain.get("maximum", value)
                and ("exclusiveMinimum" not in plain or value > plain["exclusiveMinimum"])
                and ("exclusiveMaximum" not in plain or value < plain["exclusiveMaximum"])
            )
        case "string":
            is_long_enough = len(value) >= plain.get("minLength", 0)
            is_short_enough = len(value) <= plain.get("maxLength", len(value))
            form = FORMATS.get(plain.get("format", ""), "")
            return (
                is_long_enough
                and is_short_enough
                and bool(re.search(plain.get("pattern", ""), value))
                and (not form or bool(re.fullmatch(form, value)))
            )
        case "array":
            prefix = plain.get("prefixItems", ())
            return plain.get("minItems", 0) <= len(value) <= plain.get(
                "maxItems", len(value)
            ) and all(
                accepts(prefix[at] if at < len(prefix) else plain.get("items", True), item, path)
                for at, item in enumerate(value)
            )
        case "object":
            known = plain.get("properties", {})
            rest = plain.get("additionalProperties", True)
            is_large_enough = len(value) >= plain.get("minProperties", 0)
            is_small_enough = len(value) <= plain.get("maxProperties", len(value))
            return (
                is_large_enough
                and is_small_enough
                and all(name in value for name in plain.get("required", ()))
                and all(accepts(known.get(name, rest), item, path) for name, item in value.items())
            )
    return True
