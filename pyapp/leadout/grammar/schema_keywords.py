"""The keywords of JSON Schemas: which are known, what values they can have, where references lead.

What is malformed is refused wherever a schema is given. What a grammar cannot hold to is refused
where an answer has to keep to it: `check_supported`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from leadout.errors import RequestError
from leadout.grammar.values import types_of

MAX_SCHEMA_DEPTH: Final = 64
MAX_SCHEMA_NODES: Final = 10_000
MAX_ENUM_VALUES: Final = 2000
MAX_ALTERNATIVES: Final = 256

#: Whole numbers have at most as many digits, and so fit into floats.
MAX_DIGITS: Final = 308

TYPES: Final = ("null", "boolean", "integer", "number", "string", "array", "object")

_DEFINITIONS: Final = ("$defs", "definitions")

#: What says nothing about values.
ANNOTATIONS: Final = frozenset(
    (
        *("title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"),
        *("$schema", "$comment", *_DEFINITIONS),
    )
)

#: By the type that they say something about.
KEYWORDS_OF: Final = {
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    "string": ("minLength", "maxLength", "pattern", "format"),
    "array": ("items", "prefixItems", "minItems", "maxItems", "uniqueItems"),
    "object": (
        *("properties", "required", "additionalProperties", "minProperties", "maxProperties"),
    ),
}

COMPOSED: Final = ("$ref", "allOf", "anyOf", "oneOf")
KEYWORDS: Final = frozenset(
    ("type", "enum", "const", *COMPOSED, *(key for keys in KEYWORDS_OF.values() for key in keys))
)

_COUNTS: Final = (
    *("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
)
_BOUNDS: Final = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")

#: Keywords whose values are, or hold, schemas.
_ONE_SCHEMA: Final = ("items", "additionalProperties")
_SCHEMAS_IN_A_ROW: Final = ("prefixItems", "allOf", "anyOf", "oneOf")
_SCHEMAS_BY_NAME: Final = ("properties", *_DEFINITIONS)

#: In references, which are parts of addresses: bytes of characters that these cannot hold.
_ESCAPED: Final = re.compile("(?:%[0-9A-Fa-f]{2})+")

#: Of an item in a list, in a reference.
_PLACE: Final = re.compile("[0-9]{1,9}")

Schema = Mapping[str, Any]


# ---- any JSON --------------------------------------------------------------------------------


def check_shape(schema: object) -> None:
    """Check that a schema is JSON of a bearable size.

    Raises:
        RequestError: it is nested too deep or too large, or is not JSON.
    """
    num_nodes = 0
    ahead: list[tuple[object, str, int]] = [(schema, "#", 0)]
    while ahead:
        value, path, depth = ahead.pop()
        num_nodes += 1
        if depth > MAX_SCHEMA_DEPTH:
            raise RequestError(
                f"the schema is nested deeper than {MAX_SCHEMA_DEPTH} levels; flatten it",
                limit=MAX_SCHEMA_DEPTH,
            )
        if num_nodes > MAX_SCHEMA_NODES:
            raise RequestError(
                f"the schema has more than {MAX_SCHEMA_NODES:,} values; make it smaller",
                limit=MAX_SCHEMA_NODES,
            )
        if isinstance(value, Mapping):
            if not all(isinstance(key, str) for key in value):
                raise RequestError(f"{path} has a key that is not text")
            ahead += [(item, _below(path, key), depth + 1) for key, item in value.items()]
        elif isinstance(value, list | tuple):
            ahead += [(item, _below(path, at), depth + 1) for at, item in enumerate(value)]
        elif isinstance(value, float) and not math.isfinite(value):
            raise RequestError(f"{path} is {value}, which no JSON can hold")
        elif isinstance(value, int) and abs(value) >= 10**MAX_DIGITS:
            raise RequestError(
                f"{path} is a whole number of more than {MAX_DIGITS} digits; take a smaller one",
                path=path,
                limit=MAX_DIGITS,
            )
        elif isinstance(value, str) and any("\ud800" <= char <= "\udfff" for char in value):
            raise RequestError(f"{path} has a lone surrogate in {value[:40]!r}")
        elif value is not None and not isinstance(value, bool | int | float | str):
            raise RequestError(f"{path} is a {type(value).__name__}, which is not JSON")


def _below(path: str, *steps: object) -> str:
    """Return where something lies, for messages: names may be long."""
    return "/".join((path, *(str(step)[:60] for step in steps)))


# ---- one schema ------------------------------------------------------------------------------


def check_schema(schema: object, path: str) -> Schema | bool:
    """Return a schema whose known keywords have values that they can have.

    Those inside of it are not looked at.

    Raises:
        RequestError: it is no schema, or a keyword is malformed.
    """
    if isinstance(schema, bool):
        return schema
    if not isinstance(schema, Mapping):
        raise RequestError(
            f"{path} is {_shown(schema)}; wanted a schema: an object, or a bool", path=path
        )
    for key, value in schema.items():
        wanted = _WANTED.get(key)
        if wanted is not None and not wanted[1](value):
            raise RequestError(
                f"{path}: {key} is {_shown(value)}; wanted {wanted[0]}", keyword=key, path=path
            )
    return schema


def check_supported(schema: Schema, path: str) -> None:
    """Check that a grammar can hold to the keywords of a checked schema.

    Raises:
        RequestError: it cannot hold to one; says which.
    """
    for key, value in schema.items():
        if key not in KEYWORDS | ANNOTATIONS and (key, path) != ("$id", "#"):
            raise _unsupported(key[:60], path)
        limit = _LIMITS.get(key)
        if limit is not None and len(value) > limit:
            raise RequestError(
                f"{path}: {key} has {len(value):,} items; at most {limit:,} are supported",
                keyword=key,
                path=path,
                limit=limit,
            )
        if key in _BOUNDS and abs(value) >= 1e300:
            raise RequestError(
                f"{path}: {key} is {_shown(value)}; wanted a number below 1e300",
                keyword=key,
                path=path,
            )
    if schema.get("uniqueItems"):
        raise _unsupported("uniqueItems", path)
    is_whole = schema.get("multipleOf") == 1 and types_of(schema) == {"integer"}
    if "multipleOf" in schema and not is_whole:
        raise _unsupported("multipleOf", path, ", except as 1 with type integer")


def _unsupported(keyword: str, path: str, exception: str = "") -> RequestError:
    return RequestError(
        f"{path}: the keyword {keyword!r} is not supported{exception}; leave it out",
        keyword=keyword,
        path=path,
    )


def _shown(value: object) -> str:
    return json.dumps(value, default=str)[:80]


def _is_type(value: object) -> bool:
    names = value if isinstance(value, list) else [value]
    return bool(names) and all(isinstance(name, str) and name in TYPES for name in names)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: object) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return 0 <= value <= 2**31 and value == int(value)


def _is_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _is_filled_list(value: object) -> bool:
    return isinstance(value, list) and bool(value)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


_WANTED: Final[dict[str, tuple[str, Callable[[object], bool]]]] = {
    "type": (f"one or several of {', '.join(TYPES)}", _is_type),
    "enum": ("a list of values", _is_filled_list),
    "required": ("a list of names", _is_names),
    "pattern": ("a regular expression", _is_text),
    "format": ("the name of a format", _is_text),
    "uniqueItems": ("true or false", lambda value: isinstance(value, bool)),
    "multipleOf": ("a number", _is_number),
    **dict.fromkeys(_COUNTS, ("a whole number from 0", _is_count)),
    **dict.fromkeys(_BOUNDS, ("a number", _is_number)),
    **dict.fromkeys(_SCHEMAS_IN_A_ROW, ("a list of schemas", _is_filled_list)),
    **dict.fromkeys(
        _SCHEMAS_BY_NAME, ("an object of schemas", lambda value: isinstance(value, Mapping))
    ),
}

_LIMITS: Final = {
    "enum": MAX_ENUM_VALUES,
    **dict.fromkeys(_SCHEMAS_IN_A_ROW, MAX_ALTERNATIVES),
}


# ---- all schemas in one ----------------------------------------------------------------------


def check_schemas(root: object) -> None:
    """Check a schema and all that are in it, as far as keywords are known.

    Raises:
        RequestError: see `check_shape`, `check_schema` and `resolved`.
    """
    check_shape(root)
    seen: set[int] = set()
    ahead: list[tuple[object, str]] = [(root, "#")]
    while ahead:
        part, path = ahead.pop()
        schema = check_schema(part, path)
        if isinstance(schema, bool) or id(schema) in seen:
            continue
        seen.add(id(schema))
        ahead += _inner(schema, path)
        if "$ref" in schema:
            ref = schema["$ref"]
            ahead.append((resolved(root, ref, path), ref))


def _inner(schema: Schema, path: str) -> Iterator[tuple[object, str]]:
    """Yield the schemas in a checked one, and where they lie."""
    for key, value in schema.items():
        if key in _ONE_SCHEMA:
            yield value, _below(path, key)
        elif key in _SCHEMAS_IN_A_ROW:
            for at, part in enumerate(value):
                yield part, _below(path, key, at)
        elif key in _SCHEMAS_BY_NAME:
            for name, part in value.items():
                yield part, _below(path, key, name)


def resolved(root: object, ref: object, path: str) -> object:
    """Return what a reference refers to.

    Args:
        root: the whole schema.
        ref: "#", or "#/…".
        path: of the schema that has the reference.

    Raises:
        RequestError: it is no reference within the schema, or leads nowhere.
    """
    if not isinstance(ref, str) or not (ref == "#" or ref.startswith("#/")):
        raise RequestError(
            f"{path}: $ref is {_shown(ref)}; only references within the schema (#/…) are taken",
            keyword="$ref",
        )
    at: object = root
    for step in _ESCAPED.sub(_unescaped, ref).split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(at, Mapping) and name in at:
            at = at[name]
        elif isinstance(at, list) and _PLACE.fullmatch(name) and int(name) < len(at):
            at = at[int(name)]
        else:
            raise RequestError(f"{path}: $ref {ref[:80]} leads nowhere; correct it", ref=ref[:80])
    return at


def _unescaped(match: re.Match[str]) -> str:
    return bytes.fromhex(match[0].replace("%", "")).decode(errors="replace")
