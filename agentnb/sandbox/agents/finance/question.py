"""Understanding a question, in the light of the conversation before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Final, Literal

from agentnb.sandbox.agents.finance.limits import is_beyond
from agentnb.sandbox.agents.finance.patterns import (
    BACK,
    EVERYTHING,
    FACTS,
    FOREIGN,
    INTENTS,
    LIMITS,
    MORE,
    SWINGS,
    VOCABULARY,
    WHY,
    Intent,
)
from agentnb.sandbox.agents.finance.periods import Period, find_day, find_period
from agentnb.sandbox.agents.finance.prices import NAMES
from agentnb.sandbox.agents.finance.vocabulary import find_companies

__all__ = ["Intent", "Question", "understand"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked, as far as it was understood.

    ``limits`` names the kinds of thing asked for that prices cannot tell; ``by`` is what a ranking
    goes by; ``continues`` tells that the conversation before it was needed to understand it.
    """

    text: str
    intent: Intent
    tickers: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    guessed: dict[str, str] = field(default_factory=dict[str, str])
    period: Period | None = None
    day: date | None = None
    why: bool = False
    by: Literal["change", "volatility"] = "change"
    limits: tuple[str, ...] = ()
    continues: bool = False


_NEEDS_COMPANY: Final = frozenset({"price", "change", "compare", "volatility", "history"})


def understand(prompt: str, earlier: Sequence[str], today: date) -> Question:
    """Return what ``prompt`` asks; ``earlier`` are the user's messages before it, oldest first."""
    state: Question | None = None
    for text in earlier:
        state = _resolve(_parse(text, today), state)
    return _resolve(_parse(prompt, today), state)


def _parse(text: str, today: date) -> Question:
    mentions = find_companies(text, ignoring=VOCABULARY)
    limits = tuple(name for name, pattern in LIMITS if pattern.search(text))
    intents: list[Intent] = [name for name, pattern in INTENTS if pattern.search(text)]
    intent: Intent = intents[0] if intents else "unknown"
    if not intents and FOREIGN.search(text):
        limits = ("other languages",)
    elif not intents and not limits and FACTS.search(text):
        limits = ("facts",)
    day = find_day(text, today)
    period = None if day is not None else find_period(text, today)
    if intent in ("price", "unknown") and period is not None:
        # A price over a period is how it changed.
        intent = "change"
    if intent in ("change", "unknown") and day is not None and "since" not in text.lower():
        intent = "price"
    if intent == "help" and mentions.tickers:
        intent = "price"
    wants_all = intent == "compare" or (intent in _NEEDS_COMPANY and not mentions.tickers)
    if wants_all and not mentions.unknown and EVERYTHING.search(text):
        mentions.tickers = list(NAMES)
    if intent in ("change", "price") and len(mentions.tickers) > 1 and day is None:
        intent = "compare" if intent == "change" else intent
    return Question(
        text=text,
        intent=intent,
        tickers=tuple(mentions.tickers),
        unknown=tuple(mentions.unknown),
        guessed=mentions.guessed,
        period=period,
        day=day,
        why=WHY.search(text) is not None,
        by="volatility" if SWINGS.search(text) else "change",
        limits=limits,
    )


def _resolve(asked: Question, before: Question | None) -> Question:
    """Return ``asked`` with what it leaves unsaid taken from the question before it."""
    if is_beyond(asked.limits):
        # The companies are remembered, should the next question be about them.
        spoken_of = asked.tickers or (before.tickers if before is not None else ())
        return replace(asked, intent="unknown", tickers=spoken_of)
    intent, tickers, period = asked.intent, asked.tickers, asked.period
    by, why, continues = asked.by, asked.why, False
    if before is not None and before.tickers:
        back = BACK.search(asked.text) is not None
        needed = intent in _NEEDS_COMPANY and not asked.unknown
        meant = intent == "rank" and back and len(before.tickers) > 1
        if not tickers and (needed or meant):
            tickers, continues = before.tickers, True
        elif intent == "unknown" and not tickers and not asked.unknown and asked.why:
            return replace(before, text=asked.text, why=True, continues=True, limits=asked.limits)
        elif tickers and intent == "compare" and (back or len(tickers) == 1):
            tickers, continues = (*before.tickers, *tickers), True
        elif tickers and intent == "unknown":
            intent, continues, why = before.intent, True, why or before.why
            if intent == "compare" and MORE.search(asked.text):
                tickers = (*before.tickers, *tickers)
            if intent in ("rank", "help", "thanks", "unknown"):
                intent = "price"
        if continues and period is None and asked.day is None and intent != "price":
            period = before.period
    if (
        before is not None
        and before.intent == "rank"
        and intent == "change"
        and period is not None
        and not (tickers or asked.unknown)
    ):
        # "And over the last year?" after a ranking asks for the ranking again.
        intent, by, continues = "rank", before.by, True
    tickers = tuple(dict.fromkeys(tickers))
    if intent == "unknown" and tickers:
        intent = "change" if period is not None else "price"
    if intent == "compare" and len(tickers) == 1:
        intent = "change"
    if intent == "change" and len(tickers) > 1:
        intent = "compare"
    return replace(
        asked,
        intent=intent,
        tickers=tickers,
        period=period,
        by=by,
        why=why,
        continues=continues,
    )
