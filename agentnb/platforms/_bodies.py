"""Times and error bodies, in whichever of the common forms a platform sends them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, cast

from agentnb._http import ErrorDetails, parse_retry_after
from agentnb.errors import FieldProblem
from agentnb.platforms._wire import mend, one_line

__all__ = ["execution_time", "parse_error_body", "parse_seconds", "parse_time"]

_MAX_TIME_SECONDS: Final = 253_402_300_799  # the last second of the year 9999


def parse_time(value: Any) -> datetime | None:
    """Return a wire time as an aware datetime in UTC; None where there is none or it is no time.

    Takes ISO 8601 text (without a zone it is UTC), and epoch seconds or milliseconds.
    """
    try:
        if isinstance(value, datetime):
            found = value
        elif isinstance(value, str):
            found = datetime.fromisoformat(value.strip())
        elif isinstance(value, int | float) and not isinstance(value, bool):
            seconds = value if abs(value) < 1e11 else value / 1000
            if not 0 <= seconds <= _MAX_TIME_SECONDS:
                return None
            found = datetime.fromtimestamp(seconds, UTC)
        else:
            return None
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None


def parse_error_body(status: int, body: Any) -> ErrorDetails:
    """Return what an error body says, in whichever of the common forms it comes.

    Understood are ``{"error": {"code", "message", "requestId", "retry_after", "details"}}``,
    ``{"error": "...", "message": "..."}``, problem details (``title``, ``detail``), and a
    validator's ``{"detail": [{"loc", "msg", "type"}]}``, also as ``details`` or in its ``fields``.
    ``retry_after`` may stand in ``details`` and ``metadata``, too, in seconds or as a date.
    ``status`` is not needed.
    """
    if not isinstance(body, dict):
        return ErrorDetails(message=_line(body))
    outer = cast("dict[str, Any]", body)
    inner: dict[str, Any] = outer
    error = outer.get("error")
    if isinstance(error, dict):
        inner = {**outer, **cast("dict[str, Any]", error)}
        error = None
    fields = _field_problems(inner.get("detail")) or _field_problems(inner.get("details"))
    if not fields and isinstance(details := inner.get("details"), dict):
        fields = _field_problems(_first(cast("dict[str, Any]", details), "fields", "errors"))
    message = (
        _line(inner.get("message"))
        or _line(inner.get("detail"))
        or _line(error)
        or _line(inner.get("errorText"))
        or _line(inner.get("title"))
    )
    if message is None and fields:
        message = "; ".join(str(f) for f in fields[:5])
    code = _line(inner.get("code"))
    if code is None and error is not None and _line(error) != message:
        # {"error": "not_found", "message": "No such thread"}: the short one is the code.
        code = _line(error)
    return ErrorDetails(
        message=message,
        code=code,
        request_id=_line(_first(inner, "requestId", "request_id", "traceId", "trace_id")),
        retry_after=_retry_after(inner, outer),
        fields=fields,
    )


def _retry_after(*places: dict[str, Any]) -> float | None:
    """Return the first wait that one of ``places`` or its details give, in seconds."""
    nested = [place.get(name) for place in places for name in ("details", "detail", "metadata")]
    found = [
        cast("dict[str, Any]", place) for place in (*places, *nested) if isinstance(place, dict)
    ]
    waits = (_wait(place.get(name)) for place in found for name in ("retry_after", "retryAfter"))
    return next((wait for wait in waits if wait is not None), None)


def _wait(value: Any) -> float | None:
    seconds = parse_seconds(value)
    if seconds is not None or not isinstance(value, str):
        return seconds
    if (moment := parse_time(value)) is not None:
        return max(0.0, (moment - datetime.now(UTC)).total_seconds())
    return parse_retry_after({"retry-after": value})


def _first(data: Mapping[str, Any], *names: str) -> Any:
    return next((data[n] for n in names if data.get(n) is not None), None)


def _line(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        return one_line(str(value)) or None
    except ValueError:  # an integer of more digits than str() takes
        return None


def parse_seconds(value: Any) -> float | None:
    """Return a wire duration in seconds; None where it is none, negative or not finite."""
    if isinstance(value, bool):
        return None
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _field_problems(detail: Any) -> tuple[FieldProblem, ...]:
    if not isinstance(detail, list):
        return ()
    found: list[FieldProblem] = []
    for item in cast("list[Any]", detail):
        if not isinstance(item, dict):
            continue
        entry = cast("dict[str, Any]", item)
        loc = entry.get("loc", entry.get("field"))
        path = [str(p) for p in cast("list[Any]", loc)] if isinstance(loc, list) else [_line(loc)]
        message = _line(_first(entry, "msg", "message")) or "invalid"
        kind = _line(entry.get("type")) or ""
        found.append(FieldProblem(mend(".".join(p for p in path if p)), message, kind))
    return tuple(found)


def execution_time(payload: dict[str, Any]) -> float | None:
    """Return the ``execution_time`` of a payload, or of its ``metadata``, in seconds."""
    places = (payload, payload.get("metadata"))
    found = [cast("dict[str, Any]", place) for place in places if isinstance(place, dict)]
    seconds = (parse_seconds(place.get("execution_time")) for place in found)
    return next((each for each in seconds if each is not None), None)
