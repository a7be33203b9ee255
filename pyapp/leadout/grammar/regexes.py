r"""Regular expressions as grammars, by Python's own parser of them.

Taken is what is regular and means the same in Python and in JavaScript: literals, classes, groups,
alternatives, repetition, `^` at the beginning and `$` at the end. What looks around, refers back or
depends on flags is refused by name. `\d`, `\w` and `\s` are ASCII's.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from leadout.errors import RequestError
from leadout.grammar.expressions import (
    ANY_RANGES,
    EMPTY,
    Chars,
    Expression,
    Range,
    Repeat,
    choice,
    concat,
    joined,
    without,
)

MAX_REGEX_CHARS: Final = 4096
_MAX_REPEAT: Final = 10_000

#: What each class is in both languages. A class and its opposite leave out what only one language
#: counts to the class, such as the digits of other scripts.
_CATEGORIES: Final[dict[str, tuple[Range, ...]]] = {
    "DIGIT": ((0x30, 0x39),),
    "NOT_DIGIT": ((0, 0x2F), (0x3A, 0x65F), (0x3040, 0x9FFF), (0x1F300, 0x1F64F)),
    "SPACE": ((0x09, 0x0D), (0x20, 0x20)),
    "NOT_SPACE": without(
        ANY_RANGES,
        [
            *((0x09, 0x0D), (0x1C, 0x20), (0x85, 0x85), (0xA0, 0xA0), (0x1680, 0x180E)),
            *((0x2000, 0x200F), (0x2028, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000)),
            (0xFEFF, 0xFEFF),
        ],
    ),
    "WORD": ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)),
    "NOT_WORD": ((0, 0x2F), (0x3A, 0x40), (0x5B, 0x5E), (0x60, 0x60), (0x7B, 0x7F)),
}

_NEWLINES: Final = ((0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029))  # what "." is not in JavaScript

#: How one character of a class is written down, given as ranges of code points.
Written = Callable[[tuple[Range, ...]], Expression]


def as_they_are(ranges: tuple[Range, ...]) -> Expression:
    """Return characters written as themselves."""
    return Chars(ranges)


def regex_expression(
    pattern: str, written: Written = as_they_are, *, is_whole: bool = True, what: str = "regex"
) -> Expression:
    """Return what a regular expression matches.

    Args:
        pattern: the regular expression.
        written: how a character is written where the answer stands, such as in a JSON string.
        is_whole: it is all of the text; else it may lie anywhere in it, as JSON Schema has it,
            unless it has `^` and `$`.
        what: what to call it in messages.

    Raises:
        RequestError: it is not a regular expression, or has what is not supported; says which.
    """
    tree = _parsed(pattern, what)
    translator = _Translator(written, pattern, what)
    if is_whole:
        return translator.whole(tree)
    return translator.anywhere(tree)


def regex_width(pattern: str, what: str = "pattern") -> tuple[int, int | None]:
    """Return how many characters a match has at least and at most; None: any number.

    Raises:
        RequestError: it is not a regular expression.
    """
    tree = _parsed(pattern, what)
    least, most = tree.getwidth()
    items = list(tree)
    is_anchored = bool(items) and _is_at(items[0], _BEGIN) and _is_at(items[-1], _END)
    return least, most if is_anchored and most < _MAX_REPEAT else None


def _parsed(pattern: str, what: str) -> Any:
    if len(pattern) > MAX_REGEX_CHARS:
        raise RequestError(
            f"{what} has {len(pattern):,} characters, at most {MAX_REGEX_CHARS:,} are allowed; "
            "shorten it",
            found=len(pattern),
            limit=MAX_REGEX_CHARS,
        )
    from re import _parser  # type: ignore[attr-defined]  # no public name for the syntax tree

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = _parser.parse(pattern)
    except (re.error, OverflowError, RecursionError, ValueError) as error:
        raise RequestError(
            f"{what} {pattern[:80]!r} is not a regular expression: {error}"
        ) from error
    if tree.state.flags & ~re.UNICODE:
        raise RequestError(f"{what} {pattern[:80]!r} has flags, which are not supported")
    return tree


_BEGIN: Final = ("AT_BEGINNING", "AT_BEGINNING_STRING")
_END: Final = ("AT_END", "AT_END_STRING")


def _is_at(item: tuple[Any, Any], places: Sequence[str]) -> bool:
    return str(item[0]) == "AT" and str(item[1]) in places


class _Translator:
    def __init__(self, written: Written, pattern: str, what: str) -> None:
        self._written = written
        self._pattern = pattern
        self._what = what

    def whole(self, tree: Any) -> Expression:
        """Return a pattern that is all of the text: anchors at its ends say nothing more."""
        return self._alternatives(tree, lambda expression, *_: expression)

    def anywhere(self, tree: Any) -> Expression:
        """Return a pattern that lies somewhere in the text, where it is not anchored."""
        free = Repeat(self._written(ANY_RANGES), 0, None)

        def surrounded(expression: Expression, has_begin: bool, has_end: bool) -> Expression:
            before, after = EMPTY if has_begin else free, EMPTY if has_end else free
            return concat(before, expression, after)

        return self._alternatives(tree, surrounded)

    def _alternatives(
        self, tree: Any, around: Callable[[Expression, bool, bool], Expression]
    ) -> Expression:
        """Take the anchors at the ends off, in each alternative at the top."""
        items = list(tree)
        if len(items) == 1 and str(items[0][0]) == "BRANCH":
            return choice(*(self._alternatives(one, around) for one in items[0][1][1]))
        has_begin = bool(items) and _is_at(items[0], _BEGIN)
        items = items[has_begin:]
        has_end = bool(items) and _is_at(items[-1], _END)
        items = items[: len(items) - has_end]
        return around(self._sequence(items), has_begin, has_end)

    def _sequence(self, items: Iterable[tuple[Any, Any]]) -> Expression:
        return concat(*(self._item(str(op), argument) for op, argument in items))

    def _item(self, op: str, argument: Any) -> Expression:
        match op:
            case "LITERAL":
                return self._class([(argument, argument)])
            case "NOT_LITERAL":
                return self._class(without(ANY_RANGES, [(argument, argument)]))
            case "ANY":
                return self._class(without(ANY_RANGES, _NEWLINES))
            case "IN":
                return self._class(self._set(argument))
            case "BRANCH":
                return choice(*(self._sequence(one) for one in argument[1]))
            case "SUBPATTERN":
                _, added, removed, inner = argument
                if added or removed:
                    raise self._unsupported("flags")
                return self._sequence(inner)
            case "MAX_REPEAT" | "MIN_REPEAT":
                least, most, inner = argument
                is_endless = str(most) == "MAXREPEAT"
                if int(least) > _MAX_REPEAT or (not is_endless and int(most) > _MAX_REPEAT):
                    raise self._unsupported(f"more than {_MAX_REPEAT:,} repetitions")
                return Repeat(self._sequence(inner), int(least), None if is_endless else int(most))
        raise self._unsupported(_NAMES.get(op, op))

    def _set(self, items: Sequence[tuple[Any, Any]]) -> tuple[Range, ...]:
        is_negated = bool(items) and str(items[0][0]) == "NEGATE"
        found: list[Range] = []
        kept = ANY_RANGES
        for op, argument in items[is_negated:]:
            match str(op):
                case "LITERAL":
                    ranges: tuple[Range, ...] = ((argument, argument),)
                case "RANGE":
                    ranges = (argument,)
                case "CATEGORY":
                    name = str(argument).removeprefix("CATEGORY_")
                    if name not in _CATEGORIES:
                        raise self._unsupported(name)
                    ranges = _CATEGORIES[name]
                    opposite = f"NOT_{name}" if not name.startswith("NOT_") else name[4:]
                    kept = without(kept, without(ANY_RANGES, _CATEGORIES[opposite]))
                case name:
                    raise self._unsupported(name)
            found += ranges
        return without(kept, found) if is_negated else tuple(found)

    def _class(self, ranges: Iterable[Range]) -> Expression:
        return self._written(joined(ranges))

    def _unsupported(self, feature: str) -> RequestError:
        return RequestError(
            f"{self._what} {self._pattern[:80]!r} has {feature}, which is not supported; "
            "write it without",
            feature=feature,
        )


_NAMES: Final = {
    "ASSERT": "a lookaround",
    "ASSERT_NOT": "a lookaround",
    "AT": "an anchor inside",
    "ATOMIC_GROUP": "an atomic group",
    "GROUPREF": "a reference to a group",
    "GROUPREF_EXISTS": "a condition on a group",
    "POSSESSIVE_REPEAT": "a possessive repetition",
}
