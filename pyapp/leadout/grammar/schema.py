"""JSON Schemas (draft 2020-12) as grammars.

Every answer that ends is valid under the schema. Not every valid value can be an answer: keys come
in the order of `properties`, an object that names its properties has others only where
`additionalProperties` asks for them, whitespace is fixed (notation.py), and so are limits that no
one meets by chance (numbers.py, formats.py). A keyword that is not known is refused, never skipped.
Where strings are alternatives of each other, one of bounded length (`Counted`) shuts the others
out as soon as the quote is written, the widest one first; in one union small ones do not.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from leadout.errors import RequestError
from leadout.grammar.expressions import (
    ANY_RANGES,
    EMPTY,
    NOTHING,
    ROOT,
    Counted,
    Expression,
    Ref,
    Repeat,
    Text,
    checked,
    choice,
    concat,
    optional,
)
from leadout.grammar.formats import FORMATS
from leadout.grammar.notation import JsonNotation, Notation
from leadout.grammar.numbers import Bound, any_integer, any_number, integers, numbers
from leadout.grammar.regexes import regex_expression, regex_width
from leadout.grammar.schema_keywords import ANNOTATIONS, KEYWORDS_OF, TYPES
from leadout.grammar.schema_parts import Plain, SchemaParts
from leadout.grammar.values import is_valid, types_of

MAX_RULES: Final = 2000

#: Lengths up to this are counted by the library where a string has alternatives.
_MAX_COUNTED_BESIDE: Final = 8

#: How many optional properties' ways stand side by side at most; their number goes by its square.
_MAX_BESIDE: Final = 48


def schema_rules(
    schema: object, notation: Notation | None = None, what: str = "the schema"
) -> dict[str, Expression]:
    """Return the rules of the values that a schema allows, checked.

    Args:
        schema: a schema as parsed JSON: an object or a bool.
        notation: how values are written; JSON where None.
        what: what to call it in messages.

    Raises:
        RequestError: a keyword is not supported (says which, and where), the schema is too large,
            contradicts itself or refers to itself without an end.
    """
    translation = SchemaTranslation(schema, notation or JsonNotation())
    root = translation.rule_of(schema, "#")
    return checked({ROOT: root, **translation.rules()}, what)


def object_rules() -> dict[str, Expression]:
    """Return the rules of any JSON object."""
    return schema_rules({"type": "object"}, what="json_object")


class SchemaTranslation:
    """One schema on its way to rules.

    Args:
        root: what references refer to.
        notation: how values are written.
        prefix: what the names of its rules begin with.
    """

    def __init__(self, root: object, notation: Notation, prefix: str = "s") -> None:
        self._parts = SchemaParts(root)
        self._notation = notation
        self._prefix = prefix
        self._names: dict[str, str] = {}
        self._ahead: list[tuple[str, object, str]] = []
        self._rules: dict[str, Expression] = {}

    def rule_of(self, schema: object, path: str) -> Ref:
        """Return the rule of a schema; equal ones share theirs, so that recursion has an end.

        What says nothing about values makes no difference: a rule costs time to compile.
        """
        said = schema
        if isinstance(schema, Mapping):
            said = {name: value for name, value in schema.items() if name not in ANNOTATIONS}
        key = json.dumps(said)
        if key not in self._names:
            if len(self._names) == MAX_RULES:
                raise RequestError(
                    f"the schema has more than {MAX_RULES:,} parts; make it smaller",
                    limit=MAX_RULES,
                )
            self._names[key] = f"{self._prefix}{len(self._names)}"
            self._ahead.append((self._names[key], schema, path))
        return Ref(self._names[key])

    def rules(self) -> dict[str, Expression]:
        """Return all rules, by name."""
        while self._ahead:
            name, schema, path = self._ahead.pop()
            plains = _without_covered(self._parts.alternatives(schema, path))
            is_union = sum("string" in _meant_types(plain) for plain in plains) > 1
            options = [
                self._plain(plain, path, f"{name}-{at}", is_union)
                for at, plain in enumerate(plains)
            ]
            self._rules[name] = choice(*options)
        return self._rules

    def _plain(self, plain: Plain, path: str, name: str, is_union: bool) -> Expression:
        if "enum" in plain:
            others = {key: value for key, value in plain.items() if key != "enum"}
            fitting = [
                value
                for value in plain["enum"]
                if is_valid(others, value, self._parts.accepts, f"{path}/enum")
            ]
            return choice(*(self._notation.literal(value, path) for value in fitting))
        types = _meant_types(plain)
        kinds = [kind for kind in TYPES if kind in types]
        return choice(*(self._typed(kind, plain, path, name, is_union) for kind in kinds))

    def _typed(self, kind: str, plain: Plain, path: str, name: str, is_union: bool) -> Expression:
        match kind:
            case "null":
                return self._notation.literal(None, path)
            case "boolean":
                return choice(*(self._notation.literal(value, path) for value in (True, False)))
            case "integer" | "number":
                return _numbers(kind, plain)
            case "string":
                return self._string(plain, path, is_union)
            case "array":
                return self._array(plain, path)
        return self._object(plain, path, name)

    # ---- strings -----------------------------------------------------------------------------

    def _string(self, plain: Plain, path: str, is_union: bool) -> Expression:
        least, most = int(plain.get("minLength", 0)), plain.get("maxLength")
        if most is not None and most < least:
            return NOTHING
        form = plain.get("format")
        if form is not None and form not in FORMATS:
            raise RequestError(
                f"{path}: format {form[:40]!r} is not supported; one of {', '.join(FORMATS)}, or "
                "leave it out",
                keyword="format",
                path=path,
            )
        if form is not None and "pattern" in plain:
            raise RequestError(
                f"{path}: format and pattern together are not supported; leave one out",
                keyword="pattern",
                path=path,
            )
        pattern = plain.get("pattern") if form is None else f"^({FORMATS[form]})$"
        if pattern is not None:
            return self._pattern(pattern, least, most, path)
        if least == 0 and most is None:
            return self._notation.quoted(self._notation.free_text())
        most = None if most is None else int(most)
        if most == 0 or (is_union and max(least, most or 0) <= _MAX_COUNTED_BESIDE):
            return self._notation.quoted(Repeat(self._notation.char(ANY_RANGES), least, most))
        return self._notation.quoted(Counted(self._notation.items(), least, most))

    def _pattern(self, pattern: str, least: int, most: int | None, path: str) -> Expression:
        what = f"{path}: pattern"
        if least or most is not None:
            narrowest, widest = regex_width(pattern, what)
            if narrowest < least or (most is not None and (widest is None or widest > most)):
                raise RequestError(
                    f"{path}: a pattern or format beside minLength or maxLength is supported only "
                    "where it says as much itself; write the length into the pattern, between "
                    "^ and $",
                    keyword="pattern",
                    path=path,
                )
        content = regex_expression(pattern, self._notation.char, is_whole=False, what=what)
        return self._notation.quoted(content)

    # ---- arrays and objects ------------------------------------------------------------------

    def _array(self, plain: Plain, path: str) -> Expression:
        least, most = int(plain.get("minItems", 0)), plain.get("maxItems")
        most = None if most is None else int(most)
        if most is not None and most < least:
            return NOTHING
        prefix: Sequence[object] = plain.get("prefixItems", ())
        if most is not None:
            prefix = prefix[:most]
        comma = Text(self._notation.comma)
        rest = plain.get("items", True)
        item = NOTHING if rest is False else self.rule_of(rest, f"{path}/items")
        num_left = None if most is None else most - len(prefix)
        num_wanted = max(0, least - len(prefix))
        if not prefix:
            more = _repeated(concat(comma, item), max(0, num_wanted - 1), num_left, 1)
            content = concat(item, more)
            content = NOTHING if num_left == 0 else content
            return concat(Text("["), content if least else optional(content), Text("]"))
        content = _repeated(concat(comma, item), num_wanted, num_left, 0)
        for at in reversed(range(len(prefix))):
            own = self.rule_of(prefix[at], f"{path}/prefixItems/{at}")
            content = concat(comma if at else EMPTY, own, content)
            content = content if at < least else optional(content)
        return concat(Text("["), content, Text("]"))

    def _object(self, plain: Plain, path: str, name: str) -> Expression:
        known: Mapping[str, object] = plain.get("properties", {})
        required = plain.get("required", ())
        rest = plain.get("additionalProperties", True)
        missing = [own for own in required if own not in known]
        schemas = {**known, **dict.fromkeys(missing, rest)}
        is_open = rest is not False and ("additionalProperties" in plain or not schemas)
        least, most = self._counts(plain, len(schemas), len(set(required)), is_open, path)
        if most is not None and most < max(least, len(set(required))):
            return NOTHING
        notation = self._notation
        comma = Text(notation.comma)

        # Behind the last named property: any number of others, and the end.
        end = Text("}")
        others: Expression = end
        first_others: Expression = end
        if is_open and most != len(schemas):
            value = self.rule_of(rest, f"{path}/additionalProperties")
            pair = concat(notation.other_key(tuple(schemas)), Text(notation.colon), value)
            num_left = None if most is None else most - len(schemas)
            others = concat(_repeated(concat(comma, pair), 0, num_left, 0), end)
            begun = concat(pair, _repeated(concat(comma, pair), 0, num_left, 1), end)
            first_others = begun if least and not schemas else choice(begun, end)

        # From the last to the first: what may follow a property, and what the brace. All ways stand
        # side by side: a chain of rules that may be empty takes the library ten times as long.
        after: list[Expression] = [others]
        first: list[Expression] = [first_others]
        for number, own in reversed(list(enumerate(schemas))):
            where = f"{path}/properties/{own}"
            value = self.rule_of(schemas[own], where)
            behind = Ref(f"{name}-{number}")
            self._rules[behind.name] = choice(*after)
            pair = concat(notation.key(own, where), Text(notation.colon), value, behind)
            more: list[Expression] = [] if own in required else after
            after = [concat(comma, pair), *([behind] if len(more) > _MAX_BESIDE else more)]
            first = [pair, *([] if own in required else first)]
        return concat(Text("{"), choice(*first))

    def _counts(
        self, plain: Plain, num_known: int, num_required: int, is_open: bool, path: str
    ) -> tuple[int, int | None]:
        """Return the least and the most properties, where the grammar can hold to them."""
        least = int(plain.get("minProperties", 0))
        most = plain.get("maxProperties")
        is_least_held = least <= num_required or (least == 1 and is_open and not num_known)
        # Without others there are never more than are named.
        is_most_held = most is None or most >= num_known or most < num_required
        if not is_open and least > num_known:
            return 1, 0
        if not is_least_held or not is_most_held:
            keyword = "maxProperties" if is_least_held else "minProperties"
            raise RequestError(
                f"{path}: {keyword} that depends on which optional properties are there is not "
                "supported; leave it out, or make them required",
                keyword=keyword,
                path=path,
            )
        return least, None if most is None else int(most)


def _meant_types(plain: Plain) -> set[str]:
    """Return the types of a schema's values; where it says none, those its keywords are about."""
    meant = {kind for kind, keys in KEYWORDS_OF.items() if plain.keys() & set(keys)}
    return types_of(plain) if "type" in plain or "enum" in plain or not meant else meant


def _without_covered(plains: list[Plain]) -> list[Plain]:
    """Return alternatives without strings of any text where another one allows longer ones too."""
    kept: list[Plain] = []
    for plain in sorted(plains, key=lambda one: (-_lengths(one)[1], _lengths(one)[0])):
        least, most = _lengths(plain)
        is_covered = (_meant_types(plain) == {"string"} and _is_any_text(plain)) and any(
            _is_any_text(other) and _lengths(other)[0] <= least and _lengths(other)[1] >= most
            for other in kept
        )
        kept += [] if is_covered else [plain]
    return kept


def _is_any_text(plain: Plain) -> bool:
    return "string" in _meant_types(plain) and not plain.keys() & {"enum", "pattern", "format"}


def _lengths(plain: Plain) -> tuple[float, float]:
    return plain.get("minLength", 0), plain.get("maxLength", math.inf)


def _repeated(of: Expression, least: int, most: int | None, num_before: int) -> Expression:
    """Return it `least` to `most` times, where `num_before` of `most` were there before."""
    if most is None:
        return Repeat(of, least, None)
    return Repeat(of, least, most - num_before) if most - num_before >= least else NOTHING


def _numbers(kind: str, plain: Plain) -> Expression:
    low = _bound(plain, "minimum", "exclusiveMinimum", max)
    high = _bound(plain, "maximum", "exclusiveMaximum", min)
    if kind == "integer":
        return any_integer() if low is None and high is None else integers(low, high)
    return any_number() if low is None and high is None else numbers(low, high)


def _bound(plain: Plain, closed: str, is_open: str, nearest: object) -> Bound | None:
    bounds = [
        Bound(Decimal(str(plain[key])), is_open=key == is_open)
        for key in (closed, is_open)
        if key in plain
    ]
    if len(bounds) < 2:
        return bounds[0] if bounds else None
    inner = max if nearest is max else min
    # Of equal ones the open one is the narrower.
    sign = 1 if nearest is max else -1
    return inner(bounds, key=lambda bound: (bound.value, sign * bound.is_open))
