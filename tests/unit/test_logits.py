from __future__ import annotations

import math
from array import array
from typing import Any

import numpy as np
import pytest

from leadout.errors import ProcessorError
from leadout.logits import HIGHEST, LOWEST, as_row, as_rows, to_bytes

SIDES = (np, None)


def floats(data: bytes) -> list[float]:
    return array("f", data).tolist()


@pytest.mark.parametrize("numpy", SIDES)
def test_a_row_is_a_copy_that_can_be_changed(numpy: Any) -> None:
    data = array("f", [1, 2, 3]).tobytes()
    row = as_row(data, numpy)
    row[1] = -math.inf
    assert floats(data) == [1, 2, 3]
    assert floats(to_bytes(row, 3, "p", numpy)) == [1, pytest.approx(LOWEST), 3]


@pytest.mark.parametrize("numpy", SIDES)
def test_infinities_become_what_kernels_can_compute_with(numpy: Any) -> None:
    changed = floats(to_bytes([math.inf, -math.inf, -3e38, 0.5], 4, "p", numpy))
    assert changed == [pytest.approx(HIGHEST), pytest.approx(LOWEST), pytest.approx(LOWEST), 0.5]


@pytest.mark.parametrize("numpy", SIDES)
@pytest.mark.parametrize("row", [[1, 2.5, -3], (1, 2.5, -3), array("d", [1, 2.5, -3])])
def test_any_row_of_numbers_will_do(row: Any, numpy: Any) -> None:
    assert floats(to_bytes(row, 3, "p", numpy)) == [1, 2.5, -3]


@pytest.mark.parametrize("numpy", SIDES)
@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([1.0, 2.0], r"shape \[2\]; wanted \[3\]"),
        ([], r"shape \[0\]"),
        ("abc", "no row of numbers"),
        (7, "shape|no row"),
        ([1, "x", 2], "no row of numbers"),
        ([[1, 2, 3]], "shape|no row"),
        ([1, math.nan, math.nan], "2 of 3 logits NaN"),
        ([math.nan] * 3, "3 of 3 logits NaN"),
        ([math.inf, math.nan, -math.inf], "1 of 3 logits NaN"),
        ([-math.inf] * 3, "ruled out every id"),
    ],
)
def test_what_is_no_row_is_refused_with_the_processors_name(
    row: Any, message: str, numpy: Any
) -> None:
    with pytest.raises(ProcessorError, match=message) as caught:
        to_bytes(row, 3, "no_swearing", numpy)
    assert caught.value.detail["processor"] == "no_swearing"
    assert caught.value.message.startswith("no_swearing ")


def test_rows_are_an_array_of_the_vocabulary() -> None:
    rows = as_rows(array("f", range(6)).tobytes(), 3)
    assert rows.tolist() == [[0, 1, 2], [3, 4, 5]]
