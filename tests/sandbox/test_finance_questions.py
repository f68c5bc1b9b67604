"""How ``finance_agent`` reads companies, periods and kinds of question."""

from __future__ import annotations

from datetime import date

import pytest

from agentnb.sandbox.finance.question import find_time, parse_question

TODAY = date(2026, 6, 30)


@pytest.mark.parametrize(
    ("text", "tickers"),
    [
        ("What is the NVDA price?", ["NVDA"]),
        ("nvidia's price", ["NVDA"]),
        ("$TSLA now", ["TSLA"]),
        ("google against facebook", ["GOOGL", "META"]),
        ("jpmorgan and JPM", ["JPM"]),
        ("apples and oranges", ["AAPL"]),
        ("how does this apply to intelligence?", []),
        ("metadata", []),
    ],
)
def test_companies_are_found_by_ticker_and_by_name(text: str, tickers: list[str]) -> None:
    assert parse_question(text, [], TODAY).tickers == tuple(tickers)


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("IBM price", ["IBM"]),
        ("What about Netflix?", ["Netflix"]),
        ("THE CEO OF THE USA AND AI", []),
        ("what is the YTD of AAPL in USD", []),
        ("WHAT DOES TESLA COST TODAY", []),
    ],
)
def test_companies_without_prices(text: str, unknown: list[str]) -> None:
    assert parse_question(text, [], TODAY).unknown == tuple(unknown)


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
        ("52-week high", "2025-07-01", "2026-06-30"),
        ("since 2025-03-01", "2025-03-01", "2026-06-30"),
        ("since March 2025", "2025-03-01", "2026-06-30"),
        ("since May", "2026-05-01", "2026-06-30"),
        ("since August", "2025-08-01", "2026-06-30"),
        ("from 5 January 2026 to 1 March 2026", "2026-01-05", "2026-03-01"),
        ("in 2025", "2024-12-31", "2025-12-31"),
        ("in March 2026", "2026-02-28", "2026-03-31"),
    ],
)
def test_periods_are_read(text: str, start: str, end: str) -> None:
    _, period = find_time(f"how did it do {text}?", TODAY)
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
def test_text_without_a_period(text: str) -> None:
    assert find_time(text, TODAY)[1] is None


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("on 3 March 2026", "2026-03-03"),
        ("at 2026-03-03", "2026-03-03"),
        ("two weeks ago", "2026-06-16"),
        ("a year ago", "2025-06-30"),
        ("yesterday", "2026-06-29"),
        ("on 24 December", "2025-12-24"),
    ],
)
def test_days_are_read(text: str, day: str) -> None:
    found, _ = find_time(f"what was the price {text}", TODAY)
    assert found is not None
    assert found.isoformat() == day


@pytest.mark.parametrize(
    ("text", "kind"),
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
        ("thanks!", "help"),
        ("sing a song", "unknown"),
    ],
)
def test_kinds_of_question(text: str, kind: str) -> None:
    assert parse_question(text, [], TODAY).kind == kind
