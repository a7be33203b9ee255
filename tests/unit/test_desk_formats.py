"""Market files as the desk reads them (leadout_desk.formats): each format, and bad input."""

from __future__ import annotations

import codecs
import json
import re
from datetime import date, timedelta
from pathlib import Path

import pytest

from leadout_build.cli.market_table import SPELLINGS
from leadout_desk.dates import ORDERS, read_dates
from leadout_desk.errors import MarketFileError
from leadout_desk.formats.columns import table_use
from leadout_desk.formats.reading import asset_of, read_file
from leadout_desk.numbers import find_mark, parse_number
from leadout_desk.series import FileRead, from_json, to_json

FILES = Path(__file__).parents[1] / "market_files"

FIRST = date(1970, 1, 1)


def read(text: str | bytes, file: str = "btc.csv", order: str | None = None) -> FileRead:
    return read_file(text.encode() if isinstance(text, str) else text, file, order)


def refusal(text: str | bytes, file: str = "btc.csv") -> str:
    with pytest.raises(MarketFileError) as caught:
        read(text, file)
    assert caught.value.message.startswith(file)
    return caught.value.message


def days_of(found: FileRead) -> list[str]:
    return [(FIRST + timedelta(day)).isoformat() for day in found.histories[0].days]


def csv_of(rows: list[tuple[object, ...]], header: str = "Date,Close,Volume") -> str:
    return "\n".join([header, *(",".join(map(str, row)) for row in rows)])


# ---- formats -------------------------------------------------------------------------------


def test_coingeckos_csv() -> None:
    found = read((FILES / "btc-usd-max.csv").read_bytes(), "btc-usd-max.csv")
    (history,) = found.histories
    assert (history.asset, found.kind, found.notes) == ("BTC", "CoinGecko history, CSV", [])
    assert days_of(found)[0::8] == ["2024-01-01", "2024-01-09"]
    assert history.prices[-1] == 46962.2251
    assert history.volumes[0] == 19013432100.5
    assert history.caps[0] == 826714270431.2


def test_yahoos_csv_with_a_null_row_and_a_gap() -> None:
    found = read((FILES / "ETH-USD.csv").read_bytes(), "ETH-USD.csv")
    (history,) = found.histories
    assert (history.asset, found.kind) == ("ETH", "Yahoo history, CSV")
    assert len(history.prices) == 5
    assert history.prices[-1] == 2333.032959
    notes = " ".join(found.notes)
    assert "Line 4: there is no price; the row was left out." in notes
    assert "Prices are those of 'Close', not of 'Adj Close'." in notes
    assert not history.is_full_week  # its weekend has no rows


def test_one_of_two_columns_of_the_same_name_is_taken_and_said() -> None:
    found = read("Date,Close,Close\n2024-01-01,1,3\n2024-01-02,2,4\n")
    assert found.histories[0].prices == [1.0, 2.0]
    assert "Prices are those of 'Close', not of a second one." in found.notes


def test_market_chart_json() -> None:
    found = read((FILES / "sol-market-chart.json").read_bytes(), "sol-market-chart.json")
    (history,) = found.histories
    assert (history.asset, history.prices[-1], history.volumes[-1]) == ("SOL", 89.62, 2911000000)
    assert history.volumes[1] is None
    assert days_of(found)[0] == "2024-01-01"


def test_coins_markets_json_with_hostile_names() -> None:
    found = read((FILES / "coins-markets.json").read_bytes(), "coins.json")
    names = [quote.asset for quote in found.quotes]
    assert names == ["BTC", "<IMG SRC=X ONERROR=ALERT(1)>", "\u202eTXT"]
    btc = found.quotes[0]
    assert btc.values == {
        "price": 81658, "1d": 2.0, "drawdown": -35.21, "volume": 4.83e10, "cap": 1.617e12,
    }  # fmt: skip
    assert len(btc.recent) == 4
    assert found.quotes[2].updated_s is None


def test_a_table_keeps_its_texts_and_its_mood() -> None:
    text = "asset,price,1d,volatility\nBTC,81658,+2.0%,\nETH,n/a,-1.10%,55.5%\nF&G: 50"
    found = read(text, "table.csv")
    assert found.mood == 50
    assert found.quotes[0].texts == {"price": "81658", "1d": "+2.0%"}
    assert found.quotes[1].values == {"1d": -1.1, "volatility": 55.5}


def test_a_table_in_markdown() -> None:
    found = read("| Asset | Price | 24h |\n|---|---:|---:|\n| BTC | 1.50 | -2.00% |\n", "a.md")
    assert found.quotes[0].texts == {"price": "1.50", "1d": "-2.00%"}


def test_every_spelling_of_a_column_that_nano_knows_is_known() -> None:
    for column, texts in SPELLINGS.items():
        assert {table_use(text) for text in texts} == {column}


def test_what_was_read_survives_as_json() -> None:
    for path in FILES.iterdir():
        found = read(path.read_bytes(), path.name)
        assert from_json(json.loads(json.dumps(to_json(found)))) == found


@pytest.mark.parametrize(
    ("file", "asset"),
    [
        ("btc-usd-max.csv", "BTC"),
        ("BTC-USD.csv", "BTC"),
        ("eth_usd (1).csv", "ETH"),
        ("AAPL.csv", "AAPL"),
        ("^GSPC.csv", "^GSPC"),
        ("SAP.DE.csv", "SAP.DE"),
        ("usd.csv", "usd"),
        ("<b>x</b>.csv", "<b>x</b>"),
        (".csv", "UNNAMED"),
    ],
)
def test_an_asset_is_called_as_its_file(file: str, asset: str) -> None:
    assert asset_of(file) == asset


# ---- encodings and separators --------------------------------------------------------------

PLAIN = "Date,Close\n2024-01-01,1.5\n2024-01-02,2.5\n"


@pytest.mark.parametrize(
    ("data", "note"),
    [
        (codecs.BOM_UTF8 + PLAIN.encode(), ""),
        (PLAIN.encode("utf-16"), "UTF-16"),
        (PLAIN.encode("utf-16-le"), "UTF-16"),
        (PLAIN.encode("utf-16-be"), "UTF-16"),
        (PLAIN.encode("utf-32"), "UTF-32"),
        (PLAIN.replace("\n", "\r\n").encode(), ""),
        (PLAIN.replace("\n", "\r").encode(), ""),
        (("\n\n" + PLAIN).encode(), ""),
        (PLAIN.replace(",", ";").encode(), ""),
        (PLAIN.replace(",", "\t").encode(), ""),
        (("sep=;\n" + PLAIN.replace(",", ";")).encode(), ""),
        (PLAIN.replace("2.5", '"2.5"').encode(), ""),
        ((PLAIN + "\xe9,x\n").encode("latin-1"), "Latin-1"),
    ],
)
def test_encodings_line_ends_and_separators(data: bytes, note: str) -> None:
    found = read(data)
    assert found.histories[0].prices == [1.5, 2.5]
    assert note in " ".join(found.notes)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b" \n\t\n", "is empty"),
        (codecs.BOM_UTF8, "is empty"),
        (b"PK\x03\x04rest", "workbook"),
        (b"%PDF-1.7", "a PDF"),
        (b"GGUF\x03\0\0\0", "a model"),
        (bytes(range(256)) * 8, "is not text"),
        (b"<!DOCTYPE html><html></html>", "line 1: it is a web page"),
        (b"<script>alert(1)</script>", "line 1: its columns are '<script>alert(1)</script>'"),
        (b"Dear desk, how are you?", "Wanted: snapped_at,price"),
        (b"\n\nfoo,bar\n1,2", "line 3: its columns are 'foo', 'bar'"),
        (b"Date,Close\n", "has no row with a date and a price"),
        (b"Date,Close\n2024-01-01,\n2024-01-02,nan\n", "Lines 2, 3: there is no price"),
        (b"Date,Close\nsoon,1\nlater,2\n", "line 2: most of its rows have no date ('soon')"),
        (b'Date,Close\n2024-01-01,"1' + b"1" * 200_000, "line 2: a cell has no end"),
        (b'\nDate,"Close' + b"e" * 200_000, "line 2: a cell has no end"),
        (b"asset,price\n", "line 1: it has a header and no rows"),
        (b'{"prices": [[1, 2]', "cut short"),
        (b'{"prices": nonsense}', "line 1: its JSON is broken"),
        (b'{"rows": []}', "holds an object with 'rows'"),
        (b"[" * 100_000 + b"]" * 100_000, "nested deeper than 32"),
        (b"[1, 2, 3]", "holds a list"),
        (b'{"prices": [[true, 1], "x", [null, 2]]}', "prices[0], prices[1], prices[2]"),
    ],
)
def test_what_is_no_market_file_is_refused_with_its_line(data: bytes, said: str) -> None:
    message = refusal(data)
    assert said in message
    assert len(message) < 600


def test_ten_thousand_columns_are_named_briefly_or_left_out() -> None:
    names = [f"c{i}" for i in range(10_000)]
    assert "(10,000 columns)" in refusal(",".join(names))
    names *= 3  # longer than one cell may be
    header = ["Date", *names, "Close"]
    rows = [",".join(["2024-01-0" + str(d), *["9"] * len(names), str(d)]) for d in (1, 2)]
    found = read("\n".join([",".join(header), *rows]))
    assert found.histories[0].prices == [1.0, 2.0]


# ---- numbers -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "mark", "value"),
    [
        ("1,234.56", ".", 1234.56), ("1.234,56", ",", 1234.56), ("1 234,56", ",", 1234.56),
        ("$81,658", ".", 81658), ("-2.17%", ".", -2.17), ("−2.17", ".", -2.17),
        ("1.22x", ".", 1.22), ("1.62T", ".", 1.62e12), ("1e-05", ".", 1e-5),
        ("12'345.6", ".", 12345.6),
        ("NaN", ".", None), ("inf", ".", None), ("1e999", ".", None), ("1,2,3", ".", None),
        ("--5", ".", None), ("٣", ".", None), ("0x10", ".", None),
    ],
)  # fmt: skip
def test_numbers(text: str, mark: str, value: float | None) -> None:
    assert parse_number(text, mark) == (None if value is None else pytest.approx(value))


def test_decimal_commas_are_found_for_the_whole_file() -> None:
    found = read("Date;Close\n2024-01-01;1.234,56\n2024-01-02;1.300\n2024-01-03;999,5\n")
    assert found.histories[0].prices == [1234.56, 1300.0, 999.5]
    assert "decimal comma" in " ".join(found.notes)


def test_points_of_thousands_need_a_file_of_commas() -> None:
    assert read("Date,Close\n2024-01-01,1.234\n2024-01-02,1.3\n").histories[0].prices == [
        1.234,
        1.3,
    ]
    assert find_mark([("1,234", 2)], ",", "f")[0] == "."
    assert find_mark([("1,234", 2)], ";", "f")[0] == ","


def test_both_marks_in_one_file_are_refused_with_both_lines() -> None:
    message = refusal('Date,Close\n2024-01-01,"1.234,56"\n2024-01-02,"1,234.56"\n')
    assert "lines 3 and 2" in message
    assert "'1.234,56' a decimal comma" in message


def test_what_is_no_number_is_said_and_the_rest_is_kept() -> None:
    found = read(csv_of([("2024-01-01", 1, 5), ("2024-01-02", "=1+1", 6), ("2024-01-03", -3, "x")]))
    assert found.histories[0].prices == [1.0]
    notes = " ".join(found.notes)
    assert "Line 3: '=1+1' is not a number" in notes
    assert "Line 4: the price is not above 0" in notes


# ---- dates ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "2024-01-31", "2024-01-31T00:00:00Z", "2024-01-31 00:00:00 UTC", "2024/01/31", "20240131",
        "1706659200", "1706659200000", "1706659200.0", "31/01/2024", "01/31/2024", "31.01.2024",
        "31-01-24", "Jan 31, 2024", "31 Jan 2024", "31-Jan-2024", "January 31, 2024",
        "2024-01-31T02:00:00+02:00",
    ],
)  # fmt: skip
def test_dates_of_many_kinds(text: str) -> None:
    quoted = f'"{text}"'
    assert days_of(read(f"Date,Close\n{quoted},1\n")) == ["2024-01-31"]


def test_a_date_that_can_be_two_is_asked_about() -> None:
    text = "Date,Close\n01/02/2024,1\n"
    asked = read(text)
    assert asked.histories == []
    assert asked.question == {
        "example": "01/02/2024",
        "choices": [
            {"order": ORDERS[0], "meaning": "2024-02-01"},
            {"order": ORDERS[1], "meaning": "2024-01-02"},
        ],
    }
    assert days_of(read(text, order=ORDERS[0])) == ["2024-02-01"]
    assert days_of(read(text, order=ORDERS[1])) == ["2024-01-02"]


def test_days_in_a_row_say_which_comes_first() -> None:
    rows = [(f"{day:02}/03/2024", day) for day in range(1, 9)]
    found = read(csv_of(rows, "Date,Close"))
    assert days_of(found)[-1] == "2024-03-08"
    assert "were read as DD/MM/YYYY" in " ".join(found.notes)


def test_dates_of_two_orders_are_refused_with_both_lines() -> None:
    message = refusal("Date,Close\n31/01/2024,1\n01/31/2024,2\n")
    assert "lines 2 and 3" in message


def test_dates_that_are_none() -> None:
    texts = ["2024-02-30", "yesterday", "", "99999999999999", "0001-01-01", "45/45/2024"]
    assert read_dates(texts, range(6), "f", ORDERS[0]).seconds == [None] * 6


# ---- rows ----------------------------------------------------------------------------------


def test_the_newest_first_is_turned_around_and_doubles_are_said() -> None:
    rows = [("2024-01-03", 3, 1), ("2024-01-02", 2, 1), ("2024-01-02", 9, 1), ("2024-01-01", 1, 1)]
    found = read(csv_of(rows))
    assert found.histories[0].prices == [1.0, 9.0, 3.0]
    (note,) = found.notes
    assert note.startswith("Line 4: there is a row of that day (UTC) already, 2024-01-02, and they")
    assert note.endswith("differ; the later one counts.")


def test_hourly_data_become_days() -> None:
    start = 1704067200
    rows = [(start + 3600 * hour, 100 + hour, 1) for hour in range(48)]
    found = read(csv_of(rows))
    assert found.histories[0].prices == [123.0, 147.0]
    assert "several a day" in " ".join(found.notes)


def test_weekends_are_no_gaps_for_what_trades_on_weekdays() -> None:
    days = [date(2024, 1, 1) + timedelta(day) for day in range(30)]
    rows = [(day, 5, 1) for day in days if day.weekday() < 5]
    found = read(csv_of(rows), "AAPL.csv")
    assert not found.histories[0].is_full_week
    assert found.notes == []


def test_gaps_are_said_and_not_filled_in() -> None:
    rows = [(f"2024-01-{day:02}", day, 1) for day in range(1, 29) if day not in (6, 7, 20)]
    found = read(csv_of(rows))
    assert len(found.histories[0].days) == 25
    (note,) = found.notes
    assert note.startswith("3 days are missing in 2 gaps (the longest 2024-01-06 to 2024-01-07);")


def test_weekly_data_are_called_so() -> None:
    rows = [(date(2024, 1, 1) + timedelta(7 * week), 5 + week, 1) for week in range(20)]
    found = read(csv_of(rows))
    assert found.histories[0].step_days == 7
    assert "7 days apart" in " ".join(found.notes)


def test_short_rows_and_blank_lines_are_left_out() -> None:
    found = read("Date,Close,Volume\n2024-01-01,1,5\n\n2024-01-02\n2024-01-03,3\n")
    assert found.histories[0].prices == [1.0, 3.0]
    assert "Line 4: the row has fewer cells" in " ".join(found.notes)


def test_many_faults_are_told_briefly() -> None:
    days = [date(2020, 1, 1) + timedelta(day) for day in range(900)]
    found = read(csv_of([(day, f"?{day}" if day.day % 3 else 7, 1) for day in days]))
    assert len(found.notes) < 6
    text = " ".join(found.notes)
    assert re.search(r"Lines 2, 3, 5 and \d{3} more: '\?2020-01-01' \(the first one\) is not", text)
