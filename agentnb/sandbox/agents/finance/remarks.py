"""Explanations, notes on missing data, limits and followup questions."""

from __future__ import annotations

import statistics
from collections.abc import Generator
from datetime import date, timedelta
from typing import Final

from agentnb.event.types import Event
from agentnb.sandbox.agents.finance.prices import (
    NAMES,
    Prices,
    Stretch,
    company,
    dollars,
    format_day,
    join_words,
    load_prices,
    markdown_table,
    percent,
    up_or_down,
)
from agentnb.sandbox.agents.finance.question import LIMITS, Period, Question, trailing
from agentnb.sandbox.agents.finance.tools import Desk

__all__ = [
    "capabilities",
    "clip",
    "closing_line",
    "covered",
    "explain_move",
    "explain_stretch",
    "outside",
    "refusal",
    "suggest",
]

_STRETCHES: Final = ((1, "week"), (1, "month"), (3, "month"), (1, "year"))


def explain_move(ticker: str, day: date, desk: Desk) -> Generator[Event, None, str]:
    """Analyse the move that led to ``day``; return Markdown."""
    yield from desk.think(
        "I have prices and no news, so I cannot know the cause. What I can tell: whether the move "
        "is unusual for the share, whether the others moved with it, and where the price stands. "
        f"For that I call get_price_history({ticker}) over a year, and compare on the day."
    )
    year = trailing(1, "year", day)
    prices = desk.prices
    start = max(year.start, prices.first_day)
    yield from desk.get_price_history(ticker, start, day)
    stretch = prices.stretch(ticker, start, day)
    move = prices.last_move(ticker, day)
    market = yield from desk.compare(prices.tickers, move.days[0], move.days[-1])
    average: float = market["average_change_percent"]
    own = move.percent - average
    typical = statistics.fmean(abs(r) for r in stretch.returns)
    size = abs(move.percent) / typical if typical else 0.0
    unusual = "an ordinary day" if size < 1.5 else "a large move" if size < 3 else "a rare move"
    high, low = stretch.high, stretch.low
    place = (stretch.end - low[0]) / (high[0] - low[0]) * 100 if high[0] > low[0] else 50.0
    yield from desk.think(
        f"The day's {percent(move.percent)} against a typical ±{typical:.1f}%: {unusual}. The ten "
        f"shares averaged {percent(average)}, so {percent(own)} is the share's own."
    )
    rows: list[list[str]] = []
    for count, unit in _STRETCHES:
        period = trailing(count, unit, day)
        begin = max(period.start, prices.first_day)
        alone = prices.stretch(ticker, begin, day).percent
        every = statistics.fmean(prices.stretch(t, begin, day).percent for t in prices.tickers)
        name = period.label.removeprefix("over the past ")
        rows.append(
            [
                f"Past {name}",
                percent(alone),
                percent(every),
                percent(alone - every).removesuffix("%"),
            ]
        )
    shared = "with" if average * move.percent > 0 and abs(own) < abs(move.percent) else "against"
    if abs(own) > 2 * abs(average):
        shared = "mostly apart from"
    return (
        f"**Why?** I have prices and no news, so I can say how {company(ticker)} moved, not what "
        "caused it:\n\n"
        f"- **The day:** {up_or_down(move.percent)} {abs(move.percent):.1f}% is {unusual}; the "
        f"price typically moves by {typical:.1f}% a day.\n"
        f"- **The others:** the ten shares averaged {percent(average)} that day, so it moved "
        f"{shared} the group; {percent(own)} is its own.\n"
        f"- **The level:** {dollars(stretch.end)} lies {place:.0f}% of the way from the year's low "
        f"({dollars(low[0])}) to its high ({dollars(high[0])}).\n\n"
        + markdown_table(["", ticker, "All ten", "Points apart"], rows)
    )


def explain_stretch(stretch: Stretch, period: Period, desk: Desk) -> Generator[Event, None, str]:
    """Analyse a change over a period; return Markdown."""
    ticker = stretch.ticker
    yield from desk.think(
        "I have prices and no news, so I cannot know the cause. What I can tell: how much of it "
        "the other shares shared, and on which days it happened. For that I call compare for all "
        f"ten {period.label}."
    )
    market = yield from desk.compare(desk.prices.tickers, period.start, period.end)
    average: float = market["average_change_percent"]
    own = stretch.percent - average
    moves = sorted(
        zip(stretch.returns, stretch.days[1:], strict=True), key=lambda move: -abs(move[0])
    )
    largest = join_words([f"{percent(move)} on {format_day(day)}" for move, day in moves[:3]])
    gains = sum(1 for move in stretch.returns if move > 0)
    yield from desk.think(
        f"{percent(stretch.percent)} against {percent(average)} for the ten shares together."
    )
    return (
        f"**Why?** I have prices and no news, so I can say how {company(ticker)} moved, not what "
        "caused it:\n\n"
        f"- **The others:** the ten shares averaged {percent(average)} {period.label}; it did "
        f"{abs(own):.1f} points {'better' if own > 0 else 'worse'}.\n"
        f"- **The days:** the largest moves were {largest}.\n"
        f"- **The steadiness:** it rose on {gains} of {len(stretch.returns)} days."
    )


def outside(question: Question, prices: Prices) -> str:
    """Return the answer for a time without any prices, an empty string for any other."""
    first, last = prices.first_day, prices.last_day
    if question.day is not None:
        is_before, is_after = question.day < first, question.day > last
        when = f"on {format_day(question.day)}"
    elif question.period is not None:
        # A change takes two closes, so a period that touches only one day of the sample has none.
        is_before, is_after = question.period.end <= first, question.period.start >= last
        when = question.period.label
    else:
        return ""
    if not (is_before or is_after):
        return ""
    edge = f"before {format_day(first)}" if is_before else f"after {format_day(last)}"
    return (
        f"I have no prices {edge}, so I cannot answer for the time asked about ({when}). "
        f"Ask about a time from {format_day(first)} to {format_day(last)}."
    )


def clip(period: Period, prices: Prices) -> tuple[Period, list[str]]:
    """Return the part of the period that has prices, labelled by its own days, and notes on it."""
    first, last = prices.first_day, prices.last_day
    start, end = max(period.start, first), min(period.end, last)
    # A period may well begin on the day before the first one; it then lacks nothing.
    begins_early = period.start < first - timedelta(days=3)
    ends_late = period.end > last
    notes: list[str] = []
    label = period.label
    if begins_early:
        notes.append(f"The sample begins on {format_day(first)}; I start there.")
    if ends_late:
        notes.append(f"The sample ends on {format_day(last)}; I stop there.")
    if begins_early or ends_late:
        label = f"from {format_day(start)} to {format_day(end)}"
    return Period(start, end, label), notes


def refusal(question: Question) -> str:
    """Return the sentences on what prices do not answer."""
    return " ".join(LIMITS[name][0] for name in question.limits)


def covered() -> str:
    """Return the sentence that names every company."""
    return f"I have sample prices of {join_words([company(t) for t in NAMES])}."


def capabilities() -> str:
    """Return the agent's abilities, with examples."""
    prices = load_prices()
    return (
        f"{covered()} They are daily closes from {format_day(prices.first_day)} to "
        f"{format_day(prices.last_day)}. You can ask, for example:\n\n"
        "- What is the current NVDA stock price, and why?\n"
        "- How has Apple changed since March 2025?\n"
        "- Compare NVDA, AMD and Intel this year\n"
        "- How volatile is Tesla?\n"
        "- Which were the best and the worst over the past six months?\n"
        "- Show me the closes of Microsoft over the last 10 days\n\n"
        "I know prices only: no news, no forecasts, no advice."
    )


def closing_line() -> str:
    """Return the last line of every answer."""
    day = format_day(load_prices().last_day)
    return f"*Sample data, not real market prices; the last day is {day}.*"


# The share that a followup compares with.
_PEERS: Final = {
    "AAPL": "MSFT",
    "AMD": "NVDA",
    "AMZN": "GOOGL",
    "GOOGL": "META",
    "INTC": "AMD",
    "JPM": "AAPL",
    "META": "GOOGL",
    "MSFT": "AAPL",
    "NVDA": "AMD",
    "TSLA": "AMZN",
}


def suggest(question: Question) -> tuple[str, ...]:
    """Return three followup questions that the agent can answer."""
    text = question.text.strip().casefold()
    return tuple([q for q in _candidates(question) if q.casefold() != text][:3])


def _candidates(question: Question) -> list[str]:
    tickers = list(question.tickers)
    general = [
        "Which were the best and the worst this year?",
        "What is the current NVDA stock price, and why?",
        "Compare NVDA with AMD this year",
        "How volatile is Tesla?",
    ]
    if not tickers:
        if question.kind == "rank":
            # Without a period a ranking is over the past month already.
            month = [] if question.period is None else ["And over the past month?"]
            return [*month, "And over the past year?", "Which is the most volatile?", *general[1:]]
        return general
    if len(tickers) > 1:
        names = " and ".join(NAMES[t] for t in tickers[:2])
        other = next(t for t in NAMES if t not in tickers[:9])
        return [
            f"Which of {names} is more volatile?",
            f"And {NAMES[other]}?",
            "And over the past three months?",
            *general,
        ]
    name, peer = NAMES[tickers[0]], NAMES[_PEERS[tickers[0]]]
    compare, swings = f"Compare it with {peer}", f"How volatile is {name}?"
    change = f"How has {name} changed over the past month?"
    if question.kind == "price" and not question.why:
        return ["And why?", compare, swings, change]
    if question.kind in ("price", "volatility"):
        return [change, compare, swings, general[0]]
    return [compare, swings, *([] if question.why else ["And why?"]), *general]
