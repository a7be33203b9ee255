"""The arguments of a call, from Gemma 4's notation to JSON while they stream.

What comes out is, joined, always one JSON object: what a model leaves open is closed, what does not
belong is left out. A model that writes JSON instead is understood as well.

States: in an object, before a key, after a key, before a value; in an array, before a value; behind
a value; in a string of either kind; in a word (a key without quotes, a number, true …).
"""

from __future__ import annotations

import json
import re
from typing import Final

from leadout.grammar.notation import QUOTE

_NUMBER: Final = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_WORDS: Final = {"true": "true", "false": "false", "null": "null", "none": "null"}
_DELIMITERS: Final = frozenset("{}[],:")

MAX_DEPTH: Final = 64


class ArgumentsReader:
    """Takes text that begins with the "{" of the arguments.

    Attributes:
        is_mended: whether something was added or left out to make it JSON.
    """

    def __init__(self) -> None:
        self.is_mended = False
        self._open: list[str] = []  # "{" and "["
        self._wants = "value"  # "key", "colon", "value" or "comma"
        self._string: str | None = None  # what ends the string that is open
        self._word: str | None = None
        self._held = ""  # what may be the beginning of a mark or an escape
        self._is_empty = True  # nothing in the innermost object or array yet
        self._is_done = False

    def push(self, text: str) -> str:
        """Take more text; return more of the JSON."""
        out: list[str] = []
        text = self._held + text
        self._held = ""
        at = 0
        while at < len(text):
            if QUOTE.startswith(text[at:]) and len(text) - at < len(QUOTE):
                self._held = text[at:]  # perhaps a mark
                break
            if text.startswith(QUOTE, at):
                self._quote(QUOTE, out)
                at += len(QUOTE)
                continue
            char = text[at]
            if self._string == '"' and char == "\\":
                size = 6 if text.startswith("\\u", at) else 2
                if len(text) - at < size:
                    self._held = text[at:]
                    break
                out.append(self._escape(text[at : at + size]))
                at += size
                continue
            self._char(char, out)
            at += 1
        return "".join(out)

    def close(self) -> str:
        """Return the rest of the JSON, when no more text will come."""
        out: list[str] = []
        held, self._held = self._held, ""
        for char in held if self._string != '"' or not held.startswith("\\") else "":
            self._char(char, out)
        if self._is_done:
            return "".join(out)
        self.is_mended = True
        if not self._open and not out:
            return "{}"
        if self._string is not None:
            self._quote(self._string, out)
        self._end_word(out)
        while self._open:
            if self._wants == "colon":
                out.append(":null")
            elif self._wants == "value" and not (self._open[-1] == "[" and self._is_empty):
                out.append("null")
            elif self._wants == "key" and not self._is_empty:
                out.append('"":null')
            self._close(out)
        return "".join(out)

    # ---- one character -------------------------------------------------------------------------

    def _char(self, char: str, out: list[str]) -> None:
        if self._is_done:
            self.is_mended |= not char.isspace()
        elif self._string is not None:
            if char == self._string:
                self._quote(char, out)
            else:
                out.append(json.dumps(char, ensure_ascii=False)[1:-1])
        elif char == '"' and self._word is None:
            self._quote(char, out)
        elif char in _DELIMITERS:
            self._end_word(out)
            self._delimiter(char, out)
        elif self._word is not None:
            self._word += char
        elif not char.isspace():
            if self._wants in ("key", "value") and self._open:
                self._word = char
            else:
                self.is_mended = True

    def _delimiter(self, char: str, out: list[str]) -> None:
        inner = self._open[-1] if self._open else ""
        if char in "{[" and self._wants == "value" and len(self._open) < MAX_DEPTH:
            if char == "[" and not self._open:
                self.is_mended = True
                return
            self._open.append(char)
            out.append(char)
            self._is_empty = True
            self._wants = "key" if char == "{" else "value"
        elif char == ":" and self._wants == "colon":
            out.append(":")
            self._wants = "value"
        elif char == "," and self._wants == "comma":
            out.append(",")
            self._wants = "key" if inner == "{" else "value"
        elif char == {"{": "}", "[": "]"}.get(inner):
            if self._wants == "colon":
                out.append(":null")
                self.is_mended = True
            elif self._wants != "comma" and not self._is_empty:
                # A comma, or a colon, that nothing followed.
                out.append("null" if self._wants == "value" else '"":null')
                self.is_mended = True
            self._close(out)
        else:
            self.is_mended = True

    def _close(self, out: list[str]) -> None:
        out.append("}" if self._open.pop() == "{" else "]")
        self._is_empty = False
        self._wants = "comma"
        self._is_done = not self._open

    # ---- strings and words ---------------------------------------------------------------------

    def _quote(self, quote: str, out: list[str]) -> None:
        if self._string == quote:
            self._string = None
            out.append('"')
            self._after_scalar()
        elif self._string is not None:
            out.append(json.dumps(quote)[1:-1])
        elif self._word is None and self._wants in ("key", "value") and self._open:
            self._string = quote
            out.append('"')
        else:
            self.is_mended = True

    def _escape(self, escape: str) -> str:
        try:
            char = json.loads(f'"{escape}"')
        except ValueError:
            self.is_mended = True
            return json.dumps(escape, ensure_ascii=False)[1:-1]
        return escape if isinstance(char, str) else ""

    def _end_word(self, out: list[str]) -> None:
        if self._word is None:
            return
        word, self._word = self._word.strip(), None
        if self._wants == "value" and word.lower() in _WORDS:
            out.append(_WORDS[word.lower()])
        elif self._wants == "value" and _NUMBER.fullmatch(word):
            out.append(word)
        else:
            self.is_mended |= self._wants == "value"
            out.append(json.dumps(word, ensure_ascii=False))
        self._after_scalar()

    def _after_scalar(self) -> None:
        self._is_empty = False
        self._wants = "colon" if self._wants == "key" else "comma"
