"""Bundled sample prices, the figures computed from them, and how they are written."""

from __future__ import annotations

import csv
import itertools
from bisect import bisect_right
from collections.abc import Sequence
from datetime import date
from functools import cache
from importlib import resources
from typing import Final

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
# Not from the calendar module, whose names follow the process's locale.
MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)

Closes = dict[date, float]
"""Daily closes of one share, in US dollars, oldest first."""


class PriceTable:
    """Daily closes by ticker, on the same days for all."""

    def __init__(self, days: list[date], closes: dict[str, list[float]]) -> None:
        self._days = days
        self._closes = closes
        self.first_day, self.last_day = days[0], days[-1]

    def closes(self, ticker: str, start: date, end: date) -> Closes:
        """Return at least two closes: from the last one at ``start`` to the last one at ``end``."""
        first, last = self._index(start), self._index(end)
        if first >= last:
            last = max(last, 1)
            first = last - 1
        return self._slice(ticker, first, last)

    def last_two(self, ticker: str, day: date) -> Closes:
        """Return the close before ``day``, which the first day does not have, and the one at it."""
        last = self._index(day)
        return self._slice(ticker, max(last - 1, 0), last)

    def change(self, ticker: str, start: date, end: date) -> float:
        """Return the change between two days, in percent."""
        return percent_change(self.closes(ticker, start, end))

    def _slice(self, ticker: str, first: int, last: int) -> Closes:
        part = slice(first, last + 1)
        return dict(zip(self._days[part], self._closes[ticker][part], strict=True))

    def _index(self, day: date) -> int:
        return max(bisect_right(self._days, day) - 1, 0)


def percent_change(closes: Closes) -> float:
    """Return the change from the first close to the last, in percent."""
    values = [*closes.values()]
    return 100 * (values[-1] / values[0] - 1)


def daily_returns(closes: Closes) -> list[float]:
    """Return the change from each close to the next, in percent."""
    return [100 * (b / a - 1) for a, b in itertools.pairwise(closes.values())]


@cache
def load_prices() -> PriceTable:
    """Return the bundled prices."""
    file = resources.files("agentnb.sandbox.finance").joinpath("prices.csv")
    lines = file.read_text(encoding="utf-8").splitlines()
    header, *rows = csv.reader(line for line in lines if not line.startswith("#"))
    days = [date.fromisoformat(row[0]) for row in rows]
    return PriceTable(days, {t: [float(row[i]) for row in rows] for i, t in enumerate(header) if i})


def closing_line() -> str:
    """Return the last line of every answer."""
    day = format_day(load_prices().last_day)
    return f"*Sample data, not real market prices; the last day is {day}.*"


def dollars(value: float) -> str:
    """Return ``$1,234.50``."""
    return f"${value:,.2f}"


def percent(value: float) -> str:
    """Return ``+2.3%`` or ``−2.3%``."""
    return f"{_sign(round(value, 1))}{abs(value):.1f}%"


def up_or_down(value: float) -> str:
    """Return up, down or unchanged, by the rounded figure."""
    rounded = round(value, 1)
    return "up" if rounded > 0 else "down" if rounded < 0 else "unchanged"


def move(change_percent: float, change: float | None = None) -> str:
    """Return ``up 2.3% (+$1.20)``, or without the dollars."""
    word = up_or_down(change_percent)
    if word == "unchanged":
        return word
    suffix = "" if change is None else f" ({_sign(change)}{dollars(abs(change))})"
    return f"{word} {abs(change_percent):.1f}%{suffix}"


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
