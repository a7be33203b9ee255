"""CSV texts to rows with their lines, whatever separates the cells."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from leadout.shown import shown
from leadout_desk.errors import MarketFileError

SEPARATORS = (",", ";", "\t", "|")

#: A file of prices has few rows: a hundred years of days are 36,500.
MAX_ROWS = 400_000


@dataclass(frozen=True)
class CsvText:
    """A CSV text whose header is known.

    Args:
        header: its cells, without spaces around.
        header_line: its number, from 1.
        separator: of its cells.
        body: what comes below the header.
        is_markdown: its rows begin and end with a bar, and a rule stands below the header.
    """

    header: list[str]
    header_line: int
    separator: str
    body: str
    is_markdown: bool = False

    def rows(self, file: str) -> Iterator[tuple[int, list[str]]]:
        """Yield each row that is not blank, with the number of its (last) line.

        Raises:
            MarketFileError: there are too many, or one cell is endless.
        """
        reader = csv.reader(io.StringIO(self.body, newline=""), delimiter=self.separator)
        number = 0
        while True:
            line = self.header_line + reader.line_num + 1
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise _endless(file, line, error) from error
            number += 1
            if number > MAX_ROWS:
                raise MarketFileError(
                    f"{file} has more than {MAX_ROWS:,} rows; keep one row a day, and the years "
                    "that you want.",
                    file=file,
                )
            if self.is_markdown:
                row = row[1:-1] if row and not row[-1].strip() else row[1:]
                if all(set(cell.strip()) <= set(":-") for cell in row):
                    continue
            if any(cell.strip() for cell in row):
                yield self.header_line + reader.line_num, row


def open_csv(text: str, file: str, use_of: Callable[[str], object]) -> CsvText:
    """Find the header and the separator: the one that gives most columns that are known.

    Args:
        text: of a file, not blank.
        file: its name.
        use_of: gives what a column is for, or None.

    Raises:
        MarketFileError: a cell of the header is endless.
    """
    number, start = _first_line(text, 0)
    said = None
    line = _line_at(text, start)
    if line.strip().lower().startswith("sep=") and len(line.strip()) == 5:
        said = line.strip()[-1]  # so Excel is told of the separator
        more, start = _first_line(text, start + len(line) + 1)
        number += more
        line = _line_at(text, start)
    body = text[start + len(line) :].removeprefix("\r").removeprefix("\n")
    best: tuple[tuple[int, int], str, list[str]] | None = None
    endless: csv.Error | None = None
    for separator in (said,) if said else SEPARATORS:
        try:
            cells = [cell.strip() for cell in next(csv.reader([line], delimiter=separator), [])]
        except csv.Error as error:  # a long header is one endless cell to a separator not its own
            endless = error
            continue
        known = sum(use_of(cell) is not None for cell in cells)
        score = (known, len(cells))
        if best is None or score > best[0]:
            best = (score, separator, cells)
    if best is None:
        assert endless is not None
        raise _endless(file, number, endless) from endless
    _, separator, header = best
    is_markdown = separator == "|" and line.lstrip().startswith("|")
    if is_markdown:
        header = header[1:-1] if not header[-1] else header[1:]
    return CsvText(header, number, separator, body, is_markdown)


def shown_header(header: list[str]) -> str:
    """Return a header for a message: its first columns, and how many there are."""
    first = ", ".join(shown(cell[:30]) for cell in header[:6])
    more = f" … ({len(header):,} columns)" if len(header) > 6 else ""
    return first + more


def _endless(file: str, line: int, error: csv.Error) -> MarketFileError:
    return MarketFileError(
        f"{file}, line {line}: a cell has no end ({error}). Wanted: a quotation mark behind each "
        "cell that begins with one.",
        file=file,
        line=line,
    )


def _first_line(text: str, start: int) -> tuple[int, int]:
    """Return how many lines on the first one that is not blank is (from 1), and where it begins."""
    number = 1
    while start < len(text):
        line = _line_at(text, start)
        if line.strip():
            break
        start += len(line) + (2 if text.startswith("\r\n", start + len(line)) else 1)
        number += 1
    return number, start


def _line_at(text: str, start: int) -> str:
    ends = [end for end in (text.find("\n", start), text.find("\r", start)) if end >= 0]
    return text[start : min(ends, default=len(text))]
