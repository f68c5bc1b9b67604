"""Read JSON payloads of any shape: fields of the expected type, usage and failures."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any, Final, cast

from agentnb._support.text import well_formed
from agentnb.event.transcript import Status
from agentnb.event.types import Event, RunFailed, UsageReported
from agentnb.platforms._bodies import parse_error_body
from agentnb.platforms._usage import read_usage
from agentnb.platforms._wire import MalformedError, json_payload, mend_deep


def json_object(text: str) -> dict[str, Any]:
    """Return the JSON object in ``text``.

    Raises:
        MalformedError: not JSON, or another JSON value.
    """
    value = json_payload(text)
    if not isinstance(value, dict):
        raise MalformedError("not a JSON object")
    return cast("dict[str, Any]", value)


def as_object(value: Any) -> dict[str, Any]:
    """Return ``value`` if it is an object, else an empty one."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """Return ``value`` if it is a list, else an empty one."""
    return cast("list[Any]", value) if isinstance(value, list) else []


def first_value(fields: Mapping[str, Any], *names: str) -> Any:
    """Return the first of these fields that is not None."""
    return next((fields[name] for name in names if fields.get(name) is not None), None)


def first_text(fields: Mapping[str, Any], *names: str) -> str | None:
    """Return the first of these fields that is non-empty text, mended."""
    values = (fields.get(name) for name in names)
    return next((well_formed(value) for value in values if isinstance(value, str) and value), None)


def usage_events(value: Any, *, model: str | None = None) -> list[Event]:
    """Return the usage that ``value`` reports, as an event."""
    usage = read_usage(value)
    return [] if usage is None else [UsageReported(usage=usage, model=model)]


def failure_event(
    payload: dict[str, Any], *, default: str, hidden: Collection[str] = ()
) -> RunFailed:
    """Return the failure that an error payload describes.

    ``default`` is the message if the payload has none; ``details`` holds all but ``hidden`` fields.
    """
    error = parse_error_body(0, payload)
    return RunFailed(
        message=error.message or default,
        code=error.code,
        retry_after=error.retry_after,
        details=mend_deep({k: v for k, v in payload.items() if k not in hidden}),
    )


def infer_schema(arguments: Any) -> dict[str, Any]:
    """Return a JSON schema of objects with the fields of ``arguments``, an object or its JSON."""
    found: Any = arguments
    if isinstance(arguments, str):
        try:
            found = json.loads(arguments)
        except (ValueError, RecursionError):
            found = None
    fields = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    return {"type": "object", "properties": {name: _kind(fields[name]) for name in fields}}


def _kind(value: Any) -> dict[str, Any]:
    match value:
        case bool():
            return {"type": "boolean"}
        case int() | float():
            return {"type": "number"}
        case str():
            return {"type": "string"}
        case _:
            return {}


_STATUSES: Final[dict[str, Status]] = {
    "queued": "queued",
    "pending": "queued",
    "created": "queued",
    "submitted": "queued",
    "running": "running",
    "in_progress": "running",
    "processing": "running",
    "working": "running",
    "active": "running",
    "approved": "running",
    "paused": "paused",
    "awaiting_human_review": "paused",
    "awaiting_route_selection": "paused",
    "waiting": "paused",
    "complete": "completed",
    "completed": "completed",
    "done": "completed",
    "ok": "completed",
    "finished": "completed",
    "success": "completed",
    "successful": "completed",
    "succeeded": "completed",
    "error": "failed",
    "errored": "failed",
    "failed": "failed",
    "failure": "failed",
    "incomplete": "failed",
    "expired": "failed",
    "rejected": "failed",
    "timeout": "failed",
    "timed_out": "failed",
    "cancelled": "cancelled",
    "canceled": "cancelled",
    "aborted": "cancelled",
    "stopped": "cancelled",
}


def read_status(value: Any, *, ended: bool = False) -> Status:
    """Return a run's status; an unknown one is ``completed`` if it has ended, else ``running``."""
    return _STATUSES.get(_word(value), "completed" if ended else "running")


def is_status(value: Any) -> bool:
    """Return whether ``value`` is a known status."""
    return _word(value) in _STATUSES


def _word(value: Any) -> str:
    return value.strip().lower().replace("-", "_") if isinstance(value, str) else ""
