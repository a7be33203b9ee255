"""What others wrote, on a terminal: a name, a licence or a model must not move the cursor."""

from __future__ import annotations

import sys
from typing import TextIO


def printable(text: str) -> str:
    """Return a text in which what controls a terminal is spelled out; newlines stay."""
    return "".join(
        char if char.isprintable() or char == "\n" else repr(char)[1:-1] for char in text
    )


def say_error(message: str) -> None:
    """Print an error in one line on stderr."""
    print(f"leadout: error: {printable(' '.join(message.split()))}", file=sys.stderr)


#: Control characters but for newline and tab, and how they are spelled out.
_CONTROLS = {code: repr(chr(code))[1:-1] for code in (*range(32), *range(127, 160))}
del _CONTROLS[ord("\n")], _CONTROLS[ord("\t")]


def shown_text(text: str, stream: TextIO) -> str:
    """Return what a model wrote as it goes to a stream: as it is, but for a terminal's controls."""
    return text.translate(_CONTROLS) if stream.isatty() else text
