"""Tables of market data: texts both ways, what is refused, what is made up."""

from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import replace

import pytest

from leadout.errors import RequestError
from leadout_build.cli.market_table import COLUMNS, SPELLINGS, Table, parse_table
from leadout_build.store.nano_prompts import EXAMPLE_TABLE_CSV
from leadout_desk.figures import price_text
from nano.markets import MAX_ASSETS, make_layout, make_table, signed
from nano.tables import plain_layout, render
from nano.tickers import COINS, EXAMPLE_ASSETS, STOCKS, invent, is_held_out

SMALL = Table(("BTC", "1INCH"), ("price", "1d"), (("97412.50", "+1.84%"), ("", "0.00%")), 24)


def tables(number: int, level: float = 1.0, split: str = "train") -> list[Table]:
    return [make_table(random.Random(f"tables {i}"), level, split) for i in range(number)]


def test_a_table_reads_back_from_every_layout() -> None:
    rng = random.Random("layouts")
    for table in tables(300):
        assert parse_table(render(table, make_layout(rng, table))) == table


def test_csv_is_compact_and_leaves_a_missing_cell_empty() -> None:
    assert render(SMALL) == (
        "asset,price,1d\nBTC,97412.50,+1.84%\n1INCH,,0.00%\nfear-and-greed index: 24"
    )


@pytest.mark.parametrize("missing", ["", "n/a", "-"])
def test_markdown_reads_back_with_every_mark_for_a_missing_cell(missing: str) -> None:
    for is_spaced in (False, True):
        layout = replace(
            plain_layout(SMALL), is_markdown=True, is_spaced=is_spaced, missing=missing
        )
        text = render(SMALL, layout)
        assert text.startswith("| asset |" if is_spaced else "|asset|")
        assert parse_table(text) == SMALL


def test_every_spelling_of_a_header_means_its_column() -> None:
    for column in COLUMNS:
        for asset in SPELLINGS["asset"]:
            for text in SPELLINGS[column]:
                assert parse_table(f"{asset},{text}\nBTC,1.00").columns == (column,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no lines of a table"),
        ("The quick brown fox jumps.", "'The quick brown fox jumps.' is no column"),
        ("asset,price", "a header and no rows"),
        ("price,1d\n1,2", "starts with a column of assets"),
        ("asset\nBTC", "starts with a column of assets"),
        ("asset,price,last\nBTC,1,2", "is twice in"),
        ("name,age\nBOB,31", "'age' is no column"),
        ("asset,price\nBTC,1.00\nBTC,2.00", "BTC has two rows"),
        ("asset,price\nBTC", "has 1 cells; the header has 2"),
        ("asset,price\nBTC,1,234.00", "has 3 cells"),
        ("asset,price\nBTC,cheap", "'cheap' in the row of BTC"),
        ("asset,price\nbitcoin,1.00", "'bitcoin' is no ticker"),
        ("asset,price\nBTC,1.00\nF&G: 101", "from 0 to 100"),
    ],
)
def test_what_is_no_table_is_refused_with_its_reason(text: str, message: str) -> None:
    with pytest.raises(RequestError, match="(?s).*".join(message.split("…"))):
        parse_table(text)


def test_the_example_is_a_table_of_eight_assets_with_an_index() -> None:
    table = parse_table(EXAMPLE_TABLE_CSV)
    assert table.assets == EXAMPLE_ASSETS
    assert table.columns == COLUMNS
    assert table.mood is not None
    assert render(table) == EXAMPLE_TABLE_CSV


def test_tables_have_ties_zeros_gaps_and_every_size() -> None:
    made = tables(1500)
    assert {len(table.assets) for table in made} == set(range(1, MAX_ASSETS + 1))
    cells = [text for table in made for row in table.cells for text in row]
    assert "" in cells
    assert "0.00%" in cells
    assert any(len(set(c)) < len(c) for t in made if len(t.assets) > 1 for c in t.cells)
    assert any(
        list(column.values()).count(max(column.values())) > 1
        for table in made
        for column in table.numbers.values()
        if column
    )
    shares = [sum(3 <= len(t.assets) <= 10 for t in made), sum(t.columns == COLUMNS for t in made)]
    assert all(share > len(made) / 2 for share in shares)
    assert any(t.columns != tuple(c for c in COLUMNS if c in t.columns) for t in made)


def test_a_low_level_gives_few_assets_and_columns() -> None:
    assert all(len(t.assets) <= 3 and len(t.columns) <= 4 for t in tables(200, level=0.0))


def test_every_number_of_assets_can_be_had() -> None:
    for number in (1, 2, MAX_ASSETS):
        table = make_table(random.Random(number), num_assets=number)
        assert len(table.assets) == len(set(table.assets)) == number


def test_training_never_sees_a_held_out_ticker_and_tests_see_many() -> None:
    assert not any(is_held_out(asset) for table in tables(300) for asset in table.assets)
    seen = [asset for table in tables(300, split="test") for asset in table.assets]
    assert 0.35 < sum(map(is_held_out, seen)) / len(seen) < 0.65
    known = [ticker for ticker in (*COINS, *STOCKS) if is_held_out(ticker)]
    assert 0.04 < len(known) / len((*COINS, *STOCKS)) < 0.2


def test_invented_tickers_are_short_and_mostly_letters() -> None:
    made = [re.split("[.-]", invent(random.Random(i))) for i in range(500)]
    assert all(2 <= len(name) <= 6 and name.isalnum() for name, *_ in made)
    assert 0 < sum(not name.isalpha() for name, *_ in made) < 100
    marks = Counter(mark for _, *marks in made for mark in marks)
    assert 5 <= marks.pop("USD") <= 20
    assert 5 <= marks.total() <= 40
    assert all(len(mark) == 1 for mark in marks)


def test_figures_have_the_form_of_their_size() -> None:
    assert [price_text(p) for p in (98765.432, 0.5, 0.00123, 0.00000123)] == [
        *("98765.43", "0.5000", "0.001230", "0.00000123")
    ]
    assert [signed(m, 2) for m in (2.414, -0.8, 0.001, -0.001, 412.0, -120.0)] == [
        *("+2.41%", "-0.80%", "0.00%", "0.00%", "+412.00%", "-99.00%")
    ]
