"""Ids, names and times in rows.

Ids and names are short, on one line, and safe to print, whatever their source: PostgreSQL cannot
index long values, and a terminal interprets control characters.  Times are whole microseconds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from agentnb._support.text import identifier_or_none, name_signs, printable

_MAX_ID: Final = 500
_MAX_NAME: Final = 200
_IDS: Final = ("run_id", "session_id")
_RUN_NAMES: Final = ("platform", "agent", "model", "user_name", "error_code", "error_class")


def platform_key(platform: str, run_id: str) -> str:
    """Return the key of a run known only from its platform: 32 hexadecimal digits.

    It is the same in every process, so that two that pull the run write one row.
    """
    # A JSON escape can put lone surrogates into an id.
    data = f"{platform}\0{run_id}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def clean_run(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of ``run`` with unusable ids set to None and names truncated."""
    ids = {name: _id(row[name]) for name in _IDS if name in row}
    # A title may have several lines.
    titles = {"title": _short(title, printable)} if (title := row.get("title")) else {}
    return {**row, **ids, **_names(row, _RUN_NAMES), **titles}


def clean_call(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of ``tool_call`` with a short name; call ids are not indexed."""
    return {**row, **_names(row, ("name",)), "call_id": name_signs(row["call_id"])}


def clean_process(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of ``process`` with short names."""
    return {**row, **_names(row, ("host", "user_name"))}


def _names(row: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, str]:
    return {
        name: _short(text, name_signs) for name in names if isinstance(text := row.get(name), str)
    }


def _id(text: str | None) -> str | None:
    return None if text is None or len(text) > _MAX_ID else identifier_or_none(text)


def _short(text: str, clean: Callable[[str], str]) -> str:
    # The replacement of a character can be longer than the character.
    cleaned = clean(text[: _MAX_NAME + 1])
    return cleaned if len(cleaned) <= _MAX_NAME else f"{cleaned[: _MAX_NAME - 1]}…"


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_MAX_INT: Final = 2**63 - 1


def to_micros(moment: datetime) -> int:
    """Return ``moment`` as microseconds since 1970-01-01 UTC, exactly.

    Raises:
        ValueError: ``moment`` has no time zone.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone.")
    return (moment - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """Return ``micros`` since 1970-01-01 UTC as a datetime in UTC."""
    return _EPOCH + micros * _MICROSECOND


def now() -> int:
    """Return the current time in microseconds since 1970-01-01 UTC."""
    return to_micros(datetime.now(UTC))


def span(seconds: float | None) -> int | None:
    """Return ``seconds`` rounded to microseconds; None for None, NaN and infinity."""
    if seconds is None or not abs(seconds) * 1_000_000 <= _MAX_INT:
        return None
    return min(round(seconds * 1_000_000), _MAX_INT)
