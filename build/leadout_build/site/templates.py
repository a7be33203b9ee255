"""WGSL templates: Jinja2 that remembers which template line every line of code came from."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import jinja2
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream

from leadout_build.site.errors import BuildError

#: A mark in rendered text, between two private-use characters: "matvec.wgsl:12".
MARK = re.compile("\ue000([^\ue001]*)\ue001")


class _MarkLines(Extension):
    """Puts a mark at the start of every line, and of every piece of text inside one."""

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        for token in stream:
            if token.type != "data":
                yield token
                continue
            lines = str(token.value).split("\n")
            marked = (
                f"\ue000{stream.name}:{token.lineno + i}\ue001{line}"
                for i, line in enumerate(lines)
            )
            yield Token(token.lineno, token.type, "\n".join(marked))


@dataclass(frozen=True)
class Rendered:
    """A rendered template.

    Attributes:
        code: the text, without marks.
        origins: for every line of code the pieces it is made of: (first column, "file:line").
    """

    code: str
    origins: tuple[tuple[tuple[int, str], ...], ...]

    def origin(self, line: int, column: int = 1) -> str:
        """Return "file:line" of the template behind a place in the code (both 1-based)."""
        pieces = self.origins[min(max(line, 1), len(self.origins)) - 1]
        before = [origin for first_column, origin in pieces if first_column <= max(column, 1)]
        return before[-1]


class WgslTemplates:
    """Renders the templates of one folder, and what they include from shared/."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(folder, encoding="utf-8"),
            undefined=jinja2.StrictUndefined,
            extensions=[_MarkLines],
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )

    def render(self, kernel: str, values: Mapping[str, str | int]) -> Rendered:
        """Render <kernel>.wgsl.

        Raises:
            BuildError: an unknown include or variable, or a syntax error, by file and line.
        """
        try:
            marked = self._environment.get_template(f"{kernel}.wgsl").render(values)
        except jinja2.TemplateSyntaxError as error:
            where = f"{error.name}:{error.lineno}"
            raise BuildError(f"{where}: {error.message} (kernel {kernel})") from error
        except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError) as error:
            found = f"unknown include {error}" if _is_missing(error) else str(error)
            where = self._template_line(error, f"{kernel}.wgsl")
            raise BuildError(f"{where}: {found} (kernel {kernel}, {dict(values)})") from error
        return _unmark(marked, f"{kernel}.wgsl:1")

    def _template_line(self, error: Exception, default: str) -> str:
        """Return "file:line" of the innermost template on the error's stack."""
        for frame in reversed(traceback.extract_tb(error.__traceback__)):
            path = Path(frame.filename)
            if path.suffix == ".wgsl" and path.is_relative_to(self._folder):
                return f"{path.relative_to(self._folder).as_posix()}:{frame.lineno}"
        return default


def _is_missing(error: Exception) -> bool:
    return isinstance(error, jinja2.TemplateNotFound)


def _unmark(marked: str, default: str) -> Rendered:
    """Take the marks out; blank lines that control tags leave behind shrink to one."""
    lines: list[str] = []
    origins: list[tuple[tuple[int, str], ...]] = []
    for marked_line in marked.split("\n"):
        # split() gives text, origin, text, origin, … text
        first, *rest = MARK.split(marked_line)
        text = first
        pieces = [(1, default)]
        for origin, piece in zip(rest[::2], rest[1::2], strict=True):
            pieces.append((len(text) + 1, origin))
            text += piece
        if not text.strip() and (not lines or not lines[-1]):
            continue
        default = pieces[-1][1]
        lines.append(text.rstrip())
        origins.append(tuple(pieces))
    while lines and not lines[-1]:
        lines.pop()
        origins.pop()
    return Rendered("\n".join(lines) + "\n", tuple(origins) or (((1, default),),))
