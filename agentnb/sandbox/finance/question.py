"""Parsing of questions: kind, companies, period, and what earlier questions add."""

from __future__ import annotations

import calendar
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Final, Literal

from agentnb.sandbox.finance.prices import MONTHS, NAMES, format_day

Kind = Literal["price", "change", "compare", "volatility", "rank", "history", "help", "unknown"]


@dataclass(frozen=True, slots=True)
class Period:
    """From the close at ``start`` to the close at ``end``; ``label`` fits into a sentence.

    Either end may lie outside the days with prices.
    """

    start: date
    end: date
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A parsed question.

    ``unknown`` are companies without prices.  ``is_refused`` says that prices do not answer it,
    ``continues`` that an earlier question of the conversation completed it.
    """

    text: str
    kind: Kind
    tickers: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    period: Period | None = None
    day: date | None = None
    why: bool = False
    is_refused: bool = False
    continues: bool = False


def _words(*patterns: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{'|'.join(patterns)})(?!\w)", re.IGNORECASE)


# In order of precedence.
_KINDS: Final[dict[Kind, re.Pattern[str]]] = {
    "rank": _words(r"best|worst|top|rank(?:ing|ed)?|gainers?|losers?|which stocks? (?:rose|lost)"),
    "help": _words(r"what (?:can|do) you (?:do|know)|help|(?:what|which) (?:shares|companies) do"),
    "volatility": _words(r"volatil\w*|risk\w*|swing\w*|fluctuat\w*|stable"),
    "compare": _words(r"compar\w*|versus|vs\.?|against|better than"),
    "history": _words(r"histor\w+|closes|daily prices"),
    "change": _words(
        r"chang\w*|mov(?:e|ed|es)|perform\w*|returns?|gain\w*|los(?:t|e|ses)|ris(?:e|en)|rose",
        r"fall\w*|fell|drop\w*|grow\w*|trend\w*|doing|gone|up|down|highs?|lows?",
        r"how (?:did|has|have|is|was)",
    ),
    "price": _words(r"prices?|quotes?|worth|costs?|trad(?:es|ing)|close[ds]?|how much|stocks?"),
}
# Questions that prices do not answer.
_REFUSED: Final = _words(
    r"will|predict\w*|forecast\w*|tomorrow|should (?:i|we)|recommend\w*|buy|sell|news|earnings?",
    r"revenues?|dividends?|profits?|bitcoin|live|intraday|correlat\w*|averag\w*|what would",
    r"[$€£] ?\d[\d,.]*|q[1-4]|\d{4}s|\d+/\d+/\d+|all[ -]time|ever|half(?: a)? year",
    r"if (?:i|we) (?:had|bought|sold)|haikus?|poems?|who (?:is|founded)",
)
_GREETING: Final = re.compile(r"\W*(?:hi|hello|hey|thanks?)\b", re.IGNORECASE)
_WHY: Final = _words(r"why|reasons?|causes?|explain\w*|behind|drove|drives")
_REFERENCE: Final = _words(r"it|its|that|them|they|their|these|those|both|the (?:two|other)")
_ALL: Final = _words(r"everything|all (?:the )?(?:ten|shares|stocks)|each \w+|most \w+|least \w+")
_MORE: Final = re.compile(r"^\W*(?:and|also|plus|add|what about|how about)\b", re.IGNORECASE)
_NEEDS_COMPANY: Final = frozenset({"price", "change", "compare", "volatility", "history"})

_ALIASES: Final = {
    **{alias.lower(): ticker for ticker, name in NAMES.items() for alias in (ticker, name)},
    "google": "GOOGL",
    "facebook": "META",
    "jpmorgan": "JPM",
}
_KNOWN: Final = re.compile(
    rf"(?<![\w.])\$?({'|'.join(sorted(_ALIASES, reverse=True))})(?:['’]?s)?(?!\w)", re.IGNORECASE
)
# A word in capitals, or capitalized within a sentence, except for the words below.
_NAME: Final = re.compile(
    r"(?<![\w'’/.])[A-Z][A-Z&]*(?:\.[A-Z])?(?![\w/.'’])|(?<=[\w,] )[A-Z][a-z]+"
)
_ORDINARY: Final = _words(
    r"a|ai|and|ceo|compare|explain|how|i|in|is|json|me|of|or|please|show|stock|the|uk|us|usa|usd",
    r"vs|what|why|ytd",
    *MONTHS,
)

_NUMBERS: Final = tuple(
    re.findall(r"\w+", "a one two three four five six seven eight nine ten")
)  # by value, and "a" for one
_COUNT: Final = rf"(\d{{1,4}}|(?:{'|'.join(_NUMBERS)})\b)"
_UNIT: Final = r"(day|week|month|quarter|year)s?\b"
_DATE: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)"
    r"|(?:\b(\d{1,2}) |\b(?:in|since|on|from|to) |\b(?=[a-z]+ \d{4}))"  # before a month
    rf"({'|'.join(MONTHS).lower()})\b(?: (\d{{4}}))?"
    r"|(?<![\w$.,/-])((?:19|20)\d\d)\b"
)


def parse_question(prompt: str, earlier: Sequence[str], today: date) -> Question:
    """Return the parsed prompt; ``earlier`` are the user's previous messages, oldest first."""
    question: Question | None = None
    for text in (*earlier, prompt):
        question = _complete(_parse(text, today), question)
    assert question is not None
    return question


def _parse(text: str, today: date) -> Question:
    tickers = tuple(dict.fromkeys(_ALIASES[m[1].lower()] for m in _KNOWN.finditer(text)))
    names = [] if text.isupper() else _NAME.findall(_KNOWN.sub("_", text))
    unknown = tuple(dict.fromkeys(n for n in names if not _ORDINARY.fullmatch(n)))
    kinds: list[Kind] = [kind for kind, pattern in _KINDS.items() if pattern.search(text)]
    kinds.append("help" if _GREETING.match(text) else "unknown")
    kind = kinds[0]
    day, period = find_time(text, today)
    if kind in ("price", "unknown") and period is not None:
        kind = "change"
    elif (kind in ("change", "unknown") and day is not None) or (kind == "help" and tickers):
        kind = "price"
    if kind in _NEEDS_COMPANY and not (tickers or unknown) and _ALL.search(text):
        tickers = tuple(NAMES)
    return Question(
        text=text,
        kind=kind,
        tickers=tickers,
        unknown=unknown,
        period=period,
        day=day,
        why=_WHY.search(text) is not None,
        is_refused=_REFUSED.search(text) is not None,
    )


def _complete(question: Question, before: Question | None) -> Question:
    """Return the question with its gaps filled from the one before it."""
    kind, tickers, period = question.kind, question.tickers, question.period
    why, continues = question.why, False
    more = _MORE.search(question.text) is not None
    if question.is_refused:
        # The companies are remembered for the next question.
        known = before.tickers if before is not None else ()
        return replace(question, kind="unknown", tickers=tickers or known)
    if before is not None and before.tickers:
        names_none = not tickers and not question.unknown
        if names_none and kind in _NEEDS_COMPANY:
            tickers, continues = before.tickers, True
        elif names_none and kind == "unknown" and why:
            return replace(before, text=question.text, why=True, continues=True)
        elif kind == "compare" and (len(tickers) == 1 or _REFERENCE.search(question.text)):
            tickers, continues = (*before.tickers, *tickers), True
        elif tickers and kind == "unknown":
            kind, continues, why = before.kind, True, why or before.why
            if kind == "compare" and more:
                tickers = (*before.tickers, *tickers)
        if continues and period is None and question.day is None and kind != "price":
            period = before.period
    # "And over the last year?" repeats what was computed before.
    is_bare = kind == "change" and not question.tickers and more
    if before is not None and is_bare and before.kind in ("rank", "volatility"):
        kind, tickers, continues = before.kind, before.tickers, True
    tickers = tuple(dict.fromkeys(tickers))
    if tickers and question.kind == "unknown" and kind not in _NEEDS_COMPANY:
        kind = "price"
    if kind in ("compare", "change") and tickers:
        kind = "change" if len(tickers) == 1 else "compare"
    return replace(
        question, kind=kind, tickers=tickers, period=period, why=why, continues=continues
    )


def find_time(text: str, today: date) -> tuple[date | None, Period | None]:
    """Return the single day or the period that ``text`` names, None for the other or for both."""
    text = " ".join(text.lower().split())
    if found := re.search(rf"\b{_COUNT} {_UNIT} ago\b", text):
        return trailing(_count(found[1]), found[2], today).start, None
    if "yesterday" in text:
        return today - timedelta(days=1), None
    found = re.search(rf"\b(?:over |(?!an? )){_COUNT}[ -]{_UNIT}|\b(?:last|past) {_UNIT}", text)
    if found:
        return None, trailing(_count(found[1] or "one"), found[2] or found[3], today)
    if found := re.search(rf"\bthis {_UNIT}|\b(ytd|year to date)\b", text):
        return None, _current(found[1] or "year", today)
    matches = list(_DATE.finditer(text))
    try:
        spans = [_span(match, today) for match in matches]
    except ValueError:  # there is no such date
        return None, None
    if not spans:
        return None, None
    start, end = spans[0]
    if re.search(r"\b(?:since|after) ", text):
        return None, Period(start, max(start, today), f"since {format_day(start)}")
    if len(spans) > 1:
        end = spans[-1][1]
        label = f"from {format_day(start)} to {format_day(end)}"
        return None, Period(start, end, label) if start <= end else None
    if start == end:
        return start, None
    is_year = matches[0][3] is None
    label = f"in {start.year}" if is_year else f"in {MONTHS[start.month - 1]} {start.year}"
    # A period begins with the close before its first day.
    return None, Period(start - timedelta(days=1), end, label)


def trailing(count: int, unit: str, today: date) -> Period:
    """Return the last ``count`` days, weeks, months, quarters or years up to ``today``."""
    label = f"over the past {unit if count == 1 else f'{count} {unit}s'}"
    if unit in ("day", "week"):
        return Period(today - timedelta(days=count * (7 if unit == "week" else 1)), today, label)
    months = count * {"month": 1, "quarter": 3, "year": 12}[unit]
    year, month = divmod(today.year * 12 + today.month - 1 - months, 12)
    if year < 1:
        return Period(date.min, today, label)
    last = calendar.monthrange(year, month + 1)[1]
    return Period(date(year, month + 1, min(today.day, last)), today, label)


def _current(unit: str, today: date) -> Period:
    begin = {
        "year": date(today.year, 1, 1),
        "quarter": date(today.year, 3 * ((today.month - 1) // 3) + 1, 1),
        "month": today.replace(day=1),
        "week": today - timedelta(days=today.weekday()),
        "day": today,
    }[unit]
    return Period(begin - timedelta(days=1), today, f"this {unit}")


def _span(match: re.Match[str], today: date) -> tuple[date, date]:
    """Return the first and the last day of a date."""
    iso, number, month, year, only_year = match.groups()
    if iso:
        day = date.fromisoformat(iso)
        return day, day
    if only_year:
        return date(int(only_year), 1, 1), date(int(only_year), 12, 31)
    names = [name.lower() for name in MONTHS]
    first = date(int(year or today.year), names.index(month) + 1, int(number or 1))
    if not year and first > today:
        first = first.replace(year=today.year - 1)
    last = calendar.monthrange(first.year, first.month)[1]
    return first, first if number else first.replace(day=last)


def _count(text: str) -> int:
    return int(text) if text.isdigit() else max(_NUMBERS.index(text), 1)
