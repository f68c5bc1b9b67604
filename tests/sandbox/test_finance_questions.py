"""How ``finance_agent`` reads companies, periods and kinds of question."""

from __future__ import annotations

from datetime import date

import pytest

from agentnb.sandbox.agents.finance.periods import find_day, find_period
from agentnb.sandbox.agents.finance.question import understand
from agentnb.sandbox.agents.finance.vocabulary import find_companies

TODAY = date(2026, 6, 30)


@pytest.mark.parametrize(
    ("text", "tickers"),
    [
        ("What is the NVDA price?", ["NVDA"]),
        ("nvidia's price", ["NVDA"]),
        ("$TSLA now", ["TSLA"]),
        ("google against facebook", ["GOOGL", "META"]),
        ("JP Morgan, jpmorgan and JPM", ["JPM"]),
        ("Advanced Micro Devices or Intel", ["AMD", "INTC"]),
        ("apples and oranges", ["AAPL"]),
        ("how does this apply to intelligence?", []),
        ("metadata", []),
    ],
)
def test_companies_are_found_by_ticker_and_by_name(text: str, tickers: list[str]) -> None:
    assert find_companies(text).tickers == tickers


def test_a_misspelt_company_is_guessed_and_the_guess_is_told() -> None:
    mentions = find_companies("price of Nvidea and Microsft")
    assert mentions.guessed == {"Nvidea": "NVDA", "Microsft": "MSFT"}
    assert mentions.tickers == ["NVDA", "MSFT"]


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("IBM price", ["IBM"]),
        ("$xyz", ["XYZ"]),
        ("What about Netflix?", ["Netflix"]),
        ("THE CEO OF THE USA AND AI", []),
        ("what is the YTD of AAPL in USD", []),
        ("WHAT DOES TESLA COST TODAY", []),
    ],
)
def test_companies_that_are_not_there_are_noticed(text: str, unknown: list[str]) -> None:
    assert find_companies(text).unknown == unknown


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("over the past week", "2026-06-23", "2026-06-30"),
        ("last month", "2026-05-30", "2026-06-30"),
        ("in the past quarter", "2026-03-30", "2026-06-30"),
        ("over a year", "2025-06-30", "2026-06-30"),
        ("ytd", "2025-12-31", "2026-06-30"),
        ("year to date", "2025-12-31", "2026-06-30"),
        ("this quarter", "2026-03-31", "2026-06-30"),
        ("this week", "2026-06-28", "2026-06-30"),
        ("the last 30 days", "2026-05-31", "2026-06-30"),
        ("three months", "2026-03-30", "2026-06-30"),
        ("a couple of weeks", "2026-06-16", "2026-06-30"),
        ("the last 5 trading days", "2026-06-23", "2026-06-30"),
        ("52-week high", "2025-07-01", "2026-06-30"),
        ("half a year", "2025-12-30", "2026-06-30"),
        ("6m", "2025-12-30", "2026-06-30"),
        ("1y", "2025-06-30", "2026-06-30"),
        ("since 2025-03-01", "2025-03-01", "2026-06-30"),
        ("since March 2025", "2025-03-01", "2026-06-30"),
        ("since last December", "2025-12-01", "2026-06-30"),
        ("since May", "2026-05-01", "2026-06-30"),
        ("since August", "2025-08-01", "2026-06-30"),
        ("since the beginning of the year", "2026-01-01", "2026-06-30"),
        ("from 5 January 2026 to 1 March 2026", "2026-01-05", "2026-03-01"),
        ("between Jan 5, 2026 and 2026-03-01", "2026-01-05", "2026-03-01"),
        ("in 2025", "2024-12-31", "2025-12-31"),
        ("in March 2026", "2026-02-28", "2026-03-31"),
        ("Q1 2026", "2025-12-31", "2026-03-31"),
        ("the third quarter of 2025", "2025-06-30", "2025-09-30"),
    ],
)
def test_periods_are_read(text: str, start: str, end: str) -> None:
    period = find_period(f"how did it do {text}?", TODAY)
    assert period is not None
    assert (period.start.isoformat(), period.end.isoformat()) == (start, end)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "how may I help",
        "price now",
        "since tomorrow",
        "from 2026-05-01 to 2025-01-01",
        "since 2026-99-99",
        "99999999 things",
        "on 3 March 2026",
    ],
)
def test_what_is_no_period_is_none(text: str) -> None:
    assert find_period(text, TODAY) is None


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("on 3 March 2026", "2026-03-03"),
        ("on March 3rd, 2026", "2026-03-03"),
        ("at 2026-03-03", "2026-03-03"),
        ("on 3/14/2026", "2026-03-14"),
        ("two weeks ago", "2026-06-16"),
        ("a year ago", "2025-06-30"),
        ("yesterday", "2026-06-29"),
        ("on 24 December", "2025-12-24"),
    ],
)
def test_days_are_read(text: str, day: str) -> None:
    found = find_day(f"what was the price {text}", TODAY)
    assert found is not None
    assert found.isoformat() == day


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("What does Tesla cost?", "price"),
        ("Tesla", "price"),
        ("How did Tesla do this year?", "change"),
        ("Has Apple gone up since March?", "change"),
        ("What was AMD's high this quarter?", "change"),
        ("NVDA versus AMD", "compare"),
        ("Did NVDA or AMD rise more over the past month?", "compare"),
        ("How risky is Intel?", "volatility"),
        ("Which stock lost the most?", "rank"),
        ("Top gainers this week", "rank"),
        ("Price history of Meta", "history"),
        ("What can you do?", "help"),
        ("Which companies do you know?", "help"),
        ("hello", "help"),
        ("thanks!", "thanks"),
        ("sing a song", "unknown"),
    ],
)
def test_kinds_of_question_are_told_apart(text: str, intent: str) -> None:
    assert understand(text, [], TODAY).intent == intent
