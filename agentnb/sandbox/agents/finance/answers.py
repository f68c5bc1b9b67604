"""Answers: the plan, the tool calls, the text, the tables and the followups."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final

from agentnb.event.types import Event
from agentnb.sandbox.agents.finance.prices import (
    NAMES,
    company,
    daily_returns,
    dollars,
    format_day,
    join_words,
    load_prices,
    markdown_table,
    move,
    percent,
    percent_change,
    up_or_down,
)
from agentnb.sandbox.agents.finance.question import Period, Question, trailing
from agentnb.sandbox.agents.finance.tools import Toolbox

_REFUSED: Final = (
    "I cannot do that: I know closes, changes and volatility over days, months, years and spans "
    "such as the past 3 months."
)


@dataclass(slots=True)
class FinanceAnswer:
    """An answer in Markdown, with its facts in one row for each share."""

    text: str
    rows: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])


Steps = Generator[Event, None, FinanceAnswer]


def answer(question: Question, tools: Toolbox) -> Steps:
    """Yield reasoning and tool calls; return the answer without its closing line."""
    yield from tools.think(_understood(question))
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
        return FinanceAnswer("\n\n".join([*notes, _capabilities()]))
    if missing := _outside(question):
        yield from tools.think("There are no prices at all for that time, so I will say so.")
        return FinanceAnswer("\n\n".join([*notes, missing]))
    result = yield from handler(question, tools)
    result.text = "\n\n".join([*notes, result.text])
    return result


def _understood(question: Question) -> str:
    if question.is_refused:
        return "The question asks for something that I cannot do."
    of = f" of {join_words([company(t) for t in question.tickers])}" if question.tickers else ""
    subject = {
        "price": f"the price{of}",
        "change": f"how the price{of} changed",
        "compare": f"a comparison{of}",
        "volatility": f"how much the price{of} swings",
        "rank": f"the best and the worst{of}",
        "history": f"the daily closes{of}",
        "help": "what I can do",
        "unknown": "something I do not recognise",
    }[question.kind]
    when = ""
    if question.day is not None:
        when = f" on {format_day(question.day)}"
    elif question.period is not None:
        when = f" {question.period.label}"
    why = ", and why" if question.why else ""
    earlier = " I took what was left unsaid from the conversation." if question.continues else ""
    return f"The question asks for {subject}{when}{why}.{earlier}"


def _price(question: Question, tools: Toolbox) -> Steps:
    prices = tools.prices
    wanted = question.day
    day = max(prices.last_two("NVDA", wanted or prices.last_day))
    paragraphs: list[str] = []
    if wanted not in (None, day):
        paragraphs.append(
            f"There was no trading on {format_day(wanted)}; this is the last close before it."
        )
    calls = join_words([f"get_stock_price({t})" for t in question.tickers])
    yield from tools.think(f"Plan: call {calls} for the close on {format_day(day)}.")
    rows: list[dict[str, Any]] = []
    for ticker in question.tickers:
        row = yield from tools.get_stock_price(ticker, None if wanted is None else day)
        rows.append(row | {"price": row["close"]})
        sentence = (
            f"**{company(ticker)}** closed at **{dollars(row['close'])}** on {format_day(day)}"
        )
        if row["change"] is None:
            sentence += ", the first day of the sample."
        else:
            sentence += f", {move(row['change_percent'], row['change'])} from the close before."
        paragraphs.append(sentence)
    if question.why:
        paragraphs.append((yield from _explain(question.tickers[0], day, tools)))
    return FinanceAnswer("\n\n".join(paragraphs), rows)


def _change(question: Question, tools: Toolbox) -> Steps:
    ticker = question.tickers[0]
    period, notes = _period(question, tools)
    yield from tools.think(f"Plan: call get_price_history({ticker}) {period.label}.")
    found = yield from tools.get_price_history(ticker, period.start, period.end)
    first, last = found["first_close"], found["last_close"]
    first_day, last_day = _day(found["start"]), _day(found["end"])
    high, low = found["high"], found["low"]
    verb = "stayed" if up_or_down(found["change_percent"]) == "unchanged" else "went"
    lead = (
        f"**{company(ticker)}** {verb} **{move(found['change_percent'], found['change'])}** "
        f"{period.label}: from {dollars(first)} on {first_day} to {dollars(last)} on {last_day}."
    )
    body = [
        ["First close", first_day, dollars(first)],
        ["Highest", _day(high["date"]), dollars(high["close"])],
        ["Lowest", _day(low["date"]), dollars(low["close"])],
        ["Last close", last_day, dollars(last)],
    ]
    text = "\n\n".join([*notes, lead, markdown_table(["", "Day", "Close"], body, left=2)])
    if question.why:
        text += "\n\n" + (yield from _explain(ticker, period.end, tools))
    return FinanceAnswer(text, [_row(found)])


def _compare(question: Question, tools: Toolbox) -> Steps:
    period, notes = _period(question, tools)
    tickers = question.tickers if len(question.tickers) > 1 else tuple(NAMES)
    names = f" for {len(tickers)} shares" if question.kind == "rank" else f"({', '.join(tickers)})"
    yield from tools.think(f"Plan: call compare{names} {period.label}, and order by the change.")
    found = yield from tools.compare(tickers, period.start, period.end)
    shares: list[dict[str, Any]] = found["shares"]
    best, worst = (f"**{company(s['ticker'])}**" for s in (shares[0], shares[-1]))
    up, down = shares[0]["change_percent"], shares[-1]["change_percent"]
    if question.kind == "rank":
        lead = (
            f"Best of the {len(shares)} {period.label}: {best}, {move(up)}. Worst: {worst}, "
            f"{move(down)}. The average is {percent(found['average_change_percent'])}."
        )
    else:
        lead = (
            f"{best} did better {period.label}: {move(up)}, against {percent(down)} for "
            f"{worst.strip('*')}, a difference of {up - down:.1f} points."
        )
    text = "\n\n".join([*notes, lead, _share_table(shares)])
    if question.why:
        text += "\n\n" + (yield from _explain(shares[0]["ticker"], period.end, tools))
    rows = [_row(share) | {"rank": rank} for rank, share in enumerate(shares, start=1)]
    return FinanceAnswer(text, rows)


def _volatility(question: Question, tools: Toolbox) -> Steps:
    period, notes = _period(question, tools, (1, "year"))
    calls = join_words([f"get_volatility({t})" for t in question.tickers])
    yield from tools.think(f"Plan: call {calls} {period.label}.")
    rows: list[dict[str, Any]] = []
    for ticker in question.tickers:
        found = yield from tools.get_volatility(ticker, period.start, period.end)
        rows.append(found | {"volatility": found["yearly_percent"]})
    if rows[0]["daily_percent"] is None:
        days = rows[0]["trading_days"]
        notes.append(
            f"{days} trading days are too few to tell how a price swings; ask for a week or more."
        )
        return FinanceAnswer("\n\n".join(notes), rows)
    rows.sort(key=lambda r: -r["yearly_percent"])
    first = rows[0]
    share = f"**{company(first['ticker'])}**"
    yearly = f"{first['yearly_percent']:.0f}%"
    if len(rows) == 1:
        lead = (
            f"The price of {share} typically moved by **{first['daily_percent']:.1f}% a day** "
            f"{period.label}, which is {yearly} over a year."
        )
    else:
        lead = f"{share} swings most {period.label}: {yearly} a year."
    body = [
        [
            company(r["ticker"]),
            f"{r['daily_percent']:.1f}%",
            f"{r['yearly_percent']:.0f}%",
            percent(r["best_day_percent"]),
            percent(r["worst_day_percent"]),
            percent(r["largest_fall_percent"]),
        ]
        for r in rows
    ]
    header = ["Share", "A day", "A year", "Best day", "Worst day", "Largest fall"]
    method = (
        "A day's figure is the standard deviation of daily returns; a year's is that times the "
        "square root of 252 trading days."
    )
    text = "\n\n".join([*notes, lead, markdown_table(header, body), method])
    return FinanceAnswer(text, rows)


def _history(question: Question, tools: Toolbox) -> Steps:
    period, notes = _period(question, tools, (10, "day"))
    yield from tools.think(f"Plan: call get_price_history {period.label} and show the closes.")
    found: list[dict[str, Any]] = []
    for ticker in question.tickers:
        history = yield from tools.get_price_history(ticker, period.start, period.end)
        found.append(history)
    body = [[day, *(dollars(f["closes"][day]) for f in found)] for day in found[0]["closes"]]
    names = join_words([company(t) for t in question.tickers])
    table = markdown_table(["Day", *question.tickers], body)
    text = "\n\n".join([*notes, f"Closes of {names} {period.label}:", table])
    return FinanceAnswer(text, [_row(f) for f in found])


_HANDLERS: Final[dict[str, Callable[[Question, Toolbox], Steps]]] = {
    "price": _price,
    "change": _change,
    "compare": _compare,
    "volatility": _volatility,
    "rank": _compare,
    "history": _history,
}


def _explain(ticker: str, day: date, tools: Toolbox) -> Generator[Event, None, str]:
    """Analyse the move that led to ``day``; return Markdown."""
    yield from tools.think(
        "I have prices and no news, so I cannot know the cause. What I can tell: whether the move "
        "is unusual for the share, whether the others moved with it, and where the price stands. "
        f"For that I call get_price_history({ticker}) over a year, and compare on the day."
    )
    prices = tools.prices
    start = max(trailing(1, "year", day).start, prices.first_day)
    year = yield from tools.get_price_history(ticker, start, day)
    days = prices.last_two(ticker, day)
    market = yield from tools.compare(tuple(NAMES), min(days), max(days))
    average: float = market["average_change_percent"]
    moved = percent_change(days)
    own = moved - average
    typical = statistics.fmean(abs(r) for r in daily_returns(prices.closes(ticker, start, day)))
    size = abs(moved) / typical if typical else 0.0
    unusual = "an ordinary day" if size < 1.5 else "a large move" if size < 3 else "a rare move"
    close, low, high = year["last_close"], year["low"]["close"], year["high"]["close"]
    level = (close - low) / (high - low) * 100 if high > low else 50.0
    yield from tools.think(
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
    return (
        f"**Why?** I have prices and no news, so I can say how {company(ticker)} moved, not what "
        "caused it:\n\n"
        f"- **The day:** {up_or_down(moved)} {abs(moved):.1f}% is {unusual}; the "
        f"price typically moves by {typical:.1f}% a day.\n"
        f"- **The others:** the ten shares averaged {percent(average)} that day, so it moved "
        f"{shared} the group; {percent(own)} is its own.\n"
        f"- **The level:** {dollars(close)} lies {level:.0f}% of the way from the year's low "
        f"({dollars(low)}) to its high ({dollars(high)}).\n\n"
        + markdown_table(["", ticker, "All ten", "Points apart"], rows)
    )


def _outside(question: Question) -> str:
    """Return the answer for a time without any prices, an empty string for any other."""
    prices = load_prices()
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


def _share_table(shares: list[dict[str, Any]]) -> str:
    body: list[list[str]] = []
    for share in shares:
        swing = share["yearly_volatility_percent"]
        body.append(
            [
                NAMES[share["ticker"]],
                share["ticker"],
                dollars(share["first_close"]),
                dollars(share["last_close"]),
                percent(share["change_percent"]),
                "–" if swing is None else f"{swing:.0f}%",
            ]
        )
    header = ["Company", "Ticker", "First close", "Last close", "Change", "Volatility a year"]
    return markdown_table(header, body, left=2)


def _capabilities() -> str:
    prices = load_prices()
    return (
        f"I have sample prices of {join_words([company(t) for t in NAMES])}. They are daily closes "
        f"from {format_day(prices.first_day)} to {format_day(prices.last_day)}. You can ask, for "
        "example:\n\n"
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
        asks = [f"Compare it with {peer}", f"How volatile is {name}?"]
        if question.kind == "price" and not question.why:
            candidates = ["And why?", *asks]
        elif question.kind in ("price", "volatility"):
            candidates = [f"How has {name} changed over the past month?", *asks, *candidates]
        else:
            candidates = [*asks, *candidates]
    text = question.text.strip().casefold()
    return tuple([q for q in candidates if q.casefold() != text][:3])
