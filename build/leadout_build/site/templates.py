"""WGSL templates: Jinja2 that remembers which template line every line of code came from."""

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

#: A mark in rendered text, between two private-use characters: "matvec.wgsl:12".
MARK = re.compile("\ue000([^\ue001]*)\ue001")


def mark_lines(text: str, name: str, first: int = 1) -> str:
    """Put a mark at the start of every line, the first of which is that number of file `name`."""
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
        marked: the text with its marks. They are read when somebody asks where a line comes from,
            which is where one is wrong.
        first: the template and line of what stands before the first mark.
    """

    marked: str
    first: str

    @functools.cached_property
    def code(self) -> str:
        """The text, without marks; blank lines that control tags leave behind shrink to one."""
        lines = [line.rstrip() for line in MARK.sub("", self.marked).split("\n")]
        kept = [line for before, line in itertools.pairwise(["", *lines]) if line or before]
        return "\n".join(kept).rstrip("\n") + "\n"

    @functools.cached_property
    def origins(self) -> list[list[tuple[int, str]]]:
        """For every line of code the pieces it is made of: (first column, "file:line")."""
        origins: list[list[tuple[int, str]]] = []
        last, is_blank = self.first, True
        for line in self.marked.split("\n"):
            # split() gives text, origin, text, origin, … text
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
        """Return "file:line" of the template behind a place in the code (both 1-based)."""
        pieces = self.origins[min(max(line, 1), self.code.count("\n")) - 1]
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
