"""What to ask next: questions that the agent can answer."""

from __future__ import annotations

from typing import Final

from agentnb.sandbox.agents.finance.prices import NAMES
from agentnb.sandbox.agents.finance.question import Question

__all__ = ["suggest"]

# Whom a share is naturally compared with.
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
    """Return three questions that go on from ``question``, and are not it."""
    asked = question.text.strip().casefold()
    return tuple([q for q in _candidates(question) if q.casefold() != asked][:3])


def _candidates(question: Question) -> list[str]:
    tickers = list(question.tickers)
    general = [
        "Which were the best and the worst this year?",
        "What is the current NVDA stock price, and why?",
        "Compare NVDA with AMD this year",
        "How volatile is Tesla?",
    ]
    if not tickers:
        if question.intent == "rank":
            again = {"month": "And over the past month?", "year": "And over the past year?"}
            # Without a period a ranking is over the past month, or of volatility over a year.
            usual = "year" if question.by == "volatility" else "month"
            if question.period is None:
                del again[usual]
            return [*again.values(), "Which is the most volatile?", *general[1:]]
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
    if question.intent == "price" and not question.why:
        return ["And why?", compare, swings, change]
    if question.intent in ("price", "volatility"):
        return [change, compare, swings, general[0]]
    return [compare, swings, *([] if question.why else ["And why?"]), *general]
