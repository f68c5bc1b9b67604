"""Filters, order and limits of tables, parsed and validated."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, cast, get_args

from agentnb.config.names import suggestion
from agentnb.errors import RequestError
from agentnb.event.transcript import Status
from agentnb.store.values import to_micros

#: One value of a filter, or several alternatives.
Some = str | Sequence[str]
#: A point in time: see `read_filters`.
Moment = datetime | date | timedelta | str

STATUSES: Final[tuple[Status, ...]] = get_args(Status)
SOURCES: Final = ("recorded", "platform", "both")
# Filter -> valid values.
_VALUES: Final[Mapping[str, Sequence[str]]] = {"status": STATUSES, "source": SOURCES}
# Filter -> attributes that name it: of an `Agent`, which is defined in a higher layer, of a run, or
# of a run as its platform lists it.  The local id of a run without a session matches no session.
_ATTRIBUTES: Final = {
    "agent": ("name",),
    "platform": ("name",),
    "session": ("session_id", "local_id"),
    "run": ("local_id", "key", "id"),
}

_UNITS: Final = {
    "w": timedelta(weeks=1),
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
}
# Spellings of pandas and everyday ones.  A month has no fixed length, so "m" alone is not accepted.
_PART: Final = re.compile(
    r"(\d+(?:\.\d+)?)\s*(w|weeks?|d|days?|h|hours?|min|minutes?|s|sec|seconds?)(?![a-z])\s*"
)
_AGE: Final = re.compile(rf"(?:{_PART.pattern})+")
_DATE: Final = "an ISO date or time, such as 2026-01-31T12:00, or an age, such as 7d or 12h"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Conditions on a run; None filters nothing.

    ``since`` (included) and ``until`` (excluded) are microseconds since 1970-01-01 UTC; ``text`` is
    a part of the prompt or the answer, in lower case; ``run`` has platforms' ids and agentnb's own;
    ``this_kernel`` keeps the runs of this process.
    """

    agent: tuple[str, ...] | None = None
    platform: tuple[str, ...] | None = None
    status: tuple[str, ...] | None = None
    session: tuple[str, ...] | None = None
    user: tuple[str, ...] | None = None
    model: tuple[str, ...] | None = None
    source: tuple[str, ...] | None = None
    run: tuple[str, ...] | None = None
    since: int | None = None
    until: int | None = None
    text: str | None = None
    this_kernel: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """The column that a table is sorted by."""

    column: str
    descending: bool


def read_filters(
    *,
    agent: Any = None,
    platform: Any = None,
    status: Any = None,
    session: Any = None,
    user: Any = None,
    model: Any = None,
    source: Any = None,
    run: Any = None,
    since: Moment | None = None,
    until: Moment | None = None,
    text: str | None = None,
    this_kernel: bool = False,
) -> Filters:
    """Return validated filters.

    Each name is one value or several.  An agent is an id, ``platform:agent`` or an `Agent`; a
    session or a run may be given as a `Run`.  A time is a datetime or a date (in UTC unless it has
    a zone), its ISO form, or an age: a timedelta, or text such as ``"7d"``, ``"12h"``, ``"30min"``.

    Raises:
        RequestError: a value is invalid, or there is no such status or source.
    """
    if text is not None and not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise RequestError(f"text is {type(text).__name__}, and must be a str.")
    return Filters(
        agent=_texts("agent", agent),
        platform=_texts("platform", platform),
        status=_texts("status", status),
        session=_texts("session", session),
        user=_texts("user", user),
        model=_texts("model", model),
        source=_texts("source", source),
        run=_texts("run", run),
        since=_time("since", since),
        until=_time("until", until),
        text=text.lower() if text else None,
        this_kernel=this_kernel,
    )


def read_order(order: str, columns: Iterable[str]) -> Order:
    """Return the parsed order: one of ``columns``, prefixed with "-" for descending.

    Raises:
        RequestError: there is no such column.
    """
    known = list(columns)
    name = order.removeprefix("-") if isinstance(order, str) else order  # pyright: ignore[reportUnnecessaryIsInstance]
    if name not in known:
        hint = suggestion(str(name), known) or f"There are {', '.join(known)}."
        raise RequestError(f"A table cannot be ordered by '{order}'.", hint=hint)
    return Order(name, order.startswith("-"))


def read_limit(limit: int | None, name: str = "limit") -> int | None:
    """Return a validated limit, None for all; ``name`` is used in errors.

    Raises:
        RequestError: it is not a whole number of 0 or more.
    """
    if limit is None:
        return None
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise RequestError(f"{name} is {limit!r}, and must be a whole number, 0 or more.")
    return min(limit, 2**62)


def age(name: str, given: timedelta | str) -> timedelta:
    """Return an age such as ``"90d"`` as a timedelta; ``name`` is used in errors.

    Raises:
        RequestError: it is invalid or negative.
    """
    parsed = _read_age(given) if isinstance(given, str) else given
    if not isinstance(parsed, timedelta) or parsed != parsed or parsed < timedelta(0):
        raise RequestError(
            f"{name} is '{given}', which is no age.",
            hint="Write 2w, 90d, 12h, 30min, or a timedelta.",
        )
    return parsed


def _read_age(text: str) -> timedelta | None:
    text = text.strip().lower()
    if not _AGE.fullmatch(text):
        return None
    try:
        return sum(
            (float(number) * _UNITS[unit[0]] for number, unit in _PART.findall(text)),
            start=timedelta(0),
        )
    except OverflowError:
        return None


def _texts(name: str, given: Any) -> tuple[str, ...] | None:
    if given is None:
        return None
    single = _text(name, given) is not None or not isinstance(given, Iterable)
    values: list[Any] = [given] if single else list(cast("Iterable[Any]", given))
    texts: dict[str, None] = {}
    for value in values:
        if (text := _text(name, value)) is None:
            raise RequestError(f"{name} is {type(value).__name__}, and must be a str or a list.")
        texts[text] = None
    known = _VALUES.get(name)
    for text in texts if known else ():
        if known and text not in known:
            hint = suggestion(text, known) or f"There are {', '.join(known)}."
            raise RequestError(f"There is no {name} '{text}'.", hint=hint)
    return tuple(texts)


def _text(name: str, value: Any) -> str | None:
    """Return a name, or the attribute of an object that names it."""
    texts = (getattr(value, each, None) for each in _ATTRIBUTES.get(name, ()))
    return value if isinstance(value, str) else next((t for t in texts if isinstance(t, str)), None)


def _time(name: str, given: Moment | None) -> int | None:
    if given is None:
        return None
    try:
        return to_micros(_read_time(name, given))
    except (ValueError, OverflowError, TypeError) as error:
        raise RequestError(
            f"{name} is '{given}', which is no moment.", hint=f"Write {_DATE}."
        ) from error


def _read_time(name: str, given: Moment) -> datetime:
    if isinstance(given, timedelta):
        return datetime.now(UTC) - age(name, given)
    if isinstance(given, str):
        text = given.strip()
        try:
            given = datetime.fromisoformat(text)
        except ValueError:
            past = _read_age(text)
            if past is None:
                raise
            return datetime.now(UTC) - past
    if isinstance(given, datetime):
        return given.replace(tzinfo=UTC) if given.tzinfo is None else given
    return datetime.combine(given, time(), tzinfo=UTC)
