"""WGSL templates in Jinja2, with the template's file and line for every line of code."""

from __future__ import annotations

import functools
import itertools
import re
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import jinja2
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream

from leadout_build.site.errors import BuildError

#: A mark in rendered text: "matvec.wgsl:12" between two private-use characters.
MARK = re.compile("\ue000([^\ue001]*)\ue001")


def mark_lines(text: str, name: str, first: int = 1) -> str:
    """Put a mark at the start of every line; the first line has number `first` in file `name`."""
    lines = enumerate(text.split("\n"), first)
    return "\n".join(f"\ue000{name}:{number}\ue001{line}" for number, line in lines)


class _MarkLines(Extension):
    """Puts a mark at the start of every line, and of every piece of text inside one."""

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        for token in stream:
            if token.type != "data":
                yield token
                continue
            text = mark_lines(str(token.value), str(stream.name), token.lineno)
            yield Token(token.lineno, token.type, text)


@dataclass(frozen=True)
class Rendered:
    """A rendered template.

    Attributes:
        marked: the text with its marks. They are only parsed to find the origin of a wrong line.
        first: the template and line of the text before the first mark.
    """

    marked: str
    first: str

    @functools.cached_property
    def code(self) -> str:
        """The text without marks; consecutive blank lines, left by control tags, become one."""
        lines = [line.rstrip() for line in MARK.sub("", self.marked).split("\n")]
        kept = [line for before, line in itertools.pairwise(["", *lines]) if line or before]
        return "\n".join(kept).rstrip("\n") + "\n"

    @functools.cached_property
    def origins(self) -> list[list[tuple[int, str]]]:
        """The origins of every line of code: (first column, "file:line") of each of its pieces."""
        origins: list[list[tuple[int, str]]] = []
        last, is_blank = self.first, True
        for line in self.marked.split("\n"):
            # split() returns text, origin, text, origin, … text
            text, *rest = MARK.split(line)
            pieces = [(1, last)]
            for origin, piece in zip(rest[::2], rest[1::2], strict=True):
                pieces.append((len(text) + 1, origin))
                text += piece
            was_blank, is_blank = is_blank, not text.strip()
            if is_blank and was_blank:
                continue
            last = pieces[-1][1]
            origins.append(pieces)
        return origins or [[(1, self.first)]]

    def origin(self, line: int, column: int = 1) -> str:
        """Return the template's "file:line" for a position in the code (both 1-based)."""
        pieces = self.origins[min(max(line, 1), self.code.count("\n")) - 1]
        before = [origin for first_column, origin in pieces if first_column <= max(column, 1)]
        return before[-1]


class WgslTemplates:
    """Renders the templates of one folder, with their includes from shared/."""

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

    def render(self, kernel: str, values: Mapping[str, object]) -> Rendered:
        """Render <kernel>.wgsl.

        Raises:
            BuildError: an unknown include or variable, or a syntax error, with file and line.
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
        return Rendered(marked, f"{kernel}.wgsl:1")

    def _template_line(self, error: Exception, default: str) -> str:
        """Return "file:line" of the innermost template on the error's stack."""
        for frame in reversed(traceback.extract_tb(error.__traceback__)):
            path = Path(frame.filename)
            if path.suffix == ".wgsl" and path.is_relative_to(self._folder):
                return f"{path.relative_to(self._folder).as_posix()}:{frame.lineno}"
        return default


def _is_missing(error: Exception) -> bool:
    return isinstance(error, jinja2.TemplateNotFound)
