"""Answers that are errors: what they say, and the exception they become."""

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
from typing import Any, Final
from urllib.parse import urlsplit

from agentnb._http.outgoing import Secrets
from agentnb.errors import (
    AuthenticationError,
    BudgetExceededError,
    FieldProblem,
    InvalidRequestError,
    NotFoundError,
    PlatformError,
    RateLimitError,
    ServerError,
)

__all__ = [
    "MAX_ERROR_BYTES",
    "ErrorDetails",
    "ErrorParser",
    "error_from_answer",
    "excerpt",
    "know_nothing",
    "media_type",
    "one_line",
    "parse_retry_after",
    "read_json",
]

# Enough for the JSON of any error; what comes after it is not read.
MAX_ERROR_BYTES: Final = 256 * 2**10
_EXCERPT_CHARS: Final = 2_000
_MESSAGE_CHARS: Final = 300
_UNPRINTABLE: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

_CLASSES: Final[dict[int, type[PlatformError]]] = {
    401: AuthenticationError,
    402: BudgetExceededError,
    403: AuthenticationError,
    404: NotFoundError,
    429: RateLimitError,
}
_INVALID: Final = frozenset({400, 409, 413, 415, 422})


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorDetails:
    """What the body of an error says; None where it says nothing.  ``retry_after`` is seconds."""

    message: str | None = None
    code: str | None = None
    request_id: str | None = None
    retry_after: float | None = None
    fields: tuple[FieldProblem, ...] = ()


# (status, the body parsed as JSON or None) -> what it says.  Total: it never raises.
ErrorParser = Callable[[int, Any], ErrorDetails]


def know_nothing(status: int, data: Any) -> ErrorDetails:
    """The parser for a service whose errors have no known shape."""
    del status, data
    return ErrorDetails()


def parse_retry_after(value: Any) -> float | None:
    """Return how many seconds a ``Retry-After`` asks for, given in seconds or as a date.

    Whatever is neither is None; a date that has passed is 0.
    """
    if isinstance(value, str):
        value = value.strip()
        if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,9})?", value):
            return float(value)
        try:
            date = parsedate_to_datetime(value)
        except (TypeError, ValueError, OverflowError):
            return None
        # RFC 9110 has dates in GMT; without any zone that is what is meant.
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        return max(0.0, (date - datetime.now(UTC)).total_seconds())
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            seconds = float(value)
        except OverflowError:
            return None
        return seconds if math.isfinite(seconds) and seconds >= 0 else None
    return None


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


def excerpt(body: bytes, secrets: Secrets) -> str:
    """Return at most 2,000 characters of the body, without control characters and secrets."""
    # Secrets first: half of one would not be found.
    text = secrets.hide(body[:MAX_ERROR_BYTES].decode("utf-8", "replace"))
    return _UNPRINTABLE.sub("", text)[:_EXCERPT_CHARS]


def one_line(text: str, limit: int = _MESSAGE_CHARS) -> str:
    """Return the text on one line, without control characters, cut at ``limit``."""
    text = _UNPRINTABLE.sub("", " ".join(text[: 4 * limit].split()))
    return text if len(text) <= limit else text[: limit - 1] + "…"


def error_from_answer(
    *,
    name: str,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    parse_error: ErrorParser,
    secrets: Secrets,
) -> PlatformError:
    """Return the exception for an answer that is not a success."""
    data = None
    with contextlib.suppress(ValueError):
        data = read_json(body)
    details = parse_error(status, data)
    shown = excerpt(body, secrets)
    fields = tuple(
        FieldProblem(
            one_line(secrets.hide(f.location)), one_line(secrets.hide(f.message)), one_line(f.kind)
        )
        for f in details.fields
    )
    said = one_line(secrets.hide(details.message or ""))
    if not said and fields:
        said = "; ".join(str(f) for f in fields[:3])
        if len(fields) > 3:
            said += f"; and {len(fields) - 3} more"
    if not said and media_type(headers) == "text/plain":
        said = one_line(shown)
    wait = parse_retry_after(headers.get("retry-after"))
    request_id = (
        details.request_id or headers.get("x-request-id") or headers.get("request-id") or ""
    )
    wait = details.retry_after if wait is None else wait
    common: dict[str, Any] = {
        "hint": _hint(name, status, headers, wait),
        "status": status,
        "code": one_line(secrets.hide(details.code)) if details.code else None,
        "request_id": one_line(secrets.hide(request_id)) or None,
        "retry_after": wait,
        "excerpt": shown,
    }
    message = f"{name} answered {status}{_phrase(status, said)}"
    if status in _INVALID:
        return InvalidRequestError(message, fields=fields, **common)
    cls = _CLASSES.get(status, ServerError if status >= 500 else PlatformError)
    return cls(message, **common)


def _phrase(status: int, said: str) -> str:
    if said:
        return f": {said}" if said.endswith((".", "!", "?", "…")) else f": {said}."
    try:
        return f" ({HTTPStatus(status).phrase})."
    except ValueError:
        return "."


def _origin(address: str) -> str:
    """Return scheme and host alone: the rest of a redirect may carry a token."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return ""
    return one_line(f"{parts.scheme}://{parts.hostname}") if parts.hostname else ""


def _hint(name: str, status: int, headers: Mapping[str, str], wait: float | None) -> str | None:
    if 300 <= status < 400:
        target = _origin(headers.get("location", ""))
        to = f" to {target}" if target else ""
        return f"That is a redirect{to}, and redirects are not followed; check base_url."
    if status in (401, 403):
        variable = re.sub(r"\W", "_", name).upper() + "_API_KEY"
        return f"Check its key: it is looked for in {variable}, then in the keyring."
    if status == 404:
        return "`%agent list` shows the agents there are."
    if status == 429 and wait is not None:
        return f"Try again in {math.ceil(wait)} s."
    return None
