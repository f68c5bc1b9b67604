"""How a run ended, by the event that ends it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from agentnb.event.transcript import FINAL_STATUSES
from agentnb.event.types import Event, RunCancelled, RunFailed, RunFinished
from agentnb.platforms._bodies import parse_error_body, parse_seconds
from agentnb.platforms._payloads import as_object, first_value, is_status, read_status
from agentnb.platforms._usage import read_count
from agentnb.platforms._wire import as_text
from agentnb.platforms.generic.categories import (
    category_of,
    marker_category,
    normalized,
    word_set,
    words,
)
from agentnb.platforms.generic.fields import OUTPUT, only_text, text_in, whole_text

_NO_MESSAGE: Final = "The agent reported an error."
_REASONS: Final = (
    *words("finish_reason stop_reason done_reason reason"),
    "subtype",
)
# Fields in which an error may have its message.
_MESSAGES: Final = words(
    "message error errorText error_message last_error detail details errors exception cause msg "
    "data reason text"
)
# Fields that have nothing but the answer.
_ANSWERS: Final = word_set("output content text answer final_output final_answer")
# Words that servers send in place of an answer.
_NO_OUTPUT: Final = word_set("ok okay true none null stream bye eos")


def completed_end(fields: Mapping[str, Any]) -> Event:
    """Return the end that a completion event means: its status may be a failure."""
    response = as_object(fields.get("response"))
    status = first_value(fields, "status", "state") or response.get("status")
    status = status if isinstance(status, str) else as_object(status).get("state")
    error = fields.get("error") or response.get("error")
    reason = normalized(as_text(first_value(fields, *_REASONS)))
    output = _output(fields)
    if not error and (fields.get("is_error") is True or fields.get("success") is False):
        error = first_value(fields, "message") or output or reason or _NO_MESSAGE
    elif not error and (reason.split("_")[0] in ("error", "failed") or reason == "failure"):
        error = output or reason.replace("_", " ")
    elif not error and read_status(status) == "failed":
        error = first_value(fields, *_MESSAGES)
    elif reason in ("cancelled", "canceled", "aborted", "abort"):
        status = "cancelled"
    iterations = first_value(fields, "iterations", "num_turns", "numTurns")
    milliseconds = first_value(fields, "durationMs", "duration_ms")
    seconds = parse_seconds(milliseconds) if not isinstance(milliseconds, str) else None
    duration = None if seconds is None else seconds / 1000
    end = status_end(status, output, error, iterations, duration=duration)
    return end or RunFinished(output=output or None, duration=duration)


def status_end(
    status: str | None, output: Any, error: Any, iterations: Any, *, duration: float | None = None
) -> Event | None:
    """Return the end that a status means; None for a run that has not ended."""
    details = {} if (turns := read_count(iterations)) is None else {"iterations": turns}
    match read_status(status) if status or error else "completed":
        case "cancelled":
            return RunCancelled()
        case state if error or state == "failed":
            body = parse_error_body(0, error)
            message = body.message or as_text(error) or "The platform reports the run as failed."
            return RunFailed(
                message=message, code=body.code, retry_after=body.retry_after, details=details
            )
        case "completed":
            return RunFinished(output=as_text(output) or None, duration=duration, details=details)
        case _:
            return None


def is_final(status: Any) -> bool:
    """Return whether a status, or a name of an end, says that a run is over."""
    if not isinstance(status, str):
        return False
    if is_status(status):
        return read_status(status) in FINAL_STATUSES
    return category_of(status) == "end" and " " not in status


def failed_end(fields: Mapping[str, Any]) -> RunFailed:
    """Return the end that an error event means."""
    response = as_object(fields.get("response"))
    body, code = first_value(fields, *_MESSAGES), fields.get("code")
    if isinstance(response.get("error"), dict):
        body = response["error"]
    elif body is None:
        nested = (as_object(each.get("incomplete_details")) for each in (fields, response))
        if reason := next((r for each in nested if isinstance(r := each.get("reason"), str)), None):
            body, code = f"The answer is incomplete: {reason}.", code or reason
        else:
            # In the A2A protocol a status has a message of parts.
            message = text_in(as_object(fields.get("status")).get("message"))
            others = ("content", "output", "title", "delta", "description")
            body = first_value({**fields, "status": message}, *others, "status")
    error = as_object(body)
    if isinstance(error.get("error"), dict):
        error = as_object(error["error"])
    if not error:
        code = code if code is not None else as_object(fields.get("error")).get("code")
        retry_after = first_value(fields, "retryAfter", "retry_after")
        error = {"message": body, "code": code, "retryAfter": retry_after}
        if isinstance(body, list):
            error["detail"] = body
    details = parse_error_body(0, error)
    default = f"The agent reported the error {as_text(code)}." if code else _NO_MESSAGE
    return RunFailed(
        message=details.message or default,
        code=details.code or (as_text(code) or None),
        retry_after=details.retry_after,
    )


def cancelled_end(fields: Mapping[str, Any]) -> RunCancelled:
    """Return the end that a cancellation event means."""
    return RunCancelled(reason=as_text(first_value(fields, "reason", "message", "data")) or None)


def _output(fields: Mapping[str, Any]) -> str:
    """Return the whole answer in the event that ends a run, "" without any."""
    for name in OUTPUT:
        value = fields.get(name)
        if name == "response" and isinstance(value, dict):
            # The whole run, as in the Responses API.
            text = _output({**cast("dict[str, Any]", value), "response": None})
        else:
            text = "" if name == "delta" and isinstance(value, dict) else whole_text(value)
        if text and not (marker_category(text) if name in _ANSWERS else _is_end_word(text)):
            return text
    text = only_text({k: v for k, v in fields.items() if k not in (*OUTPUT, *_REASONS, "error")})
    # A single word is more likely to be an id.
    return as_text(text) if text is not None and " " in text else ""


def _is_end_word(text: str) -> bool:
    """Return whether a text is a name of an end rather than an answer."""
    if len(text) > 30:
        return False
    return (
        marker_category(text) is not None
        or is_status(text)
        or normalized(text) in _NO_OUTPUT
        or (text[:1].islower() and " " not in text.strip() and category_of(text) == "end")
        or text in ("{}", "[]", '""')
    )
