"""Bytes of a file to text: UTF-8, UTF-16, UTF-32, or else Latin-1; and what is not text at all."""

from __future__ import annotations

import codecs

from leadout_desk.errors import MarketFileError

WANTED = "a CSV or JSON file as CoinGecko or Yahoo export it, or a table with a column of assets"

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

#: What else is dropped on pages, by its first bytes.
_OTHERS = (
    (b"PK\x03\x04", "a ZIP archive or a workbook such as .xlsx; save the sheet as CSV"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook; save the sheet as CSV"),
    (b"\x1f\x8b", "compressed with gzip; unpack it"),
    (b"%PDF", "a PDF"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"PAR1", "a Parquet file; save it as CSV"),
    (b"SQLite format 3", "a database"),
    (b"GGUF", "a model; models are opened beside the choice of models"),
)

#: So much is looked at for what the whole is.
_HEAD_BYTES = 4096


def decode(data: bytes, file: str) -> tuple[str, str | None]:
    """Return a file's text, and what is to be said of how it was read.

    Raises:
        MarketFileError: it is empty, or no text.
    """
    for start, what in _OTHERS:
        if data.startswith(start):
            raise MarketFileError(f"{file} is {what}. Wanted: {WANTED}.", file=file)
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), _guess(data))
    try:
        text, note = data.decode(encoding), None
    except UnicodeDecodeError:
        if encoding != "utf-8":
            raise MarketFileError(
                f"{file} begins as {encoding.upper()} and goes on as something else; save it as "
                "UTF-8.",
                file=file,
            ) from None
        text, note = data.decode("latin-1"), "It is not UTF-8; it was read as Latin-1."
    if encoding.startswith(("utf-16", "utf-32")):
        note = f"It is in {encoding[:6].upper()}."
    head = text[:_HEAD_BYTES]
    if not head.strip() and not text.strip():
        raise MarketFileError(f"{file} is empty. Wanted: {WANTED}.", file=file)
    if sum(char < " " and char not in "\t\r\n\f\v" for char in head) > len(head) / 50:
        raise MarketFileError(f"{file} is not text. Wanted: {WANTED}.", file=file)
    if head.lstrip()[:200].lower().startswith(("<!doctype html", "<html", "<?xml", "<svg")):
        raise MarketFileError(
            f"{file}, line 1: it is a web page or XML, perhaps an error that was saved in "
            f"the place of the file. Wanted: {WANTED}.",
            file=file,
            line=1,
        )
    return text, note


def _guess(data: bytes) -> str:
    """Tell UTF-16 without a mark by the zeros beside its letters."""
    head = data[:_HEAD_BYTES]
    even, odd = head[::2].count(0), head[1::2].count(0)
    if odd > len(head) / 5 and even == 0:
        return "utf-16-le"
    if even > len(head) / 5 and odd == 0:
        return "utf-16-be"
    return "utf-8"
