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
from itertools import pairwise
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from agentnb.errors import (
    AuthenticationError,
    BudgetExceededError,
    FieldProblem,
    InvalidRequestError,
    NotFoundError,
    PlatformError,
    RateLimitError,
    ServerError,
    try_again_in,
)
from agentnb.redaction.secrets import mask

__all__ = [
    "MAX_ERROR_BYTES",
    "ErrorDetails",
    "ErrorParser",
    "error_from_answer",
    "excerpt",
    "know_nothing",
    "media_type",
    "one_line",
    "parse_date",
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
    429: RateLimitError,
}
# What a 404 may be about, in the words of messages, codes and paths.
_THING: Final = re.compile(
    r"(?<![a-z])(agent|thread|session|conversation|run|approval)s?(?![a-z])", re.IGNORECASE
)
# Segments that follow the name of a collection, and are no id.
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


def parse_retry_after(headers: Mapping[str, str]) -> float | None:
    """Return how many seconds ``Retry-After`` asks for, given in seconds or as a date.

    Whatever is neither is None; a date that has passed is 0.  A date counts from the answer's own
    ``Date``: the clocks here and there may differ.
    """
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,9})?", value):
        return float(value)
    if (date := parse_date(value)) is None:
        return None
    since = parse_date(headers.get("date", "")) or datetime.now(UTC)
    return max(0.0, (date - since).total_seconds())


def parse_date(value: str) -> datetime | None:
    """Return the moment that a header such as ``Date`` names, None where it names none."""
    try:
        date = parsedate_to_datetime(value)
    except (TypeError, ValueError, OverflowError):
        return None
    # RFC 9110 has dates in GMT; without any zone that is what is meant.
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
    return _cleaned(body[:MAX_ERROR_BYTES].decode("utf-8", "replace"))[:_EXCERPT_CHARS]


def _cleaned(text: str) -> str:
    # Secrets twice: half of one would not be found, and one may come together only here.
    return mask(_UNPRINTABLE.sub("", mask(text)))


def one_line(text: str, limit: int = _MESSAGE_CHARS) -> str:
    """Return the text on one line, without control characters and secrets, cut at ``limit``."""
    text = mask(" ".join(_cleaned(text)[: 4 * limit].split()))
    return text if len(text) <= limit else text[: limit - 1] + "…"


def error_from_answer(
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
    """Return the exception for an answer that is not a success, to ``method`` and ``path``."""
    data = None
    with contextlib.suppress(ValueError):
        data = read_json(body)
    details = parse_error(status, data)
    shown = excerpt(body)
    fields = tuple(
        FieldProblem(one_line(f.location), one_line(f.message), one_line(f.kind))
        for f in details.fields
    )
    said = one_line(details.message or "")
    if not said and fields:
        said = "; ".join(str(f) for f in fields[:3])
        if len(fields) > 3:
            said += f"; and {len(fields) - 3} more"
    if not said and media_type(headers) == "text/plain":
        said = one_line(shown)
    wait = parse_retry_after(headers)
    request_id = (
        details.request_id or headers.get("x-request-id") or headers.get("request-id") or ""
    )
    if wait is None and details.retry_after is not None:
        told = details.retry_after
        wait = told if math.isfinite(told) and told >= 0 else None
    common: dict[str, Any] = {
        "hint": mask(_hint(name, status, headers, wait, base_url) or "") or None,
        "status": status,
        "code": one_line(details.code) if details.code else None,
        "request_id": one_line(request_id) or None,
        "retry_after": wait,
        "excerpt": shown,
    }
    message = f"{name} answered {status}{_phrase(status, said)}"
    if status == 404:
        missing = _missing(path, f"{details.code} {said}")
        common["hint"] = _MISSING_HINTS[missing]
        request = f"{method} {one_line(base_url + path)}"
        message = f"{name} answered 404 to {request}{_phrase(status, said)}"
        not_found = NotFoundError(message, **common)
        not_found.missing = missing
        return not_found
    if status in _INVALID:
        return InvalidRequestError(message, fields=fields, **common)
    cls = _CLASSES.get(status, ServerError if status >= 500 else PlatformError)
    return cls(message, **common)


def _missing(path: str, words: str) -> str | None:
    """Return what a 404 is about: the first thing that the platform names, else the path's last."""
    if (named := _THING.search(words)) is not None:
        found = named[1].lower()
        return "session" if found == "conversation" else found
    segments = path.partition("?")[0].split("/")
    for collection, item in reversed(list(pairwise(segments))):
        thing = _THING.fullmatch(collection)
        if thing is not None and item and item not in _ACTIONS:
            return thing[1].lower()
    return None


def _phrase(status: int, said: str) -> str:
    if said:
        return f": {said}" if said.endswith((".", "!", "?", "…")) else f": {said}."
    try:
        return f" ({HTTPStatus(status).phrase})."
    except ValueError:
        return "."


def _origin(address: str) -> str:
    """Return scheme, host and port alone: the rest of a redirect may carry a token."""
    try:
        parts = urlsplit(address)
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError:
        return ""
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return one_line(f"{parts.scheme}://{host}{port}") if host else ""


def _redirect(location: str, base_url: str) -> str:
    """Say where a redirect points to."""
    try:
        target = _origin(urljoin(base_url, location))
    except ValueError:
        target = ""
    here = _origin(base_url)
    if not location or not target:
        to = ""
    elif target == here:
        to = " to another path of the same server"
    elif here.startswith("https:") and not target.startswith("https:"):
        to = f" to {target}, which is not encrypted"
    else:
        to = f" to {target}"
    return f"That is a redirect{to}, and redirects are not followed; check base_url."


def _hint(
    name: str, status: int, headers: Mapping[str, str], wait: float | None, base_url: str
) -> str | None:
    if status in _REDIRECTS:
        return _redirect(headers.get("location", ""), base_url)
    if status in (401, 403):
        variable = re.sub(r"\W", "_", name).upper() + "_API_KEY"
        return f"Check its key: it is looked for in {variable}, then in the keyring."
    return try_again_in(wait)
