"""Answers: the plan, the tool calls, the words and the tables."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, Final

from agentnb.event.types import Event
from agentnb.sandbox.agents.finance.prices import (
    NAMES,
    company,
    dollars,
    format_day,
    join_words,
    markdown_table,
    percent,
    signed_dollars,
    up_or_down,
)
from agentnb.sandbox.agents.finance.question import Question, trailing
from agentnb.sandbox.agents.finance.remarks import (
    capabilities,
    clip,
    covered,
    explain_move,
    explain_stretch,
    outside,
    refusal,
)
from agentnb.sandbox.agents.finance.tools import Desk

__all__ = ["Answer", "answer"]


@dataclass(slots=True)
class Answer:
    """An answer in Markdown, with its facts in one row for each share."""

    text: str
    rows: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    label: str = ""


Work = Generator[Event, None, Answer]


def answer(question: Question, desk: Desk) -> Work:
    """Yield reasoning and tool calls; return the answer without its closing line."""
    yield from desk.think(_understood(question))
    notes = _notes(question)
    refused = refusal(question)
    handler = _HANDLERS.get(question.kind)
    needs_company = question.kind in ("price", "change", "compare", "volatility", "history")
    if handler is None or (needs_company and not question.tickers):
        return _helpless(question, refused, notes)
    missing = outside(question, desk.prices)
    if missing:
        yield from desk.think("There are no prices at all for that time, so I will say so.")
        return Answer("\n\n".join([*notes, *([refused] if refused else []), missing]))
    if refused:
        yield from desk.think(f"{refused} I will say so, and give what the prices do tell.")
        notes.append(f"{refused} This is what the prices tell:")
    result = yield from handler(question, desk)
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
        "thanks": "nothing more",
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


def _notes(question: Question) -> list[str]:
    notes: list[str] = []
    if question.unknown:
        notes.append(f"I have no prices for {join_words(question.unknown, 'or')}.")
    return notes


def _helpless(question: Question, refused: str, notes: list[str]) -> Answer:
    if question.kind == "thanks":
        return Answer("You are welcome.")
    if question.kind == "help":
        return Answer("\n\n".join([*notes, *([refused] if refused else []), capabilities()]))
    lead = [*notes, *([refused] if refused else [])]
    if not lead and question.kind != "unknown":
        lead = ["Which company do you mean?"]
    elif not lead:
        lead = ["I did not understand that."]
    elif notes and not refused:
        return Answer("\n\n".join([*lead, covered()]))
    return Answer("\n\n".join([*lead, capabilities()]))


def _price(question: Question, desk: Desk) -> Work:
    prices = desk.prices
    wanted = question.day
    day = prices.day_at(wanted or prices.last_day)
    notes: list[str] = []
    if wanted is not None and prices.first_day <= wanted != day:
        notes.append(
            f"There was no trading on {format_day(wanted)}; this is the last close before it."
        )
    tools = join_words([f"get_stock_price({t})" for t in question.tickers])
    yield from desk.think(f"Plan: call {tools} for the close on {format_day(day)}.")
    rows: list[dict[str, Any]] = []
    for ticker in question.tickers:
        found = yield from desk.get_stock_price(ticker, None if wanted is None else day)
        move = prices.last_move(ticker, day)
        rows.append(
            {
                **found,
                "price": found["close"],
                "start_price": found["previous_close"],
                "start_date": move.days[0].isoformat(),
            }
        )
    if len(rows) == 1:
        row = rows[0]
        text = (
            f"**{company(row['ticker'])}** closed at **{dollars(row['close'])}** "
            f"on {format_day(day)}"
        )
        if row["change"] is None:
            text += ", the first day of the sample."
        else:
            day_move = _moved(row["change_percent"], row["change"])
            text += f", {day_move} from the close before."
    else:
        body = [
            [
                company(r["ticker"]),
                dollars(r["close"]),
                signed_dollars(r["change"] or 0),
                percent(r["change_percent"] or 0),
            ]
            for r in rows
        ]
        text = f"The closes on {format_day(day)}:\n\n" + markdown_table(
            ["Share", "Close", "Change", "Change in %"], body
        )
    if question.why:
        for ticker in question.tickers:
            text += "\n\n" + (yield from explain_move(ticker, day, desk))
    return Answer("\n\n".join([*notes, text]), rows, label=f"on {format_day(day)}")


def _change(question: Question, desk: Desk) -> Work:
    ticker = question.tickers[0]
    period, notes = clip(question.period or trailing(1, "month", desk.prices.last_day), desk.prices)
    yield from desk.think(f"Plan: call get_price_history({ticker}) {period.label}.")
    found = yield from desk.get_price_history(ticker, period.start, period.end)
    stretch = desk.prices.stretch(ticker, period.start, period.end)
    high, low = stretch.high, stretch.low
    move = _moved(stretch.percent, stretch.change)
    verb = "stayed" if up_or_down(stretch.percent) == "unchanged" else "went"
    lead = (
        f"**{company(ticker)}** {verb} **{move}** {period.label}: from {dollars(stretch.start)} on "
        f"{format_day(stretch.days[0])} to {dollars(stretch.end)} "
        f"on {format_day(stretch.days[-1])}."
    )
    body = [
        ["First close", format_day(stretch.days[0]), dollars(stretch.start)],
        ["Highest", format_day(high[1]), dollars(high[0])],
        ["Lowest", format_day(low[1]), dollars(low[0])],
        ["Last close", format_day(stretch.days[-1]), dollars(stretch.end)],
    ]
    text = f"{lead}\n\n{markdown_table(['', 'Day', 'Close'], body, left=2)}"
    if question.why:
        text += "\n\n" + (yield from explain_stretch(stretch, period, desk))
    row = _row(found) | {"high": high[0], "low": low[0]}
    return Answer("\n\n".join([*notes, text]), [row], label=period.label)


def _compare(question: Question, desk: Desk) -> Work:
    period, notes = clip(question.period or trailing(1, "month", desk.prices.last_day), desk.prices)
    names = ", ".join(question.tickers)
    yield from desk.think(f"Plan: call compare({names}) {period.label}, and order by the change.")
    found = yield from desk.compare(question.tickers, period.start, period.end)
    shares: list[dict[str, Any]] = found["shares"]
    best, last = shares[0], shares[-1]
    lead = (
        f"**{company(best['ticker'])}** did best {period.label}, {_turned(best)}; "
        f"{company(last['ticker'])} did worst, {_turned(last)}."
    )
    if len(shares) == 2:
        gap = best["change_percent"] - last["change_percent"]
        lead = (
            f"**{company(best['ticker'])}** did better {period.label}: {_turned(best)}, against "
            f"{percent(last['change_percent'])} for {company(last['ticker'])}, "
            f"a difference of {gap:.1f} points."
        )
    text = f"{lead}\n\n{_share_table(shares)}"
    if question.why:
        stretch = desk.prices.stretch(best["ticker"], period.start, period.end)
        text += "\n\n" + (yield from explain_stretch(stretch, period, desk))
    return Answer("\n\n".join([*notes, text]), [_row(s) for s in shares], label=period.label)


def _volatility(question: Question, desk: Desk) -> Work:
    period, notes = clip(question.period or trailing(1, "year", desk.prices.last_day), desk.prices)
    tickers = question.tickers
    tools = join_words([f"get_volatility({t})" for t in tickers])
    yield from desk.think(f"Plan: call {tools} {period.label}.")
    rows: list[dict[str, Any]] = []
    for ticker in tickers:
        found = yield from desk.get_volatility(ticker, period.start, period.end)
        stretch = desk.prices.stretch(ticker, period.start, period.end)
        rows.append(found | {"volatility": found["yearly_percent"], "price": stretch.end})
    if rows[0]["daily_percent"] is None:
        days = rows[0]["trading_days"]
        text = (
            f"{days} trading days are too few to tell how a price swings; ask for a week or more."
        )
        return Answer("\n\n".join([*notes, text]), rows, label=period.label)
    rows.sort(key=lambda r: -r["yearly_percent"])
    first = rows[0]
    lead = (
        f"The price of **{company(first['ticker'])}** typically moved by "
        f"**{first['daily_percent']:.1f}% a day** {period.label}, which is "
        f"{first['yearly_percent']:.0f}% over a year."
    )
    if len(rows) > 1:
        calmest = rows[-1]
        lead = (
            f"**{company(first['ticker'])}** swings most {period.label}: "
            f"{first['yearly_percent']:.0f}% a year; {company(calmest['ticker'])} swings least: "
            f"{calmest['yearly_percent']:.0f}%."
        )
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
    text = (
        f"{lead}\n\n{markdown_table(header, body)}\n\n"
        "A day's figure is the standard deviation of daily returns; a year's is that times the "
        "square root of 252 trading days."
    )
    return Answer("\n\n".join([*notes, text]), rows, label=period.label)


def _rank(question: Question, desk: Desk) -> Work:
    period, notes = clip(question.period or trailing(1, "month", desk.prices.last_day), desk.prices)
    tickers = question.tickers if len(question.tickers) > 1 else tuple(desk.prices.tickers)
    yield from desk.think(
        f"Plan: call compare for {len(tickers)} shares {period.label}, and order by the change."
    )
    found = yield from desk.compare(tickers, period.start, period.end)
    shares: list[dict[str, Any]] = found["shares"]
    first, last = shares[0], shares[-1]
    lead = (
        f"Best of the {len(shares)} {period.label}: **{company(first['ticker'])}**, "
        f"{_turned(first)}. Worst: **{company(last['ticker'])}**, {_turned(last)}. "
        f"The average is {percent(found['average_change_percent'])}."
    )
    rows = [_row(s) | {"rank": n} for n, s in enumerate(shares, start=1)]
    text = f"{lead}\n\n{_share_table(shares)}"
    return Answer("\n\n".join([*notes, text]), rows, label=period.label)


def _history(question: Question, desk: Desk) -> Work:
    period, notes = clip(question.period or trailing(10, "day", desk.prices.last_day), desk.prices)
    yield from desk.think(
        f"Plan: call get_price_history {period.label} and show the closes, thinned out if many."
    )
    rows: list[dict[str, Any]] = []
    closes: list[dict[str, float]] = []
    for ticker in question.tickers:
        found = yield from desk.get_price_history(ticker, period.start, period.end)
        rows.append(_row(found))
        closes.append(found["closes"])
    body = [[day, *(dollars(c[day]) for c in closes)] for day in closes[0]]
    names = join_words([company(t) for t in question.tickers])
    text = f"Closes of {names} {period.label}:\n\n" + markdown_table(
        ["Day", *question.tickers], body
    )
    return Answer("\n\n".join([*notes, text]), rows, label=period.label)


_HANDLERS: Final[dict[str, Callable[[Question, Desk], Work]]] = {
    "price": _price,
    "change": _change,
    "compare": _compare,
    "volatility": _volatility,
    "rank": _rank,
    "history": _history,
}


def _row(found: dict[str, Any]) -> dict[str, Any]:
    """Return a tool's result with the names that `fill_schema` reads."""
    return {
        **found,
        "price": found["last_close"],
        "start_price": found["first_close"],
        "start_date": found["start"],
        "date": found["end"],
        "volatility": found.get("yearly_volatility_percent"),
        "currency": "USD",
    }


def _moved(change_percent: float, change: float) -> str:
    word = up_or_down(change_percent)
    if word == "unchanged":
        return "unchanged"
    return f"{word} {abs(change_percent):.1f}% ({signed_dollars(change)})"


def _turned(share: dict[str, Any]) -> str:
    word = up_or_down(share["change_percent"])
    return word if word == "unchanged" else f"{word} {abs(share['change_percent']):.1f}%"


def _swing(share: dict[str, Any]) -> str:
    swing = share["yearly_volatility_percent"]
    return "unknown" if swing is None else f"{swing:.0f}%"


def _share_table(shares: list[dict[str, Any]]) -> str:
    body = [
        [
            NAMES[s["ticker"]],
            s["ticker"],
            dollars(s["first_close"]),
            dollars(s["last_close"]),
            percent(s["change_percent"]),
            _swing(s).replace("unknown", "–"),
        ]
        for s in shares
    ]
    header = ["Company", "Ticker", "First close", "Last close", "Change", "Volatility a year"]
    return markdown_table(header, body, left=2)
