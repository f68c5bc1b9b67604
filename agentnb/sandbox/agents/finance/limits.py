"""What the agent can do, and what it says it cannot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from agentnb.sandbox.agents.finance.prices import NAMES, load_prices
from agentnb.sandbox.agents.finance.wording import day_text, listed, who

__all__ = ["can_do", "cannot", "closing_line", "covered", "is_beyond"]

_CANNOT: Final = {
    "forecasts": "I cannot tell what a price will do.",
    "advice": "I cannot say what to buy or to sell.",
    "news": "I have no news.",
    "fundamentals": "I have no earnings, dividends or other figures of the companies.",
    "other markets": "I have ten shares: no index, currency, commodity or cryptocurrency.",
    "live data": "I have one close a day: nothing live, nothing within a day, no volumes.",
    "statistics": "I cannot do that: I compute no correlations, averages or indicators.",
    "amounts": "I cannot do that: I do not reckon with sums of money or with what might have been.",
    "writing": "I cannot do that: I write no poems, stories or other texts.",
    "facts": "I cannot do that: I know prices, and nothing else about the companies.",
    "other languages": "I understand English only; please ask in English.",
}
# With these a price would be an answer to another question, so none is given.
_BEYOND: Final = frozenset({"statistics", "amounts", "writing", "facts", "other languages"})


def cannot(limits: Sequence[str]) -> str:
    """Return the sentences for the kinds of thing asked for that prices cannot tell."""
    return " ".join(_CANNOT[limit] for limit in limits)


def is_beyond(limits: Sequence[str]) -> bool:
    """Tell whether what is asked for is refused altogether, without giving what prices tell."""
    return not _BEYOND.isdisjoint(limits)


def covered() -> str:
    """Return the sentence that names every company."""
    return f"I have sample prices of {listed([who(t) for t in NAMES])}."


def can_do() -> str:
    """Return what to ask, with examples."""
    prices = load_prices()
    return (
        f"{covered()} They are daily closes from {day_text(prices.first_day)} to "
        f"{day_text(prices.last_day)}. You can ask, for example:\n\n"
        "- What is the current NVDA stock price, and why?\n"
        "- How has Apple changed since March 2025?\n"
        "- Compare NVDA, AMD and Intel this year\n"
        "- How volatile is Tesla?\n"
        "- Which were the best and the worst over the past six months?\n"
        "- Show me the closes of Microsoft over the last 10 days\n\n"
        "I know prices only: no news, no forecasts, no advice."
    )


def closing_line() -> str:
    """Return the line that every answer ends with."""
    day = day_text(load_prices().last_day)
    return f"*Sample data, not real market prices; the last day is {day}.*"
