"""The bundled sample prices, what is computed from them, and how figures and days are written."""

from __future__ import annotations

import csv
import math
import statistics
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib import resources
from typing import Final

__all__ = [
    "MONTHS",
    "NAMES",
    "Prices",
    "Stretch",
    "company",
    "dollars",
    "format_day",
    "join_words",
    "load_prices",
    "markdown_table",
    "percent",
    "signed_dollars",
    "up_or_down",
]

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
# Not the calendar module's, which follow the locale of the process.
MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_TRADING_DAYS: Final = 252


@dataclass(frozen=True, slots=True)
class Stretch:
    """Daily closes of one share, in US dollars; changes are in percent."""

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
        return [100 * (b / a - 1) for a, b in zip(self.closes, self.closes[1:], strict=False)]

    @property
    def volatility(self) -> float | None:
        """Standard deviation of daily returns; None for fewer than five of them."""
        return statistics.stdev(self.returns) if len(self.closes) > 5 else None

    @property
    def yearly_volatility(self) -> float | None:
        daily = self.volatility
        return None if daily is None else daily * math.sqrt(_TRADING_DAYS)

    @property
    def drawdown(self) -> float:
        """Largest fall from a peak."""
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
        self.tickers = list(closes)
        self.first_day, self.last_day = days[0], days[-1]

    def day_at(self, day: date) -> date:
        """Return the last trading day that is not after ``day``; the first day at least."""
        return self._days[self._index(day)]

    def stretch(self, ticker: str, start: date, end: date) -> Stretch:
        """Return at least two closes: from the last one at ``start`` to the last one at ``end``."""
        first, last = self._index(start), self._index(end)
        if first >= last:
            last = max(last, 1)
            first = last - 1
        return self._slice(ticker, first, last)

    def last_move(self, ticker: str, day: date) -> Stretch:
        """Return the close at ``day`` and the one before, which the first day does not have."""
        last = self._index(day)
        return self._slice(ticker, max(last - 1, 0), last)

    def _slice(self, ticker: str, first: int, last: int) -> Stretch:
        kept = slice(first, last + 1)
        return Stretch(ticker, tuple(self._days[kept]), tuple(self._closes[ticker][kept]))

    def _index(self, day: date) -> int:
        return max(bisect_right(self._days, day) - 1, 0)


@cache
def load_prices() -> Prices:
    """Return the bundled prices."""
    file = resources.files("agentnb.sandbox.data").joinpath("prices.csv")
    lines = file.read_text(encoding="utf-8").splitlines()
    header, *rows = csv.reader(line for line in lines if not line.startswith("#"))
    days = [date.fromisoformat(row[0]) for row in rows]
    return Prices(days, {t: [float(row[i]) for row in rows] for i, t in enumerate(header) if i})


def dollars(value: float) -> str:
    """Return ``$1,234.50``."""
    return f"${value:,.2f}"


def signed_dollars(value: float) -> str:
    """Return ``+$1.20`` or ``−$1.20``."""
    return f"{_sign(value)}${abs(value):,.2f}"


def percent(value: float) -> str:
    """Return ``+2.3%`` or ``−2.3%``."""
    return f"{_sign(round(value, 1))}{abs(value):.1f}%"


def up_or_down(value: float) -> str:
    """Return up, down or unchanged, as the rounded figure has it."""
    rounded = round(value, 1)
    return "up" if rounded > 0 else "down" if rounded < 0 else "unchanged"


def format_day(day: date) -> str:
    """Return ``30 June 2026``."""
    return f"{day.day} {MONTHS[day.month - 1]} {day.year}"


def company(ticker: str) -> str:
    """Return ``NVIDIA (NVDA)``, or the name alone where it is the ticker."""
    name = NAMES[ticker]
    return name if name == ticker else f"{name} ({ticker})"


def join_words(items: Sequence[str], conjunction: str = "and") -> str:
    """Return ``a, b and c``."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {conjunction} {items[-1]}"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """Return a Markdown table; all but the first ``left`` columns are aligned to the right."""
    rule = [":---" if column < left else "---:" for column in range(len(header))]
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, rule, *rows))


def _sign(value: float) -> str:
    return "+" if value > 0 else "−" if value < 0 else ""
