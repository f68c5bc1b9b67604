"""Exceptions of agentnb.

``except agentnb.AgentnbError`` catches all of them::

    AgentnbError
    ├── ConfigError                 an agent, platform, alias or setting is missing or wrong
    │   └── MissingKeyError         no API key was found for a platform
    ├── RequestError                invalid before anything was sent (a value out of range, say)
    ├── UnsupportedError            the platform has no such operation
    ├── PlatformError               the platform answered with an error
    │   ├── AuthenticationError     401, 403
    │   ├── BudgetExceededError     402
    │   ├── NotFoundError           404
    │   ├── InvalidRequestError     400, 409, 413, 415, 422; `.fields` names the invalid fields
    │   ├── RateLimitError          429
    │   └── ServerError             5xx
    ├── TransportError              the connection, not the platform, failed
    │   ├── ConnectionFailedError   refused, DNS, TLS
    │   ├── DeadlineError           a deadline passed; `.deadline` says which
    │   ├── StreamCutError          the stream broke off before its terminal event
    │   ├── AnswerTooLargeError     a response is larger than the limit, or a decompression bomb
    │   └── ContentTypeError        a response has an unexpected content type
    ├── OutputError                 an answer does not match the requested output type
    ├── HistoryError                the store of runs cannot be used, or lacks the run
    ├── PlaybackError               a request is not in the recording that is played back
    ├── EventTooLargeError          one server-sent event is larger than the limit
    └── RunError                    a run did not complete; `.run` holds what arrived
        ├── RunFailedError
        │   └── NotRecordedError    a `PlaybackError`, too: the run is not in the recording
        ├── RunTruncatedError       cut off; the partial answer is kept
        ├── RunCancelledError
        └── BatchError              a failed row ended a map; `.table` holds the finished rows

Where a run can go on without the store, `HistoryWarning` is issued instead of `HistoryError`;
`UnencryptedWarning` warns that requests to a platform can be read on the network.

Every message is one line that can stand alone in a notebook cell; ``hint`` says what to do next.
No message, attribute or ``repr`` contains a key.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from agentnb._support.text import escaped
from agentnb._support.tracebacks import short_traceback

if TYPE_CHECKING:
    import pandas as pd


__all__ = [
    "AgentnbError",
    "AnswerTooLargeError",
    "AuthenticationError",
    "BatchError",
    "BudgetExceededError",
    "ConfigError",
    "ConnectionFailedError",
    "ContentTypeError",
    "DeadlineError",
    "EventTooLargeError",
    "FieldProblem",
    "HistoryError",
    "HistoryWarning",
    "InvalidRequestError",
    "MissingKeyError",
    "NotFoundError",
    "NotRecordedError",
    "OutputError",
    "PlatformError",
    "PlaybackError",
    "RateLimitError",
    "RequestError",
    "RunCancelledError",
    "RunError",
    "RunFailedError",
    "RunTruncatedError",
    "ServerError",
    "StreamCutError",
    "TransportError",
    "UnencryptedWarning",
    "UnsupportedError",
    "retry_hint",
    "with_hint",
]

# Longer waits are not advised, in seconds.
_MAX_WAIT: Final = 1e15


def with_hint(message: str, hint: str | None) -> str:
    """Return the message and, after a space, the hint."""
    if not hint:
        return message
    return f"{message} {hint}" if message.endswith((".", "!", "?", "…")) else f"{message}. {hint}"


def retry_hint(seconds: float | None) -> str | None:
    """Return the hint to retry after ``seconds``, None without a wait."""
    if seconds is None or not 0 < seconds < _MAX_WAIT:
        return None
    return f"Try again in {math.ceil(seconds)} s."


class AgentnbError(Exception):
    """Base class of all exceptions of this package.

    ``hint`` is one line on what to do next, or None.  ``str(error)`` is the message and, after a
    space, the hint.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        # A server's text may hold control sequences, which act in the terminal of a traceback.
        message, hint = escaped(message), hint and escaped(hint)
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return escaped(with_hint(self.message, self.hint))

    def _render_traceback_(self) -> list[str]:
        # Called by IPython; frames of this package do not help the user.
        return short_traceback(self)


class ConfigError(AgentnbError):
    """An agent, platform, alias or setting is missing or wrong."""


class MissingKeyError(ConfigError):
    """No API key was found for a platform."""


class RequestError(AgentnbError):
    """The request is invalid, and nothing was sent."""


class UnsupportedError(AgentnbError):
    """The platform has no such operation."""


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One field that a platform rejected; ``location`` is a dotted path like ``body.agent_id``."""

    location: str
    message: str
    kind: str = ""

    def __post_init__(self) -> None:
        for name in ("location", "message", "kind"):
            object.__setattr__(self, name, escaped(getattr(self, name)))

    def __str__(self) -> str:
        return f"{self.location}: {self.message}" if self.location else self.message


class OutputError(AgentnbError):
    """An answer does not match the requested output type."""


class HistoryError(AgentnbError):
    """The store of runs cannot be used, or does not hold the run."""


class HistoryWarning(UserWarning):
    """Some or all runs are not recorded, for the reason in the message; issued once."""


class UnencryptedWarning(UserWarning):
    """A platform on another machine is reached over http://; issued once for each host."""


class PlaybackError(AgentnbError):
    """A request during playback is not in the recording."""


class PlatformError(AgentnbError):
    """The platform answered with an error.

    ``status`` is the HTTP status (None inside a stream), ``code`` the platform's own error code,
    ``request_id`` the id for its support, ``retry_after`` seconds, ``excerpt`` at most 2,000
    characters of the response's body.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        excerpt: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code and escaped(code)
        self.request_id = request_id and escaped(request_id)
        self.retry_after = retry_after
        self.excerpt = escaped(excerpt)


class AuthenticationError(PlatformError):
    """401 or 403: the key is missing, wrong, or may not do this."""


class BudgetExceededError(PlatformError):
    """402: the account's budget is spent.  Never retried."""


class NotFoundError(PlatformError):
    """404: no such agent, run, thread or session.

    ``missing`` is which of these, if the message or the path says so, else None.
    """

    missing: str | None = None


class InvalidRequestError(PlatformError):
    """The platform rejected the request's content; ``fields`` are the invalid fields, if known.

    ``details`` are the arguments of `PlatformError`.
    """

    def __init__(
        self, message: str, *, fields: tuple[FieldProblem, ...] = (), **details: Any
    ) -> None:
        super().__init__(message, **details)
        self.fields = fields


class RateLimitError(PlatformError):
    """429: too many requests; ``retry_after`` is how long to wait, if the platform says so."""


class ServerError(PlatformError):
    """5xx: the platform itself failed."""


class TransportError(AgentnbError):
    """The connection, not the platform, failed."""


class ConnectionFailedError(TransportError):
    """No connection: refused, no such host, or the TLS handshake failed.

    ``lasting`` is whether a retry would fail, too: the server does not speak HTTP or TLS, or its
    certificate is not trusted.
    """

    def __init__(self, message: str, *, hint: str | None = None, lasting: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.lasting = lasting


class DeadlineError(TransportError):
    """A deadline passed.  ``deadline`` is its setting's name, ``seconds`` its value."""

    def __init__(
        self, message: str, *, deadline: str, seconds: float, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.deadline = deadline
        self.seconds = seconds


class StreamCutError(TransportError):
    """The stream broke off before its terminal event.

    ``last_event_id`` is the last id in the stream, or "".  ``reconnect_after`` is the delay in
    seconds before a reconnect that the stream set, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        last_event_id: str = "",
        reconnect_after: float | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.last_event_id = last_event_id
        self.reconnect_after = reconnect_after


class AnswerTooLargeError(TransportError):
    """A response is larger than ``limit`` bytes, or expands to far more than its size."""

    def __init__(self, message: str, *, limit: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.limit = limit


class ContentTypeError(TransportError):
    """A response has an unexpected content type; ``excerpt`` is the start of its body."""

    def __init__(
        self, message: str, *, content_type: str, excerpt: str = "", hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.content_type = escaped(content_type)
        self.excerpt = escaped(excerpt)


class EventTooLargeError(AgentnbError):
    """One server-sent event, or one line of it, is larger than the decoder's limit."""

    def __init__(self, message: str, *, limit: int) -> None:
        super().__init__(message, hint="Raise max_event_bytes if such events are expected.")
        self.limit = limit


class RunError(AgentnbError):
    """A run did not complete.  ``run``, an `agentnb.Run`, holds what arrived before it ended."""

    def __init__(self, message: str, *, run: Any, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.run = run

    def _render_traceback_(self) -> list[str]:
        cause = self.__cause__
        # An error of another kind is a bug, whose location helps.
        return short_traceback(self, fault=None if isinstance(cause, AgentnbError) else cause)


class FunctionTraceback(Exception):
    """The traceback of an agent's function as text, which Python prints before the error."""

    def __str__(self) -> str:
        return escaped(f"\n{self.args[0].rstrip()}")


class RunFailedError(RunError):
    """The agent or the platform reported a failure, or the request never succeeded.

    For an agent that is a Python function, the cause has the traceback of the function.
    """

    def __init__(self, message: str, *, run: Any, hint: str | None = None) -> None:
        super().__init__(message, run=run, hint=hint)
        # A monitored run has no transcript.
        failure = getattr(getattr(run, "transcript", None), "failure", None)
        text = failure.details.get("traceback") if failure and run.platform == "local" else None
        if isinstance(text, str):
            self.__cause__ = FunctionTraceback(text)


class NotRecordedError(RunFailedError, PlaybackError):
    """The run is not in the recording that is played back."""


class RunTruncatedError(RunError):
    """The stream ended without a terminal event; what arrived is kept in ``run``."""


class RunCancelledError(RunError):
    """The run was cancelled, by the user or by the platform."""


class BatchError(RunError):
    """A failed row ended a map; the rows still running were cancelled.

    ``table`` is the result of the map so far.  ``run`` is the run of the failed row, None if there
    was none, or not in this process.
    """

    def __init__(
        self, message: str, *, run: Any, table: pd.DataFrame, hint: str | None = None
    ) -> None:
        AgentnbError.__init__(self, message, hint=hint)
        self.run = run
        self.table = table
