"""Unsuccessful responses, and the exceptions for them."""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from itertools import pairwise
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from agentnb.errors import (
    AgentnbError,
    AuthenticationError,
    BudgetExceededError,
    FieldProblem,
    InvalidRequestError,
    NotFoundError,
    PlatformError,
    RateLimitError,
    ServerError,
    retry_hint,
)
from agentnb.redaction.secrets import mask

# Enough for the JSON of any error; the rest is not read.
MAX_ERROR_BYTES: Final = 256 * 2**10
_EXCERPT_CHARS: Final = 2_000
_MESSAGE_CHARS: Final = 300
_MAX_FIELDS: Final = 3
# Events of a stream that are searched for an error.
_MAX_EVENTS: Final = 20
_UNPRINTABLE: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

_CLASSES: Final[dict[int, type[PlatformError]]] = {
    401: AuthenticationError,
    402: BudgetExceededError,
    403: AuthenticationError,
    429: RateLimitError,
}
# Resources that messages, codes and paths of a 404 mention.
_RESOURCE: Final = re.compile(
    r"(?<![a-z])(agent|thread|session|conversation|run|approval)s?(?![a-z])", re.IGNORECASE
)
# Segments that follow the name of a collection and are not an id.
_ACTIONS: Final = frozenset({"background", "invoke", "run", "runs", "status", "stream"})
_MISSING_HINTS: Final = {
    "agent": "Check the agent's id.",
    "approval": "Check the approval's id; it may have been decided already.",
    "run": "Check the run's id, and its session where one is needed.",
    "session": "Check the session's id, or leave session out to begin a new one.",
    "thread": "Check the thread's id, or leave session out to begin a new one.",
    None: "Check base_url and the ids that were given.",
}
_INVALID: Final = frozenset({400, 409, 413, 415, 422})
_REDIRECTS: Final = frozenset({300, 301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorDetails:
    """Details in the body of an error; None where it has none.  ``retry_after`` is in seconds."""

    message: str | None = None
    code: str | None = None
    request_id: str | None = None
    retry_after: float | None = None
    fields: tuple[FieldProblem, ...] = ()


# Takes the status and the body parsed as JSON, or None; must not raise.
ErrorParser = Callable[[int, Any], ErrorDetails]


def no_error_details(status: int, data: Any) -> ErrorDetails:
    """Parse nothing: for a service whose errors have no known shape."""
    del status, data
    return ErrorDetails()


def without_frames(error: AgentnbError) -> AgentnbError:
    """Return ``error`` itself, without its traceback so far and its context.

    The frames of a request and its response, and the errors of HTTP libraries, hold headers and
    bytes, in which servers echo keys; some tracebacks print both.  The cause is kept, also without
    frames.
    """
    cause = error.__cause__
    if cause is not None:
        cause.__traceback__ = None
        cause.__cause__ = cause.__context__ = None
    error.__traceback__ = error.__context__ = None
    return error


def parse_retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that ``Retry-After`` specifies, in seconds or as a date.

    Anything else is None; a date in the past is 0.  A date is relative to the response's own
    ``Date``, as the clocks here and there may differ.
    """
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,9})?", value):
        return float(value)
    if (date := parse_date(value)) is None:
        return None
    since = parse_date(headers.get("date", "")) or datetime.now(UTC)
    return max(0.0, (date - since).total_seconds())


def parse_date(value: str) -> datetime | None:
    """Return the time in a header such as ``Date``, None where it is not valid."""
    try:
        date = parsedate_to_datetime(value)
    except (TypeError, ValueError, OverflowError):
        return None
    # Without a zone, GMT: RFC 9110 has no other.
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def media_type(headers: Mapping[str, str]) -> str:
    """Return the ``Content-Type`` without its parameters, in lower case; "" where there is none."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def read_json(body: bytes) -> Any:
    """Return the body parsed as JSON.

    Raises:
        ValueError: it is not JSON, or nested too deeply to be read.
    """
    try:
        return json.loads(body)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def excerpt(body: bytes) -> str:
    """Return at most 2,000 characters of the body, without control characters and secrets."""
    return _sanitize(body[:MAX_ERROR_BYTES].decode("utf-8", "replace"))[:_EXCERPT_CHARS]


def _sanitize(text: str) -> str:
    # Masked before, as removing characters may split a secret, and after, as it may join one.
    return mask(_UNPRINTABLE.sub("", mask(text)))


def one_line(text: str, limit: int = _MESSAGE_CHARS) -> str:
    """Return the text on one line, sanitized, truncated to ``limit`` characters."""
    text = mask(" ".join(_sanitize(text)[: 4 * limit].split()))
    return text if len(text) <= limit else text[: limit - 1] + "…"


def error_from_response(
    *,
    name: str,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    parse_error: ErrorParser,
    base_url: str,
    method: str,
    path: str,
) -> PlatformError:
    """Return the exception for an unsuccessful response to ``method`` and ``path``."""
    details = parse_error(status, _error_data(body))
    text = excerpt(body)
    fields = tuple(
        FieldProblem(one_line(f.location), one_line(f.message), one_line(f.kind))
        for f in details.fields
    )
    reason = one_line(details.message or "")
    if not reason and fields:
        reason = "; ".join(str(f) for f in fields[:_MAX_FIELDS])
        if len(fields) > _MAX_FIELDS:
            reason += f"; and {len(fields) - _MAX_FIELDS} more"
    if not reason and media_type(headers) == "text/plain":
        reason = one_line(text)
    wait = parse_retry_after(headers)
    if wait is None and (seconds := details.retry_after) is not None:
        wait = seconds if math.isfinite(seconds) and seconds >= 0 else None
    request_id = (
        details.request_id or headers.get("x-request-id") or headers.get("request-id") or ""
    )
    common: dict[str, Any] = {
        "hint": mask(_hint(name, status, headers, wait, base_url) or "") or None,
        "status": status,
        "code": one_line(details.code) if details.code else None,
        "request_id": one_line(request_id) or None,
        "retry_after": wait,
        "excerpt": text,
    }
    message = f"{name} answered {status}{_phrase(status, reason)}"
    if status == 404:
        missing = _missing_resource(path, f"{details.code} {reason}")
        common["hint"] = _MISSING_HINTS[missing]
        request = f"{method} {one_line(base_url + path)}"
        message = f"{name} answered 404 to {request}{_phrase(status, reason)}"
        not_found = NotFoundError(message, **common)
        not_found.missing = missing
        return not_found
    if status in _INVALID:
        return InvalidRequestError(message, fields=fields, **common)
    cls = _CLASSES.get(status, ServerError if status >= 500 else PlatformError)
    return cls(message, **common)


def _error_data(body: bytes) -> Any:
    """Return the JSON of an error's body, None without any.

    Of an event stream, which some servers send with an unsuccessful status, it is that of the first
    event with JSON.
    """
    lines = [line[5:] for line in body.splitlines() if line.startswith(b"data:")]
    for text in (body, *lines[:_MAX_EVENTS]):
        with contextlib.suppress(ValueError):
            return read_json(text)
    return None


def _missing_resource(path: str, message: str) -> str | None:
    """Return the first resource that the message of a 404 names, else the path's last."""
    if (match := _RESOURCE.search(message)) is not None:
        resource = match[1].lower()
        return "session" if resource == "conversation" else resource
    segments = path.partition("?")[0].split("/")
    for collection, item in reversed(list(pairwise(segments))):
        match = _RESOURCE.fullmatch(collection)
        if match is not None and item and item not in _ACTIONS:
            return match[1].lower()
    return None


def _phrase(status: int, reason: str) -> str:
    if reason:
        return f": {reason}" if reason.endswith((".", "!", "?", "…")) else f": {reason}."
    try:
        return f" ({HTTPStatus(status).phrase})."
    except ValueError:
        return "."


def _origin(address: str) -> str:
    """Return scheme, host and port alone: the rest of a redirect may hold a token."""
    try:
        parts = urlsplit(address)
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError:
        return ""
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return one_line(f"{parts.scheme}://{host}{port}") if host else ""


def _redirect_hint(location: str, base_url: str) -> str:
    try:
        target = _origin(urljoin(base_url, location))
    except ValueError:
        target = ""
    origin = _origin(base_url)
    if not location or not target:
        to = ""
    elif target == origin:
        to = " to another path of the same server"
    elif origin.startswith("https:") and not target.startswith("https:"):
        to = f" to {target}, which is not encrypted"
    else:
        to = f" to {target}"
    return f"That is a redirect{to}, and redirects are not followed; check base_url."


def _hint(
    name: str, status: int, headers: Mapping[str, str], wait: float | None, base_url: str
) -> str | None:
    if status in _REDIRECTS:
        return _redirect_hint(headers.get("location", ""), base_url)
    if status in (401, 403):
        variable = re.sub(r"\W", "_", name).upper() + "_API_KEY"
        return f"Check its key: it is looked for in {variable}, then in the keyring."
    return retry_hint(wait)
