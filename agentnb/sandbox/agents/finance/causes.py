"""What prices can tell about why one of them moved."""

from __future__ import annotations

import statistics
from collections.abc import Generator
from datetime import date
from typing import Final

from agentnb.event import Event
from agentnb.sandbox.agents.finance.periods import Period, trailing
from agentnb.sandbox.agents.finance.prices import Stretch
from agentnb.sandbox.agents.finance.tools import Desk
from agentnb.sandbox.agents.finance.wording import (
    day_text,
    direction,
    dollars,
    listed,
    percent,
    table,
    who,
)

__all__ = ["explain_move", "explain_stretch"]

_STRETCHES: Final = ((1, "week"), (1, "month"), (3, "month"), (1, "year"))


def explain_move(ticker: str, day: date, desk: Desk) -> Generator[Event, None, str]:
    """Look at the move that led to ``day``; return what can be said of it, as Markdown."""
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
        f"**Why?** I have prices and no news, so I can say how {who(ticker)} moved, not what "
        "caused it:\n\n"
        f"- **The day:** {direction(move.percent)} {abs(move.percent):.1f}% is {unusual}; the "
        f"price typically moves by {typical:.1f}% a day.\n"
        f"- **The others:** the ten shares averaged {percent(average)} that day, so it moved "
        f"{shared} the group; {percent(own)} is its own.\n"
        f"- **The level:** {dollars(stretch.end)} lies {place:.0f}% of the way from the year's low "
        f"({dollars(low[0])}) to its high ({dollars(high[0])}).\n\n"
        + table(["", ticker, "All ten", "Points apart"], rows)
    )


def explain_stretch(stretch: Stretch, period: Period, desk: Desk) -> Generator[Event, None, str]:
    """Look at what a change over a period was made of; return what can be said, as Markdown."""
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
    largest = listed([f"{percent(move)} on {day_text(day)}" for move, day in moves[:3]])
    gains = sum(1 for move in stretch.returns if move > 0)
    yield from desk.think(
        f"{percent(stretch.percent)} against {percent(average)} for the ten shares together."
    )
    return (
        f"**Why?** I have prices and no news, so I can say how {who(ticker)} moved, not what "
        "caused it:\n\n"
        f"- **The others:** the ten shares averaged {percent(average)} {period.label}; it did "
        f"{abs(own):.1f} points {'better' if own > 0 else 'worse'}.\n"
        f"- **The days:** the largest moves were {largest}.\n"
        f"- **The steadiness:** it rose on {gains} of {len(stretch.returns)} days."
    )
