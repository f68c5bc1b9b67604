"""Parsing of questions: kind, companies, period, and what earlier questions add."""

from __future__ import annotations

import calendar
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Final, Literal

from agentnb.sandbox.agents.finance.prices import MONTHS, NAMES, format_day

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
    joined = "|".join(patterns).replace(" ", r"\s+")
    return re.compile(rf"(?<!\w)(?:{joined})(?!\w)", re.IGNORECASE)


# In order of precedence.
_KINDS: Final[tuple[tuple[Kind, re.Pattern[str]], ...]] = (
    (
        "rank",
        _words(r"best|worst|top|rank(?:ing|ed)?|gainers?|losers?|which stocks? (?:rose|lost)"),
    ),
    (
        "help",
        _words(r"what (?:can|do) you (?:do|know)|help|(?:what|which) (?:shares|companies) do"),
    ),
    ("volatility", _words(r"volatil\w*|risk\w*|swing\w*|fluctuat\w*|stable")),
    ("compare", _words(r"compar\w*|versus|vs\.?|against|better than")),
    ("history", _words(r"histor\w+|closes|daily prices")),
    (
        "change",
        _words(
            r"chang\w*|mov(?:e|ed|es)|perform\w*|returns?|gain\w*|los(?:t|e|ses)|ris(?:e|en)|rose",
            r"fall\w*|fell|drop\w*|grow\w*|trend\w*|doing|gone|up|down|highs?|lows?",
            r"how (?:did|has|have|is|was)",
        ),
    ),
    ("price", _words(r"prices?|quotes?|worth|costs?|trad(?:es|ing)|close[ds]?|how much|stocks?")),
    ("help", re.compile(r"^\W*(?:hi|hello|hey|thanks?)\b", re.IGNORECASE)),
)
# Questions that prices do not answer.
_REFUSED: Final = _words(
    r"will|predict\w*|forecast\w*|tomorrow|should (?:i|we)|recommend\w*|buy|sell|news|earnings?",
    r"revenues?|dividends?|profits?|bitcoin|crypto\w*|nasdaq|live|intraday|correlat\w*|averag\w*",
    r"[$€£] ?\d[\d,.]*|what would|if (?:i|we) (?:had|bought|sold)|q[1-4]|half(?: a)? year|\d{4}s",
    r"\d+/\d+/\d+|all[ -]time|ever|haikus?|poems?|who (?:is|founded)",
)
_WHY: Final = _words(r"why|reasons?|causes?|explain\w*|behind|drove|drives")
_REFERENCE: Final = _words(r"it|its|that|them|they|their|these|those|both|the (?:two|other)")
_ALL: Final = _words(r"everything|all (?:the )?(?:ten|shares|stocks)|each \w+|most \w+|least \w+")
_MORE: Final = re.compile(r"^\W*(?:and|also|plus|add|what about|how about)\b", re.IGNORECASE)
_NEEDS_COMPANY: Final = frozenset({"price", "change", "compare", "volatility", "history"})

_ALIASES: Final = {
    **{name.lower(): ticker for ticker, name in NAMES.items()},
    **{ticker.lower(): ticker for ticker in NAMES},
    "google": "GOOGL",
    "facebook": "META",
    "jpmorgan": "JPM",
}
_KNOWN: Final = re.compile(
    r"(?<![\w.])\$?("
    + "|".join(re.escape(a) for a in sorted(_ALIASES, key=len, reverse=True))
    + r")(?:['’]s|s)?(?!\w)",
    re.IGNORECASE,
)
# Capitals in the middle of a sentence: a ticker or a name, except for the words below.
_NAME: Final = re.compile(r"(?<![\w'’/.])([A-Z][\w&]*(?:\.[A-Z])?)(?![\w/])")
_ORDINARY: Final = frozenset(
    re.findall(
        r"\S+",
        """
        a ai all an and any are best but ceo compare did do does english explain for from has how i
        in is it its json last me my no not now of on or please share show since stock tell than
        that the their them these this those to u.s uk us usa usd versus vs was what when which who
        why will with worst yes ytd
        """,
    )
) | {name[:length].lower() for name in MONTHS for length in (3, 9)}


def _companies(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return tickers in the order of mention, and names that look like companies without prices."""
    tickers = tuple(dict.fromkeys(_ALIASES[m[1].lower()] for m in _KNOWN.finditer(text)))
    rest = _KNOWN.sub("_", text)
    unknown: list[str] = []
    for match in () if text.isupper() else _NAME.finditer(rest):
        begins_sentence = re.search(r"(?:^|[.?!:])\W*$", rest[: match.start(1)])
        is_name = match[1].isupper() or not begins_sentence
        if is_name and match[1].lower() not in _ORDINARY:
            unknown.append(match[1])
    return tickers, tuple(dict.fromkeys(unknown))


_NUMBER_WORDS: Final = [
    "a an one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
]
_NUMBERS: Final = {w: n for n, words in enumerate(_NUMBER_WORDS, 1) for w in words.split()}
_NUMBER: Final = r"(\d{1,4}|" + "|".join(_NUMBERS) + r")"
_UNIT: Final = r"(day|week|month|quarter|year)s?\b"
_MONTH_NUMBERS: Final = {
    name[:length].lower(): number for number, name in enumerate(MONTHS, 1) for length in (3, 9)
}
_MONTH: Final = r"(?:" + "|".join(sorted(_MONTH_NUMBERS, key=len, reverse=True)) + r")\b"
_YEAR: Final = r"(?:19|20)\d\d\b"
_DAY: Final = (
    rf"\d{{4}}-\d\d-\d\d|\d{{1,2}} {_MONTH}(?: {_YEAR})?|{_MONTH} \d{{1,2}}\b(?:,? {_YEAR})?"
)
_DATE: Final = rf"({_DAY}|(?:last )?{_MONTH}(?: {_YEAR})?|{_YEAR})"


def trailing(count: int, unit: str, today: date) -> Period:
    """Return the last ``count`` days, weeks, months, quarters or years up to ``today``."""
    size = unit if count == 1 else f"{count} {unit}s"
    return Period(_back(today, count, unit), today, f"over the past {size}")


def find_time(text: str, today: date) -> tuple[date | None, Period | None]:
    """Return the single day or the period that ``text`` names, None for the other or for both."""
    text = re.sub(r"(?<=\d)(?:st|nd|rd|th)\b", "", " ".join(text.lower().split()))
    if found := re.search(rf"\b{_NUMBER} {_UNIT} ago\b", text):
        return _back(today, _count(found[1]), found[2]), None
    if "yesterday" in text:
        return today - timedelta(days=1), None
    if found := re.search(rf"\b(?:from|between) {_DATE} (?:to|until|and) {_DATE}", text):
        first, last = _parse_date(found[1], today), _parse_date(found[2], today)
        if first is None or last is None or first[0] > last[1]:
            return None, None
        label = f"from {format_day(first[0])} to {format_day(last[1])}"
        return None, Period(first[0], last[1], label)
    found = re.search(rf"\b(?:since|from|after) (?:the )?{_DATE}", text)
    if found and (span := _parse_date(found[1], today)):
        return None, Period(span[0], max(span[0], today), f"since {format_day(span[0])}")
    if found := re.search(rf"\b(?:last|past|previous|in an?|over an?) {_NUMBER}? ?{_UNIT}", text):
        return None, trailing(_count(found[1] or "one") or 1, found[2], today)
    if found := re.search(rf"\b(?!an? ){_NUMBER}[ -]{_UNIT}", text):
        return None, trailing(_count(found[1]) or 1, found[2], today)
    if found := re.search(rf"\bthis {_UNIT}|\b(ytd|year to date)\b", text):
        return None, _current(found[1] or "year", today)
    found = re.search(rf"\b(?:in|on|at|during|for) (?:the )?{_DATE}", text) or re.search(
        rf"(?<![\w$.,/-])(\d{{4}}-\d\d-\d\d|(?:\d{{1,2}} )?{_MONTH} {_YEAR}|{_YEAR})", text
    )
    span = _parse_date(found[1], today) if found else None
    if span is None:
        return None, None
    start, end = span
    if start == end:
        return start, None
    is_year = (end - start).days > 31
    label = f"in {start.year}" if is_year else f"in {MONTHS[start.month - 1]} {start.year}"
    # A period begins with the close before its first day.
    return None, Period(start - timedelta(days=1), end, label)


def _current(unit: str, today: date) -> Period:
    begin = {
        "year": date(today.year, 1, 1),
        "quarter": date(today.year, 3 * ((today.month - 1) // 3) + 1, 1),
        "month": today.replace(day=1),
        "week": today - timedelta(days=today.weekday()),
        "day": today,
    }[unit]
    return Period(begin - timedelta(days=1), today, f"this {unit}")


def _parse_date(text: str, today: date) -> tuple[date, date] | None:
    """Return the first and the last day of a date, None if there is no such date."""
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            day = date.fromisoformat(text)
            return day, day
        year, month = re.search(_YEAR, text), re.search(_MONTH, text)
        if month is None:
            return date(int(text), 1, 1), date(int(text), 12, 31)
        number = re.search(r"\b\d{1,2}\b", text)
        first = date(
            int(year[0]) if year else today.year,
            _MONTH_NUMBERS[month[0]],
            int(number[0]) if number else 1,
        )
        if not year and first > today:
            first = first.replace(year=today.year - 1)
        last = calendar.monthrange(first.year, first.month)[1]
        return first, first if number else first.replace(day=last)
    except ValueError:
        return None


def _count(text: str) -> int:
    return int(text) if text.isdigit() else _NUMBERS[text]


def _back(today: date, count: int, unit: str) -> date:
    try:
        if unit in ("day", "week"):
            return today - timedelta(days=count * (7 if unit == "week" else 1))
        months = count * {"month": 1, "quarter": 3, "year": 12}[unit]
        year, month = divmod(today.year * 12 + today.month - 1 - months, 12)
        last = calendar.monthrange(year, month + 1)[1]
        return date(year, month + 1, min(today.day, last))
    except (OverflowError, ValueError):
        return date.min


def parse_question(prompt: str, earlier: Sequence[str], today: date) -> Question:
    """Return the parsed prompt; ``earlier`` are the user's previous messages, oldest first."""
    before: Question | None = None
    for text in earlier:
        before = _complete(_parse(text, today), before)
    return _complete(_parse(prompt, today), before)


def _parse(text: str, today: date) -> Question:
    tickers, unknown = _companies(text)
    kinds: list[Kind] = [name for name, pattern in _KINDS if pattern.search(text)]
    kind = kinds[0] if kinds else "unknown"
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
        return replace(
            question, kind="unknown", tickers=tickers or (before.tickers if before else ())
        )
    if before is not None and before.tickers:
        if not tickers and not question.unknown and kind in _NEEDS_COMPANY:
            tickers, continues = before.tickers, True
        elif not tickers and not question.unknown and kind == "unknown" and why:
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
