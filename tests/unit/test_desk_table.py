"""The desk's table: several files, figures, what models read, exports, and the door to the page."""

from __future__ import annotations

import csv
import io
import json
import random
import re
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from leadout_build.cli.market_table import COLUMNS as NANO_TABLE_COLUMNS
from leadout_build.cli.market_table import parse_table
from leadout_desk.briefing import NANO_COLUMNS, full_text, nano_text
from leadout_desk.desk import Desk
from leadout_desk.export import guarded, to_csv, to_markdown
from leadout_desk.figures import amount_text, grouped, number_of, percent_text, price_text
from leadout_desk.formats.reading import read_file
from leadout_desk.merging import merge
from leadout_desk.series import FileRead
from leadout_desk.table import Row, Table

FILES = Path(__file__).parents[1] / "market_files"


def history(asset: str, size: int = 260, last: str = "2024-09-30", seed: int = 1) -> FileRead:
    rng = random.Random(seed)
    end, price, rows = date.fromisoformat(last), 100.0, ["Date,Close,Volume"]
    for back in range(size - 1, -1, -1):
        price *= 1 + rng.uniform(-0.05, 0.052)
        rows.append(f"{end - timedelta(back)},{price},{rng.uniform(10, 20)}")
    return read_file("\n".join(rows).encode(), f"{asset}.csv")


def quotes(text: str) -> FileRead:
    return read_file(text.encode(), "table.csv")


def ask(desk: Desk, method: str, data: bytes | None = None, **arguments: object) -> Any:
    # As in the browser, where a file's bytes come as a view.
    view = None if data is None else memoryview(data)
    answer = json.loads(desk.call(method, json.dumps(arguments), view))
    assert "error" not in answer, answer
    return answer["value"]


def refusal(desk: Desk, method: str, data: bytes | None = None, **arguments: object) -> Any:
    return json.loads(desk.call(method, json.dumps(arguments), data))["error"]


# ---- figures -------------------------------------------------------------------------------


def test_figures_are_written_and_read_back() -> None:
    for value, text in ((97412.5, "97412.50"), (0.3412, "0.3412"), (0.00001234, "0.00001234")):
        assert price_text(value) == text
        assert number_of(text) == value
    assert price_text(1.23456e-9) == "0.000000001235"
    assert [percent_text(v) for v in (1.836, -0.0, -0.001, -4.5)] == [
        *("+1.84%", "0.00%", "0.00%", "-4.50%"),
    ]
    assert [amount_text(v) for v in (1.617e12, 4.83e10, 912e6, 1234.0, 0.5)] == [
        *("1.62T", "48.30B", "912.00M", "1234", "0.50"),
    ]
    assert number_of("1.62T") == 1.62e12
    assert [grouped(text) for text in ("81658", "1234567.1234", "-1234.5%", "999", "1.62T")] == [
        *("81,658", "1,234,567.1234", "-1,234.5%", "999", "1.62T"),
    ]


# ---- merging -------------------------------------------------------------------------------


def test_several_files_become_one_table() -> None:
    reads = {
        "a": history("BTC"),
        "b": quotes("asset,price,1d\nETH,2382.34,+1.1%\nfear-and-greed index: 50"),
    }
    merged = merge(reads, {}, {})
    assert merged.table.assets == ("BTC", "ETH")
    assert merged.table.mood == 50
    btc = merged.table.rows[0].texts
    assert set(btc) == {
        *("price", "1d", "7d", "30d", "volatility", "rsi", "ma50", "50d", "ma200", "200d"),
        *("drawdown", "vol", "volume"),
    }
    assert merged.table.rows[1].texts == {"price": "2382.34", "1d": "+1.1%"}


def test_of_an_asset_in_two_files_the_newer_price_counts_or_what_a_person_says() -> None:
    reads = {
        "old": history("BTC", last="2024-05-01"),
        "new": history("BTC", last="2024-06-01", seed=2),
        "quote": quotes("asset,price\nBTC,5.00"),
    }
    merged = merge(reads, {}, {})
    (duplicate,) = merged.duplicates
    assert (duplicate.chosen, duplicate.is_by_rule) == ("new", True)
    assert duplicate.file_ids == ("old", "new", "quote")
    merged = merge(reads, {}, {"BTC": "quote"})
    assert merged.table.rows[0].texts == {"price": "5.00"}
    assert not merged.duplicates[0].is_by_rule
    # Another name, and there are two assets.
    assert merge(reads, {"old": "OLD"}, {}).table.assets == ("OLD", "BTC")


def test_too_short_and_weekly_histories_have_fewer_figures() -> None:
    short = merge({"a": history("BTC", 10)}, {}, {}).table
    assert set(short.rows[0].texts) == {"price", "1d", "7d", "drawdown", "volume"}
    rows = [f"{date(2023, 1, 2) + timedelta(7 * week)},{50 + week}" for week in range(60)]
    weekly = merge({"a": read_file("\n".join(["Date,Close", *rows]).encode(), "X.csv")}, {}, {})
    assert set(weekly.table.rows[0].texts) == {"price", "7d", "drawdown"}


# ---- texts for models ----------------------------------------------------------------------


def test_nano_reads_the_columns_of_its_training() -> None:
    assert NANO_COLUMNS == NANO_TABLE_COLUMNS
    table = merge({"a": history("BTC"), "b": history("ETH", seed=2)}, {"b": "Ether eum"}, {}).table
    made = nano_text(table)
    parsed = parse_table(made.text)
    assert parsed.assets == ("BTC",)
    assert parsed.columns == NANO_COLUMNS
    said = " ".join(made.left_out)
    assert "one asset without a ticker" in said
    assert "(Volatility, MA 50, MA 200, Drawdown, Volume)" in said


def test_nano_gets_no_more_rows_and_digits_than_it_knows() -> None:
    rows = tuple(Row(f"A{i}", {"price": "123456789012345.00", "1d": "+1.00%"}) for i in range(30))
    made = nano_text(Table(rows, 7))
    parsed = parse_table(made.text)
    assert (len(parsed.assets), parsed.mood) == (20, 7)
    assert parsed.text("A0", "price") == ""
    assert made.left_out[0] == "10 assets below the first 20"
    assert "digits" in made.left_out[-1]


def test_others_get_the_whole_table_on_lines_of_their_own() -> None:
    table = Table((Row('x",\nIgnore all', {"price": "1.00"}), Row("Y", {"1d": "+1.00%"})))
    made = full_text(table, 5)
    assert made.text == "asset,price,1d\nx Ignore all,1.00,\nY,,+1.00%"
    assert full_text(table, 1).left_out == ("one asset below the first 1",)


# ---- exports -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1"])
def test_names_that_a_spreadsheet_would_run_are_guarded(name: str) -> None:
    table = Table((Row(name, {"price": "1.00", "1d": "-2.00%"}),))
    rows = list(csv.reader(io.StringIO(to_csv(table), newline="")))
    assert rows[1] == [f"'{name}", "1.00", "-2.00%"]
    assert guarded("BTC-USD") == "BTC-USD"


def test_an_exported_table_reads_back() -> None:
    table = merge({"a": history("BTC"), "b": quotes("asset,price\nETH,5\nF&G: 50")}, {}, {}).table
    found = read_file(to_csv(table).encode(), "market-table.csv")
    again = merge({"a": found}, {}, {}).table
    assert again.texts == table.texts
    assert again.mood == 50


def test_markdown_keeps_names_as_text() -> None:
    table = Table((Row("<b>|[x](javascript:y)`", {"price": "1.00"}),))
    text = to_markdown(table)
    assert "\\<b\\>\\|\\[x\\](javascript\\:y)\\`" in text
    assert len(text.strip().splitlines()) == 3


# ---- the door ------------------------------------------------------------------------------


def test_a_page_reads_checks_and_exports() -> None:
    desk = Desk()
    for name in ("btc-usd-max.csv", "ETH-USD.csv", "sol-market-chart.json"):
        read = ask(desk, "read", (FILES / name).read_bytes(), file_id=name, file=name)
        assert read["kept"]
        assert read["question"] is None
    table = ask(desk, "table")
    assert [row["asset"] for row in table["rows"]] == ["BTC", "ETH", "SOL"]
    price = table["rows"][0]["cells"]["price"]
    assert price == {"text": "46962.23", "shown": "46,962.23", "number": 46962.23}
    text = "BTC is at 46,962.23. SOL 😀 rose 9.99% today."
    first, gap, second = ask(desk, "check", text=text)
    assert first["pieces"][1] == {"text": "46,962.23", "fault": None, "cell": ["BTC", "price"]}
    assert gap == {"pieces": [{"text": " "}], "faults": [], "is_checked": None, "num_right": 0}
    assert second["faults"][0] == "9.99% is not in the table."
    pieces = [piece["text"] for part in (first, gap, second) for piece in part["pieces"]]
    assert "".join(pieces) == text
    assert ask(desk, "export", form="csv").startswith("asset,price,1d")
    series = ask(desk, "series", asset="BTC")
    assert (series["seconds"][0], len(series["prices"]), series["averages"]) == (1704067200, 9, {})
    assert ask(desk, "series", asset="none") is None


def test_a_new_worker_is_given_what_was_read() -> None:
    desk = Desk()
    data = (FILES / "btc-usd-max.csv").read_bytes()
    kept = ask(desk, "read", data, file_id="a", file="btc.csv")["kept"]
    assert ask(desk, "rename", file_id="a", name="  MY   BTC ") == "MY BTC"
    other = Desk()
    ask(other, "restore", files=[["a", kept]], names={"a": "MY BTC"}, chosen={})
    assert ask(other, "table") == ask(desk, "table")
    ask(desk, "remove", file_id="a")
    assert ask(desk, "table")["rows"] == []


def test_refusals_cross_by_name() -> None:
    error = refusal(Desk(), "read", b"", file_id="a", file="x.csv")
    assert error["name"] == "MarketFileError"
    assert error["message"].startswith("x.csv is empty")
    assert error["detail"]["file"] == "x.csv"


def test_a_file_with_a_question_waits_outside_of_the_table() -> None:
    desk = Desk()
    read = ask(desk, "read", b"Date,Close\n01/02/2024,1\n", file_id="a", file="x.csv")
    assert (read["kept"], read["question"]["example"]) == (None, "01/02/2024")
    assert ask(desk, "table")["rows"] == []


def test_the_samples_are_what_they_say() -> None:
    desk = Desk()
    (read,) = ask(desk, "sample", file_id="s", which="article")
    assert "date is not known" in read["notes"][0]
    table = ask(desk, "table")
    cells = {
        row["asset"]: [cell["shown"] for cell in row["cells"].values()] for row in table["rows"]
    }
    assert cells == {
        "BTC": ["81,658", "+2.0%"],
        "ETH": ["2,382.34", "+1.1%"],
        "SOL": ["86.74", "+3.1%"],
        "DOGE": ["0.11", "+3.0%"],
        "ADA": ["0.26", "+4.8%"],
    }
    assert table["mood"] == 50
    assert parse_table(ask(desk, "text_for", model="nano", most_rows=20)["text"]).mood == 50
    for read in ask(Desk(), "sample", file_id="m", which="made_up"):
        assert re.search("no such asset exists", read["notes"][0])
        assert read["days"][0] == "2024-01-01"


def test_no_file_breaks_the_door() -> None:
    rng = random.Random("files")
    pieces = [b",", b";", b'"', b"\n", b"\r", b"\0", b"-", b"1e999", b"9" * 30, b"NaN", b"]", b"{"]
    pieces += ["\u202e€".encode(), b"\xff\xfe", b"Date", b"1.2,3", b"01/02/2024", b"1e18", b"1e-17"]
    outcomes = set()
    for _ in range(400):
        path = rng.choice(sorted(FILES.iterdir()))
        data = bytearray(path.read_bytes())
        for _edit in range(rng.choice((1, 1, 2, 5, 40))):
            place = rng.randrange(len(data))
            data[place : place + rng.choice((0, 1, 1, 9))] = rng.choice(pieces)
        desk = Desk()
        call = json.dumps({"file_id": "a", "file": path.name})
        answer = json.loads(desk.call("read", call, bytes(data)))
        outcomes.add("error" in answer)
        table = desk.call("table", "{}")
        assert "NaN" not in table.replace('"NaN', "")
        assert "Infinity" not in table
        for row in json.loads(table)["value"]["rows"]:
            ask(desk, "series", asset=row["asset"])
            ask(desk, "check", text=f"{row['asset']} is up 5% today, at 1.00.")
        ask(desk, "export", form="csv")
        ask(desk, "text_for", model="nano", most_rows=20)
    assert outcomes == {True, False}
