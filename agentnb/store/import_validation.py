"""What comes from a file is checked before any of it is added: anybody may have written it."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any, Final, cast, get_args

from sqlalchemy import BigInteger, Column, Double, Integer, String

from agentnb._support.text import identifier_or_none
from agentnb.errors import HistoryError, HistoryWarning
from agentnb.event.serialization import decode
from agentnb.event.transcript import Status
from agentnb.store.cleaning import clean_call, clean_process, clean_run
from agentnb.store.filters import SOURCES
from agentnb.store.schema import metadata

__all__ = ["checked", "no_run"]

#: 10000-01-01 UTC: no moment of Python is so late.
_LATEST: Final = 253_402_300_800_000_000
_MOMENTS: Final = frozenset({"started_at", "finished_at", "seen_at", "ended_at", "pulled_at"})
# Spans since a run was sent, which are added to a moment: their sum is a whole number still.
_SINCE: Final = 2**62
# What these columns may say.
_WORDS: Final[dict[str, frozenset[str]]] = {
    "run.source": frozenset(SOURCES),
    "run.status": frozenset(get_args(Status)),
    "tool_call.status": frozenset({"running", "completed", "failed", "abandoned"}),
}
_ONE: Final = ("process", "content")
_SEVERAL: Final = ("event_chunk", "tool_call")


def checked(entry: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return ``entry``, a run with all that belongs to it, as every store can hold and read it.

    Its ids and names are those of `cleaning`.

    ``where`` is how an error begins, such as ``"Line 3 of runs.jsonl"``.

    Raises:
        HistoryError: it is none: a value has another type or is out of range, events cannot be
            read, or rows are missing.
    """
    try:
        _check_row("run", entry["run"])
        for name in _ONE:
            if entry.get(name) is not None:
                _check_row(name, _with_key(name, entry[name], entry))
        for name in _SEVERAL:
            rows = entry.get(name) or ()
            if not isinstance(rows, list | tuple):
                raise ValueError(f"{name} is no list")
            for row in cast("Sequence[Any]", rows):
                _check_row(name, _with_key(name, row, entry))
        process = entry.get("process")
        if entry["run"].get("process") not in (None, process and process["id"]):
            raise ValueError("its process is missing")
        for name, key in (
            ("run.key", entry["run"]["key"]),
            ("process.id", process and process["id"]),
        ):
            # By these rows belong together, and PostgreSQL takes no NUL.
            if key is not None and identifier_or_none(key) is None:
                raise ValueError(f"{name} has control characters")
    except ValueError as error:
        raise no_run(where, str(error)) from error
    calls = [clean_call(row) for row in entry.get("tool_call") or ()]
    cleaned = {"run": clean_run(entry["run"]), "process": process and clean_process(process)}
    if any(cleaned[name] != entry.get(name) for name in cleaned):
        # Once for all: Python shows the same warning of one place once.
        warnings.warn(
            "Some ids or names in the file have control characters or are too long; "
            "such ids are left out, and such names are cleaned.",
            HistoryWarning,
            stacklevel=2,
        )
    return {**entry, **cleaned, "tool_call": calls}


def no_run(where: str, why: str = "") -> HistoryError:
    """Return the error that a place of a file holds no run, and ``why``."""
    reason = f": {why.rstrip('.')}" if why else ""
    return HistoryError(
        f"{where} is no run that export_history() wrote{reason}.",
        hint="What stands before it may have been added.",
    )


def _with_key(name: str, row: Any, entry: Mapping[str, Any]) -> Any:
    # What they say themselves of the run does not count.
    if name == "process" or not isinstance(row, dict):
        return row
    return {**cast("dict[str, Any]", row), "run": entry["run"]["key"]}


def _check_row(name: str, row: Any) -> None:
    if not isinstance(row, dict):
        raise ValueError(f"{name} is no row")
    values = cast("dict[str, Any]", row)
    for column in metadata.tables[name].columns:
        value = values.get(column.name)
        if value is None:
            if not column.nullable:
                raise ValueError(f"{name}.{column.name} is missing")
        elif problem := _problem(name, column, value):
            raise ValueError(f"{name}.{column.name} {problem}")
    if name in _FURTHER:
        _FURTHER[name](values)


def _problem(table: str, column: Column[Any], value: Any) -> str | None:
    match column.type:
        case Double():
            return _number_problem(value)
        case Integer():
            return _whole_problem(table, column, value)
        case String() as kind:
            if not isinstance(value, str):
                return "is no text"
            if kind.length is not None and not 0 < len(value) <= kind.length:
                return "is too long, or empty"
            try:
                value.encode()
            except UnicodeEncodeError:
                return "has half a surrogate pair"
            words = _WORDS.get(f"{table}.{column.name}")
            return (
                None
                if words is None or value in words
                else f"is none of {', '.join(sorted(words))}"
            )
        case _:
            return None


def _number_problem(value: Any) -> str | None:
    if type(value) not in (int, float):
        return "is no number"
    try:
        return None if isfinite(value) else "is not finite"
    except OverflowError:
        return "is out of range"


def _whole_problem(table: str, column: Column[Any], value: Any) -> str | None:
    if type(value) is not int:
        return "is no whole number"
    if column.name in _MOMENTS:
        # A process may have begun when no clock was set.
        return None if 0 <= value < _LATEST else "is no moment between 1970 and 9999"
    if table == "tool_call" and column.name in ("started", "finished"):
        return None if abs(value) <= _SINCE else "is out of range"
    is_small = column.name == "pid" or not isinstance(column.type, BigInteger)
    largest = 2**31 - 1 if is_small else 2**63 - 1
    lowest = 0 if column.name in ("pid", "first", "position") else -largest
    return None if lowest <= value <= largest else "is out of range"


# -- what values say -------------------------------------------------------------------------------


def _check_chunk(row: Mapping[str, Any]) -> None:
    events, times = decode(row["payload"])
    if row["count"] != len(events):
        raise ValueError("event_chunk.count is not how many events there are")
    if not all(isfinite(at) and abs(at) * 1_000_000 <= _SINCE for at in times):
        raise ValueError("event_chunk has a time that is none")


def _check_content(row: Mapping[str, Any]) -> None:
    for name in ("request", "remote"):
        if row.get(name) is not None:
            told = _object(f"content.{name}", row[name])
            if name == "request":
                _check_request(told)


def _check_request(told: Mapping[str, Any]) -> None:
    kinds = {"params": dict, "history": list, "media": list}
    for name, kind in kinds.items():
        if not isinstance(told.get(name) or kind(), kind):
            raise ValueError(f"content.request has {name} of another kind")
    for name in ("history", "media"):
        if not all(isinstance(each, dict) for each in told.get(name) or ()):
            raise ValueError(f"content.request has {name} of another kind")


def _object(name: str, text: str) -> dict[str, Any]:
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise ValueError(f"{name} is no JSON object")
    return cast("dict[str, Any]", told)


_FURTHER: Final[dict[str, Callable[[Mapping[str, Any]], None]]] = {
    "event_chunk": _check_chunk,
    "content": _check_content,
}
