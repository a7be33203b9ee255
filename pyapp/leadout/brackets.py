"""How deep a JSON text is nested, seen before the standard library's scanner meets it.

That one calls itself for every level, and Pyodide's stack, which is the browser's, ends long
before Python's own limit is reached. The interpreter dies of it.
"""

from __future__ import annotations

_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def is_nested_deeper(text: bytes, limit: int) -> bool:
    """Say whether a text is nested deeper than a limit, or its brackets do not match.

    Takes linear time. Strings are cut out first. A text in which that goes wrong is not JSON, and
    the scanner stops where it goes wrong, so that it sees no level that was not counted.
    """
    unescaped = text.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in text else text
    brackets = b"".join(unescaped.split(b'"')[::2]).translate(None, delete=_NO_BRACKETS)
    for _ in range(limit):
        if not brackets:
            return False
        # The innermost level of everything.
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    return bool(brackets)
