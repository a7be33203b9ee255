"""Prints foreign text on a terminal: a name, a licence or an answer must not move the cursor."""

from __future__ import annotations

import sys
from typing import TextIO


def printable(text: str) -> str:
    """Return a text in which control characters are written as escapes; newlines stay."""
    return "".join(
        char if char.isprintable() or char == "\n" else repr(char)[1:-1] for char in text
    )


def say_error(message: str) -> None:
    """Print an error in one line on stderr."""
    print(f"leadout: error: {printable(' '.join(message.split()))}", file=sys.stderr)


#: Control characters except newline and tab, with their escapes.
_CONTROLS = {code: repr(chr(code))[1:-1] for code in (*range(32), *range(127, 160))}
del _CONTROLS[ord("\n")], _CONTROLS[ord("\t")]


def shown_text(text: str, stream: TextIO) -> str:
    """Return a model's text for a stream: unchanged, but with controls escaped on a terminal."""
    return text.translate(_CONTROLS) if stream.isatty() else text
