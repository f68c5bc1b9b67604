"""Answering a question: the plan, the tool calls, the words and the table."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, Final

from agentnb.event import Event
from agentnb.sandbox.agents.finance.causes import explain_move, explain_stretch
from agentnb.sandbox.agents.finance.coverage import clipped, off_days, outside
from agentnb.sandbox.agents.finance.limits import can_do, cannot, covered, is_beyond
from agentnb.sandbox.agents.finance.periods import trailing
from agentnb.sandbox.agents.finance.prices import NAMES
from agentnb.sandbox.agents.finance.question import Intent, Question
from agentnb.sandbox.agents.finance.tools import Desk
from agentnb.sandbox.agents.finance.wording import (
    day_text,
    direction,
    dollars,
    listed,
    percent,
    signed_dollars,
    table,
    who,
)

__all__ = ["Answer", "answer"]


@dataclass(slots=True)
class Answer:
    """The answer in Markdown, and the same as facts, one row for each share."""

    text: str
    rows: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    label: str = ""


Working = Generator[Event, None, Answer]
_Handler = Callable[[Question, Desk], Working]


def answer(question: Question, desk: Desk) -> Working:
    """Work on a question; what is returned has no closing line yet."""
    yield from desk.think(_understood(question))
    notes = _notes(question)
    refusal = cannot(question.limits)
    handler = _HANDLERS.get(question.intent)
    needs_company = question.intent in ("price", "change", "compare", "volatility", "history")
    if handler is None or (needs_company and not question.tickers):
        return _helpless(question, refusal, notes)
    missing = outside(question, desk.prices)
    if missing:
        yield from desk.think("There are no prices at all for that time, so I will say so.")
        return Answer("\n\n".join([*notes, *([refusal] if refusal else []), missing]))
    if refusal:
        yield from desk.think(f"{refusal} I will say so, and give what the prices do tell.")
        notes.append(f"{refusal} This is what the prices tell:")
    result = yield from handler(question, desk)
    result.text = "\n\n".join([*notes, result.text])
    return result


def _understood(question: Question) -> str:
    if is_beyond(question.limits):
        return "The question asks for something that I cannot do."
    of = f" of {listed([who(t) for t in question.tickers])}" if question.tickers else ""
    extremes = (
        "the most and the least volatile"
        if question.by == "volatility"
        else ("the best and the worst")
    )
    asked = {
        "price": f"the price{of}",
        "change": f"how the price{of} changed",
        "compare": f"a comparison{of}",
        "volatility": f"how much the price{of} swings",
        "rank": f"{extremes}{of}",
        "history": f"the daily closes{of}",
        "help": "what I can do",
        "thanks": "nothing more",
        "unknown": "something I do not recognise",
    }[question.intent]
    when = ""
    if question.day is not None:
        when = f" on {day_text(question.day)}"
    elif question.period is not None:
        when = f" {question.period.label}"
    why = ", and why" if question.why else ""
    earlier = " I took what was left unsaid from the conversation." if question.continues else ""
    return f"The question asks for {asked}{when}{why}.{earlier}"


def _notes(question: Question) -> list[str]:
    notes: list[str] = []
    if question.guessed:
        read = listed([f"“{word}” as {who(t)}" for word, t in question.guessed.items()])
        notes.append(f"I read {read}.")
    if question.unknown:
        notes.append(f"I have no prices for {listed(question.unknown, 'or')}.")
    return notes


def _helpless(question: Question, refusal: str, notes: list[str]) -> Answer:
    if question.intent == "thanks":
        return Answer("You are welcome.")
    if question.intent == "help":
        return Answer("\n\n".join([*notes, *([refusal] if refusal else []), can_do()]))
    lead = [*notes, *([refusal] if refusal else [])]
    if not lead and question.intent != "unknown":
        lead = ["Which company do you mean?"]
    elif not lead:
        lead = ["I did not understand that."]
    elif notes and not refusal:
        return Answer("\n\n".join([*lead, covered()]))
    return Answer("\n\n".join([*lead, can_do()]))


# --- one handler for each kind of question ----------------------------------------------------


def _price(question: Question, desk: Desk) -> Working:
    prices = desk.prices
    wanted = question.day
    day = prices.day_at(wanted or prices.last_day)
    notes = off_days(question, prices)
    tools = listed([f"get_stock_price({t})" for t in question.tickers])
    yield from desk.think(f"Plan: call {tools} for the close on {day_text(day)}.")
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
        text = f"**{who(row['ticker'])}** closed at **{dollars(row['close'])}** on {day_text(day)}"
        if row["change"] is None:
            text += ", the first day of the sample."
        else:
            day_move = _moved(row["change_percent"], row["change"])
            text += f", {day_move} from the close before."
    else:
        body = [
            [
                who(r["ticker"]),
                dollars(r["close"]),
                signed_dollars(r["change"] or 0),
                percent(r["change_percent"] or 0),
            ]
            for r in rows
        ]
        text = f"The closes on {day_text(day)}:\n\n" + table(
            ["Share", "Close", "Change", "Change in %"], body
        )
    if question.why:
        for ticker in question.tickers:
            text += "\n\n" + (yield from explain_move(ticker, day, desk))
    return Answer("\n\n".join([*notes, text]), rows, label=f"on {day_text(day)}")


def _change(question: Question, desk: Desk) -> Working:
    ticker = question.tickers[0]
    period, notes = clipped(
        question.period or trailing(1, "month", desk.prices.last_day), desk.prices
    )
    yield from desk.think(f"Plan: call get_price_history({ticker}) {period.label}.")
    found = yield from desk.get_price_history(ticker, period.start, period.end)
    stretch = desk.prices.stretch(ticker, period.start, period.end)
    high, low = stretch.high, stretch.low
    move = _moved(stretch.percent, stretch.change)
    verb = "stayed" if direction(stretch.percent) == "unchanged" else "went"
    lead = (
        f"**{who(ticker)}** {verb} **{move}** {period.label}: from {dollars(stretch.start)} on "
        f"{day_text(stretch.days[0])} to {dollars(stretch.end)} on {day_text(stretch.days[-1])}."
    )
    body = [
        ["First close", day_text(stretch.days[0]), dollars(stretch.start)],
        ["Highest", day_text(high[1]), dollars(high[0])],
        ["Lowest", day_text(low[1]), dollars(low[0])],
        ["Last close", day_text(stretch.days[-1]), dollars(stretch.end)],
    ]
    text = f"{lead}\n\n{table(['', 'Day', 'Close'], body, left=2)}"
    if question.why:
        text += "\n\n" + (yield from explain_stretch(stretch, period, desk))
    row = _row(found) | {"high": high[0], "low": low[0]}
    return Answer("\n\n".join([*notes, text]), [row], label=period.label)


def _compare(question: Question, desk: Desk) -> Working:
    period, notes = clipped(
        question.period or trailing(1, "month", desk.prices.last_day), desk.prices
    )
    names = ", ".join(question.tickers)
    yield from desk.think(f"Plan: call compare({names}) {period.label}, and order by the change.")
    found = yield from desk.compare(question.tickers, period.start, period.end)
    shares: list[dict[str, Any]] = found["shares"]
    best, last = shares[0], shares[-1]
    lead = (
        f"**{who(best['ticker'])}** did best {period.label}, {_turned(best)}; "
        f"{who(last['ticker'])} did worst, {_turned(last)}."
    )
    if len(shares) == 2:
        gap = best["change_percent"] - last["change_percent"]
        lead = (
            f"**{who(best['ticker'])}** did better {period.label}: {_turned(best)}, against "
            f"{percent(last['change_percent'])} for {who(last['ticker'])}, "
            f"a difference of {gap:.1f} points."
        )
    text = f"{lead}\n\n{_share_table(shares)}"
    if question.why:
        stretch = desk.prices.stretch(best["ticker"], period.start, period.end)
        text += "\n\n" + (yield from explain_stretch(stretch, period, desk))
    return Answer("\n\n".join([*notes, text]), [_row(s) for s in shares], label=period.label)


def _volatility(question: Question, desk: Desk) -> Working:
    period, notes = clipped(
        question.period or trailing(1, "year", desk.prices.last_day), desk.prices
    )
    tickers = question.tickers
    tools = listed([f"get_volatility({t})" for t in tickers])
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
        f"The price of **{who(first['ticker'])}** typically moved by "
        f"**{first['daily_percent']:.1f}% a day** {period.label}, which is "
        f"{first['yearly_percent']:.0f}% over a year."
    )
    if len(rows) > 1:
        calmest = rows[-1]
        lead = (
            f"**{who(first['ticker'])}** swings most {period.label}: "
            f"{first['yearly_percent']:.0f}% a year; {who(calmest['ticker'])} swings least: "
            f"{calmest['yearly_percent']:.0f}%."
        )
    body = [
        [
            who(r["ticker"]),
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
        f"{lead}\n\n{table(header, body)}\n\n"
        "A day's figure is the standard deviation of daily returns; a year's is that times the "
        "square root of 252 trading days."
    )
    return Answer("\n\n".join([*notes, text]), rows, label=period.label)


def _rank(question: Question, desk: Desk) -> Working:
    unit = "year" if question.by == "volatility" else "month"
    period, notes = clipped(question.period or trailing(1, unit, desk.prices.last_day), desk.prices)
    tickers = question.tickers if len(question.tickers) > 1 else tuple(desk.prices.tickers)
    yield from desk.think(
        f"Plan: call compare for {len(tickers)} shares {period.label}, and order by "
        f"{'how much they swing' if question.by == 'volatility' else 'the change'}."
    )
    found = yield from desk.compare(tickers, period.start, period.end)
    shares: list[dict[str, Any]] = found["shares"]
    if question.by == "volatility":
        shares = sorted(shares, key=lambda s: -(s["yearly_volatility_percent"] or 0))
        first, last = shares[0], shares[-1]
        lead = (
            f"**{who(first['ticker'])}** swung most {period.label} "
            f"({_swing(first)} a year), **{who(last['ticker'])}** least ({_swing(last)})."
        )
    else:
        first, last = shares[0], shares[-1]
        lead = (
            f"Best of the {len(shares)} {period.label}: **{who(first['ticker'])}**, "
            f"{_turned(first)}. Worst: **{who(last['ticker'])}**, {_turned(last)}. "
            f"The average is {percent(found['average_change_percent'])}."
        )
    rows = [_row(s) | {"rank": n} for n, s in enumerate(shares, start=1)]
    text = f"{lead}\n\n{_share_table(shares)}"
    return Answer("\n\n".join([*notes, text]), rows, label=period.label)


def _history(question: Question, desk: Desk) -> Working:
    period, notes = clipped(
        question.period or trailing(10, "day", desk.prices.last_day), desk.prices
    )
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
    names = listed([who(t) for t in question.tickers])
    text = f"Closes of {names} {period.label}:\n\n" + table(["Day", *question.tickers], body)
    return Answer("\n\n".join([*notes, text]), rows, label=period.label)


_HANDLERS: Final[dict[Intent, _Handler]] = {
    "price": _price,
    "change": _change,
    "compare": _compare,
    "volatility": _volatility,
    "rank": _rank,
    "history": _history,
}


# --- pieces -----------------------------------------------------------------------------------


def _row(found: dict[str, Any]) -> dict[str, Any]:
    """Return a tool's row under the names that a schema is filled by."""
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
    word = direction(change_percent)
    if word == "unchanged":
        return "unchanged"
    return f"{word} {abs(change_percent):.1f}% ({signed_dollars(change)})"


def _turned(share: dict[str, Any]) -> str:
    word = direction(share["change_percent"])
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
    return table(header, body, left=2)
