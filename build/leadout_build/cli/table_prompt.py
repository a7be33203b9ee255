"""`leadout generate --table`: puts a market table before a prompt, as in Nano's training."""

from __future__ import annotations

import re
from pathlib import Path

from leadout.errors import RequestError
from leadout_build.cli.market_table import parse_table
from leadout_build.store.built_in import NANO
from leadout_build.store.nano_prompts import NANO_SYSTEM

#: No price has more digits, and Nano was not trained on more. Keep in step with
#: static/market_table.js.
MOST_DIGITS = 12

#: A limit far above any table that fits into a context.
MOST_BYTES = 1 << 20


def read_table(path: Path) -> str:
    """Return the text of a table, without the blank space around it.

    Args:
        path: CSV or Markdown in UTF-8.

    Raises:
        RequestError: the file is not a table of market data, or has a number with too many digits.
        OSError: the file cannot be read.
    """
    if path.is_file() and path.stat().st_size > MOST_BYTES:
        raise RequestError(f"{path} is not a market table: it has more than a MiB.")
    try:
        text = path.read_text("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise RequestError(f"{path} is not a market table: it is not UTF-8 text.") from None
    try:
        table = parse_table(text)
    except RequestError as error:
        raise RequestError(f"{path} holds no market table. {error.message}") from error
    for asset, row in zip(table.assets, table.cells, strict=True):
        for cell in row:
            if len(re.sub(r"\D", "", cell)) > MOST_DIGITS:
                raise RequestError(
                    f'{path}: "{cell[:40]}" in the row of {asset} has more than {MOST_DIGITS} '
                    "digits; round it."
                )
    return text


def system_of(model: str) -> list[dict[str, str]]:
    """Return the system turn that a model was trained with. Only Nano has one.

    Args:
        model: the model's name on the command line.
    """
    return [{"role": "system", "content": NANO_SYSTEM}] if model == NANO else []
