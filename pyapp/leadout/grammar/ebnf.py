r"""EBNF as users write it, read into rules.

    root ::= "yes" | "no" | number         # to the end of the line: a comment
    number ::= [1-9] [0-9]{0,3} ("." [0-9]+)?

Rules begin with `name ::=`; the answer is `root`. Literals stand in double quotes, classes in
brackets, both with the escapes \n \r \t \\ \" \] \- \xHH \uHHHH \UHHHHHHHH. `.` is any
character but a line's end. Behind an item stand `*`, `+`, `?`, `{n}`, `{n,}` or `{n,m}`. This is
the common part of what llama.cpp (GBNF) and xgrammar read.
"""

from __future__ import annotations

import re
from typing import Final

from leadout.errors import RequestError
from leadout.grammar.expressions import (
    ANY_RANGES,
    MAX_CODE_POINT,
    ROOT,
    Chars,
    Expression,
    Range,
    Ref,
    Repeat,
    Text,
    checked,
    choice,
    concat,
    joined,
    optional,
    without,
)

MAX_GRAMMAR_CHARS: Final = 1 << 16
MAX_RULES: Final = 2000
MAX_DEPTH: Final = 64
_MAX_REPEAT: Final = 10_000

_TOKEN: Final = re.compile(
    r"(?P<skip>\s+|\#[^\n]*)"
    r"|(?P<rule>[A-Za-z_][\w-]*)\s*::="
    r"|(?P<name>[A-Za-z_][\w-]*)"
    r'|"(?P<text>(?:[^"\\\n]|\\.)*)"'
    r"|\[(?P<set>(?:[^\]\\\n]|\\.)*)\]"
    r"|\{(?P<least>\d{1,6})(?P<comma>,(?P<most>\d{1,6})?)?\}"
    r"|(?P<sign>[().|*+?])",
    re.ASCII,
)
_ESCAPE: Final = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))|([^\\])", re.DOTALL
)
_NAMED: Final = {"n": "\n", "r": "\r", "t": "\t"}
_TO_ITSELF: Final = frozenset("\\\"'[]-^/")


def ebnf_rules(source: str) -> dict[str, Expression]:
    """Return the rules of a grammar, checked.

    Args:
        source: EBNF, see above.

    Raises:
        RequestError: it is no EBNF (says the line), too large, or see `expressions.checked`.
    """
    if len(source) > MAX_GRAMMAR_CHARS:
        raise RequestError(
            f"grammar has {len(source):,} characters, at most {MAX_GRAMMAR_CHARS:,} are allowed; "
            "shorten it",
            found=len(source),
            limit=MAX_GRAMMAR_CHARS,
        )
    rules = _Reader(source).rules()
    if ROOT not in rules:
        raise RequestError("grammar has no rule root; call the rule of the whole answer root")
    return checked(rules, "grammar")


class _Reader:
    """Reads one grammar from its beginning to its end."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0
        self._token: re.Match[str] | None = None
        self._advance()

    def rules(self) -> dict[str, Expression]:
        """Return all rules by name."""
        rules: dict[str, Expression] = {}
        while self._token is not None:
            name = self._token["rule"]
            if name is None:
                raise self._problem("wanted the beginning of a rule, name ::=")
            if name in rules:
                raise self._problem(f"rule {name} is there twice")
            if len(rules) == MAX_RULES:
                raise self._problem(f"more than {MAX_RULES:,} rules")
            self._advance()
            rules[name] = self._options(0)
        return rules

    def _options(self, depth: int) -> Expression:
        if depth > MAX_DEPTH:
            raise self._problem(f"nested deeper than {MAX_DEPTH} levels")
        options = [self._sequence(depth)]
        while self._is_sign("|"):
            self._advance()
            options.append(self._sequence(depth))
        return choice(*options)

    def _sequence(self, depth: int) -> Expression:
        parts: list[Expression] = []
        while self._token is not None and self._token["rule"] is None:
            if self._token["sign"] in ("|", ")"):
                break
            parts.append(self._repeated(self._item(depth)))
        if not parts:
            raise self._problem('wanted an item; write "" for nothing')
        return concat(*parts)

    def _item(self, depth: int) -> Expression:
        token = self._token
        assert token is not None
        item: Expression
        if token["name"] is not None:
            item = Ref(token["name"])
        elif token["text"] is not None:
            item = Text("".join(char for char, _ in self._chars(token["text"])))
        elif token["set"] is not None:
            item = Chars(self._class(token["set"]))
        elif token["sign"] == ".":
            item = Chars(without(ANY_RANGES, [(0x0A, 0x0A), (0x0D, 0x0D)]))
        elif token["sign"] == "(":
            self._advance()
            item = self._options(depth + 1)
            if not self._is_sign(")"):
                raise self._problem('wanted ")"')
        else:
            raise self._problem(f"{token.group().strip()!r} has nothing before it")
        self._advance()
        return item

    def _repeated(self, item: Expression) -> Expression:
        while (token := self._token) is not None:
            if token["least"] is not None:
                least = int(token["least"])
                most: int | None = least
                if token["comma"] is not None:
                    most = None if token["most"] is None else int(token["most"])
                if least > _MAX_REPEAT or (most is not None and not least <= most <= _MAX_REPEAT):
                    raise self._problem(
                        f"wanted {{n,m}} with n at most m, both at most {_MAX_REPEAT:,}"
                    )
                item = Repeat(item, least, most)
            elif token["sign"] == "*":
                item = Repeat(item, 0, None)
            elif token["sign"] == "+":
                item = Repeat(item, 1, None)
            elif token["sign"] == "?":
                item = optional(item)
            else:
                break
            self._advance()
        return item

    def _class(self, source: str) -> tuple[Range, ...]:
        is_negated = source.startswith("^")
        chars = self._chars(source[is_negated:])
        ranges: list[Range] = []
        at = 0
        while at < len(chars):
            first = last = ord(chars[at][0])
            if at + 2 < len(chars) and chars[at + 1] == ("-", False):
                last = ord(chars[at + 2][0])
                at += 2
            if last < first:
                raise self._problem(f"[{source[:40]}] has a range from a later to an earlier one")
            ranges.append((first, last))
            at += 1
        return without(ANY_RANGES, ranges) if is_negated else joined(ranges)

    def _chars(self, source: str) -> list[tuple[str, bool]]:
        """Return the characters, and of each whether it was escaped."""
        found: list[tuple[str, bool]] = []
        for match in _ESCAPE.finditer(source):
            x, u, big, other, plain = match.groups()
            if plain is not None:
                found.append((plain, False))
            elif other is None:
                code_point = int(x or u or big, 16)
                if code_point > MAX_CODE_POINT or 0xD800 <= code_point <= 0xDFFF:
                    raise self._problem(f"{match.group()} is no character")
                found.append((chr(code_point), True))
            elif other in _NAMED:
                found.append((_NAMED[other], True))
            elif other in _TO_ITSELF:
                found.append((other, True))
            else:
                raise self._problem(f"the escape {match.group()} is not known")
        return found

    def _is_sign(self, sign: str) -> bool:
        return self._token is not None and self._token["sign"] == sign

    def _advance(self) -> None:
        self._token = None
        while self._at < len(self._source):
            match = _TOKEN.match(self._source, self._at)
            if match is None:
                raise self._problem(f"{self._source[self._at : self._at + 20]!r} is no EBNF")
            self._at = match.end()
            if match["skip"] is None:
                self._token = match
                return

    def _problem(self, problem: str) -> RequestError:
        at = self._at if self._token is None else self._token.start()
        line = self._source.count("\n", 0, at) + 1
        return RequestError(f"grammar, line {line}: {problem}", line=line)
