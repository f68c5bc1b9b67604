"""The bundled sample prices, and what can be computed from them."""

from __future__ import annotations

import csv
import math
import statistics
from bisect import bisect_right
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib import resources
from typing import Final

__all__ = ["NAMES", "Prices", "Stretch", "load_prices"]

NAMES: Final[dict[str, str]] = {
    "AAPL": "Apple",
    "AMD": "AMD",
    "AMZN": "Amazon",
    "GOOGL": "Alphabet",
    "INTC": "Intel",
    "JPM": "JPMorgan Chase",
    "META": "Meta",
    "MSFT": "Microsoft",
    "NVDA": "NVIDIA",
    "TSLA": "Tesla",
}
_TRADING_DAYS: Final = 252


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """One share from one close to a later one; prices in US dollars, shares of change in percent.

    ``volatility`` is the standard deviation of daily returns, ``yearly_volatility`` the same over
    a year of 252 days, ``drawdown`` the largest fall from a peak; None where the stretch is too
    short to tell.
    """

    ticker: str
    days: tuple[date, ...]
    closes: tuple[float, ...]

    @property
    def start(self) -> float:
        return self.closes[0]

    @property
    def end(self) -> float:
        return self.closes[-1]

    @property
    def change(self) -> float:
        return self.end - self.start

    @property
    def percent(self) -> float:
        return 100 * (self.end / self.start - 1)

    @property
    def high(self) -> tuple[float, date]:
        return max(zip(self.closes, self.days, strict=True), key=lambda pair: pair[0])

    @property
    def low(self) -> tuple[float, date]:
        return min(zip(self.closes, self.days, strict=True), key=lambda pair: pair[0])

    @property
    def returns(self) -> list[float]:
        """The daily returns, in percent."""
        return [
            100 * (after / before - 1)
            for before, after in zip(self.closes, self.closes[1:], strict=False)
        ]

    @property
    def volatility(self) -> float | None:
        returns = self.returns
        # Fewer days than a week's say nothing about how much a price swings.
        return statistics.stdev(returns) if len(returns) >= 5 else None

    @property
    def yearly_volatility(self) -> float | None:
        volatility = self.volatility
        return None if volatility is None else volatility * math.sqrt(_TRADING_DAYS)

    @property
    def drawdown(self) -> float:
        worst = peak = 0.0
        for close in self.closes:
            peak = max(peak, close)
            worst = min(worst, close / peak - 1)
        return 100 * worst


class Prices:
    """Daily closes by ticker, on the same days for all."""

    def __init__(self, days: list[date], closes: dict[str, list[float]]) -> None:
        self._days = days
        self._closes = closes

    @property
    def tickers(self) -> list[str]:
        return list(self._closes)

    @property
    def first_day(self) -> date:
        return self._days[0]

    @property
    def last_day(self) -> date:
        return self._days[-1]

    def day_at(self, day: date) -> date:
        """Return the last day with prices that is not after ``day``; the first one at least."""
        return self._days[self._index(day)]

    def stretch(self, ticker: str, start: date, end: date) -> Stretch:
        """Return ``ticker`` from the last close at ``start`` to the last close at ``end``."""
        first, last = self._index(start), self._index(end)
        if first >= last:
            # One close is no stretch: the one before is what it is compared with.
            last = max(last, 1)
            first = last - 1
        return Stretch(
            ticker=ticker,
            days=tuple(self._days[first : last + 1]),
            closes=tuple(self._closes[ticker][first : last + 1]),
        )

    def last_move(self, ticker: str, day: date) -> Stretch:
        """Return the close at ``day`` and the one before; on the first day there is none before."""
        last = self._index(day)
        first = max(last - 1, 0)
        return Stretch(
            ticker=ticker,
            days=tuple(self._days[first : last + 1]),
            closes=tuple(self._closes[ticker][first : last + 1]),
        )

    def _index(self, day: date) -> int:
        return max(bisect_right(self._days, day) - 1, 0)


@cache
def load_prices() -> Prices:
    """Return the bundled prices."""
    days: list[date] = []
    closes: dict[str, list[float]] = {}
    file = resources.files("agentnb.sandbox.data").joinpath("prices.csv")
    lines = file.read_text(encoding="utf-8").splitlines()
    rows = csv.reader(line for line in lines if not line.startswith("#"))
    tickers = next(rows)[1:]
    closes = {ticker: [] for ticker in tickers}
    for row in rows:
        days.append(date.fromisoformat(row[0]))
        for ticker, close in zip(tickers, row[1:], strict=True):
            closes[ticker].append(float(close))
    return Prices(days, closes)
