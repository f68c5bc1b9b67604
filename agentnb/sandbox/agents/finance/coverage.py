"""Which of the days asked for there are prices for, and saying so where there are none."""

from __future__ import annotations

from datetime import timedelta

from agentnb.sandbox.agents.finance.periods import Period
from agentnb.sandbox.agents.finance.prices import Prices
from agentnb.sandbox.agents.finance.question import Question
from agentnb.sandbox.agents.finance.wording import day_text

__all__ = ["clipped", "off_days", "outside"]


def outside(question: Question, prices: Prices) -> str:
    """Return the answer to a question about a time without any prices; else an empty string."""
    first, last = prices.first_day, prices.last_day
    if question.day is not None:
        is_before, is_after = question.day < first, question.day > last
        when = f"on {day_text(question.day)}"
    elif question.period is not None:
        # A change takes two closes, so a period that touches only one day of the sample has none.
        is_before, is_after = question.period.end <= first, question.period.start >= last
        when = question.period.label
    else:
        return ""
    if not (is_before or is_after):
        return ""
    edge = f"before {day_text(first)}" if is_before else f"after {day_text(last)}"
    return (
        f"I have no prices {edge}, so I cannot answer for the time asked about ({when}). "
        f"Ask about a time from {day_text(first)} to {day_text(last)}."
    )


def off_days(question: Question, prices: Prices) -> list[str]:
    """Return the note that a day without trading needs."""
    day = question.day
    if day is not None and prices.day_at(day) != day:
        return [f"There was no trading on {day_text(day)}; this is the last close before it."]
    return []


def clipped(period: Period, prices: Prices) -> tuple[Period, list[str]]:
    """Return the period as far as there are prices, and a note where that is not all of it.

    A period that is cut is named by its new days: the old name would promise more than there is.
    """
    first, last = prices.first_day, prices.last_day
    start, end = max(period.start, first), min(period.end, last)
    # A period may well begin on the day before the first one; it then lacks nothing.
    begins_early = period.start < first - timedelta(days=3) and not period.is_whole
    ends_late = period.end > last
    notes: list[str] = []
    label = period.label
    if begins_early:
        notes.append(f"The sample begins on {day_text(first)}; I start there.")
    if ends_late:
        notes.append(f"The sample ends on {day_text(last)}; I stop there.")
    if begins_early or ends_late:
        label = f"from {day_text(start)} to {day_text(end)}"
    return Period(start=start, end=end, label=label, is_whole=period.is_whole), notes
