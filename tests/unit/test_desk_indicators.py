"""The desk's indicators against TA-Lib's values, on drawn and on edge series."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, isnan, sqrt
from random import Random

import numpy as np
import pytest
import talib

from leadout_desk.indicators import (
    change,
    drawdown,
    moving_average,
    relative_strength,
    relative_volume,
    volatility,
)

#: Both add the same numbers in another order. Seen: 4e-12.
TOLERANCE = 1e-9


def walk(seed: int, size: int, spread: float = 0.03) -> list[float]:
    rng = Random(seed)
    price = exp(rng.uniform(-8, 11))
    prices = []
    for _ in range(size):
        price *= exp(rng.gauss(0.0, spread))
        prices.append(price)
    return prices


def same(ours: Sequence[float | None], theirs: np.ndarray) -> bool:
    """Compare two series, None with not a number."""
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs.tolist(), strict=True):
        if (a is None) is not isnan(b):
            return False
        if a is not None and a != pytest.approx(b, rel=TOLERANCE):
            return False
    return True


SERIES = {
    **{f"walk {seed}": walk(seed, 600) for seed in range(20)},
    "just long enough for an RSI": walk(50, 15),
    "too short for it": walk(51, 14),
    "two": walk(52, 2),
    "rising alone": [1.01**day for day in range(300)],
    "falling alone": [0.99**day for day in range(300)],
    "a step": [5.0] * 100 + [9.0] * 250,
    "tiny prices": [price * 1e-9 for price in walk(53, 300)],
    "a crash by a million": [*walk(54, 200), *[price / 1e6 for price in walk(55, 200)]],
}


@pytest.mark.parametrize("name", SERIES)
def test_rsi_is_talibs(name: str) -> None:
    prices = SERIES[name]
    theirs = talib.RSI(np.array(prices), 14)
    ours = relative_strength(prices)
    if name == "a step":
        # Before anything moves there is no strength; TA-Lib says 0.
        assert ours[14:100] == [None] * 86
        ours, theirs = ours[100:], theirs[100:]
    if name == "falling alone":
        assert all(value == 0 for value in ours[14:])
    assert same(ours, theirs)


@pytest.mark.parametrize("name", SERIES)
@pytest.mark.parametrize("size", [50, 200])
def test_moving_averages_are_talibs(name: str, size: int) -> None:
    prices = SERIES[name]
    if name == "a crash by a million":
        # TA-Lib keeps a running sum, which loses what is a million times smaller.
        ours = moving_average(prices, size)
        assert ours[-1] == pytest.approx(np.mean(prices[-size:]), rel=TOLERANCE)
        prices = prices[:200]
    assert same(moving_average(prices, size), talib.SMA(np.array(prices), size))


@pytest.mark.parametrize("seed", range(10))
def test_volatility_is_talibs_standard_deviation_of_returns(seed: int) -> None:
    prices = walk(seed, 200)
    returns = np.log(np.array(prices[1:]) / np.array(prices[:-1]))
    of_population = talib.STDDEV(returns, 30)[-1]
    expected = of_population * sqrt(30 / 29) * sqrt(365) * 100
    assert volatility(prices, 365) == pytest.approx(expected, rel=1e-6)
    assert volatility(prices[:30], 365) is None
    assert volatility([7.0] * 31, 252) == 0


@pytest.mark.parametrize("seed", range(10))
def test_drawdown_and_changes_are_talibs(seed: int) -> None:
    prices = walk(seed, 120)
    days = list(range(20_000, 20_120))
    array = np.array(prices)
    highest = talib.MAX(array, 120)[-1]
    assert drawdown(prices) == pytest.approx((prices[-1] / highest - 1) * 100, rel=TOLERANCE)
    for over in (1, 7, 30):
        expected = talib.ROC(array, over)[-1]
        assert change(days, prices, over) == pytest.approx(expected, rel=TOLERANCE, abs=1e-9)


def test_changes_are_over_days_of_the_calendar() -> None:
    # Friday, Monday, Tuesday: on Monday, the price of the day before is Friday's.
    friday = 1
    days, prices = [friday, friday + 3, friday + 4], [10.0, 11.0, 22.0]
    assert change(days[:2], prices[:2], 1, is_full_week=False) == pytest.approx(10.0)
    assert change(days, prices, 1, is_full_week=False) == pytest.approx(100.0)
    # Where weekends count, that is a gap.
    assert change(days[:2], prices[:2], 1) is None
    assert change([1, 9], [10.0, 11.0], 7) == pytest.approx(10.0)  # one day is missing
    assert change([1, 10], [10.0, 11.0], 7) is None
    assert change([1, 12], [10.0, 11.0], 1, is_full_week=False) is None
    assert change([1], [10.0], 1) is None


def test_relative_volume_is_over_the_average_of_twenty() -> None:
    volumes: list[float | None] = [float(volume) for volume in range(1, 41)]
    average = talib.SMA(np.array(volumes, dtype=float), 20)[-1]
    assert relative_volume(volumes) == pytest.approx(40 / average, rel=TOLERANCE)
    assert relative_volume([None, *volumes[:19]]) is None
    assert relative_volume([0.0] * 20) is None
    assert relative_volume([*volumes, None]) is None
