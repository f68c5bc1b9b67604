"""How a run ended, as read from the event that says so."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Final, cast

from agentnb.event.transcript import FINAL_STATUSES
from agentnb.event.types import Event, RunCancelled, RunFailed, RunFinished
from agentnb.platforms._bodies import parse_error_body
from agentnb.platforms._statuses import is_status, read_status
from agentnb.platforms._usage import read_count
from agentnb.platforms._wire import as_text
from agentnb.platforms.generic.fields import (
    OUTPUT,
    first,
    mapping,
    only_text,
    text_in,
    whole_text,
)
from agentnb.platforms.generic.names import category_of, is_marker, normalized

__all__ = ["NORMAL_STOPS", "cancelled", "end_of", "failed", "is_final", "output_of", "terminal"]

NORMAL_STOPS: Final = frozenset({"stop", "end_turn", "complete", "completed", "finish", "done"})
"""Reasons for which a model stops that need not be mentioned."""

_SILENT: Final = "The agent reported an error."
_REASONS: Final = (
    *("finish_reason", "finishReason", "stop_reason", "stopReason", "done_reason", "reason"),
    "subtype",
)
# Where an error may hold what went wrong.
_MESSAGES: Final = (
    *("message", "error", "errorText", "error_message", "errorMessage", "last_error", "lastError"),
    *("detail", "details", "errors", "exception", "cause", "msg", "data", "reason", "text"),
)
# Where nothing but the answer stands.
_ANSWERS: Final = frozenset({"output", "content", "text", "answer", "final_output", "final_answer"})
# What a server may say in place of an answer.
_NOTHING_SAID: Final = frozenset({"ok", "okay", "true", "none", "null", "stream", "bye", "eos"})


def end_of(fields: Mapping[str, Any]) -> Event:
    """Return the end that an event of a completion means; its status may say that it was none."""
    response = mapping(fields.get("response"))
    status = first(fields, "status", "state") or response.get("status")
    if isinstance(status, dict):
        status = mapping(cast("object", status)).get("state")
    error = fields.get("error") or response.get("error")
    reason = first(fields, *_REASONS)
    word = normalized(reason) if isinstance(reason, str) else ""
    output = output_of(fields)
    if not error and (fields.get("is_error") is True or fields.get("success") is False):
        error = first(fields, "message") or output or as_text(reason) or _SILENT
    elif not error and (word.split("_")[0] in ("error", "failed") or word == "failure"):
        error = output or word.replace("_", " ")
    elif not error and isinstance(status, str) and read_status(status) == "failed":
        error = first(fields, *_MESSAGES)
    elif word in ("cancelled", "canceled", "aborted", "abort"):
        status = "cancelled"
    iterations = first(fields, "iterations", "num_turns", "numTurns")
    return terminal(
        status if isinstance(status, str) else None,
        output,
        error,
        iterations,
        duration=_duration(fields),
    ) or RunFinished(output=output or None, duration=_duration(fields))


def terminal(
    status: str | None, output: Any, error: Any, iterations: Any, *, duration: float | None = None
) -> Event | None:
    """Return the end that a status means; None for a run that has not ended."""
    details = {} if (turns := read_count(iterations)) is None else {"iterations": turns}
    match read_status(status) if status or error else "completed":
        case "cancelled":
            return RunCancelled()
        case state if error or state == "failed":
            found = parse_error_body(0, error)
            message = found.message or as_text(error) or "The platform reports the run as failed."
            return RunFailed(
                message=message, code=found.code, retry_after=found.retry_after, details=details
            )
        case "completed":
            return RunFinished(output=as_text(output) or None, duration=duration, details=details)
        case _:
            return None


def is_final(status: Any) -> bool:
    """Return whether a word for a status, or for an end, says that a run is over."""
    if not isinstance(status, str):
        return False
    if is_status(status):
        return read_status(status) in FINAL_STATUSES
    return category_of(status) == "end" and " " not in status


def failed(fields: Mapping[str, Any]) -> RunFailed:
    """Return the end that an event of an error means."""
    response = mapping(fields.get("response"))
    body = first(fields, *_MESSAGES)
    code = fields.get("code")
    if isinstance(response.get("error"), dict):
        body = response["error"]
    elif body is None and (incomplete := _incomplete(fields) or _incomplete(response)):
        body, code = f"The answer is incomplete: {incomplete}.", code or incomplete
    elif body is None:
        body = first(fields, "content", "output", "title", "delta", "description")
    if body is None and isinstance(status := fields.get("status"), dict):
        # As the A2A protocol has it: a message of parts.
        body = text_in(mapping(cast("object", status)).get("message"))
    nested = mapping(body)
    if isinstance(nested.get("error"), dict):
        nested = mapping(nested["error"])
    if not nested:
        code = code if code is not None else mapping(fields.get("error")).get("code")
        retry_after = first(fields, "retryAfter", "retry_after")
        nested = {"message": body, "code": code, "retryAfter": retry_after}
        if isinstance(body, list):
            nested["detail"] = body
    found = parse_error_body(0, nested)
    return RunFailed(
        message=found.message or _without_message(code),
        code=found.code or (as_text(code) or None),
        retry_after=found.retry_after,
    )


def _without_message(code: Any) -> str:
    return f"The agent reported the error {as_text(code)}." if code else _SILENT


def cancelled(fields: Mapping[str, Any]) -> RunCancelled:
    """Return the end that an event of a cancellation means."""
    return RunCancelled(reason=as_text(first(fields, "reason", "message", "data")) or None)


def output_of(fields: Mapping[str, Any]) -> str:
    """Return the whole answer that the end of a run holds, "" where it holds none."""
    for name in OUTPUT:
        value = fields.get(name)
        if name == "response" and isinstance(value, dict):
            # The whole run, as the Responses API has it.
            response = mapping(cast("object", value))
            text = output_of({k: v for k, v in response.items() if k != "response"})
        elif name == "delta" and isinstance(value, dict):
            continue
        else:
            text = whole_text(value)
        if text and not (is_marker(text) if name in _ANSWERS else _says_nothing(text)):
            return text
    text = only_text({k: v for k, v in fields.items() if k not in (*OUTPUT, *_REASONS, "error")})
    # A word is more likely to be an id.
    return as_text(text) if text is not None and " " in text else ""


def _says_nothing(text: str) -> bool:
    """Return whether a text is a word for an end rather than an answer."""
    if len(text) > 30:
        return False
    word = normalized(text)
    return (
        is_marker(text) is not None
        or is_status(text)
        or word in _NOTHING_SAID
        or (text[:1].islower() and " " not in text.strip() and category_of(text) == "end")
        or text in ("{}", "[]", '""')
    )


def _incomplete(fields: Mapping[str, Any]) -> str | None:
    reason = mapping(fields.get("incomplete_details")).get("reason")
    return reason if isinstance(reason, str) else None


def _duration(fields: Mapping[str, Any]) -> float | None:
    """Return the platform's own figure in seconds; an integer may be larger than any float."""
    value = first(fields, "durationMs", "duration_ms")
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return value / 1000 if 0 <= value <= sys.float_info.max else None
