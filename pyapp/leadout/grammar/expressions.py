"""Grammars as data: what regexes, EBNF and schemas become, and what the library is given.

A grammar is a set of named rules; `ROOT` is where it starts. printed.py makes of it the EBNF that
the library reads. What the library would take badly is found here, before anything
runs: rules that never end, rules that begin with themselves, and grammars whose tables would take
the library too long.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Final

from leadout.errors import RequestError

ROOT: Final = "root"

#: Beyond this, code points are never text here: plane 16 is for private use, and `Mark` uses it.
MAX_CODE_POINT: Final = 0xFFFFF

#: Where the marks of `Mark` begin. Keep in step with FIRST_MARK in web/grammar.js.
FIRST_MARK: Final = 0x10F000

#: Where the marks of bounds begin, and how many different ones a grammar may have. Keep in step
#: with FIRST_BOUND and MAX_BOUNDS in web/grammar.js.
FIRST_BOUND: Final = 0x10E000
MAX_BOUNDS: Final = 256

_SURROGATES: Final = (0xD800, 0xDFFF)

#: A class with more code points than this counts as wide: many tokens go on in it.
_WIDE: Final = 16

#: The library prepares one table for each place in a counted run of wide classes, over the whole
#: vocabulary: with 262,144 tokens 0.1 s each for letters and 0.2 to 0.4 s for any characters, 12 s
#: for 32 of these on a slow core. The worker must answer within a minute (web/client/channel.js).
MAX_COUNTED_WIDE: Final = 64

#: Classes of more characters take the library about so many times as long.
_BROAD: Final = 256
_BROAD_WEIGHT: Final = 4

#: The most places of wide classes in all, counted or not.
MAX_WIDE: Final = 256

#: The most places that all rules have together, counted runs written out.
MAX_PLACES: Final = 20_000

Range = tuple[int, int]


@dataclass(frozen=True)
class Text:
    """Exactly these characters, perhaps none."""

    text: str


@dataclass(frozen=True)
class Chars:
    """One character out of ranges of code points: ascending, apart, both ends included."""

    ranges: tuple[Range, ...]

    @property
    def num_chars(self) -> int:
        """How many characters it stands for."""
        return sum(last - first + 1 for first, last in self.ranges)


@dataclass(frozen=True)
class Mark:
    """One token as such, whatever its text: a special token such as "<|tool_call>"."""

    token: str


@dataclass(frozen=True)
class Concat:
    """All parts, one after the other."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True)
class Choice:
    """Any one of the options; nothing at all can be it where there are none."""

    options: tuple[Expression, ...]


@dataclass(frozen=True)
class Repeat:
    """The same, `least` to `most` times; without end where `most` is None."""

    of: Expression
    least: int
    most: int | None


@dataclass(frozen=True)
class Counted:
    """The content of a string, behind what opens it and before what closes it.

    The library does not see how long it is; web/grammar.js counts. So that it may be of any
    length, and no token has both what opens the string and some of its content.

    Attributes:
        items: what it is made of, any number of them, each with how many characters it counts for.
        least, most: how many characters it has; without end where `most` is None.
    """

    items: tuple[tuple[Expression, int], ...]
    least: int
    most: int | None

    @property
    def uncounted(self) -> Repeat:
        """The same, of any length."""
        return Repeat(choice(*(item for item, _ in self.items)), 0, None)


@dataclass(frozen=True)
class Ref:
    """A rule, by name."""

    name: str


Expression = Text | Chars | Mark | Concat | Choice | Repeat | Counted | Ref
Rules = Mapping[str, Expression]

EMPTY: Final = Text("")
NOTHING: Final = Choice(())


def concat(*parts: Expression) -> Expression:
    """Return all parts in a row; texts beside each other become one."""
    flat: list[Expression] = []
    for part in parts:
        for item in part.parts if isinstance(part, Concat) else (part,):
            if isinstance(item, Text) and flat and isinstance(flat[-1], Text):
                flat[-1] = Text(flat[-1].text + item.text)
            elif item != EMPTY:
                flat.append(item)
    return flat[0] if len(flat) == 1 else Concat(tuple(flat)) if flat else EMPTY


def choice(*options: Expression) -> Expression:
    """Return any of the options, each once."""
    flat: dict[Expression, None] = {}
    for option in options:
        flat.update(dict.fromkeys(option.options if isinstance(option, Choice) else (option,)))
    return next(iter(flat)) if len(flat) == 1 else Choice(tuple(flat))


def optional(of: Expression) -> Expression:
    """Return it, or nothing."""
    return choice(of, EMPTY)


def joined(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """Return ranges ascending and apart, without surrogates and plane 16."""
    found: list[Range] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return without(found, [_SURROGATES, (MAX_CODE_POINT + 1, 0x7FFFFFFF)])


def without(ranges: Iterable[Range], others: Iterable[Range]) -> tuple[Range, ...]:
    """Return ranges less what lies in others."""
    left = list(ranges)
    for low, high in others:
        left = [
            (first, last)
            for start, end in left
            for first, last in ((start, min(end, low - 1)), (max(start, high + 1), end))
            if first <= last
        ]
    return tuple(sorted(left))


ANY_RANGES: Final = without([(0, MAX_CODE_POINT)], [_SURROGATES])


# ---- checks ----------------------------------------------------------------------------------


def checked(rules: Rules, what: str) -> dict[str, Expression]:
    """Return rules without what can never end, after all checks.

    Args:
        rules: with `ROOT`.
        what: what to call them in messages, such as "the grammar".

    Raises:
        RequestError: a rule is missing or begins with itself, nothing can be an answer, or the
            tables would take the library too long.
    """
    for name, rule in rules.items():
        for ref in _refs(rule):
            if ref not in rules:
                raise RequestError(
                    f"{what}: rule {name} uses {ref}, which is not there; add it", rule=ref
                )
    kept = _ending(rules)
    if ROOT not in kept:
        raise RequestError(
            f"{what} allows no answer: each one would never end or contradict it; loosen it"
        )
    kept = {name: kept[name] for name in _reachable(kept)}
    _check_left_recursion(kept, what)
    _check_size(kept, what)
    return kept


def _refs(expression: Expression) -> Iterator[str]:
    match expression:
        case Ref(name):
            yield name
        case Concat(parts) | Choice(parts):
            for part in parts:
                yield from _refs(part)
        case Repeat(of, _, _):
            yield from _refs(of)


def _ending(rules: Rules) -> dict[str, Expression]:
    """Return the rules that some text of finite length is, without options that none is."""
    ending: set[str] = set()
    size = -1
    while size != len(ending):
        size = len(ending)
        ending |= {name for name, rule in rules.items() if _pruned(rule, ending) is not None}
    kept = {name: _pruned(rule, ending) for name, rule in rules.items()}
    return {name: rule for name, rule in kept.items() if rule is not None}


def _pruned(expression: Expression, ending: set[str]) -> Expression | None:
    match expression:
        case Ref(name):
            return expression if name in ending else None
        case Chars(ranges):
            return expression if ranges else None
        case Concat(parts):
            pruned = [_pruned(part, ending) for part in parts]
            kept = [part for part in pruned if part is not None]
            return concat(*kept) if len(kept) == len(parts) else None
        case Choice(options):
            tried = [_pruned(option, ending) for option in options]
            some = [option for option in tried if option is not None]
            return choice(*some) if some else None
        case Repeat(of, least, most):
            inner = _pruned(of, ending)
            if inner is None or most == 0:
                return None if least else EMPTY
            return Repeat(inner, least, most)
    return expression


def _reachable(rules: Rules) -> list[str]:
    found = [ROOT]
    for name in found:
        found += [ref for ref in dict.fromkeys(_refs(rules[name])) if ref not in found]
    return found


def _check_left_recursion(rules: Rules, what: str) -> None:
    can_be_empty: set[str] = set()
    size = -1
    while size != len(can_be_empty):
        size = len(can_be_empty)
        can_be_empty |= {name for name, rule in rules.items() if _is_nullable(rule, can_be_empty)}
    begins = {name: set(_first_refs(rule, can_be_empty)) for name, rule in rules.items()}
    for name in rules:
        seen, ahead = set[str](), set(begins[name])
        while ahead:
            seen |= ahead
            ahead = {ref for at in ahead for ref in begins[at]} - seen
        if name in seen:
            raise RequestError(
                f"{what}: rule {name} begins with itself, so that nothing could be decided; "
                "let something stand before it",
                rule=name,
            )


def _is_nullable(expression: Expression, empty: set[str]) -> bool:
    match expression:
        case Text(text):
            return text == ""
        case Ref(name):
            return name in empty
        case Concat(parts):
            return all(_is_nullable(part, empty) for part in parts)
        case Choice(options):
            return any(_is_nullable(option, empty) for option in options)
        case Repeat(of, least, _):
            return least == 0 or _is_nullable(of, empty)
        case Counted(_, least, _):
            return least == 0
    return False


def _first_refs(expression: Expression, empty: set[str]) -> Iterator[str]:
    match expression:
        case Ref(name):
            yield name
        case Choice(options):
            for option in options:
                yield from _first_refs(option, empty)
        case Repeat(of, _, _):
            yield from _first_refs(of, empty)
        case Concat(parts):
            for part in parts:
                yield from _first_refs(part, empty)
                if not _is_nullable(part, empty):
                    break


def _check_size(rules: Rules, what: str) -> None:
    wide = frozenset(name for name, rule in rules.items() if _is_wide(rule))
    # Equal runs are printed once, and so are their tables (printed.py).
    runs: set[Expression] = set()
    sizes = [_size(rule, wide, runs) for rule in rules.values()]
    num_places = sum(size.places for size in sizes)
    num_counted = sum(size.counted for size in sizes)
    num_wide = sum(size.wide for size in sizes)
    bounds = set(chain.from_iterable(map(_bounds, rules.values())))
    if len(bounds) > MAX_BOUNDS:
        raise RequestError(
            f"{what} has {len(bounds):,} different lengths of strings (minLength with maxLength), "
            f"and at most {MAX_BOUNDS} are allowed; make some the same",
            found=len(bounds),
            limit=MAX_BOUNDS,
        )
    if num_places > MAX_PLACES:
        raise RequestError(
            f"{what} is too large: {num_places:,} places, at most {MAX_PLACES:,} are allowed; make "
            "it smaller",
            found=num_places,
            limit=MAX_PLACES,
        )
    if num_counted > MAX_COUNTED_WIDE:
        raise RequestError(
            f"{what} counts {num_counted:,} characters of wide classes ({{n,m}} in a pattern; "
            f"beyond ASCII each counts {_BROAD_WEIGHT} times), and {MAX_COUNTED_WIDE} are taken at "
            "most in all; lower the counts or leave them out",
            found=num_counted,
            limit=MAX_COUNTED_WIDE,
        )
    if num_wide > MAX_WIDE:
        raise RequestError(
            f"{what} has {num_wide:,} places for a character of a class, {MAX_WIDE} are taken at "
            "most; make it smaller",
            found=num_wide,
            limit=MAX_WIDE,
        )


def _is_wide(expression: Expression) -> bool:
    """Return whether it is, as a whole or in one option, a single character of a wide class."""
    match expression:
        case Chars():
            return expression.num_chars > _WIDE
        case Choice(options):
            return any(_is_wide(option) for option in options)
    return False


def _is_broad(expression: Expression) -> bool:
    """Return whether it has a character of a class that reaches beyond ASCII."""
    match expression:
        case Chars():
            return expression.num_chars > _BROAD
        case Concat(parts) | Choice(parts):
            return any(map(_is_broad, parts))
        case Repeat(of, _, _):
            return _is_broad(of)
    return False


@dataclass(frozen=True)
class _Size:
    """Of an expression: its places, those of a wide class, and those of them that are counted."""

    places: int
    wide: int = 0
    counted: int = 0


def _bounds(expression: Expression) -> Iterator[tuple[int, int | None]]:
    match expression:
        case Counted(_, least, most):
            yield least, most
        case Concat(parts) | Choice(parts):
            for part in parts:
                yield from _bounds(part)
        case Repeat(of, _, _):
            yield from _bounds(of)


def _size(expression: Expression, wide: frozenset[str], runs: set[Expression]) -> _Size:
    match expression:
        case Text(text):
            return _Size(len(text))
        case Chars():
            return _Size(1, int(_is_wide(expression)))
        case Ref(name):
            return _Size(1, int(name in wide))
        case Concat(parts) | Choice(parts):
            sizes = [_size(part, wide, runs) for part in parts]
            return _Size(
                1 + sum(size.places for size in sizes),
                sum(size.wide for size in sizes),
                sum(size.counted for size in sizes),
            )
        case Counted():
            return _size(expression.uncounted, wide, runs)
        case Repeat(of, least, most):
            times = max(least if most is None else most, 1)
            size = _size(of, wide, runs)
            if expression in runs:
                return _Size(size.places * times)
            runs.add(expression)
            num_wide = size.wide * times
            counted = num_wide * (_BROAD_WEIGHT if _is_broad(of) else 1)
            return _Size(size.places * times, num_wide, counted if times > 1 else size.counted)
    return _Size(1)
