"""Answers: the plan, the tool calls, the text, the tables and the followups."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final

from agentnb.sandbox.finance.prices import (
    NAMES,
    company,
    daily_returns,
    dollars,
    format_day,
    join_words,
    markdown_table,
    move,
    percent,
    percent_change,
    up_or_down,
)
from agentnb.sandbox.finance.question import Period, Question, trailing
from agentnb.sandbox.finance.tools import Toolbox

_REFUSED: Final = (
    "I cannot do that: I know closes, changes and volatility over days, months, years and spans "
    "such as the past 3 months."
)
_SUBJECTS: Final = {
    "price": "the price{}",
    "change": "how the price{} changed",
    "compare": "a comparison{}",
    "volatility": "how much the price{} swings",
    "rank": "the best and the worst{}",
    "history": "the daily closes{}",
    "help": "what I can do",
    "unknown": "something I do not recognise",
}


@dataclass(slots=True)
class FinanceAnswer:
    """An answer in Markdown paragraphs, with its facts in one row for each share."""

    paragraphs: list[str]
    rows: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])


def answer(question: Question, tools: Toolbox) -> FinanceAnswer:
    """Return the answer without its closing line; ``tools`` record reasoning and calls."""
    tools.think(_understood(question))
    notes: list[str] = []
    if question.unknown:
        notes.append(f"I have no prices for {join_words(question.unknown, 'or')}.")
    handler = _HANDLERS.get(question.kind)
    if handler is None or (question.kind != "rank" and not question.tickers):
        if question.is_refused:
            notes.append(_REFUSED)
        elif handler is not None and not notes:
            notes = ["Which company do you mean?"]
        elif question.kind == "unknown" and not notes:
            notes = ["I did not understand that."]
        return FinanceAnswer([*notes, _capabilities(tools)])
    if missing := _outside(question, tools):
        tools.think("There are no prices at all for that time, so I will say so.")
        return FinanceAnswer([*notes, missing])
    result = handler(question, tools)
    return FinanceAnswer([*notes, *result.paragraphs], result.rows)


def _understood(question: Question) -> str:
    if question.is_refused:
        return "The question asks for something that I cannot do."
    of = f" of {join_words([company(t) for t in question.tickers])}" if question.tickers else ""
    when = ""
    if question.day is not None:
        when = f" on {format_day(question.day)}"
    elif question.period is not None:
        when = f" {question.period.label}"
    why = ", and why" if question.why else ""
    earlier = " I took what was left unsaid from the conversation." if question.continues else ""
    return f"The question asks for {_SUBJECTS[question.kind].format(of)}{when}{why}.{earlier}"


def _price(question: Question, tools: Toolbox) -> FinanceAnswer:
    prices, wanted = tools.prices, question.day
    day = max(prices.last_two("NVDA", wanted or prices.last_day))
    result = FinanceAnswer([])
    if wanted not in (None, day):
        result.paragraphs.append(
            f"There was no trading on {format_day(wanted)}; this is the last close before it."
        )
    calls = join_words([f"get_stock_price({t})" for t in question.tickers])
    tools.think(f"Plan: call {calls} for the close on {format_day(day)}.")
    for ticker in question.tickers:
        row = tools.get_stock_price(ticker, None if wanted is None else day)
        result.rows.append(row | {"price": row["close"]})
        past = ", the first day of the sample"
        if row["change"] is not None:
            past = f", {move(row['change_percent'], row['change'])} from the close before"
        result.paragraphs.append(
            f"**{company(ticker)}** closed at **{dollars(row['close'])}** on {format_day(day)}"
            f"{past}."
        )
    if question.why:
        result.paragraphs += _explain(question.tickers[0], day, tools)
    return result


def _change(question: Question, tools: Toolbox) -> FinanceAnswer:
    ticker = question.tickers[0]
    period, paragraphs = _period(question, tools)
    tools.think(f"Plan: call get_price_history({ticker}) {period.label}.")
    found = tools.get_price_history(ticker, period.start, period.end)
    verb = "stayed" if up_or_down(found["change_percent"]) == "unchanged" else "went"
    points = {
        "First close": (found["start"], found["first_close"]),
        "Highest": (found["high"]["date"], found["high"]["close"]),
        "Lowest": (found["low"]["date"], found["low"]["close"]),
        "Last close": (found["end"], found["last_close"]),
    }
    body = [[name, _day(day), dollars(close)] for name, (day, close) in points.items()]
    (_, first_day, first), (_, last_day, last) = body[0], body[-1]
    paragraphs += [
        f"**{company(ticker)}** {verb} **{move(found['change_percent'], found['change'])}** "
        f"{period.label}: from {first} on {first_day} to {last} on {last_day}.",
        markdown_table(["", "Day", "Close"], body, left=2),
    ]
    if question.why:
        paragraphs += _explain(ticker, period.end, tools)
    return FinanceAnswer(paragraphs, [_row(found)])


def _compare(question: Question, tools: Toolbox) -> FinanceAnswer:
    period, paragraphs = _period(question, tools)
    tickers = question.tickers if len(question.tickers) > 1 else tuple(NAMES)
    names = f" for {len(tickers)} shares" if question.kind == "rank" else f"({', '.join(tickers)})"
    tools.think(f"Plan: call compare{names} {period.label}, and order by the change.")
    found = tools.compare(tickers, period.start, period.end)
    shares: list[dict[str, Any]] = found["shares"]
    best, worst = (company(s["ticker"]) for s in (shares[0], shares[-1]))
    up, down = shares[0]["change_percent"], shares[-1]["change_percent"]
    if question.kind == "rank":
        lead = (
            f"Best of the {len(shares)} {period.label}: **{best}**, {move(up)}. "
            f"Worst: **{worst}**, {move(down)}. "
            f"The average is {percent(found['average_change_percent'])}."
        )
    else:
        lead = (
            f"**{best}** did better {period.label}: {move(up)}, against {percent(down)} for "
            f"{worst}, a difference of {up - down:.1f} points."
        )
    body = [
        [
            NAMES[share["ticker"]],
            share["ticker"],
            dollars(share["first_close"]),
            dollars(share["last_close"]),
            percent(share["change_percent"]),
            "–" if (swing := share["yearly_volatility_percent"]) is None else f"{swing:.0f}%",
        ]
        for share in shares
    ]
    header = ["Company", "Ticker", "First close", "Last close", "Change", "Volatility a year"]
    paragraphs += [lead, markdown_table(header, body, left=2)]
    if question.why:
        paragraphs += _explain(shares[0]["ticker"], period.end, tools)
    rows = [_row(share) | {"rank": rank} for rank, share in enumerate(shares, start=1)]
    return FinanceAnswer(paragraphs, rows)


def _volatility(question: Question, tools: Toolbox) -> FinanceAnswer:
    period, paragraphs = _period(question, tools, (1, "year"))
    calls = join_words([f"get_volatility({t})" for t in question.tickers])
    tools.think(f"Plan: call {calls} {period.label}.")
    found = [tools.get_volatility(t, period.start, period.end) for t in question.tickers]
    rows = [f | {"volatility": f["yearly_percent"]} for f in found]
    first = rows[0]
    if first["daily_percent"] is None:
        days = first["trading_days"]
        paragraphs.append(
            f"{days} trading days are too few to tell how a price swings; ask for a week or more."
        )
        return FinanceAnswer(paragraphs, rows)
    rows.sort(key=lambda r: -r["yearly_percent"])
    first = rows[0]
    share, yearly = f"**{company(first['ticker'])}**", f"{first['yearly_percent']:.0f}%"
    lead = f"{share} swings most {period.label}: {yearly} a year."
    if len(rows) == 1:
        lead = (
            f"The price of {share} typically moved by **{first['daily_percent']:.1f}% a day** "
            f"{period.label}, which is {yearly} over a year."
        )
    body = [
        [
            company(r["ticker"]),
            f"{r['daily_percent']:.1f}%",
            f"{r['yearly_percent']:.0f}%",
            *(percent(r[f"{x}_percent"]) for x in ("best_day", "worst_day", "largest_fall")),
        ]
        for r in rows
    ]
    header = ["Share", "A day", "A year", "Best day", "Worst day", "Largest fall"]
    method = (
        "A day's figure is the standard deviation of daily returns; a year's is that times the "
        "square root of 252 trading days."
    )
    return FinanceAnswer([*paragraphs, lead, markdown_table(header, body), method], rows)


def _history(question: Question, tools: Toolbox) -> FinanceAnswer:
    period, paragraphs = _period(question, tools, (10, "day"))
    tools.think(f"Plan: call get_price_history {period.label} and show the closes.")
    found = [tools.get_price_history(t, period.start, period.end) for t in question.tickers]
    body = [[day, *(dollars(f["closes"][day]) for f in found)] for day in found[0]["closes"]]
    names = join_words([company(t) for t in question.tickers])
    table = markdown_table(["Day", *question.tickers], body)
    paragraphs += [f"Closes of {names} {period.label}:", table]
    return FinanceAnswer(paragraphs, [_row(f) for f in found])


_HANDLERS: Final[dict[str, Callable[[Question, Toolbox], FinanceAnswer]]] = {
    "price": _price,
    "change": _change,
    "compare": _compare,
    "volatility": _volatility,
    "rank": _compare,
    "history": _history,
}


def _explain(ticker: str, day: date, tools: Toolbox) -> list[str]:
    """Analyse the move that led to ``day``; return paragraphs."""
    tools.think(
        "I have prices and no news, so I cannot know the cause. What I can tell: whether the move "
        "is unusual for the share, whether the others moved with it, and where the price stands. "
        f"For that I call get_price_history({ticker}) over a year, and compare on the day."
    )
    prices = tools.prices
    start = max(trailing(1, "year", day).start, prices.first_day)
    year = tools.get_price_history(ticker, start, day)
    days = prices.last_two(ticker, day)
    market = tools.compare(tuple(NAMES), min(days), max(days))
    average: float = market["average_change_percent"]
    moved = percent_change(days)
    own = moved - average
    typical = statistics.fmean(abs(r) for r in daily_returns(prices.closes(ticker, start, day)))
    size = abs(moved) / typical if typical else 0.0
    unusual = "an ordinary day" if size < 1.5 else "a large move" if size < 3 else "a rare move"
    close, low, high = year["last_close"], year["low"]["close"], year["high"]["close"]
    level = (close - low) / (high - low) * 100 if high > low else 50.0
    tools.think(
        f"The day's {percent(moved)} against a typical ±{typical:.1f}%: {unusual}. The ten "
        f"shares averaged {percent(average)}, so {percent(own)} is the share's own."
    )
    rows: list[list[str]] = []
    for count, unit in ((1, "week"), (1, "month"), (3, "month"), (1, "year")):
        period = trailing(count, unit, day)
        begin = max(period.start, prices.first_day)
        alone = prices.change(ticker, begin, day)
        every = statistics.fmean(prices.change(t, begin, day) for t in NAMES)
        name = period.label.removeprefix("over the past ")
        points = percent(alone - every).removesuffix("%")
        rows.append([f"Past {name}", percent(alone), percent(every), points])
    shared = "with" if average * moved > 0 and abs(own) < abs(moved) else "against"
    if abs(own) > 2 * abs(average):
        shared = "mostly apart from"
    return [
        f"**Why?** I have prices and no news, so I can say how {company(ticker)} moved, not what "
        "caused it:",
        f"- **The day:** {up_or_down(moved)} {abs(moved):.1f}% is {unusual}; the "
        f"price typically moves by {typical:.1f}% a day.\n"
        f"- **The others:** the ten shares averaged {percent(average)} that day, so it moved "
        f"{shared} the group; {percent(own)} is its own.\n"
        f"- **The level:** {dollars(close)} lies {level:.0f}% of the way from the year's low "
        f"({dollars(low)}) to its high ({dollars(high)}).",
        markdown_table(["", ticker, "All ten", "Points apart"], rows),
    ]


def _outside(question: Question, tools: Toolbox) -> str:
    """Return the answer for a time without any prices, an empty string for any other."""
    first, last = tools.prices.first_day, tools.prices.last_day
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
        f"I have no prices {edge}, so I cannot answer for that time ({when}). "
        f"Ask about a time from {format_day(first)} to {format_day(last)}."
    )


def _period(
    question: Question, tools: Toolbox, default: tuple[int, str] = (1, "month")
) -> tuple[Period, list[str]]:
    """Return the part of the question's period that has prices, and notes on what is left out."""
    first, last = tools.prices.first_day, tools.prices.last_day
    period = question.period or trailing(*default, last)
    notes: list[str] = []
    # A period may begin on the day before the first one, and a weekend before that.
    if period.start < first - timedelta(days=3):
        notes.append(f"The sample begins on {format_day(first)}; I start there.")
    if period.end > last:
        notes.append(f"The sample ends on {format_day(last)}; I stop there.")
    start, end = max(period.start, first), min(period.end, last)
    label = f"from {format_day(start)} to {format_day(end)}" if notes else period.label
    return Period(start, end, label), notes


def _day(text: str) -> str:
    return format_day(date.fromisoformat(text))


def _row(found: dict[str, Any]) -> dict[str, Any]:
    """Return a tool's result with the names that `fill_schema` reads."""
    return {**found, "price": found["last_close"], "date": found["end"], "currency": "USD"}


def _capabilities(tools: Toolbox) -> str:
    first, last = format_day(tools.prices.first_day), format_day(tools.prices.last_day)
    return (
        f"I have sample prices of {join_words([company(t) for t in NAMES])}. They are daily closes "
        f"from {first} to {last}. You can ask, for example:\n\n"
        "- What is the current NVDA stock price, and why?\n"
        "- How has Apple changed since March 2025?\n"
        "- Compare NVDA, AMD and Intel this year\n"
        "- How volatile is Tesla?\n"
        "- Which were the best and the worst over the past six months?\n"
        "- Show me the closes of Microsoft over the last 10 days\n\n"
        "I know prices only: no news, no forecasts, no advice."
    )


def suggest(question: Question) -> tuple[str, ...]:
    """Return three followup questions that the agent can answer."""
    tickers = question.tickers
    candidates = [
        "Which were the best and the worst this year?",
        "What is the current NVDA stock price, and why?",
        "Compare NVDA with AMD this year",
        "How volatile is Tesla?",
    ]
    if len(tickers) > 1:
        names = " and ".join(NAMES[t] for t in tickers[:2])
        other = next(t for t in NAMES if t not in tickers[:9])
        volatile = f"Which of {names} is more volatile?"
        candidates = [volatile, f"And {NAMES[other]}?", "And over the past three months?"]
    elif tickers:
        name = NAMES[tickers[0]]
        peer = NAMES["AMD" if tickers[0] == "NVDA" else "NVDA"]
        more = [f"Compare it with {peer}", f"How volatile is {name}?"]
        if question.kind == "price" and not question.why:
            candidates = ["And why?", *more]
        elif question.kind in ("price", "volatility"):
            candidates = [f"How has {name} changed over the past month?", *more, *candidates]
        else:
            candidates = [*more, *candidates]
    text = question.text.strip().casefold()
    return tuple([q for q in candidates if q.casefold() != text][:3])
