"""Rules in the EBNF that the library reads, so that it reads them right and fast.

1. Classes are printed by the bytes of their characters' UTF-8. The library reads a class beyond
   ASCII as one of bytes, not of characters, and does not say so.
2. Runs of characters become rules that go on in themselves, with what ends the run inside of them:
   c ::= "." | [a-z] c. The library decides about a token within one rule; what reaches over a
   rule's end it looks up anew at every position, which takes ten times as long.
3. Equal runs share their rule, so that its tables are made once.
4. Strings of bounded length have a mark behind their opening quote, one for each different bound,
   and are free as far as the library knows. The bounds stand in the first line, for web/grammar.js:
   # bounds 0-200 3-
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from leadout.grammar.expressions import (
    FIRST_BOUND,
    FIRST_MARK,
    ROOT,
    Chars,
    Choice,
    Concat,
    Counted,
    Expression,
    Mark,
    Range,
    Ref,
    Repeat,
    Rules,
    Text,
)
from leadout.grammar.utf8 import ByteRange, utf8_sequences

#: Counted runs up to this long are written out as rules.
_MAX_CHAIN: Final = 128


def to_ebnf(rules: Rules, marks: Sequence[str] = ()) -> str:
    """Return rules in the library's EBNF.

    Args:
        rules: with `ROOT`; checked.
        marks: the tokens that `Mark` may name, in the order that the vocabulary was made with.
    """
    printer = _Printer(marks)
    for name, rule in rules.items():
        printer.lines.append(f"{_rule_name(name)} ::= {printer.printed(rule)}")
    bounds = [f" {least}-{'' if most is None else most}" for least, most in printer.bounds]
    lines = [f"# bounds{''.join(bounds)}", *printer.lines] if bounds else printer.lines
    return "\n".join(lines) + "\n"


def _rule_name(name: str) -> str:
    # What users call their rules may be what the library calls its own.
    return name if name == ROOT else f"r_{name.replace('-', '_2d_')}"


class _Printer:
    def __init__(self, marks: Sequence[str]) -> None:
        self.lines: list[str] = []
        self.bounds: list[tuple[int, int | None]] = []
        self._marks = marks
        self._runs: dict[tuple[tuple[str, ...], str, int, int | None], str] = {}

    def printed(self, expression: Expression) -> str:
        """Return an expression; the rules that it needs are added to the lines."""
        match expression:
            case Text(text):
                return f'"{"".join(map(_escaped, map(ord, text)))}"'
            case Mark(token):
                return f'"{_escaped(FIRST_MARK + self._marks.index(token))}"'
            case Chars(ranges):
                return f"({' | '.join(map(_printed_bytes, _alternatives(ranges)))})"
            case Ref(name):
                return _rule_name(name)
            case Concat(parts):
                return self._concat(parts)
            case Choice(options):
                return f"({' | '.join(map(self.printed, options))})"
            case Repeat() | Counted():
                return self._concat((expression,))

    def _concat(self, parts: Sequence[Expression]) -> str:
        printed: list[str] = []
        at = 0
        while at < len(parts):
            part = parts[at]
            at += 1
            if isinstance(part, Counted):
                printed.append(self._bound(part.least, part.most))
                part = part.uncounted
            if not isinstance(part, Repeat):
                printed.append(self.printed(part))
                continue
            items = self._items(part.of)
            if items is None or max(part.least, part.most or 0) > _MAX_CHAIN:
                printed.append(self._repeat(part))
                continue
            end = ""
            if at < len(parts) and isinstance(parts[at], Text | Chars | Mark):
                end = self.printed(parts[at])
                at += 1
            printed.append(self._run(items, end, part.least, part.most))
        return f"({' '.join(printed)})"

    def _bound(self, least: int, most: int | None) -> str:
        if (least, most) not in self.bounds:
            self.bounds.append((least, most))
        return f'"{_escaped(FIRST_BOUND + self.bounds.index((least, most)))}"'

    def _repeat(self, repeat: Repeat) -> str:
        inner = f"({self.printed(repeat.of)})"
        if repeat.most is None and repeat.least == 0:
            return f"{inner}*"
        return f"{inner}{{{repeat.least},{'' if repeat.most is None else repeat.most}}}"

    def _items(self, expression: Expression) -> tuple[str, ...] | None:
        """Return the ways to write one item of a run; None where it is more than characters."""
        match expression:
            case Text(text):
                return (self.printed(expression),) if text else None
            case Mark():
                return (self.printed(expression),)
            case Chars(ranges):
                return tuple(map(_printed_bytes, _alternatives(ranges)))
            case Concat(parts):
                if all(isinstance(part, Text | Chars) for part in parts):
                    return (" ".join(map(self.printed, parts)),)
            case Choice(options):
                found = [self._items(option) for option in options]
                if all(items is not None for items in found):
                    return tuple(item for items in found for item in items or ())
        return None

    def _run(self, items: tuple[str, ...], end: str, least: int, most: int | None) -> str:
        """Return the rule of a run of items and what ends it."""
        key = (items, end, least, most)
        if key not in self._runs:
            self._runs[key] = name = f"run_{len(self._runs)}"
            following = name
            if least or most is not None:
                left = None if most is None else most - 1
                following = self._run(items, end, max(0, least - 1), left) if left != -1 else ""
            options = [f"{item} {following}" for item in items] if most != 0 else []
            if least == 0:
                options.insert(0, end or '""')
            self.lines.append(f"{name} ::= {' | '.join(options)}")
        return self._runs[key]


def _escaped(code_point: int) -> str:
    if chr(code_point).isascii() and chr(code_point).isalnum():
        return chr(code_point)
    return f"\\u{code_point:04x}" if code_point <= 0xFFFF else f"\\U{code_point:08x}"


def _alternatives(ranges: Iterable[Range]) -> list[tuple[tuple[ByteRange, ...], ...]]:
    """Return sequences of sets of byte ranges: of one byte all in one, then the longer ones."""
    sequences = list(utf8_sequences(ranges))
    ascii_ranges = tuple(sequence[0] for sequence in sequences if len(sequence) == 1)
    longer: list[tuple[tuple[ByteRange, ...], ...]] = [
        tuple((part,) for part in sequence) for sequence in sequences if len(sequence) > 1
    ]
    return [(ascii_ranges,), *longer] if ascii_ranges else longer


def _printed_bytes(sequence: Iterable[Iterable[ByteRange]]) -> str:
    """Return classes of bytes in a row.

    The library would turn a class of one byte into a character after all, so that such a class also
    has byte 0xFF, which no token has (web/grammar.js).
    """
    return " ".join(
        f"[{''.join(map(_printed_range, ranges))}]" for ranges in map(_never_single, sequence)
    )


def _never_single(ranges: Iterable[ByteRange]) -> list[ByteRange]:
    found = list(ranges)
    is_single = len(found) == 1 and found[0][0] == found[0][1] >= 0x80
    return [*found, (0xFF, 0xFF)] if is_single else found


def _printed_range(byte_range: ByteRange) -> str:
    first, last = byte_range
    return _escaped(first) if first == last else f"{_escaped(first)}-{_escaped(last)}"
