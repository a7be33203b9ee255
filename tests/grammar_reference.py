"""Which bytes may come next by a grammar's rules: slow, plain, and not the library's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from leadout.grammar.expressions import (
    FIRST_MARK,
    ROOT,
    Chars,
    Choice,
    Concat,
    Counted,
    Expression,
    Mark,
    Ref,
    Repeat,
    Rules,
    Text,
)
from leadout.grammar.utf8 import utf8_sequences


@dataclass(frozen=True)
class _InString(Counted):
    """Behind the border, or between two items."""


@dataclass(frozen=True)
class Border:
    """Where a string of bounded length begins, and no token goes on."""

    least: int
    most: int | None


#: What is still to come: expressions and ranges of bytes, the next one first.
Stack = tuple[Expression | Border | tuple[int, int], ...]


class Reference:
    """A place in a grammar, as all the ways in which it may go on.

    Args:
        rules: the grammar.
        marks: the tokens that it names.
        has_borders: whether text comes token by token: none goes over the beginning of a string of
            bounded length, and where there are several bounds, the widest one is the one.
    """

    def __init__(
        self, rules: Rules, marks: tuple[str, ...] = (), has_borders: bool = False
    ) -> None:
        self._rules = rules
        self._marks = marks
        self._has_borders = has_borders
        self.ways = self._opened([(Ref(ROOT),)])

    @property
    def may_end(self) -> bool:
        return () in self.ways

    def advance(self, text: bytes) -> bool:
        """Take bytes; return whether they were allowed."""
        ways = self.after(self.ways, text)
        if ways:
            self.ways = self._over_border(ways)
        return bool(ways)

    def after(self, ways: frozenset[Stack], text: bytes) -> frozenset[Stack]:
        for byte in text:
            ways = self._opened(way[1:] for way in ways if way and self._has(way[0], byte))
        return ways

    def _over_border(self, ways: frozenset[Stack]) -> frozenset[Stack]:
        """Return the ways into a string of bounded length where there are some, else all."""
        borders = [way[0] for way in ways if way and isinstance(way[0], Border)]
        if not borders:
            return ways
        widest = max(borders, key=lambda one: (one.most is None, one.most or 0, -one.least))
        return self._opened(way[1:] for way in ways if way and way[0] == widest)

    @staticmethod
    def _has(item: Expression | Border | tuple[int, int], byte: int) -> bool:
        return isinstance(item, tuple) and item[0] <= byte <= item[1]

    def _opened(self, stacks: Iterable[Stack]) -> frozenset[Stack]:
        """Open expressions until each way begins with a range of bytes, or is at its end."""
        seen: set[Stack] = set()
        ahead = list(stacks)
        while ahead:
            stack = ahead.pop()
            if stack not in seen:
                seen.add(stack)
                if stack and not isinstance(stack[0], tuple | Border):
                    ahead += [(*way, *stack[1:]) for way in self._ways(stack[0])]
        return frozenset(way for way in seen if not way or isinstance(way[0], tuple | Border))

    def _ways(self, expression: Expression) -> list[Stack]:
        match expression:
            case Text(text):
                return [tuple((byte, byte) for byte in text.encode())]
            case Mark(token):
                char = chr(FIRST_MARK + self._marks.index(token))
                return [tuple((byte, byte) for byte in char.encode())]
            case Chars(ranges):
                return list(utf8_sequences(ranges))
            case Concat(parts):
                return [parts]
            case Choice(options):
                return [(option,) for option in options]
            case Ref(name):
                return [(self._rules[name],)]
            case _InString(items, least, most):
                ways = [
                    (item, _InString(items, max(0, least - num), most and most - num))
                    for item, num in items
                    if most is None or num <= most
                ]
                return [*ways, *([()] if least == 0 else [])]
            case Counted(items, least, most):
                inside = _InString(items, least, most)
                return [(Border(least, most), inside)] if self._has_borders else [(inside,)]
            case Repeat(of, least, most):
                left = None if most is None else most - 1
                more: Stack = (of, Repeat(of, max(0, least - 1), left))
                return [*([more] if most != 0 else []), *([()] if least == 0 else [])]
