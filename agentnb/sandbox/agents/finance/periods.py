"""Reading periods and days out of a question."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from agentnb.sandbox.agents.finance.wording import MONTHS, day_text

__all__ = ["Period", "find_day", "find_period", "trailing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """From the close at ``start`` to the close at ``end``; ``label`` fits into a sentence.

    Either may lie outside the days with prices; ``is_whole`` means as much as there is.
    """

    start: date
    end: date
    label: str
    is_whole: bool = False


_NUMBERS: Final = {
    word: number
    for number, words in enumerate(
        (
            "",
            "a an one",
            "two couple",
            "three few",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
        )
    )
    for word in words.split()
}
_NUMBER: Final = r"(?:\d{1,4}|" + "|".join(_NUMBERS) + ")"
_UNITS: Final = {"d": "day", "w": "week", "mo": "month", "m": "month", "q": "quarter", "y": "year"}
_UNIT: Final = r"(?:trading days?|days?|weeks?|months?|quarters?|years?)"
_MONTHS: Final = {
    spelling: number
    for number, name in enumerate(MONTHS, start=1)
    for spelling in (name.lower(), name[:3].lower(), *(["sept"] if number == 9 else []))
}
_MONTH: Final = r"(?:" + "|".join(sorted(_MONTHS, key=len, reverse=True)) + r")\b\.?"
_DATE: Final = (
    r"(?:\d{4}-\d{2}-\d{2}"
    r"|\d{1,2}/\d{1,2}/\d{4}"
    rf"|\d{{1,2}}(?:st|nd|rd|th)?(?: of)? {_MONTH}(?:,? \d{{4}})?"
    rf"|{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?\b(?:,? \d{{4}})?"
    rf"|(?:last )?{_MONTH}(?:,? (?:of )?\d{{4}})?"
    r"|(?:the )?(?:beginning|start) of (?:the|this) year|\d{4})"
)

# A day with its year needs no word that points to it, unless another makes it an end of a period.
_FULL: Final = re.compile(
    r"(?<![\w/.-])(?:\d{4}-\d{2}-\d{2}|\d{1,2}/\d{1,2}/\d{4}"
    rf"|\d{{1,2}}(?:st|nd|rd|th)?(?: of)? {_MONTH},? \d{{4}}"
    rf"|{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?,? \d{{4}})(?![\w/-])"
)
_SPANNING: Final = re.compile(
    r"\b(?:since|from|after|before|starting|between|to|until|till|through|by)\b"
)
_BETWEEN: Final = re.compile(
    rf"\b(?:from|between) ({_DATE}) (?:to|until|till|and|through) ({_DATE})"
)


def trailing(count: int, unit: str, today: date) -> Period:
    """Return the last ``count`` units up to ``today``; ``unit`` is day, week, ... or year."""
    if unit == "trading day":
        # Weekends are the only days without prices that the sample has.
        start, left = today, count
        while left > 0:
            start -= timedelta(days=1)
            left -= start.weekday() < 5
    else:
        start = _back(today, count, unit)
    size = unit if count == 1 else f"{count} {unit}s"
    return Period(start=start, end=today, label=f"over the past {size}")


def find_period(text: str, today: date) -> Period | None:
    """Return the period that ``text`` speaks of, None where it speaks of none."""
    text = " ".join(text.lower().split())
    if _BETWEEN.search(text):
        return _between(text, today)
    for reading in (_since, _half, _counted, _short, _to_date, _named, _within, _whole, _bare):
        period = reading(text, today)
        if period is not None:
            return period
    return None


def find_day(text: str, today: date) -> date | None:
    """Return the single day that ``text`` asks about: ``on 3 March``, ``two weeks ago``."""
    text = " ".join(text.lower().split())
    if found := re.search(rf"\b({_NUMBER}) (?:of )?({_UNIT}) ago\b", text):
        return _back(today, _number(found[1]), _unit(found[2]))
    if re.search(r"\byesterday\b", text):
        return today - timedelta(days=1)
    if found := re.search(rf"\b(?:on|at|as of) (?:the )?({_DATE})", text):
        span = _read(found[1], today)
        return span[0] if span is not None and span[0] == span[1] else None
    alone = _FULL.findall(text)
    if len(alone) == 1 and not _SPANNING.search(text):
        span = _read(alone[0], today)
        return None if span is None else span[0]
    return None


def _between(text: str, today: date) -> Period | None:
    found = _BETWEEN.search(text)
    if found is None:
        return None
    first, last = _read(found[1], today), _read(found[2], today)
    if first is None or last is None or first[0] > last[1]:
        return None
    start, end = first[0], last[1]
    return Period(start=start, end=end, label=f"from {day_text(start)} to {day_text(end)}")


def _since(text: str, today: date) -> Period | None:
    found = re.search(rf"\b(?:since|from|after|starting) (?:the )?({_DATE})", text)
    span = _read(found[1], today) if found else None
    if span is None:
        return None
    return Period(start=span[0], end=max(span[0], today), label=f"since {day_text(span[0])}")


def _half(text: str, today: date) -> Period | None:
    if not re.search(r"\bhalf[ -](?:a[ -])?year\b", text):
        return None
    return trailing(6, "month", today)


def _counted(text: str, today: date) -> Period | None:
    found = re.search(rf"\b({_NUMBER})[ -](?:of )?({_UNIT})\b(?! ago)", text)
    if found is None or found[1] in ("a", "an"):
        return None
    count = _number(found[1])
    return trailing(count, _unit(found[2]), today) if count else None


def _short(text: str, today: date) -> Period | None:
    found = re.search(r"\b(\d{1,3}) ?(d|w|mo|m|q|y)\b", text)
    if found is None or not int(found[1]):
        return None
    return trailing(int(found[1]), _UNITS[found[2]], today)


def _to_date(text: str, today: date) -> Period | None:
    found = re.search(
        r"\b(?:(y|q|m|w)td|(year|quarter|month|week)[ -]to[ -]date"
        r"|(?:this|of the|for the) (year|quarter|month|week))\b",
        text,
    )
    if found is None:
        return None
    unit = {"y": "year", "q": "quarter", "m": "month", "w": "week"}.get(
        found[1] or "", found[2] or found[3]
    )
    begin = {
        "year": date(today.year, 1, 1),
        "quarter": date(today.year, 3 * ((today.month - 1) // 3) + 1, 1),
        "month": today.replace(day=1),
        "week": today - timedelta(days=today.weekday()),
    }[unit]
    # What a period begins with is the close before its first day.
    return Period(start=begin - timedelta(days=1), end=today, label=f"this {unit}")


def _named(text: str, today: date) -> Period | None:
    if re.search(r"\b(?:today|on the day|daily change|day's change)\b", text):
        return Period(start=today - timedelta(days=1), end=today, label="on the last day")
    found = re.search(
        r"\b(?:last|past|previous|in a|over a|over the|a|per) (day|week|month|quarter|year)\b"
        r"(?! ago)",
        text,
    )
    if found:
        return trailing(1, found[1], today)
    found = re.search(r"\b(weekly|monthly|quarterly|yearly|annual)\b", text)
    if found:
        unit = {"annual": "year"}.get(found[1], found[1].removesuffix("ly"))
        return trailing(1, unit, today)
    if re.search(r"\b(?:recently|lately|of late|these days)\b", text):
        return trailing(1, "month", today)
    return None


def _within(text: str, today: date) -> Period | None:
    found = re.search(r"\b(?:q([1-4])|(first|second|third|fourth) quarter)(?: of)? ?(\d{4})?", text)
    if found:
        number = int(found[1] or 1 + ("first", "second", "third", "fourth").index(found[2]))
        year = int(found[3]) if found[3] else today.year
        if not found[3] and date(year, 3 * number - 2, 1) > today:
            year -= 1
        start = date(year, 3 * number - 2, 1)
        end = date(year, 3 * number, calendar.monthrange(year, 3 * number)[1])
        label = f"in the {('first', 'second', 'third', 'fourth')[number - 1]} quarter of {year}"
        return Period(start=_before(start), end=end, label=label)
    found = re.search(rf"\b(?:in|during|for|throughout) ({_DATE})", text)
    span = _read(found[1], today) if found else None
    return None if span is None else _spanned(span)


def _bare(text: str, today: date) -> Period | None:
    """Read a year, with or without a month, that no other word points to."""
    found = re.search(rf"(?<![\w$€£.,/-])(?:{_MONTH},? )?(?:19|20)\d\d(?=s?\b(?![-/%]))", text)
    if found is None or find_day(text, today) is not None:
        return None
    span = _read(found[0], today)
    if span is not None and text[found.end() :].startswith("s"):
        start = span[0]
        end = date(start.year + 9, 12, 31)
        return Period(start=_before(start), end=end, label=f"in the {start.year}s")
    return None if span is None else _spanned(span)


def _spanned(span: tuple[date, date]) -> Period | None:
    start, end = span
    if start == end:
        return None
    label = (
        f"in {start.year:04}"
        if (end - start).days > 31
        else f"in {MONTHS[start.month - 1]} {start.year}"
    )
    return Period(start=_before(start), end=end, label=label)


def _before(day: date) -> date:
    return day if day == date.min else day - timedelta(days=1)


def _whole(text: str, today: date) -> Period | None:
    if not re.search(r"\b(?:all[ -]time|ever|whole|entire|full (?:data|history|period))\b", text):
        return None
    return Period(start=date.min, end=today, label="over the whole of the sample", is_whole=True)


def _read(text: str, today: date) -> tuple[date, date] | None:
    """Return the first and the last day of a date as written; None where it is no date."""
    text = text.strip().rstrip(".")
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            day = date.fromisoformat(text)
            return day, day
        if found := re.fullmatch(r"(\d{1,2})/(\d{1,2})/(\d{4})", text):
            day = date(int(found[3]), int(found[1]), int(found[2]))
            return day, day
        if re.fullmatch(r"\d{4}", text):
            return date(int(text), 1, 1), date(int(text), 12, 31)
        if "year" in text:
            day = date(today.year, 1, 1)
            return day, day
        month = next(_MONTHS[m] for m in re.findall(r"[a-z]+", text) if m in _MONTHS)
        year = re.search(r"\b(\d{4})\b", text)
        number = re.search(r"\b(\d{1,2})(?:st|nd|rd|th)?\b", text)
        first = date(int(year[1]) if year else today.year, month, int(number[1]) if number else 1)
        if not year and first > today:
            first = first.replace(year=today.year - 1)
        if number:
            return first, first
        return first, first.replace(day=calendar.monthrange(first.year, month)[1])
    except (ValueError, StopIteration):
        return None


def _number(text: str) -> int:
    return int(text) if text.isdigit() else _NUMBERS[text]


def _unit(text: str) -> str:
    return text.removesuffix("s")


def _back(today: date, count: int, unit: str) -> date:
    try:
        if unit.endswith("day"):
            return today - timedelta(days=count)
        if unit == "week":
            return today - timedelta(weeks=count)
        months = count * {"month": 1, "quarter": 3, "year": 12}[unit]
        number = today.year * 12 + today.month - 1 - months
        year, month = divmod(number, 12)
        last = calendar.monthrange(year, month + 1)[1]
        return date(year, month + 1, min(today.day, last))
    except (OverflowError, ValueError):
        return date.min
