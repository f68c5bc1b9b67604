"""Generate ``prices.csv``: seeded random walks, unrelated to any real market.

``python -m agentnb.sandbox.finance.generate > prices.csv`` writes the file again.
"""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Final

SEED: Final = 20260630
FIRST_DAY: Final = date(2024, 7, 1)
LAST_DAY: Final = date(2026, 6, 30)
COMMENT: Final = (
    "# SAMPLE DATA: made by a seeded random walk; these are not the prices of any real share."
)

_TRADING_DAYS: Final = 252
_MARKET_VOLATILITY: Final = 0.15
# Ticker: first close in US dollars, drift and own volatility a year, share of the market's moves.
_SHARES: Final[dict[str, tuple[float, float, float, float]]] = {
    "AAPL": (212.0, 0.14, 0.19, 1.0),
    "AMD": (158.0, 0.16, 0.40, 1.5),
    "AMZN": (194.0, 0.17, 0.23, 1.2),
    "GOOGL": (182.0, 0.15, 0.22, 1.1),
    "INTC": (31.0, -0.06, 0.38, 1.1),
    "JPM": (202.0, 0.12, 0.17, 0.9),
    "META": (502.0, 0.18, 0.27, 1.2),
    "MSFT": (446.0, 0.13, 0.17, 1.0),
    "NVDA": (124.0, 0.34, 0.38, 1.6),
    "TSLA": (205.0, 0.10, 0.48, 1.6),
}


def make_prices() -> tuple[list[date], dict[str, list[float]]]:
    """Return the days, and each share's daily closes in US dollars, rounded to cents.

    A share's logarithmic return on a day is its drift, plus its share of a common market move,
    plus a move of its own, both normally distributed.
    """
    numbers = random.Random(SEED)
    days = list(_weekdays())
    closes: dict[str, list[float]] = {ticker: [] for ticker in _SHARES}
    prices = {ticker: start for ticker, (start, *_) in _SHARES.items()}
    for number, _day in enumerate(days):
        market = numbers.gauss(0.0, _MARKET_VOLATILITY / math.sqrt(_TRADING_DAYS))
        for ticker, (_, drift, volatility, beta) in _SHARES.items():
            own = numbers.gauss(0.0, volatility / math.sqrt(_TRADING_DAYS))
            if number > 0:
                total = volatility**2 + (beta * _MARKET_VOLATILITY) ** 2
                step = (drift - total / 2) / _TRADING_DAYS + beta * market + own
                prices[ticker] *= math.exp(step)
            closes[ticker].append(round(prices[ticker], 2))
    return days, closes


def to_csv(days: list[date], closes: dict[str, list[float]]) -> str:
    """Return the file's text: the comment, a header, and one row for each day."""
    lines = [COMMENT, ",".join(["date", *closes])]
    for number, day in enumerate(days):
        lines.append(",".join([day.isoformat(), *(f"{c[number]:.2f}" for c in closes.values())]))
    return "\n".join(lines) + "\n"


def _weekdays() -> Iterator[date]:
    day = FIRST_DAY
    while day <= LAST_DAY:
        if day.weekday() < 5:
            yield day
        day += timedelta(days=1)


if __name__ == "__main__":
    sys.stdout.write(to_csv(*make_prices()))
