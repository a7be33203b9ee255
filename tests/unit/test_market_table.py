"""The page's reading of market tables (static/market_table.js), held against Nano's own."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from random import Random
from typing import Any

import pytest

from leadout.errors import RequestError
from leadout_build.cli.market_table import COLUMNS, SPELLINGS, parse_table
from leadout_build.cli.native import make_tokenizer
from leadout_build.store.nano_prompts import EXAMPLE_TABLE_CSV, NANO_SYSTEM
from nano.markets import make_layout, make_table
from nano.tables import MOOD_LINES, render

MODULE = Path(__file__).parents[2] / "static/market_table.js"

#: Run behind the module's own text; old Nodes take a .js file outside of a package for CommonJS.
SCRIPT = """
let text = "";
for await (const part of process.stdin) text += part;
const found = JSON.parse(text).map((table) => [findTableProblem(table), estimateTokens(table)]);
process.stdout.write(JSON.stringify({ found, EXAMPLE_TABLE, NANO_SYSTEM }));
"""

BROKEN = {
    "nothing": "",
    "blank lines": " \n\t\n",
    "a sentence": "What is the price of BTC?",
    "HTML": "<table><tr><td>BTC</td></tr></table>",
    "tabs": "asset\tprice\nBTC\t1",
    "only an index": "fear-and-greed index: 68",
    "an index above 100": "asset,price\nBTC,1\nfear-and-greed index: 101",
    "a header alone": "asset,price,1d",
    "an unknown column": "asset,price,sharpe\nBTC,1,2",
    "no assets": "price,1d\n1,2",
    "assets alone": "asset\nBTC",
    "two columns of assets": "asset,symbol\nBTC,BTC",
    "a column twice": "asset,price,last\nBTC,1,1",
    "a row twice": "asset,price\nBTC,1\nBTC,2",
    "a short row": "asset,price,1d\nBTC,1",
    "a comma in a number": "asset,price\nBTC,97,412",
    "a currency": "asset,price\nBTC,$5",
    "a word for a number": "asset,price\nBTC,high",
    "no number": "asset,price\nBTC,NaN",
    "infinity": "asset,price\nBTC,Infinity",
    "an exponent": "asset,price\nBTC,1e999",
    "lower case": "asset,price\nbtc,1",
    "other digits": "asset,price\nBTC,٣",
    "two signs": "asset,1d\nBTC,+-1%",
}


def ask_page(tables: list[str]) -> dict[str, Any]:
    source = MODULE.read_text("utf-8") + SCRIPT
    done = subprocess.run(
        ["node", "--input-type=module", "--eval", source],
        input=json.dumps(tables),
        capture_output=True,
        text=True,
        check=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def is_table(text: str) -> bool:
    try:
        parse_table(text)
    except RequestError:
        return False
    return True


def test_the_pages_texts_are_those_of_training() -> None:
    answer = ask_page([])
    assert answer["EXAMPLE_TABLE"] == EXAMPLE_TABLE_CSV
    assert answer["NANO_SYSTEM"] == NANO_SYSTEM


def test_every_table_that_nano_was_trained_on_passes() -> None:
    tables = [EXAMPLE_TABLE_CSV]
    for seed in range(300):
        table = make_table(Random(seed))
        tables.append(render(table, make_layout(Random(seed), table)))
    found = ask_page(tables)["found"]
    assert [problem for problem, _ in found if problem] == []


def test_every_spelling_of_a_column_and_of_the_index_passes() -> None:
    tables = [
        f"{asset},{spelling}\nBTC,1.5\n{line}50"
        for name in COLUMNS
        for spelling in SPELLINGS[name]
        for asset in SPELLINGS["asset"][:2]
        for line in MOOD_LINES
    ]
    tables += [f"{asset},price\nBTC,1.5" for asset in SPELLINGS["asset"]]
    assert all(map(is_table, tables))
    assert {problem for problem, _ in ask_page(tables)["found"]} == {None}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_table_is_refused_with_a_reason(name: str) -> None:
    assert not is_table(BROKEN[name]) or name == "other digits"
    ((problem, _),) = ask_page([BROKEN[name]])["found"]
    assert problem
    assert re.fullmatch(r"[A-Z\"“].{10,}[.%x]\.?", problem)


def test_numbers_of_more_than_a_dozen_digits_are_refused() -> None:
    tables = ["asset,price\nBTC,123456789.123", "asset,price\nBTC,1234567890.123"]
    (fits, _), (long, _) = ask_page(tables)["found"]
    assert fits is None
    assert long == ('"1234567890.123" in the row of BTC has more than 12 digits; round it.')


async def test_lengths_are_rather_over_than_under() -> None:
    from leadout.checkpoint import FileSource, open_checkpoint
    from leadout.tokenizer_choice import load_tokenizer
    from leadout_build.store.built_in import built_in_files

    checkpoint = await open_checkpoint(
        {name: FileSource(path) for name, path in built_in_files("nano").items()}
    )
    tokenizer = await load_tokenizer(checkpoint, make_tokenizer)
    assert tokenizer is not None
    tables = []
    for seed in range(200):
        table = make_table(Random(seed))
        tables.append(render(table, make_layout(Random(seed), table)))
    for text, (_, estimate) in zip(tables, ask_page(tables)["found"], strict=True):
        exact = len(tokenizer.encode(text, add_special_tokens=False))
        # Seen: 0.99 to 1.2 times as many.
        assert 0.97 * exact <= estimate <= 1.25 * exact + 5
