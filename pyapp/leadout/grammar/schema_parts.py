"""JSON Schemas taken apart: what keywords are known, references, and schemas that hold together.

`SchemaParts.alternatives` turns a schema into plain ones, any of which may hold: without
references, `allOf`, `anyOf` and `oneOf`, which are merged into the rest. Everything that a keyword
says is in them, or is refused here by name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from leadout.errors import RequestError
from leadout.grammar.values import is_valid, same, types_of

MAX_SCHEMA_DEPTH: Final = 64
MAX_SCHEMA_NODES: Final = 10_000
MAX_ENUM_VALUES: Final = 2000
MAX_ALTERNATIVES: Final = 256

TYPES: Final = ("null", "boolean", "integer", "number", "string", "array", "object")

#: What says nothing about values.
ANNOTATIONS: Final = frozenset(
    (
        *("title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"),
        *("$schema", "$comment", "$defs", "definitions"),
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

_COMPOSED: Final = ("$ref", "allOf", "anyOf", "oneOf")
KEYWORDS: Final = frozenset(
    ("type", "enum", "const", *_COMPOSED, *(key for keys in KEYWORDS_OF.values() for key in keys))
)

_COUNTS: Final = (
    *("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
)
_BOUNDS: Final = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")

Schema = Mapping[str, Any]
Plain = dict[str, Any]


def check_shape(schema: object) -> None:
    """Check that a schema is JSON of a bearable size.

    Raises:
        RequestError: it is nested too deep or too large, or is not JSON.
    """
    num_nodes = 0
    ahead: list[tuple[object, int]] = [(schema, 0)]
    while ahead:
        value, depth = ahead.pop()
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
                raise RequestError("the schema has a key that is not text")
            ahead += [(item, depth + 1) for item in value.values()]
        elif isinstance(value, list | tuple):
            ahead += [(item, depth + 1) for item in value]
        elif isinstance(value, float) and (value != value or abs(value) == float("inf")):
            raise RequestError(f"the schema holds {value}, which no JSON can")
        elif isinstance(value, str) and any("\ud800" <= char <= "\udfff" for char in value):
            raise RequestError(f"the schema has a lone surrogate in {value[:40]!r}")
        elif value is not None and not isinstance(value, bool | int | float | str):
            raise RequestError(f"the schema holds a {type(value).__name__}, which is not JSON")


class SchemaParts:
    """One schema, for looking up its references."""

    def __init__(self, root: object) -> None:
        check_shape(root)
        self._root = root

    def alternatives(self, schema: object, path: str) -> list[Plain]:
        """Return plain schemas, any of which may hold; none where nothing can.

        Args:
            schema: a part of the root.
            path: where it lies, for messages.

        Raises:
            RequestError: a keyword is not supported or has a value that it cannot have, a
                reference leads nowhere or to itself, or two parts cannot be held together.
        """
        return self._expanded(schema, path, ())

    def _expanded(self, schema: object, path: str, seen: tuple[str, ...]) -> list[Plain]:
        if isinstance(schema, bool):
            return [{}] if schema else []
        if not isinstance(schema, Mapping):
            raise RequestError(f"{path} is {_shown(schema)}; wanted a schema: an object, or a bool")
        check_keywords(schema, path)
        plain = {key: value for key, value in schema.items() if key in KEYWORDS}
        composed = {key: plain.pop(key) for key in _COMPOSED if key in plain}
        if "const" in plain:
            values = [plain.pop("const")]
            given = plain.get("enum", values)
            plain["enum"] = [v for v in given if any(same(v, value) for value in values)]
        found: list[Plain] = [plain]
        if "$ref" in composed:
            ref = composed["$ref"]
            target = self._resolved(ref, path)
            if ref in seen:
                raise RequestError(f"{path}: {ref} refers to itself, without an end", ref=ref)
            found = _crossed(found, self._expanded(target, ref, (*seen, ref)), path)
        for number, part in enumerate(composed.get("allOf", ())):
            found = _crossed(found, self._expanded(part, f"{path}/allOf/{number}", seen), path)
        if "anyOf" in composed:
            options = [
                option
                for number, part in enumerate(composed["anyOf"])
                for option in self._expanded(part, f"{path}/anyOf/{number}", seen)
            ]
            found = _crossed(found, options, path)
        if "oneOf" in composed:
            found = self._one_of(found, composed["oneOf"], path, seen)
        return found

    def _one_of(
        self, base: list[Plain], parts: Sequence[object], path: str, seen: tuple[str, ...]
    ) -> list[Plain]:
        branches = [
            _crossed(base, self._expanded(part, f"{path}/oneOf/{number}", seen), path)
            for number, part in enumerate(parts)
        ]
        for number, branch in enumerate(branches):
            for other in range(number):
                if not all(self._are_apart(a, b, path) for a in branch for b in branches[other]):
                    raise RequestError(
                        f"{path}/oneOf: values may fit both its schemas {other} and {number}, "
                        "which oneOf forbids and is not supported; use anyOf, or give each a "
                        "type, enum or required property of its own",
                        keyword="oneOf",
                    )
        return [option for branch in branches for option in branch]

    def _are_apart(self, one: Plain, other: Plain, path: str) -> bool:
        """Return whether surely no value fits both."""
        if not _common_types(types_of(one), types_of(other)):
            return True
        if "enum" in one and "enum" in other:
            return not any(same(a, b) for a in one["enum"] for b in other["enum"])
        shared = set(one.get("required", ())) & set(other.get("required", ()))
        for name in shared & set(one.get("properties", ())) & set(other.get("properties", ())):
            if types_of(one) == types_of(other) == {"object"}:
                where = f"{path}/properties/{name}"
                mine = self._expanded(one["properties"][name], where, ())
                others = self._expanded(other["properties"][name], where, ())
                if all(_are_apart_by_value(a, b) for a in mine for b in others):
                    return True
        return False

    def _resolved(self, ref: object, path: str) -> object:
        if not isinstance(ref, str) or not (ref == "#" or ref.startswith("#/")):
            raise RequestError(
                f"{path}: $ref is {_shown(ref)}; only references within the schema (#/…) are taken",
                keyword="$ref",
            )
        at: object = self._root
        for step in ref.split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(at, Mapping) and name in at:
                at = at[name]
            elif isinstance(at, list) and name.isdecimal() and int(name) < len(at):
                at = at[int(name)]
            else:
                raise RequestError(f"{path}: {ref} leads nowhere; correct it", ref=ref)
        return at

    def accepts(self, schema: object, value: object, path: str) -> bool:
        """Return whether a value fits a schema."""
        return any(
            is_valid(plain, value, self.accepts, path) for plain in self.alternatives(schema, path)
        )


def _are_apart_by_value(one: Plain, other: Plain) -> bool:
    if not _common_types(types_of(one), types_of(other)):
        return True
    if "enum" not in one or "enum" not in other:
        return False
    return not any(same(a, b) for a in one["enum"] for b in other["enum"])


# ---- keywords --------------------------------------------------------------------------------


def check_keywords(schema: Schema, path: str) -> None:
    """Check the keywords of one schema, without those inside of it.

    Raises:
        RequestError: one is not supported, or has a value that it cannot have.
    """
    for key, value in schema.items():
        if key in ANNOTATIONS or (key == "$id" and path == "#"):
            continue
        if key not in KEYWORDS:
            raise RequestError(
                f"{path}: the keyword {key[:60]!r} is not supported; leave it out",
                keyword=key[:60],
                path=path,
            )
        wanted = _WANTED.get(key)
        if wanted is not None and not wanted[1](value):
            raise RequestError(
                f"{path}: {key} is {_shown(value)}; wanted {wanted[0]}", keyword=key, path=path
            )
    if schema.get("uniqueItems"):
        raise RequestError(
            f"{path}: the keyword 'uniqueItems' is not supported; leave it out",
            keyword="uniqueItems",
            path=path,
        )
    if schema.get("multipleOf", 1) != 1 or (
        "multipleOf" in schema and types_of(schema) != {"integer"}
    ):
        raise RequestError(
            f"{path}: the keyword 'multipleOf' is not supported, except as 1 with type integer; "
            "leave it out",
            keyword="multipleOf",
            path=path,
        )


def _is_type(value: object) -> bool:
    names = value if isinstance(value, list) else [value]
    return bool(names) and all(isinstance(name, str) and name in TYPES for name in names)


def _is_count(value: object) -> bool:
    is_whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return is_whole and not isinstance(value, bool) and 0 <= float(str(value)) <= 2**31


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _is_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _is_schemas(value: object) -> bool:
    return isinstance(value, list) and 0 < len(value) <= MAX_ALTERNATIVES


def _is_enum(value: object) -> bool:
    return isinstance(value, list) and 0 < len(value) <= MAX_ENUM_VALUES


_WANTED: Final[dict[str, tuple[str, Callable[[object], bool]]]] = {
    "type": (f"one or several of {', '.join(TYPES)}", _is_type),
    "enum": (f"a list of 1 to {MAX_ENUM_VALUES:,} values", _is_enum),
    "required": ("a list of names", _is_names),
    "properties": ("an object of schemas", lambda value: isinstance(value, Mapping)),
    "prefixItems": ("a list of schemas", _is_schemas),
    "pattern": ("a regular expression", lambda value: isinstance(value, str)),
    "format": ("the name of a format", lambda value: isinstance(value, str)),
    "uniqueItems": ("true or false", lambda value: isinstance(value, bool)),
    "multipleOf": ("a number", _is_number),
    **dict.fromkeys(_COUNTS, ("a whole number from 0", _is_count)),
    **dict.fromkeys(_BOUNDS, ("a number", _is_number)),
    **dict.fromkeys(
        ("allOf", "anyOf", "oneOf"), (f"a list of 1 to {MAX_ALTERNATIVES} schemas", _is_schemas)
    ),
}


# ---- schemas that hold together --------------------------------------------------------------


def _crossed(some: list[Plain], others: list[Plain], path: str) -> list[Plain]:
    if len(some) * len(others) > MAX_ALTERNATIVES:
        raise RequestError(
            f"{path} has more than {MAX_ALTERNATIVES} alternatives; make it smaller",
            limit=MAX_ALTERNATIVES,
        )
    merged = [_merged(one, other, path) for one in some for other in others]
    return [plain for plain in merged if plain is not None]


def _merged(one: Plain, other: Plain, path: str) -> Plain | None:
    """Return a schema of what fits both; None where nothing does."""
    found = {**one, **other}
    types = _common_types(types_of(one), types_of(other))
    if not types:
        return None
    if "type" in one or "type" in other:
        found["type"] = sorted(types)
    for key in one.keys() & other.keys():
        mine, others = one[key], other[key]
        if key.startswith("min") or key == "exclusiveMinimum":
            found[key] = max(mine, others)
        elif key.startswith("max") or key == "exclusiveMaximum":
            found[key] = min(mine, others)
        elif key == "enum":
            found[key] = [value for value in mine if any(same(value, item) for item in others)]
        elif key == "required":
            found[key] = list(dict.fromkeys([*mine, *others]))
        elif key in ("pattern", "format") and mine != others:
            raise RequestError(
                f"{path}: two schemas that hold together have a {key} each, which is not supported",
                keyword=key,
            )
    if any("properties" in plain or "additionalProperties" in plain for plain in (one, other)):
        names = dict.fromkeys([*one.get("properties", ()), *other.get("properties", ())])
        found["properties"] = {
            name: _both(_property(one, name), _property(other, name)) for name in names
        }
        rest = [
            plain["additionalProperties"]
            for plain in (one, other)
            if "additionalProperties" in plain
        ]
        if rest:
            found["additionalProperties"] = _both(*rest) if len(rest) == 2 else rest[0]
    if any("items" in plain or "prefixItems" in plain for plain in (one, other)):
        length = max(len(plain.get("prefixItems", ())) for plain in (one, other))
        if length:
            found["prefixItems"] = [_both(_item(one, at), _item(other, at)) for at in range(length)]
        found["items"] = _both(one.get("items", True), other.get("items", True))
    return found


def _common_types(some: set[str], others: set[str]) -> set[str]:
    common = some & others
    for mine, theirs in ((some, others), (others, some)):
        if "integer" in mine and "number" in theirs:
            common.add("integer")
    return common


def _property(plain: Plain, name: str) -> object:
    given: Mapping[str, object] = plain.get("properties", {})
    return given.get(name, plain.get("additionalProperties", True))


def _item(plain: Plain, at: int) -> object:
    prefix: Sequence[object] = plain.get("prefixItems", ())
    return prefix[at] if at < len(prefix) else plain.get("items", True)


def _both(one: object, other: object) -> object:
    if one is True or one == {}:
        return other
    if other is True or other == {} or one == other:
        return one
    return {"allOf": [one, other]}


def _shown(value: object) -> str:
    return json.dumps(value, default=str)[:80]
