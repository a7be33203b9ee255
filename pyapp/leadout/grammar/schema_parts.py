"""JSON Schemas taken apart: references, and schemas that hold together.

`SchemaParts.alternatives` turns a schema into plain ones, any of which may hold: without
references, `allOf`, `anyOf` and `oneOf`, which are merged into the rest. Everything that a keyword
says is in them, or is refused here by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from leadout.errors import RequestError
from leadout.grammar.schema_keywords import (
    COMPOSED,
    KEYWORDS,
    MAX_ALTERNATIVES,
    check_schema,
    check_shape,
    check_supported,
    resolved,
)
from leadout.grammar.values import is_valid, same, types_of

Plain = dict[str, Any]


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
        schema = check_schema(schema, path)
        if isinstance(schema, bool):
            return [{}] if schema else []
        check_supported(schema, path)
        plain = {key: value for key, value in schema.items() if key in KEYWORDS}
        composed = {key: plain.pop(key) for key in COMPOSED if key in plain}
        if "const" in plain:
            values = [plain.pop("const")]
            given = plain.get("enum", values)
            plain["enum"] = [v for v in given if any(same(v, value) for value in values)]
        found: list[Plain] = [plain]
        if "$ref" in composed:
            ref = composed["$ref"]
            target = resolved(self._root, ref, path)
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
