"""How values are written: as JSON, or as Gemma 4 writes a tool's arguments.

    JSON            {"city": "Bern", "days": [1, 2], "exact": true}
    Gemma's calls   {city:<|"|>Bern<|"|>,days:[1,2],exact:true}

Separators are fixed: a choice of whitespace would be a choice that no text forces, and small models
lose themselves in it. Gemma's strings are raw: between two tokens <|"|> stands any text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Final, Protocol

from leadout.errors import RequestError
from leadout.grammar.expressions import (
    ANY_RANGES,
    Chars,
    Expression,
    Mark,
    Range,
    Repeat,
    Text,
    choice,
    concat,
    without,
)

QUOTE: Final = '<|"|>'

#: Characters that JSON has short escapes for, and these.
_SHORT: Final = {0x08: "b", 0x09: "t", 0x0A: "n", 0x0C: "f", 0x0D: "r", 0x22: '"', 0x5C: "\\"}

_NOT_RAW: Final = ((0, 0x1F), (0x22, 0x22), (0x5C, 0x5C))

_CALL_KEY: Final = re.compile(r"[A-Za-z_$][\w$.-]*", re.ASCII)


class Notation(Protocol):
    """How the parts of a value are written.

    Attributes:
        comma, colon: what stands between items, and behind a key.
    """

    comma: str
    colon: str

    def char(self, ranges: tuple[Range, ...]) -> Expression:
        """Return one character out of ranges, as it is written in a string."""

    def items(self) -> tuple[tuple[Expression, int], ...]:
        """Return what any text is made of, each with the number of characters it stands for.

        Keep in step with `Lengths` in web/grammar.js, which counts them in tokens.
        """

    def quoted(self, content: Expression) -> Expression:
        """Return a string with this content."""

    def free_text(self) -> Expression:
        """Return the content of any string, without end."""

    def key(self, name: str, path: str) -> Expression:
        """Return a key.

        Raises:
            RequestError: the notation cannot write it.
        """

    def other_key(self, names: Sequence[str]) -> Expression:
        """Return any key that begins unlike all of some names, so that it is none of them."""

    def literal(self, value: object, path: str) -> Expression:
        """Return exactly this value."""


class JsonNotation:
    """JSON, as Python's json.dumps separates it."""

    comma = ", "
    colon = ": "

    def char(self, ranges: tuple[Range, ...]) -> Expression:
        """Return characters raw, and escaped where JSON has a short escape."""
        raw = without(ranges, _NOT_RAW)
        escapes = sorted(
            (ord(escape), ord(escape))
            for code_point, escape in _SHORT.items()
            if any(first <= code_point <= last for first, last in ranges)
        )
        options: list[Expression] = [Chars(raw)] if raw else []
        if escapes:
            options.append(concat(Text("\\"), Chars(tuple(escapes))))
        return choice(*options)

    def quoted(self, content: Expression) -> Expression:
        """Return the content between double quotes."""
        return concat(Text('"'), content, Text('"'))

    def items(self) -> tuple[tuple[Expression, int], ...]:
        """Return characters, raw and escaped."""
        return ((self.char(ANY_RANGES), 1),)

    def free_text(self) -> Expression:
        """Return characters without end."""
        return Repeat(self.char(ANY_RANGES), 0, None)

    def key(self, name: str, path: str) -> Expression:  # noqa: ARG002
        """Return the key as a string."""
        return Text(json.dumps(name, ensure_ascii=False))

    def other_key(self, names: Sequence[str]) -> Expression:
        """Return any string that begins unlike all of the names."""
        firsts = [(ord(name[0]), ord(name[0])) for name in names if name]
        if not names:
            return self.quoted(self.free_text())
        return self.quoted(concat(self.char(without(ANY_RANGES, firsts)), self.free_text()))

    def literal(self, value: object, path: str) -> Expression:  # noqa: ARG002
        """Return the value in JSON."""
        return Text(json.dumps(value, ensure_ascii=False))


class CallNotation:
    """Gemma 4's own, as its chat template writes the arguments of a call."""

    comma = ","
    colon = ":"

    def char(self, ranges: tuple[Range, ...]) -> Expression:
        """Return characters raw. "<" is left out: it could spell a mark."""
        raw = without(ranges, [(ord("<"), ord("<"))])
        return Chars(raw)

    def quoted(self, content: Expression) -> Expression:
        """Return the content between two marks."""
        return concat(Mark(QUOTE), content, Mark(QUOTE))

    def items(self) -> tuple[tuple[Expression, int], ...]:
        """Return characters; "<" where no "|" follows, which would spell a mark."""
        less = ord("<")
        other = Chars(without(ANY_RANGES, [(less, less), (ord("|"), ord("|"))]))
        plain = Chars(without(ANY_RANGES, [(less, less)]))
        return (plain, 1), (concat(Text("<"), other), 2)

    def free_text(self) -> Expression:
        """Return characters without end; "<" where no "|" follows."""
        return Repeat(choice(*(item for item, _ in self.items())), 0, None)

    def key(self, name: str, path: str) -> Expression:
        """Return the key without quotes."""
        if not _CALL_KEY.fullmatch(name):
            raise RequestError(
                f"{path}: {name[:80]!r} cannot be the name of a tool's argument; begin with a "
                "letter and go on with letters, digits, _, -, . and $",
                name=name[:80],
            )
        return Text(name)

    def other_key(self, names: Sequence[str]) -> Expression:
        """Return any word that begins unlike all of the names."""
        firsts = [(ord(name[0]), ord(name[0])) for name in names if name]
        letters = without(((0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)), firsts)
        word: tuple[Range, ...] = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
        return concat(Chars(letters), Repeat(Chars(word), 0, None))

    def literal(self, value: object, path: str) -> Expression:
        """Return the value in Gemma's notation."""
        if isinstance(value, str):
            if "<|" in value:
                raise RequestError(f"{path}: {value[:80]!r} has <|, which begins a mark")
            return self.quoted(Text(value))
        if isinstance(value, dict):
            parts: list[Expression] = [Text("{")]
            for number, (name, item) in enumerate(value.items()):
                parts += [Text(self.comma)] if number else []
                parts += [self.key(name, path), Text(self.colon), self.literal(item, path)]
            return concat(*parts, Text("}"))
        if isinstance(value, list):
            parts = [Text("[")]
            for number, item in enumerate(value):
                parts += [Text(self.comma)] if number else []
                parts.append(self.literal(item, path))
            return concat(*parts, Text("]"))
        return Text(json.dumps(value))
