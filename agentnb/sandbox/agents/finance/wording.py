"""Numbers, dates and tables as the answers show them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Final

from agentnb.sandbox.agents.finance.prices import NAMES

__all__ = [
    "MONTHS",
    "day_text",
    "direction",
    "dollars",
    "listed",
    "percent",
    "signed_dollars",
    "table",
    "who",
]

# Not the calendar module's, which speak the language of the process's locale.
MONTHS: Final = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


def dollars(value: float) -> str:
    """Return ``$1,234.50``."""
    return f"${value:,.2f}"


def signed_dollars(value: float) -> str:
    """Return ``+$1.20`` or ``−$1.20``."""
    return f"{_sign(value)}${abs(value):,.2f}"


def percent(value: float) -> str:
    """Return ``+2.3%`` or ``−2.3%``."""
    return f"{_sign(round(value, 1))}{abs(value):.1f}%"


def direction(value: float) -> str:
    """Return up, down or unchanged, as the rounded figure shows it."""
    rounded = round(value, 1)
    return "up" if rounded > 0 else "down" if rounded < 0 else "unchanged"


def day_text(day: date) -> str:
    """Return ``30 June 2026``."""
    return f"{day.day} {MONTHS[day.month - 1]} {day.year}"


def who(ticker: str) -> str:
    """Return ``NVIDIA (NVDA)``, or the name alone where it is the ticker."""
    name = NAMES[ticker]
    return name if name == ticker else f"{name} ({ticker})"


def listed(items: Sequence[str], joint: str = "and") -> str:
    """Return ``a, b and c``."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {joint} {items[-1]}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """Return a Markdown table; all but the first ``left`` columns are aligned to the right."""
    rule = [":---" if column < left else "---:" for column in range(len(header))]
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, rule, *rows))


def _sign(value: float) -> str:
    return "+" if value > 0 else "−" if value < 0 else ""
