"""Validation of imported runs: a file is untrusted."""

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
from agentnb.store.filters import SOURCES
from agentnb.store.schema import metadata
from agentnb.store.values import clean_call, clean_process, clean_run

# 10000-01-01 UTC, beyond the range of datetime.
_MAX_TIME: Final = 253_402_300_800_000_000
_TIMES: Final = frozenset({"started_at", "finished_at", "seen_at", "ended_at", "pulled_at"})
# Offsets from the start of a run: added to a time, they must not overflow.
_MAX_OFFSET: Final = 2**62
# Column -> valid values.
_VALUES: Final[dict[str, frozenset[str]]] = {
    "run.source": frozenset(SOURCES),
    "run.status": frozenset(get_args(Status)),
    "tool_call.status": frozenset({"running", "completed", "failed", "abandoned"}),
}
_SINGLE: Final = ("process", "content")
_LISTS: Final = ("event_chunk", "tool_call")


def validated(entry: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return ``entry``, a run with all that belongs to it, so that every store can hold it.

    Its ids and names are cleaned as in `identifiers`.  ``where`` begins an error, such as
    ``"Line 3 of runs.jsonl"``.

    Raises:
        HistoryError: a value has the wrong type or is out of range, events cannot be decoded, or
            rows are missing.
    """
    try:
        _check_row("run", entry["run"])
        for name in _SINGLE:
            if entry.get(name) is not None:
                _check_row(name, _with_key(name, entry[name], entry))
        for name in _LISTS:
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
            # They link rows, and PostgreSQL does not accept NUL.
            if key is not None and identifier_or_none(key) is None:
                raise ValueError(f"{name} has control characters")
    except ValueError as error:
        raise invalid_run(where, str(error)) from error
    calls = [clean_call(row) for row in entry.get("tool_call") or ()]
    cleaned = {"run": clean_run(entry["run"]), "process": process and clean_process(process)}
    if any(cleaned[name] != entry.get(name) for name in cleaned):
        # Python displays the same warning of one line once.
        warnings.warn(
            "Some ids or names in the file have control characters or are too long; "
            "such ids are left out, and such names are cleaned.",
            HistoryWarning,
            stacklevel=2,
        )
    return {**entry, **cleaned, "tool_call": calls}


def invalid_run(where: str, why: str = "") -> HistoryError:
    """Return the error that there is no valid run at a place of a file, and ``why``."""
    reason = f": {why.rstrip('.')}" if why else ""
    return HistoryError(
        f"{where} is no run that export_history() wrote{reason}.",
        hint="What stands before it may have been added.",
    )


def _with_key(name: str, row: Any, entry: Mapping[str, Any]) -> Any:
    # A reference to another run is ignored.
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
    if name in _CHECKS:
        _CHECKS[name](values)


def _problem(table: str, column: Column[Any], value: Any) -> str | None:
    match column.type:
        case Double():
            return _number_problem(value)
        case Integer():
            return _integer_problem(table, column, value)
        case String() as kind:
            if not isinstance(value, str):
                return "is no text"
            if kind.length is not None and not 0 < len(value) <= kind.length:
                return "is too long, or empty"
            try:
                value.encode()
            except UnicodeEncodeError:
                return "has half a surrogate pair"
            values = _VALUES.get(f"{table}.{column.name}")
            return (
                None
                if values is None or value in values
                else f"is none of {', '.join(sorted(values))}"
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


def _integer_problem(table: str, column: Column[Any], value: Any) -> str | None:
    if type(value) is not int:
        return "is no whole number"
    if column.name in _TIMES:
        # A process may have started before the clock was set.
        return None if 0 <= value < _MAX_TIME else "is no moment between 1970 and 9999"
    if table == "tool_call" and column.name in ("started", "finished"):
        return None if abs(value) <= _MAX_OFFSET else "is out of range"
    is_small = column.name == "pid" or not isinstance(column.type, BigInteger)
    largest = 2**31 - 1 if is_small else 2**63 - 1
    lowest = 0 if column.name in ("pid", "first", "position") else -largest
    return None if lowest <= value <= largest else "is out of range"


def _check_chunk(row: Mapping[str, Any]) -> None:
    events, times = decode(row["payload"])
    if row["count"] != len(events):
        raise ValueError("event_chunk.count is not how many events there are")
    if not all(isfinite(at) and abs(at) * 1_000_000 <= _MAX_OFFSET for at in times):
        raise ValueError("event_chunk has a time that is none")


def _check_content(row: Mapping[str, Any]) -> None:
    for name in ("request", "remote"):
        if row.get(name) is not None:
            fields = _object(f"content.{name}", row[name])
            if name == "request":
                _check_request(fields)


def _check_request(fields: Mapping[str, Any]) -> None:
    kinds = {"params": dict, "history": list, "media": list}
    for name, kind in kinds.items():
        if not isinstance(fields.get(name) or kind(), kind):
            raise ValueError(f"content.request has {name} of another kind")
    for name in ("history", "media"):
        if not all(isinstance(each, dict) for each in fields.get(name) or ()):
            raise ValueError(f"content.request has {name} of another kind")


def _object(name: str, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ValueError(f"{name} is no JSON object")
    return cast("dict[str, Any]", value)


_CHECKS: Final[dict[str, Callable[[Mapping[str, Any]], None]]] = {
    "event_chunk": _check_chunk,
    "content": _check_content,
}
