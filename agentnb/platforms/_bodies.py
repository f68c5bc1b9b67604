"""Parse times, time zones, durations and error bodies, in any of the forms that platforms send."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any, Final, cast
from zoneinfo import ZoneInfo

from agentnb._http import ErrorDetails, parse_retry_after
from agentnb._support.text import well_formed
from agentnb.errors import FieldProblem
from agentnb.platforms._wire import one_line

_MAX_TIME_SECONDS: Final = 253_402_300_799  # the last second of the year 9999
LEAST_OFFSET: Final = timedelta(hours=-12)
MOST_OFFSET: Final = timedelta(hours=14)
"""The range of offsets from UTC that are in use."""

_OFFSET: Final = re.compile(r"(?:UTC|GMT)?([+-])(\d{1,2})(?::?(\d{2}))?", re.IGNORECASE)


def parse_time(value: Any) -> datetime | None:
    """Return a wire time as an aware datetime in UTC; None for anything else.

    Accepts ISO 8601 text (without a zone it is UTC), and epoch seconds or milliseconds.
    """
    try:
        if isinstance(value, datetime):
            time = value
        elif isinstance(value, str):
            time = datetime.fromisoformat(value.strip())
        elif isinstance(value, int | float) and not isinstance(value, bool):
            seconds = value if abs(value) < 1e11 else value / 1000
            if not 0 <= seconds <= _MAX_TIME_SECONDS:
                return None
            time = datetime.fromtimestamp(seconds, UTC)
        else:
            return None
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None


def parse_error_body(status: int, body: Any) -> ErrorDetails:
    """Return the details of an error body.

    Its form is ``{"error": {"code", "message", "requestId", "retry_after", "details"}}``,
    ``{"error": "...", "message": "..."}``, problem details (``title``, ``detail``), and a
    validator's ``{"detail": [{"loc", "msg", "type"}]}``, also as ``details``, in its ``fields``, or
    as a bare list.  ``retry_after`` may also be in ``details`` or ``metadata``, in seconds or as a
    date.  ``status`` is not used.
    """
    if isinstance(body, list):
        body = {"detail": cast("list[Any]", body)}
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


def _retry_after(*objects: dict[str, Any]) -> float | None:
    """Return the first delay of ``objects`` and their details, in seconds."""
    nested = [each.get(name) for each in objects for name in ("details", "detail", "metadata")]
    dicts = [cast("dict[str, Any]", each) for each in (*objects, *nested) if isinstance(each, dict)]
    delays = (_delay(each.get(name)) for each in dicts for name in ("retry_after", "retryAfter"))
    return next((delay for delay in delays if delay is not None), None)


def _delay(value: Any) -> float | None:
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
    """Return a wire duration in seconds; None where it is not a finite number of 0 or more."""
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
    problems: list[FieldProblem] = []
    for item in cast("list[Any]", detail):
        if not isinstance(item, dict):
            continue
        entry = cast("dict[str, Any]", item)
        loc = entry.get("loc", entry.get("field"))
        message = _line(_first(entry, "msg", "message"))
        if loc is None and message is None:
            continue
        path = [str(p) for p in cast("list[Any]", loc)] if isinstance(loc, list) else [_line(loc)]
        kind = _line(entry.get("type")) or ""
        problems.append(
            FieldProblem(well_formed(".".join(p for p in path if p)), message or "invalid", kind)
        )
    return tuple(problems)


def execution_time(payload: dict[str, Any]) -> float | None:
    """Return the ``execution_time`` of a payload, or of its ``metadata``, in seconds."""
    metadata = payload.get("metadata")
    seconds = parse_seconds(payload.get("execution_time"))
    if seconds is None and isinstance(metadata, dict):
        return parse_seconds(cast("dict[str, Any]", metadata).get("execution_time"))
    return seconds


def parse_zone(text: str) -> tzinfo:
    """Return the zone of an IANA name (``Europe/Berlin``) or an offset (``+05:30``).

    Raises:
        ValueError: it is neither of them.
    """
    name = text.strip()
    if name.upper() in ("UTC", "GMT", "Z"):
        return UTC
    if (match := _OFFSET.fullmatch(name)) is not None:
        size = timedelta(hours=int(match[2]), minutes=int(match[3] or 0))
        offset = -size if match[1] == "-" else size
        if int(match[3] or 0) < 60 and LEAST_OFFSET <= offset <= MOST_OFFSET:
            return timezone(offset)
    else:
        try:
            return ZoneInfo(name)
        except (LookupError, OSError, ValueError):
            pass
    raise ValueError("must be a time zone such as 'Europe/Berlin' or '+05:30'")
